package handlers

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// Rows 51: the page to write a renewed certificate exists for its owner, once the
// renewal is approved; what a helper asks without a ticket is answered alike.
func TestRunPages(t *testing.T) {
	w := newWeb(t)
	b := w.holder()
	b.later(350 * 24 * time.Hour)
	path := b.submitted(b.post("/orders", begin(heldSerial, order.Renewal)).location(), url.Values{"about.bid": {"no"}})
	if a := b.get(path + "/run"); a.Status != http.StatusConflict {
		t.Errorf("before the approval: %d", a.Status)
	}
	b.approved(path)
	page := b.get(path)
	if !strings.Contains(page.Body, `href="`+path+`/run"`) || !strings.Contains(page.Body, ">更新</a>") {
		t.Errorf("the order does not lead to the page:\n%s", page.Body)
	}
	run := b.get(path + "/run")
	portalPage(t, "run", run.Body)
	if run.Status != http.StatusOK || !strings.Contains(run.Body, "完成之前不要拔出 UKEY") { // F71
		t.Errorf("the page: %d", run.Status)
	}
	bob := w.browser()
	bob.login("13900139000")
	for _, a := range []answer{bob.get(path + "/run"), bob.post(path+"/run", nil), bob.get(path + "/run/T1")} {
		if a.Status != http.StatusNotFound {
			t.Errorf("somebody else: %d", a.Status)
		}
	}
	for _, at := range []string{"open", "issue", "report", "fail"} {
		if a := bob.post("/helper/v1/run/"+at, nil); a.Status != http.StatusNotFound {
			t.Errorf("%s without a ticket: %d", at, a.Status)
		}
	}
}

// A window whose ticket another window has replaced says that the certificate is written
// once it is, and not to begin again.
func TestRunEndsInAnotherWindow(t *testing.T) {
	for name, tt := range map[string]struct {
		state  order.State
		ticket certificate.TicketState
		want   progressView
	}{
		"replaced, not written yet":     {order.State{Status: order.ToRenew, Stage: order.Ready}, certificate.TicketReplaced, progressView{State: certificate.TicketReplaced, Detail: "这项业务已在另一个窗口重新开始，请到那个窗口继续；找不到那个窗口时，请重新开始。"}},
		"replaced, written there":       {order.State{Status: order.Completed}, certificate.TicketReplaced, progressView{State: certificate.TicketDone}},
		"failed here, written there":    {order.State{Status: order.Completed}, certificate.TicketFailed, progressView{State: certificate.TicketDone}},
		"its own":                       {order.State{Status: order.Completed}, certificate.TicketDone, progressView{State: certificate.TicketDone}},
		"written, the report under way": {order.State{Status: order.ToRenew, Stage: order.Running}, certificate.TicketOpen, progressView{State: certificate.TicketOpen, Step: certificate.StepWrite}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWeb(t)
			b := w.browser()
			b.login(agentMobile)
			u := w.counter(agentMobile)
			w.posted(1, w.clock.now(), w.clock.now(), func(o *order.Order) { o.ID, o.PersonID, o.State = "01RUN", u.person, tt.state })
			u.ticket.OrderID, u.ticket.State, u.ticket.Step = "01RUN", tt.ticket, ""
			a := b.get("/orders/01RUN/run/01TICKET")
			var got progressView
			if err := json.Unmarshal([]byte(a.Body), &got); err != nil || got != tt.want {
				t.Errorf("%d %s, want %+v", a.Status, a.Body, tt.want)
			}
		})
	}
}
