package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestErrorsNameNoAddress(t *testing.T) {
	const address = "https://api.example.com/token?secret=1"
	fails := func(cause error) error { return &url.Error{Op: "Get", URL: address, Err: cause} }
	other := errors.New("disk full")
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"the cause":       {fails(context.DeadlineExceeded), "context deadline exceeded"},
		"wrapped":         {fmt.Errorf("asking: %w", fails(context.Canceled)), "context canceled"},
		"repeated":        {fails(errors.New("closed by foreign host " + address)), "closed by foreign host it"},
		"no client's own": {other, "disk full"},
	} {
		if got := WithoutURL(tt.err); got.Error() != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !errors.Is(WithoutURL(fails(context.DeadlineExceeded)), context.DeadlineExceeded) {
		t.Error("the cause is lost")
	}
}

func TestCallsAreTimed(t *testing.T) {
	Timed(nil, "send")("ok")
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "calls"}, []string{"op", "outcome"})
	reg := prometheus.NewRegistry()
	reg.MustRegister(latency)
	kept := func() (labels []string) {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				labels = append(labels, m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue())
			}
		}
		return labels
	}
	done := Timed(latency, "send")
	if got := kept(); len(got) != 0 {
		t.Errorf("%q before the call has ended", got)
	}
	done("timeout")
	if got := kept(); len(got) != 1 || got[0] != "send timeout" {
		t.Errorf("kept %q", got)
	}
}
