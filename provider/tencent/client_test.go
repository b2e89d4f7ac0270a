package tencent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
)

var noon = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)

func newTestClient(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := NewClient(Config{
		Service: "sms", Version: "2021-01-11", Region: "ap-guangzhou", BaseURL: srv.URL + "/playground/sms.tencentcloudapi.com",
		SecretID: "AKIDtest", SecretKey: "secret-canary", Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func TestCallSignsWhatItSends(t *testing.T) {
	var got *http.Request
	var body []byte
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		_, _ = io.WriteString(w, `{"Response":{"Serial":"7","RequestId":"r"}}`)
	})
	var out struct{ Serial string }
	if err := c.Call(t.Context(), "SendSms", map[string]string{"A": "b"}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Serial != "7" {
		t.Errorf("decoded %+v", out)
	}
	if got.URL.Path != "/playground/sms.tencentcloudapi.com/" {
		t.Errorf("path = %s", got.URL.Path)
	}
	for name, want := range map[string]string{
		"X-TC-Action": "SendSms", "X-TC-Version": "2021-01-11", "X-TC-Region": "ap-guangzhou", "X-TC-Timestamp": "1795406400",
		"Authorization": signature{
			secretID: "AKIDtest", secretKey: "secret-canary", service: "sms", host: got.Host,
			contentType: got.Header.Get("Content-Type"), action: "SendSms", at: noon, body: body,
		}.authorization(),
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s = %q, want %q", name, v, want)
		}
	}
}

func TestCallErrors(t *testing.T) {
	refusal := func(code string) http.HandlerFunc {
		return answer(`{"Response":{"Error":{"Code":"` + code + `","Message":"number 13800138000 is bad"},"RequestId":"req-1"}}`)
	}
	tests := map[string]struct {
		reply http.HandlerFunc
		kind  order.Kind // "" for an error without a kind
		code  string
	}{
		"limit of a number":     {refusal("LimitExceeded.PhoneNumberDailyLimit"), order.RateLimited, "LimitExceeded.PhoneNumberDailyLimit"},
		"limit of the account":  {refusal("RequestLimitExceeded"), order.RateLimited, "RequestLimitExceeded"},
		"internal error":        {refusal("InternalError.Timeout"), order.Unavailable, "InternalError.Timeout"},
		"wrong signature":       {refusal("AuthFailure.SignatureFailure"), "", "AuthFailure.SignatureFailure"},
		"not JSON":              {answer(`<html>502</html>`), order.Unavailable, ""},
		"empty reply":           {answer(``), order.Unavailable, ""},
		"JSON of another shape": {answer(`[]`), order.Unavailable, ""},
		"no response element":   {answer(`{}`), order.Unavailable, ""},
		"proxy error": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}, order.Unavailable, ""},
		"connection cut": {func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, order.Unavailable, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := newTestClient(t, tt.reply).Call(t.Context(), "SendSms", struct{}{}, &struct{}{})
			if err == nil {
				t.Fatal("no error")
			}
			e, ok := order.AsError(err)
			if ok != (tt.kind != "") || ok && e.Kind != tt.kind {
				t.Errorf("error %v has kind %v, want %q", err, e, tt.kind)
			}
			var refused *Error
			if errors.As(err, &refused) != (tt.code != "") || refused != nil && (refused.Code != tt.code || refused.RequestID != "req-1") {
				t.Errorf("refusal = %+v, want code %q", refused, tt.code)
			}
			for _, secret := range []string{"13800138000", "secret-canary", "/playground"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error shows %q: %v", secret, err)
				}
			}
		})
	}
}

func TestCallGivesUpWithItsContext(t *testing.T) {
	release := make(chan struct{})
	c := newTestClient(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) }) // runs before the server's Close
	latency := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "latency"}, []string{"op", "outcome"})
	c.cfg.Latency = latency

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := c.Call(ctx, "SendSms", struct{}{}, &struct{}{})
	if !errors.Is(err, order.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(latency)
	families, err := reg.Gather()
	if err != nil || len(families) != 1 || families[0].GetMetric()[0].GetHistogram().GetSampleCount() != 1 {
		t.Errorf("latency = %v, %v; want one observation", families, err)
	}
}

func TestNewClientNamesItsFault(t *testing.T) {
	for name, cfg := range map[string]Config{
		"relative address": {Service: "sms", BaseURL: "sms.example", SecretID: "i", SecretKey: "k"},
		"no credentials":   {Service: "sms"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := NewClient(cfg); err == nil {
				t.Error("accepted")
			}
		})
	}
}

// API 3.0 never redirects: whatever answers so is not told names, numbers and mobiles again.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s went elsewhere", r.Method, r.URL) }))
	t.Cleanup(elsewhere.Close)
	c := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	var out struct{}
	if err := c.Call(t.Context(), "SendSms", map[string]string{"A": "b"}, &out); !errors.Is(err, order.Unavailable) {
		t.Errorf("%v", err)
	}
}
