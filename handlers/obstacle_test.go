package handlers

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Row 63: the form of an application and the page of an approved unlock say that the
// certificate is frozen meanwhile, and begin nothing that will be refused.
func TestObstacleIsSaidBeforeItRefuses(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	path := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.UnlockApproval)).location(), "/edit")
	const says, starts = "证书已冻结，请先恢复", "开始设置"
	wantNotIn(t, "the form", b.get(path+"/edit").Body, says)
	freeze := "/certificates/" + heldSerial + "/freeze"
	b.post(freeze, url.Values{"sure": {"yes"}, "code": {b.codeFor(freeze)}})
	wantIn(t, "the form", b.get(path+"/edit").Body, says, `href="/certificates"`)

	w.Unlocks = heldKey{w: w}
	was := w.order(path)
	now := was
	now.State, now.Rev = order.State{Status: order.ToUnlock}, was.Rev+1
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, was) }))
	page := b.get(path + "/unlock").Body
	wantIn(t, "the approved unlock", page, says)
	wantNotIn(t, "the approved unlock", page, starts)
	page = b.get(path).Body
	wantIn(t, "the order", page, says)
	wantNotIn(t, "the order", page, `href="`+path+`/unlock"`)
}

// Row 63: nobody is asked to pay for what cannot be done: the page of the payment says
// why, on the portal and over the API, until the freeze is taken back.
func TestObstacleKeepsFromPaying(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	path := strings.TrimSuffix(b.post("/orders", begin(heldSerial, order.UnlockApproval)).location(), "/edit")
	was := w.order(path)
	now := was
	now.State, now.Rev = order.State{Status: order.AwaitingPayment}, was.Rev+1
	must(t, w.db.InTx(t.Context(), func(tx order.Tx) error { return tx.UpdateOrder(t.Context(), now, was) }))
	told := func() PayingJSON {
		t.Helper()
		var p PayingJSON
		w.mini("m1", "").login(agentMobile).ok(http.MethodGet, path+"/payment", nil, &p)
		return p
	}
	const says, pays = "证书已冻结，请先恢复", "立即支付"
	wantIn(t, "before", b.get(path+"/pay").Body, pays)
	if got := told(); got.Order.Obstacle != "" || got.State != "unpaid" {
		t.Errorf("before, over the API: %+v", got)
	}
	freeze := "/certificates/" + heldSerial + "/freeze"
	b.post(freeze, url.Values{"sure": {"yes"}, "code": {b.codeFor(freeze)}})
	page := b.get(path + "/pay").Body
	wantIn(t, "frozen", page, says, `href="/certificates"`)
	wantNotIn(t, "frozen", page, pays)
	if got := told(); got.Order.Obstacle != says {
		t.Errorf("frozen, over the API: %+v", got)
	}
}

// heldKey knows which certificate an approved unlock is about.
type heldKey struct {
	unlockService
	w *web
}

func (h heldKey) Of(context.Context, order.Order) (certificate.Certificate, error) {
	return h.w.held(), nil
}
