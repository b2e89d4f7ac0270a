package contract

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/realname"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// text is one call of Send.
type text struct {
	id       string
	to       identity.Mobile
	template string
	params   []string
}

var shipped = text{"01JD8ZK3V0Q4M6Y2T9R7W5X1AB", mobile, "shipped", []string{"顺丰", "SF1234567890"}}

func (w *world) text(ctx context.Context, m text) (string, error) {
	return w.sms.Send(ctx, m.id, m.to, m.template, m.params)
}

func (w *world) inbox() []sim.SMSMessage {
	w.t.Helper()
	var inbox []sim.SMSMessage
	w.control(http.MethodGet, "sms?mobile="+mobile.Reveal(), nil, &inbox)
	return inbox
}

func TestTextArrivesAndIsKnownByItsID(t *testing.T) { // F105
	w := newWorld(t)
	if sent, err := w.sms.Sent(t.Context(), shipped.id, mobile); sent || err != nil {
		t.Errorf("before: %v, %v", sent, err)
	}
	serial, err := w.text(t.Context(), shipped)
	if err != nil {
		t.Fatal(err)
	}
	inbox := w.inbox()
	if len(inbox) != 1 || inbox[0].SerialNo != serial || inbox[0].Text != "【云采盾】您的订单已由顺丰发出，运单号SF1234567890。" {
		t.Errorf("inbox: %+v", inbox)
	}
	w.sim.Advance(24 * time.Hour)
	if sent, err := w.sms.Sent(t.Context(), shipped.id, mobile); !sent || err != nil {
		t.Errorf("after: %v, %v", sent, err)
	}
	if sent, _ := w.sms.Sent(t.Context(), shipped.id, identity.NewMobile("13800000002")); sent {
		t.Error("sent to somebody else")
	}
}

// The process dies, or the answer is lost, after the text went out.
func TestTextWhoseAnswerWasLostIsFound(t *testing.T) {
	tests := map[string]struct {
		fault sim.Fault
		sent  bool
	}{
		"went out, answer lost":  {sim.Fault{Family: "sms.send", After: true}, true},
		"went out, answer wrong": {sim.Fault{Family: "sms.send", After: true, Status: 502}, true},
		"did not go out":         {sim.Fault{Family: "sms.send", Status: 502}, false},
		"refused inside":         {sim.Fault{Family: "sms.send", Code: "InternalError.Timeout"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.fault(tt.fault)
			if _, err := w.text(t.Context(), shipped); !errors.Is(err, order.Unavailable) {
				t.Errorf("error = %v", err)
			}
			if sent, err := w.sms.Sent(t.Context(), shipped.id, mobile); sent != tt.sent || err != nil {
				t.Errorf("sent = %v, %v; want %v", sent, err, tt.sent)
			}
			if n := len(w.inbox()); (n == 1) != tt.sent {
				t.Errorf("%d texts arrived", n)
			}
		})
	}
}

func TestTextErrors(t *testing.T) {
	tests := map[string]struct {
		before func(w *world, m *text)
		want   string
	}{
		"too many for a number": {func(w *world, _ *text) {
			w.fault(sim.Fault{Family: "sms.send", Code: "LimitExceeded.PhoneNumberDailyLimit"})
		}, "rate_limited/sms_limit"},
		"account limited": {func(w *world, _ *text) {
			w.fault(sim.Fault{Family: "sms.send", Code: "RequestLimitExceeded"})
		}, "rate_limited/provider_rate_limited"},
		"blacklisted": {func(w *world, _ *text) {
			w.fault(sim.Fault{Family: "sms.send", Code: "FailedOperation.PhoneNumberInBlacklist"})
		}, "invalid/sms_unreachable"},
		"not a number":          {func(_ *world, m *text) { m.to = identity.NewMobile("12345") }, "invalid/sms_unreachable"},
		"template not approved": {func(_ *world, m *text) { m.template = "unapproved" }, "error"},
		"a parameter missing":   {func(_ *world, m *text) { m.params = m.params[:1] }, "error"},
		"foreign key":           {func(w *world, _ *text) { w.sms = w.texts("another-key") }, "error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := shipped
			tt.before(w, &m)
			if _, err := w.text(t.Context(), m); problem(err) != tt.want {
				t.Errorf("error = %v, want %q", err, tt.want)
			}
			if inbox := w.inbox(); len(inbox) != 0 {
				t.Errorf("arrived: %+v", inbox)
			}
		})
	}
}

func TestSlowProviderIsUnavailable(t *testing.T) {
	w := newWorld(t)
	w.fault(sim.Fault{Family: "sms.send", DelayMS: 300})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := w.text(ctx, shipped); !errors.Is(err, order.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error = %v", err)
	}
}

// Flows 4.5, screen 3: a face check counts for the person and the authorisation that
// it was started for, once it is done.
func TestFace(t *testing.T) {
	name, no := identity.NewPersonName("王测试"), identity.NewDocNo(agentID)
	other := identity.NewDocNo("110105199003078816")
	tests := map[string]struct {
		code    string // what happens before the camera; empty: nothing yet
		about   string
		no      identity.DocNo
		want    order.RealNameResult
		problem string
	}{
		"the person":       {"0", "auth-1", no, order.RealNameMatch, ""},
		"somebody else":    {"1004", "auth-1", no, order.RealNameMismatch, ""},
		"given up":         {"2017", "auth-1", no, order.RealNameMismatch, ""},
		"not done":         {"", "auth-1", no, "", "invalid/face_unfinished"},
		"for another case": {"0", "auth-2", no, "", "invalid/face_unfinished"},
		"other number":     {"0", "auth-1", other, order.RealNameMismatch, ""},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			w := newWorld(t)
			token, page, err := w.realname.StartFace(t.Context(), "auth-1", name, no, w.product.URL+"/auth/x/face")
			if err != nil {
				t.Fatal(err)
			}
			if tt.code != "" {
				_, path, _ := strings.Cut(page, "/playground/")
				client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				for i, want := range []int{http.StatusSeeOther, http.StatusBadRequest} { // decided once
					resp, err := client.PostForm(w.url+"/"+path, url.Values{"code": {tt.code}})
					if err != nil {
						t.Fatal(err)
					}
					if err := resp.Body.Close(); err != nil || resp.StatusCode != want || i == 0 && resp.Header.Get("Location") != w.product.URL+"/auth/x/face" {
						t.Errorf("answer %d: %d to %q, %v", i, resp.StatusCode, resp.Header.Get("Location"), err)
					}
				}
			}
			got, err := w.realname.FaceResult(t.Context(), token, tt.about, name, tt.no)
			if got.Result != tt.want || problem(err) != tt.problem || tt.want != "" && (got.ID != token || got.Provider != realname.FaceProvider) {
				t.Errorf("result %+v, %v; want %q, %q", got, err, tt.want, tt.problem)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		if _, _, err := w.realname.StartFace(t.Context(), "a", name, no, "https://elsewhere.example/"); err == nil {
			t.Error("goes back to somebody else's address")
		}
		if _, err := w.realname.FaceResult(t.Context(), "unknown", "a", name, no); err == nil {
			t.Error("knows a token that nobody made")
		}
		none := must(realname.NewTencent(realname.Config{SecretID: "face-id", SecretKey: "face-key", Now: w.sim.Now}))
		if none.OffersFace() || !w.realname.OffersFace() {
			t.Error("a face check without a rule is offered, or one with a rule is not")
		}
	})
}

func TestRealName(t *testing.T) { // F24
	tests := map[string]struct {
		name, no string
		mobile   string
		fault    sim.Fault
		want     order.RealNameResult
		problem  string
	}{
		"one person":          {name: "王测试", no: agentID, mobile: mobile.Reveal(), want: order.RealNameMatch},
		"another name":        {name: "李测试", no: agentID, mobile: mobile.Reveal(), want: order.RealNameMismatch},
		"another number":      {name: "王测试", no: "110105199003078816", mobile: mobile.Reveal(), want: order.RealNameMismatch},
		"unknown to carriers": {name: "王测试", no: agentID, mobile: "13800000009", want: order.RealNameManual},
		"provider busy": {
			name: "王测试", no: agentID, mobile: mobile.Reveal(),
			fault: sim.Fault{Family: "faceid", Code: "InternalError"}, problem: "unavailable/provider_unavailable",
		},
		"provider down": {
			name: "王测试", no: agentID, mobile: mobile.Reveal(),
			fault: sim.Fault{Family: "faceid", Status: 503}, problem: "unavailable/provider_unavailable",
		},
	}
	for title, tt := range tests {
		t.Run(title, func(t *testing.T) {
			w := newWorld(t)
			if tt.fault.Family != "" {
				w.fault(tt.fault)
			}
			got, err := w.realname.Check(t.Context(), identity.NewPersonName(tt.name), identity.ResidentID, identity.NewDocNo(tt.no), identity.NewMobile(tt.mobile))
			if got != tt.want || problem(err) != tt.problem {
				t.Errorf("check = %q, %v; want %q, %q", got, err, tt.want, tt.problem)
			}
		})
	}
}
