package wechat

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// apiHost is the only host the SDK is allowed to call.
const apiHost = "api.weixin.qq.com"

const maxReply = 1 << 20

// transport sends what is addressed to WeChat's API to base and refuses any
// other destination.
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
	out.URL.Path = strings.TrimSuffix(t.base.Path, "/") + req.URL.Path
	out.URL.RawPath = ""
	resp, err := t.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxReply)
	return resp, nil
}
