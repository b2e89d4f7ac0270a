package contract

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

const miniAgent = "mAgent"

// code is what wx.login (kind login) or the phone-number button (phone) hands out.
func (w *world) code(kind, persona string) string {
	w.t.Helper()
	var out struct{ Code string }
	w.control(http.MethodPost, "mini/"+kind, map[string]string{"persona": persona}, &out)
	return out.Code
}

// One union id joins the two accounts of a person, the OpenIDs differ, and a code
// is good once.
func TestMiniProgramLogin(t *testing.T) {
	w := newWorld(t)
	code := w.code("login", agent)
	openID, unionID, err := w.mini.User(t.Context(), code)
	if err != nil || openID != miniAgent || unionID != "uAgent" {
		t.Errorf("user = %q %q %v", openID, unionID, err)
	}
	for name, code := range map[string]string{
		"used": code, "unknown": "0123456789abcdef", "of the phone button": w.code("phone", agent), "empty": "", "hostile": "x&secret=1",
	} {
		if _, _, err := w.mini.User(t.Context(), code); !errors.Is(err, order.Unauthenticated) {
			t.Errorf("%s code: %v", name, err)
		}
	}
	w.fault(sim.Fault{Family: "mini", Code: "-1"})
	if _, _, err := w.mini.User(t.Context(), w.code("login", agent)); !errors.Is(err, order.Unavailable) {
		t.Errorf("WeChat busy: %v", err)
	}
}

func TestMiniProgramPhoneNumber(t *testing.T) { // F21
	w := newWorld(t)
	code := w.code("phone", agent)
	m, err := w.mini.Mobile(t.Context(), code)
	if err != nil || m.Reveal() != mobile.Reveal() {
		t.Errorf("mobile = %v %v", m, err)
	}
	for name, code := range map[string]string{"used": code, "of wx.login": w.code("login", agent), "hostile": `"}`} {
		if _, err := w.mini.Mobile(t.Context(), code); !errors.Is(err, order.Unauthenticated) {
			t.Errorf("%s code: %v", name, err)
		}
	}
	// A token that WeChat took back is replaced by itself.
	w.fault(sim.Fault{Family: "mini", Code: "40001"})
	if m, err = w.mini.Mobile(t.Context(), w.code("phone", agent)); err != nil || m.Reveal() != mobile.Reveal() {
		t.Errorf("after a stale token: %v", err)
	}
}

// request signs wx.requestPayment for a trade as the product does.
func (w *world) request(p order.Payment, persona, how string) map[string]string {
	w.t.Helper()
	id, err := w.pay.PrepayMini(w.t.Context(), p, "招标项目证书")
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.pay.RequestPayment(id, w.sim.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{
		"persona": persona, "how": how, "timeStamp": r.TimeStamp, "nonceStr": r.NonceStr, "package": r.Package, "signType": r.SignType, "paySign": r.PaySign,
	}
}

func TestPaymentInTheMiniProgram(t *testing.T) { // F58, F62
	w := newWorld(t)
	p := w.trade("T00000000001")
	p.Payer = miniAgent
	for name, spoil := range map[string]func(map[string]string){
		"altered":       func(q map[string]string) { q["timeStamp"] = "1" },
		"another's":     func(q map[string]string) { q["persona"] = "oReviewer" },
		"unsigned":      func(q map[string]string) { q["paySign"] = "" },
		"of no trade":   func(q map[string]string) { q["package"] = "prepay_id=" },
		"taken back":    func(q map[string]string) { q["how"] = "cancel" },
		"by poor payer": func(q map[string]string) { q["how"] = "fail" },
	} {
		q := w.request(p, agent, "pay")
		spoil(q)
		if status, answer := w.ask(http.MethodPost, "mini/pay", q, nil); status == http.StatusOK || !strings.Contains(answer, "requestPayment:fail") {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	w.control(http.MethodPost, "mini/pay", w.request(p, agent, "pay"), nil)
	status, queried := w.status(p.TradeNo)
	receipts, refused := w.heard()
	if status != order.TradePaid || len(receipts) != 1 || len(refused) != 0 || receipts[0] != queried || queried.Amount != p.Amount {
		t.Errorf("status %s, queried %+v, receipts %v, refused %v", status, queried, receipts, refused)
	}
	if _, err := w.pay.PrepayMini(t.Context(), p, "招标项目证书"); !errors.Is(err, order.Conflict) {
		t.Errorf("opening a paid trade: %v", err)
	}
	// A trade opened for one payer or way cannot be opened for another.
	q := w.trade("T00000000002")
	q.Payer = miniAgent
	w.request(q, agent, "pay")
	if _, err := w.pay.Prepay(t.Context(), q, "招标项目证书"); err == nil {
		t.Error("a trade of the mini-program was opened for a QR code")
	}
	if err := w.pay.Close(t.Context(), q.TradeNo); err != nil {
		t.Errorf("closing: %v", err)
	}
	if _, err := w.pay.PrepayMini(t.Context(), w.trade("T00000000003"), "招标项目证书"); err == nil {
		t.Error("a trade without a payer was opened")
	}
}
