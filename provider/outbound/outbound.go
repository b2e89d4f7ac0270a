// Package outbound is how our providers reach the network: one host, or what stands in for
// it, replies of a bounded size, calls that are timed, and errors without addresses.
package outbound

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Only sends what an SDK addresses to a host over https to base, and refuses any other
// destination. What the SDK has signed stays as it is: a path of base is put before the
// path of the request. A reply that is longer than limit bytes fails when it is read.
func Only(host string, base *url.URL, limit int64) http.RoundTripper {
	return &only{host, base, Limited(limit)}
}

// Limited fails a reply that is longer than limit bytes when it is read.
func Limited(limit int64) http.RoundTripper { return limited{http.DefaultTransport, limit} }

type only struct {
	host string
	base *url.URL
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (o *only) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" || req.URL.Host != o.host {
		return nil, fmt.Errorf("host %q is not allowed", req.URL.Host)
	}
	out := req.Clone(req.Context())
	out.URL.Scheme, out.URL.Host, out.Host = o.base.Scheme, o.base.Host, o.base.Host
	prefix := strings.TrimSuffix(o.base.Path, "/")
	out.URL.Path = prefix + req.URL.Path
	if req.URL.RawPath != "" {
		out.URL.RawPath = prefix + req.URL.RawPath
	}
	return o.next.RoundTrip(out)
}

type limited struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, l.limit)
	return resp, nil
}
