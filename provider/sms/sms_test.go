package sms

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const id = "01JD8ZK3V0Q4M6Y2T9R7W5X1AB"

var (
	noon   = time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	mobile = identity.NewMobile("13800138000")
	params = []string{"顺丰", "SF1"}
)

// newTestSMS answers every call with body and keeps the last request.
func newTestSMS(t *testing.T, body string) (*Tencent, *map[string]any) {
	t.Helper()
	sent := map[string]any{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		sent["action"] = r.Header.Get("X-TC-Action")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	s, err := NewTencent(Config{
		SecretID: "id", SecretKey: "key", SdkAppID: "1400000001", SignName: "云采盾", BaseURL: srv.URL,
		Template: func(name string) string { return map[string]string{"shipped": "1001"}[name] }, Now: func() time.Time { return noon },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, &sent
}

func TestSend(t *testing.T) { // F105
	s, sent := newTestSMS(t, `{"Response":{"SendStatusSet":[{"SerialNo":"5000:1","PhoneNumber":"+8613800138000","Fee":1,"SessionContext":"x","Code":"Ok","Message":"send success","IsoCode":"CN"}],"RequestId":"r"}}`)
	serial, err := s.Send(t.Context(), id, mobile, "shipped", params)
	if err != nil || serial != "5000:1" {
		t.Fatalf("send = %q, %v", serial, err)
	}
	want := map[string]any{
		"action": "SendSms", "PhoneNumberSet": []any{"+8613800138000"}, "SmsSdkAppId": "1400000001", "SignName": "云采盾",
		"TemplateId": "1001", "TemplateParamSet": []any{"顺丰", "SF1"}, "SessionContext": id,
	}
	if diff := cmp.Diff(want, *sent); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestSendRefused(t *testing.T) {
	tests := map[string]struct {
		code       string
		kind       order.Kind // "" for a fault of ours
		retryAfter time.Duration
	}{
		"30 seconds":           {"LimitExceeded.PhoneNumberThirtySecondLimit", order.RateLimited, 30 * time.Second},
		"an hour":              {"LimitExceeded.PhoneNumberOneHourLimit", order.RateLimited, time.Hour},
		"a day":                {"LimitExceeded.PhoneNumberDailyLimit", order.RateLimited, 24 * time.Hour},
		"some other limit":     {"LimitExceeded.DeliveryFrequencyLimit", order.RateLimited, time.Minute},
		"no such number":       {"InvalidParameterValue.IncorrectPhoneNumber", order.Invalid, 0},
		"he opted out":         {"FailedOperation.PhoneNumberInBlacklist", order.Invalid, 0},
		"package used up":      {"FailedOperation.InsufficientBalanceInSmsPackage", order.Unavailable, 10 * time.Minute},
		"provider is ill":      {"InternalError.Timeout", order.Unavailable, 30 * time.Second},
		"template not allowed": {"FailedOperation.TemplateIncorrectOrUnapproved", "", 0},
	}
	for name, tt := range tests {
		for shape, body := range map[string]string{
			"of the number": `{"Response":{"SendStatusSet":[{"SerialNo":"","PhoneNumber":"+8613800138000","Code":"%s","Message":"13800138000"}],"RequestId":"r"}}`,
			"of the call":   `{"Response":{"Error":{"Code":"%s","Message":"13800138000"},"RequestId":"r"}}`,
		} {
			t.Run(name+", "+shape, func(t *testing.T) {
				s, _ := newTestSMS(t, fmt.Sprintf(body, tt.code))
				_, err := s.Send(t.Context(), id, mobile, "shipped", params)
				e, ok := order.AsError(err)
				if err == nil || ok != (tt.kind != "") || ok && (e.Kind != tt.kind || e.RetryAfter != tt.retryAfter) {
					t.Errorf("error = %+v, want kind %q after %v", err, tt.kind, tt.retryAfter)
				}
				if err != nil && (strings.Contains(err.Error(), "138") || !strings.Contains(err.Error(), tt.code)) {
					t.Errorf("error = %v", err)
				}
			})
		}
	}
}

func TestSendWithoutAnAnswerIsUnavailable(t *testing.T) {
	for name, body := range map[string]string{
		"no status":  `{"Response":{"SendStatusSet":[],"RequestId":"r"}}`,
		"not JSON":   `<html>`,
		"wrong type": `{"Response":{"SendStatusSet":"x","RequestId":"r"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newTestSMS(t, body)
			if _, err := s.Send(t.Context(), id, mobile, "shipped", params); !errors.Is(err, order.Unavailable) {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestUnknownTemplateIsNotSent(t *testing.T) {
	s, sent := newTestSMS(t, "")
	if _, err := s.Send(t.Context(), id, mobile, "free_text", params); err == nil || len(*sent) != 0 {
		t.Errorf("error = %v, sent %v", err, *sent)
	}
}

func TestSent(t *testing.T) {
	const reports = `{"Response":{"PullSmsSendStatusSet":[
		{"SerialNo":"1","SessionContext":"another","ReportStatus":"SUCCESS"},
		{"SerialNo":"2","SessionContext":"01JD8ZK3V0Q4M6Y2T9R7W5X1AB","ReportStatus":"FAIL"}],"RequestId":"r"}}`
	s, sent := newTestSMS(t, reports)
	for asked, want := range map[string]bool{id: true, "01JD8ZK3V0Q4M6Y2T9R7W5X1CD": false, "": false} {
		got, err := s.Sent(t.Context(), asked, mobile)
		if err != nil || got != want {
			t.Errorf("sent(%q) = %v, %v; want %v", asked, got, err, want)
		}
	}
	want := map[string]any{
		"action": "PullSmsSendStatusByPhoneNumber", "BeginTime": float64(noon.Add(-48 * time.Hour).Unix()), "EndTime": float64(noon.Unix()),
		"Offset": 0.0, "Limit": 100.0, "PhoneNumber": "+8613800138000", "SmsSdkAppId": "1400000001",
	}
	if diff := cmp.Diff(want, *sent); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	s, _ = newTestSMS(t, `{"Response":{"Error":{"Code":"InternalError"},"RequestId":"r"}}`)
	if _, err := s.Sent(t.Context(), id, mobile); !errors.Is(err, order.Unavailable) {
		t.Errorf("error = %v", err)
	}
}
