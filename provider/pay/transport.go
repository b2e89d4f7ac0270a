package pay

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const apiHost = "api.mch.weixin.qq.com"

// transport sends what is addressed to WeChat Pay to base. The SDK has signed
// the path by then; a path of base is put before it and is not signed.
type transport struct {
	base *url.URL
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || req.URL.Host != apiHost {
		return nil, fmt.Errorf("host %q is not allowed", req.URL.Host)
	}
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = t.base.Scheme, t.base.Host, t.base.Host
	prefix := strings.TrimSuffix(t.base.Path, "/")
	out.URL.Path = prefix + req.URL.Path
	if req.URL.RawPath != "" {
		out.URL.RawPath = prefix + req.URL.RawPath
	}
	return t.next.RoundTrip(out)
}

// limited bounds the size of a reply.
type limited struct {
	next http.RoundTripper
	max  int64
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, l.max), resp.Body}
	return resp, nil
}
