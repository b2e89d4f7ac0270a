package outbound

import (
	"errors"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// WithoutURL drops the address from an HTTP client's error: addresses, and what their
// queries hold, belong in no log line.
func WithoutURL(err error) error {
	e, ok := errors.AsType[*url.Error](err)
	switch {
	case !ok:
		return err
	case strings.Contains(e.Err.Error(), e.URL): // minio repeats it: Connection closed by foreign host http://…
		return errors.New(strings.ReplaceAll(e.Err.Error(), e.URL, "it"))
	default:
		return e.Err
	}
}

// Timed starts to measure a call to a provider; done keeps how many seconds it took, under
// the operation and how it went. Without latency nobody measures.
func Timed(latency prometheus.ObserverVec, op string) (done func(outcome string)) {
	if latency == nil {
		return func(string) {}
	}
	var as string
	timer := prometheus.NewTimer(prometheus.ObserverFunc(func(seconds float64) {
		latency.WithLabelValues(op, as).Observe(seconds)
	}))
	return func(outcome string) {
		as = outcome
		timer.ObserveDuration()
	}
}
