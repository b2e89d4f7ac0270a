package handlers

import (
	"bytes"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

var renewedSerial = strings.Repeat("5B", 20)

// renewed has the holder's certificate renewed on its USBKEY.
func (w *web) renewed() {
	w.t.Helper()
	const token = "TW11782207000188"
	was := w.held()
	o := w.order(string(was.OrderID))
	o.ID, o.No, o.Business, o.State = "01JRENEWAL", "SAAS120261123000002", order.Renewal, order.State{Status: order.Completed}
	must(w.t, w.db.InTx(w.t.Context(), func(tx order.Tx) error {
		items, err := tx.Items(w.t.Context(), was.OrderID)
		if err != nil {
			return err
		}
		items[0].TokenSerial = token
		if err := tx.ReplaceItems(w.t.Context(), was.OrderID, items); err != nil {
			return err
		}
		if err := tx.InsertOrder(w.t.Context(), o); err != nil {
			return err
		}
		return tx.ReplaceItems(w.t.Context(), o.ID, []order.Item{{ID: "i2", OrderID: o.ID, N: 1, Stage: order.ItemWaiting, TokenSerial: token, CertSerial: renewedSerial, UpdatedAt: w.clock.now()}})
	}))
	now := was.NotAfter
	ledger := store.NewLedger(w.db)
	is := issuance.Issue{ID: "i-2", Item: "i2", SnapshotHash: bytes.Repeat([]byte{2}, 32), Profile: "company-p256", Company: o.Company, USCC: o.USCC, Years: 1, Stage: issuance.StageRequested, CreatedAt: now, UpdatedAt: now}
	_, err := ledger.OpenIssue(w.t.Context(), is)
	must(w.t, err)
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, renewedSerial, issuance.P256Token, []byte("tbs"), []byte("der")
	is.NotBefore, is.NotAfter = now, now.AddDate(1, 0, 0)
	must(w.t, ledger.AdvanceIssue(w.t.Context(), issuance.StageRequested, is, nil))
	must(w.t, store.Certificates{DB: w.db}.Change(w.t.Context(), func(tx certificate.Tx) error { return tx.SetSuccessor(w.t.Context(), was.Serial, renewedSerial) }))
}

// Whoever freezes or revokes is told before what else on the USBKEY ends with it: its
// user on the web and on the phone, and staff.
func TestWhatElseEndsIsSaid(t *testing.T) {
	d := newDesk(t).hire()
	b := d.holder()
	const along, whole = "同一把 UKEY 上的另外 1 张证书（有效期至 ", "这把 UKEY 上的全部证书一并吊销"
	says := func(name, text string, want ...string) {
		t.Helper()
		for _, sentence := range []string{along, whole} {
			wanted := strings.Contains(strings.Join(want, ""), sentence)
			if strings.Contains(text, sentence) != wanted {
				t.Errorf("%s: %q is said: %v, want %v", name, sentence, !wanted, wanted)
			}
		}
	}
	says("alone", b.get("/certificates/"+heldSerial+"/freeze").Body)
	d.renewed()
	issuer := d.login("钱制证")
	for _, test := range []struct {
		serial, event string
		want          []string
	}{
		{heldSerial, "freeze", []string{along}},
		{heldSerial, "revoke", []string{whole}},
		{renewedSerial, "freeze", []string{along}},
		{renewedSerial, "revoke", []string{along}},
	} {
		name := test.serial[:2] + " " + test.event
		says(name, b.get("/certificates/"+test.serial+"/"+test.event).Body, test.want...)
		_, form, _ := strings.Cut(issuer.get("/staff/certificates/"+test.serial).Body, `name="do" value="`+test.event+`"`)
		form, _, _ = strings.Cut(form, "</form>")
		says(name+" by staff", form, test.want...)
	}
	list := b.get("/api/v1/certificates").Body
	for _, field := range []string{`"freeze_also":"` + along, `"revoke_also":"` + along} {
		if !strings.Contains(list, field) {
			t.Errorf("the phone is not told %s", field)
		}
	}
}
