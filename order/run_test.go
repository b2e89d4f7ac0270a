package order_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
)

// office is an issuer that certifies what it is asked for, once per issue.
type office struct {
	h     *house
	t     *testing.T
	asked []request.CSRBody
	down  bool
	// serial is that of the next certificate; successor when empty.
	serial string
}

func (o *office) Ask(ctx context.Context, _ string, k request.Kind, subject string, body []byte) ([]byte, error) {
	var in request.CSRBody
	if err := json.Unmarshal(body, &in); err != nil || k != request.IssueForCSR || subject != in.Issue {
		o.t.Errorf("asked for %s about %s: %v", k, subject, err)
	}
	if o.down {
		return nil, order.Errorf(order.Unavailable, "issuer_unavailable", "签发服务繁忙")
	}
	o.asked = append(o.asked, in)
	ledger := store.NewLedger(o.h.db)
	if is, err := ledger.Issue(ctx, in.Issue); err == nil {
		return json.Marshal(request.Issued{Serial: is.Serial, Certificate: is.Certificate})
	}
	at, serial := o.h.now(), cmp.Or(o.serial, successor)
	is := issuance.Issue{ID: in.Issue, Item: in.Item, SnapshotHash: in.Snapshot, Profile: in.Profile, Company: in.Company, USCC: in.USCC, Years: in.Years, Continues: in.Continues, Stage: issuance.StageKeyMade, CSR: in.CSR, KeyHash: in.Issue, CreatedAt: at, UpdatedAt: at}
	if _, err := ledger.OpenIssue(ctx, is); err != nil {
		return nil, err
	}
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageStored, serial, issuance.P256Token, []byte("tbs"), []byte("der of "+serial)
	is.NotBefore, is.NotAfter = at, in.Continues.AddDate(in.Years, 0, 0)
	return []byte(`{"serial":"` + serial + `","certificate":"ZGVy"}`), ledger.AdvanceIssue(ctx, issuance.StageKeyMade, is, nil)
}

func (o *office) Forget(context.Context, string) error { return nil }

var successor = strings.Repeat("5B", 20)

// answer is how a key of these tests answers a challenge.
func answer(der []byte, serial string, challenge []byte) []byte {
	sum := sha256.Sum256(bytes.Join([][]byte{der, []byte(serial), challenge}, []byte("|")))
	return sum[:]
}

func (h *house) runs(t *testing.T) (*certificate.Runs, *office) {
	o := &office{h: h, t: t}
	der := func(ctx context.Context, serial string) ([]byte, error) {
		is, err := h.db.CertificateBySerial(ctx, serial)
		return is.Certificate, err
	}
	return certificate.NewRuns(certificate.RunDeps{
		Certificates: h.certificates, Orders: h.Service, Issuer: o, DER: der,
		Verify: func(der []byte, serial string, challenge, signature []byte) error {
			if !bytes.Equal(signature, answer(der, serial, challenge)) {
				return errors.New("another key")
			}
			return nil
		},
		Profile:   func(a order.Algorithm) string { return "company-" + string(a) },
		Subject:   func(_, company, _ string) ([]byte, error) { return []byte(company), nil },
		Container: func(issue string) []byte { return []byte(issue) },
	}), o
}

const oldToken = "TW11782207000008"

// helper is a key helper in the middle of its run.
type helper struct {
	secret string
	errand certificate.RunErrand
}

func (h *house) helper(t *testing.T, runs *certificate.Runs, id order.ID) helper {
	t.Helper()
	_, secret, err := runs.Begin(t.Context(), id, order.Actor{Role: order.Applicant, Channel: order.Web})
	if err != nil {
		t.Fatal(err)
	}
	e, err := runs.Open(t.Context(), secret, []byte("ephemeral key of a helper"))
	if err != nil {
		t.Fatal(err)
	}
	return helper{secret, e}
}

func (k helper) proposal() certificate.Proposal {
	return certificate.Proposal{TokenSerial: oldToken, Proof: answer(k.errand.Old, oldToken, k.errand.Challenge), CSR: []byte("csr")}
}

func (k helper) proof() []byte {
	return answer([]byte("der of "+successor), oldToken, k.errand.Challenge)
}

// toRenew is a renewal that waits for its USBKEY.
func (h *house) toRenew(t *testing.T) (order.Order, order.Actor) {
	t.Helper()
	by, reviewer := h.holder(t, "2026-12-10")
	o, err := h.about("yd-renewal", by)
	if err != nil {
		t.Fatal(err)
	}
	o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No}))
	return h.approve(t, o, reviewer), by
}

// Rows 51 to 53, F74, F75: another USBKEY is refused; a run that is interrupted in
// any way goes on with the same issue; until the new certificate has proven itself
// the old one is as it was.
func TestRunRenewal(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o, _ := h.toRenew(t)
		runs, issuer := h.runs(t)
		is := func(want order.Stage, what string) {
			t.Helper()
			if got := h.order(t, o.ID); got.Stage != want || h.cert(t).SupersededBy != "" || h.cert(t).State() != certificate.Valid {
				t.Fatalf("%s: %s, the old certificate is superseded by %q", what, got.State, h.cert(t).SupersededBy)
			}
		}

		first := h.helper(t, runs, o.ID)
		for name, change := range map[string]func(*certificate.Proposal){
			"another serial number": func(p *certificate.Proposal) { p.TokenSerial = "TW11782207000009" },
			"another key":           func(p *certificate.Proposal) { p.Proof = []byte("x") },
			"no proof":              func(p *certificate.Proposal) { p.Proof = nil },
		} {
			p := first.proposal()
			change(&p)
			if _, err := runs.Issue(ctx, first.secret, p, ""); codeOf(err) != "wrong_ukey" {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := runs.Report(ctx, first.secret, oldToken, first.proof(), ""); codeOf(err) != "certificate_not_made" {
			t.Errorf("reported before it was made: %v", err)
		}
		is(order.Ready, "after refusals")

		issuer.down = true
		if _, err := runs.Issue(ctx, first.secret, first.proposal(), ""); codeOf(err) != "issuer_unavailable" {
			t.Errorf("without an issuer: %v", err)
		}
		is(order.Running, "while the issuer is down")
		issuer.down = false
		if _, err := runs.Issue(ctx, first.secret, first.proposal(), ""); err != nil { // the same helper again
			t.Fatal(err)
		}
		if err := runs.Fail(ctx, first.secret, "token_dead", ""); err != nil { // unplugged
			t.Fatal(err)
		}
		is(order.Interrupted, "unplugged") // row 52
		if _, err := runs.Report(ctx, first.secret, oldToken, first.proof(), ""); err == nil {
			t.Error("a ticket that failed completes the order")
		}

		second := h.helper(t, runs, o.ID)
		if _, err := runs.Issue(ctx, second.secret, second.proposal(), ""); err != nil {
			t.Fatal(err)
		}
		h.advance(16 * time.Minute) // silence
		if err := h.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		is(order.Interrupted, "after a quarter of an hour of silence")

		third := h.helper(t, runs, o.ID)
		if _, err := runs.Issue(ctx, third.secret, third.proposal(), ""); err != nil {
			t.Fatal(err)
		}
		fourth := h.helper(t, runs, o.ID) // the page was opened again
		is(order.Interrupted, "a new ticket")
		if _, err := runs.Report(ctx, third.secret, oldToken, third.proof(), ""); err == nil {
			t.Error("a ticket that was replaced completes the order")
		}
		if _, err := runs.Issue(ctx, fourth.secret, fourth.proposal(), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := runs.Report(ctx, fourth.secret, oldToken, []byte("x"), ""); codeOf(err) != "proof_invalid" {
			t.Errorf("a wrong proof: %v", err)
		}
		if _, err := runs.Report(ctx, fourth.secret, "TW11782207000009", fourth.proof(), ""); codeOf(err) != "wrong_ukey" {
			t.Errorf("from another USBKEY: %v", err)
		}
		is(order.Running, "before the proof")
		for range 2 { // the answer was lost
			done, err := runs.Report(ctx, fourth.secret, oldToken, fourth.proof(), "")
			if err != nil || done.Status != order.Completed {
				t.Fatalf("report: %s, %v", done.State, err)
			}
		}
		for _, in := range issuer.asked {
			if in.Issue != issuer.asked[0].Issue || in.Item != issuer.asked[0].Item || !in.Continues.Equal(h.cert(t).NotAfter) || in.Years != 1 {
				t.Errorf("asked for %+v", in)
			}
		}
		fresh, err := h.db.Certificate(ctx, successor)
		if err != nil || fresh.TokenSerial != oldToken || fresh.PersonID != o.PersonID || h.cert(t).SupersededBy != successor || h.cert(t).State() != certificate.Valid {
			t.Errorf("new %s on %q, old superseded by %q and %s, %v", fresh.Serial, fresh.TokenSerial, h.cert(t).SupersededBy, h.cert(t).State(), err)
		}
		events, err := h.db.Events(ctx, o.ID)
		if err != nil || slices.ContainsFunc(events, func(e order.EventRecord) bool { return e.Event == order.GrantOver }) {
			t.Errorf("history %v, %v", events, err)
		}
		if _, _, err := runs.Begin(ctx, o.ID, order.Actor{Role: order.Applicant}); codeOf(err) != "order_not_ready" {
			t.Errorf("after the end: %v", err)
		}
	})
}

// ADR 0029: a key pair that is too old is not certified again. That is said before
// anything is ordered, and a renewal with a new key pair is open.
func TestWornOutKey(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.keyAge = 5
		by, _ := h.holderOf(t, "yd-initial-rsa", "2026-12-10")
		if _, err := h.about("yd-renewal-rsa", by); !errors.Is(err, order.Conflict) || !strings.Contains(detail(err), "换用新密钥") {
			t.Errorf("a renewal that keeps the key: %v", err)
		}
		if _, err := h.about("yd-renewal", by); err != nil {
			t.Errorf("a renewal with a new key: %v", err)
		}
	})
}

// A renewal keeps the key pair where the profile of both certificates says so: the
// helper is told no container, and the CA whose key pair it is.
func TestRunKeepsKey(t *testing.T) {
	for _, test := range []struct {
		bought, renewal string
		keeps           bool
	}{
		{"yd-initial", "yd-renewal", false},
		{"yd-initial-rsa", "yd-renewal", false},
		{"yd-initial-rsa", "yd-renewal-rsa", true},
	} {
		t.Run(test.bought+" "+test.renewal, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				by, reviewer := h.holderOf(t, test.bought, "2026-12-10")
				o, err := h.about(test.renewal, by)
				if err != nil {
					t.Fatal(err)
				}
				o = h.approve(t, h.confirm(t, h.save(t, o, by, map[order.Field]string{order.BidUploaded: order.No})), reviewer)
				runs, issuer := h.runs(t)
				for range 2 { // the second goes on where the first was cut short
					k := h.helper(t, runs, o.ID)
					if keeps := k.errand.Container == nil; keeps != test.keeps || k.errand.Algorithm != o.Product.Algorithm || string(k.errand.Old) != "der of "+heldSerial {
						t.Errorf("the helper is told %+v", k.errand)
					}
					if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); err != nil {
						t.Fatal(err)
					}
				}
				for _, in := range issuer.asked {
					if renews := in.Renews == heldSerial; renews != test.keeps || !renews && in.Renews != "" {
						t.Errorf("the CA is asked to renew %q", in.Renews)
					}
				}
			})
		})
	}
}

// Row 63: a frozen certificate is not renewed, also when it was frozen after the
// approval; when the freeze is taken back the run goes on. Row 54: not after the grant.
func TestRunRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, by := h.toRenew(t)
		runs, issuer := h.runs(t)
		h.freeze(t, by)
		k := h.helper(t, runs, o.ID)
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); codeOf(err) != "certificate_is_frozen" || len(issuer.asked) > 0 {
			t.Errorf("frozen: %v, the CA was asked %d times", err, len(issuer.asked))
		}
		if _, err := h.certificates.Apply(t.Context(), heldSerial, certificate.Command{On: certificate.Resume, By: h.staff(t, "钱制证", "13800000013", order.Issuer), Note: "来电"}); err != nil {
			t.Fatal(err)
		}
		k = h.helper(t, runs, o.ID)
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); err != nil {
			t.Errorf("resumed: %v", err)
		}
		h.advance(h.order(t, o.ID).GrantEnd(h.cert(t).NotAfter).Sub(h.now()))
		k = h.helper(t, runs, o.ID)
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); codeOf(err) != "grant_alive_required" {
			t.Errorf("after the grant: %v", err)
		}
	})
}

// toDownload is a paid purchase that waits for the subscriber's own USBKEY.
func (h *house) toDownload(t *testing.T) (o order.Order, by, reviewer order.Actor) {
	t.Helper()
	reviewer = h.staff(t, "李审核", "13800000011", order.Reviewer)
	o, err := h.Apply(t.Context(), "", order.Command{
		On: order.Save, By: order.Actor{Role: order.Applicant, Channel: order.Web}, DraftToken: browser,
		Product: "yd-initial-own", Lines: []order.Line{{Quantity: 1}}, Form: form(nil),
	})
	if err != nil {
		t.Fatal(err)
	}
	o = h.confirm(t, o)
	h.pays(t, o)
	return h.approve(t, o, reviewer), order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: order.Web}, reviewer
}

// A run that was cut short after the CA had signed, and whose order then ends without
// it, leaves no certificate behind: nobody keeps what he has not paid for, or what is
// for a key that was given up.
func TestRunAbandoned(t *testing.T) {
	download := func(t *testing.T, h *house) order.Order {
		o, _, _ := h.toDownload(t)
		return o
	}
	renewal := func(t *testing.T, h *house) order.Order {
		o, _ := h.toRenew(t)
		return o
	}
	over := func(t *testing.T, h *house, o order.Order) {
		end := o.GrantEnd(time.Time{})
		if o.Certificate != "" {
			end = o.GrantEnd(h.cert(t).NotAfter)
		}
		h.advance(end.Sub(h.now()) + time.Second)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name   string
		begin  func(*testing.T, *house) order.Order
		end    func(*testing.T, *house, order.Order)
		state  order.Stage
		refund order.RefundState
	}{
		{"row 55", download, over, order.Fixable, order.NoRefund},
		{"row 64", download, func(t *testing.T, h *house, o order.Order) {
			h.mustApply(t, o.ID, order.Command{On: order.RefundStart, By: finance, Note: "客户要求"})
		}, order.Interrupted, order.Refunding},
		{"row 54", renewal, over, order.Closed, order.NoRefund},
		{"row 62", renewal, func(t *testing.T, h *house, o order.Order) {
			h.mustRevoke(t, h.owner(o))
			if err := h.CertificateChanged(t.Context(), heldSerial); err != nil {
				t.Fatal(err)
			}
		}, order.Closed, order.NoRefund},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, h *house) {
				ctx := t.Context()
				o := test.begin(t, h)
				runs, issuer := h.runs(t)
				k := h.helper(t, runs, o.ID)
				if _, err := runs.Issue(ctx, k.secret, k.proposal(), ""); err != nil {
					t.Fatal(err)
				}
				if err := runs.Fail(ctx, k.secret, "token_dead", ""); err != nil {
					t.Fatal(err)
				}
				test.end(t, h, h.order(t, o.ID))
				if o = h.order(t, o.ID); o.Stage != test.state || o.Refund != test.refund {
					t.Fatalf("ended: %s, refund %q", o.State, o.Refund)
				}
				is, err := store.NewLedger(h.db).Issue(ctx, issuer.asked[0].Issue)
				if err != nil || is.Stage != issuance.StageFailed || is.Status(h.now()) != issuance.Revoked {
					t.Errorf("the CA's issue is %s, its certificate %s, %v", is.Stage, is.Status(h.now()), err)
				}
				crl, err := store.NewLedger(h.db).CRL(ctx, is.Issuer)
				if err != nil || crl.Changes == crl.Included {
					t.Errorf("the CRL has nothing to publish, %v", err)
				}
				if it, err := h.db.Items(ctx, o.ID); err != nil || it[0].Stage != order.ItemWaiting || it[0].Attempt != 0 {
					t.Errorf("the item is %s after %d attempts, %v", it[0].Stage, it[0].Attempt, err)
				}
			})
		})
	}
}

// Row 55: what was downloaded too late is submitted again, with another picture, and
// downloaded onto another USBKEY: the CA begins anew.
func TestDownloadedTooLate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		ctx := t.Context()
		o, by, reviewer := h.toDownload(t)
		runs, issuer := h.runs(t)
		k := h.helper(t, runs, o.ID)
		if _, err := runs.Issue(ctx, k.secret, k.proposal(), ""); err != nil {
			t.Fatal(err)
		}
		h.advance(31 * 24 * time.Hour)
		for range 2 { // silence, then the end of the grant
			if err := h.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: by, Form: h.order(t, o.ID).Form.With(order.IDFront, "03FRONT")})
		o = h.approve(t, o, reviewer)
		issuer.serial = strings.Repeat("5C", 20)
		k = h.helper(t, runs, o.ID)
		p := k.proposal()
		p.TokenSerial = "TW11782207000009"
		if _, err := runs.Issue(ctx, k.secret, p, ""); err != nil {
			t.Fatal(err)
		}
		if issuer.asked[0].Issue == issuer.asked[1].Issue || bytes.Equal(issuer.asked[0].Snapshot, issuer.asked[1].Snapshot) {
			t.Errorf("the CA is asked for %+v, then for %+v", issuer.asked[0], issuer.asked[1])
		}
		o, err := runs.Report(ctx, k.secret, p.TokenSerial, answer([]byte("der of "+issuer.serial), p.TokenSerial, k.errand.Challenge), "")
		if err != nil || o.Status != order.Completed {
			t.Errorf("downloaded: %s, %v", o.State, err)
		}
	})
}

// Row 55: who does not download is reminded on days 7 and 23 after the approval, whatever
// became of a run meanwhile, and not about what is done.
func TestDownloadReminders(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, _, _ := h.toDownload(t)
		runs, _ := h.runs(t)
		last := 0
		for _, due := range []struct {
			day         int
			first, last int // messages, one per medium
			stage       order.Stage
		}{{6, 0, 0, order.Ready}, {7, 2, 0, order.Ready}, {8, 2, 0, order.Running}, {9, 2, 0, order.Interrupted}, {22, 2, 0, order.Interrupted}, {23, 2, 2, order.Interrupted}, {30, 2, 2, order.Fixable}} {
			h.advance(time.Duration(due.day-last)*24*time.Hour + time.Second)
			last = due.day
			if err := h.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if due.stage == order.Running {
				k := h.helper(t, runs, o.ID)
				if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); err != nil {
					t.Fatal(err)
				}
			}
			first, final := len(h.heard(t, o.ID, order.NoticeFetch)), len(h.heard(t, o.ID, order.NoticeFetchLast))
			if got := h.order(t, o.ID).Stage; first != due.first || final != due.last || got != due.stage {
				t.Errorf("day %d: %d and %d reminders, %s; want %+v", due.day, first, final, got, due)
			}
		}
	})
}

// A renewal that has begun is not gone on with when its certificate was revoked
// meanwhile: nobody certifies the same key anew.
func TestRunOfWhatIsRevoked(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		o, by := h.toRenew(t)
		runs, issuer := h.runs(t)
		k := h.helper(t, runs, o.ID)
		issuer.down = true
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); codeOf(err) != "issuer_unavailable" {
			t.Fatal(err)
		}
		h.mustRevoke(t, by)
		issuer.down = false
		if _, err := runs.Issue(t.Context(), k.secret, k.proposal(), ""); codeOf(err) != "certificate_is_revoked" || len(issuer.asked) > 0 {
			t.Errorf("revoked: %v, the CA was asked %d times", err, len(issuer.asked))
		}
	})
}

// A replacement that was downloaded too late is submitted again: that its approval has
// revoked the certificate does not stand in its way.
func TestReissueDownloadedTooLate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		by, reviewer := h.holder(t, "2027-11-20")
		o, err := h.about("yd-reissue-own", by)
		if err != nil {
			t.Fatal(err)
		}
		o = h.confirm(t, h.save(t, o, by, map[order.Field]string{order.Cause: "lost"}))
		h.pays(t, o)
		h.approve(t, o, reviewer)
		h.advance(31 * 24 * time.Hour)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Resubmit, By: by, Form: h.order(t, o.ID).Form})
		if o = h.approve(t, o, reviewer); o.Status != order.ToDownload || h.cert(t).State() != certificate.Revoked {
			t.Errorf("approved again: %s, the certificate is %s", o.State, h.cert(t).State())
		}
		if _, err := h.about("yd-reissue-own", by); codeOf(err) != "certificate_replaced" {
			t.Errorf("a second replacement: %v", err)
		}
	})
}
