package sim

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"
)

// Families of endpoints that a [Fault] can strike. "callback" is the official account's push, "notify" the
// payment notification, "invoice.notify" that of an invoice, "courier.push" the courier's; for these DelayMS makes them
// late and Repeat sends that many extra copies. What a code does to "pay.bill.file" and "alipay.bill.file" is in billFaults,
// to "pay.refund.end" in refundEnds.
var families = []string{
	"token", "template", "subscribe", "custom", "account", "oauth", "mini", "mini.shipping",
	"pay.native", "pay.jsapi", "pay.query", "pay.close", "pay.refund", "pay.refund.end", "pay.bill", "pay.bill.file",
	"alipay.precreate", "alipay.query", "alipay.close", "alipay.refund", "alipay.bill", "alipay.bill.file", "sms.send", "sms.status", "faceid",
	"invoice.issue", "invoice.red", "invoice.query", "invoice.file", "courier.poll",
	"callback", "notify", "invoice.notify", "courier.push",
}

// Fault makes the next calls of one family misbehave.
type Fault struct {
	Family  string `json:"family"`
	Times   int    `json:"times"`              // how many calls are struck; 0 means 1, -1 until cleared
	DelayMS int    `json:"delay_ms,omitempty"` // real time before the answer
	Status  int    `json:"status,omitempty"`   // answer with this HTTP status instead
	Code    string `json:"code,omitempty"`     // answer with the provider's own error: a WeChat errcode, an APIv3 or Tencent Cloud code
	After   bool   `json:"after,omitempty"`    // the call takes effect first, then its answer is replaced, or lost when Status and Code are empty
	Repeat  int    `json:"repeat,omitempty"`   // callbacks only: extra copies
}

// setFault replaces the fault of a family. The caller holds the lock.
func (s *Server) setFault(f Fault) error {
	if !slices.Contains(families, f.Family) {
		return fmt.Errorf("unknown family %q, want one of %v", f.Family, families)
	}
	push := slices.Contains([]string{"callback", "notify", "invoice.notify", "courier.push"}, f.Family)
	if push && (f.Status != 0 || f.Code != "" || f.After) || !push && f.Repeat != 0 {
		return fmt.Errorf("%s takes delay_ms and %s", f.Family, map[bool]string{true: "repeat", false: "status, code, after"}[push])
	}
	if codes := codesOf(f.Family); codes != nil && (!codes[f.Code] || f.Status != 0 || f.After || f.DelayMS != 0) {
		return fmt.Errorf("%s takes a code: %v", f.Family, slices.Sorted(maps.Keys(codes)))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults[f.Family] = f
	s.note("fault", fmt.Sprintf("故障注入：%s × %d", f.Family, f.Times))
	return nil
}

// codesOf are the codes that a family takes and nothing else; nil for one that is a call.
func codesOf(family string) map[string]bool {
	switch {
	case strings.HasSuffix(family, ".bill.file"):
		return billFaults
	case family == "pay.refund.end":
		return refundEnds
	}
	return nil
}

// strike uses up one call of a family's fault.
func (s *Server) strike(family string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.strikeLocked(family)
}

// strikeLocked is strike for a caller who holds the lock.
func (s *Server) strikeLocked(family string) Fault {
	f, ok := s.faults[family]
	if !ok {
		return Fault{}
	}
	if f.Times > 0 {
		left := f
		if left.Times--; left.Times == 0 {
			delete(s.faults, family)
		} else {
			s.faults[family] = left
		}
	}
	s.note("fault", "故障生效："+family)
	return f
}

// faulty lets the family's fault act on a handler; refuse writes an error in the provider's own form.
func (s *Server) faulty(family string, refuse func(w http.ResponseWriter, status int, code string), next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := s.strike(family)
		if f.DelayMS > 0 {
			select {
			case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		if f.After {
			next(httptest.NewRecorder(), r)
		}
		switch {
		case f.Status != 0 || f.Code != "":
			refuse(w, f.Status, f.Code)
		case f.After:
			panic(http.ErrAbortHandler) // the connection closes without an answer
		default:
			next(w, r)
		}
	}
}
