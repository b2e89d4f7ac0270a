package order

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite golden files")

// everyFact is what a caller could prove; with it only the order decides.
var everyFact = func() []Fact {
	var out []Fact
	for f, t := range truths {
		if t.test == nil {
			out = append(out, f)
		}
	}
	return out
}()

// certificateSteps is what package certificate knows to do.
var certificateSteps = []CertificateStep{HoldCertificate, RevokeCertificate, RestoreCertificate, SupersedeCertificate, RebindCertificate, LostCertificate, RefundCertificate, ReinstateCertificate, ReinstateRenewed}

// variants are orders that differ in everything a When can look at.
func variants(b Business, s State) []Order {
	var out []Order
	for _, amount := range []Fen{0, 30000, 300000} {
		for _, mode := range []IssueMode{ByAdmin, BySelf} {
			for _, way := range []string{AuthPaper, AuthMiniProgram} {
				for _, ship := range []string{ShipCourier, ShipPickUp} {
					for _, verified := range []int{0, 1} {
						out = append(out, Order{
							ID: "o1", Business: b, State: s, Amount: amount, Verified: verified, Product: Product{IssueMode: mode},
							Lines: []Line{{Quantity: 2}}, Form: NewForm(map[Field]string{AuthWay: way, ShipWay: ship}),
						})
					}
				}
			}
		}
	}
	return out
}

// A state, an event and an order have at most one row.
func TestNoTwoRowsAnswer(t *testing.T) {
	second := SecondRule{MinAmount: 300000}
	itemSets := [][]Item{nil, {{ID: "i1", Stage: ItemFailed, Attempt: 1}, {ID: "i2", Stage: ItemMaking, Attempt: 1}}, {{ID: "i2", Stage: ItemWaiting}}}
	for _, b := range Businesses {
		for _, s := range allStates() {
			for event := range eventLabels {
				if len(candidates(b, s, event)) < 2 {
					continue
				}
				for _, o := range variants(b, s) {
					for _, items := range itemSets {
						c := Command{On: event, Item: "i2", Form: o.Form, Proven: everyFact, second: second, items: items}
						var rows []int
						for _, tr := range candidates(b, s, event) {
							if tr.matches(o, c) {
								rows = append(rows, tr.Row)
							}
						}
						if len(rows) > 1 {
							t.Fatalf("%s in %s on %s: rows %v", b, s, event, rows)
						}
					}
				}
			}
		}
	}
}

// candidates are the rows that only a When can tell apart.
func candidates(b Business, s State, e Event) []transition {
	return slices.DeleteFunc(slices.Clone(lifecycle), func(tr transition) bool {
		return tr.On != e || !slices.Contains(tr.businesses(), b) || !slices.Contains(tr.From, s)
	})
}

func allStates() []State {
	seen := map[State]bool{}
	for _, tr := range lifecycle {
		for _, s := range append(slices.Clip(tr.From), tr.To) {
			if s != Same {
				seen[s] = true
			}
		}
	}
	var out []State
	for s := range seen {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// Wherever we can be late, the miss of an express promise has a row: it comes before whatever
// moves a late order.
func TestExpressOverWhereverWeAreLate(t *testing.T) {
	for _, s := range allStates() {
		o := Order{State: s, Business: Initial, Product: Product{Business: Initial}, Express: ExpressPromised, DueAt: t0.Add(-time.Hour)}
		if _, err := next(o, Command{On: ExpressOver, By: BySystem, at: t0}); (err == nil) != o.Overdue(t0) {
			t.Errorf("%s: late: %t, its row: %v", s, o.Overdue(t0), err)
		}
	}
}

// Every status and stage is reachable, and only the meant states are dead ends.
func TestLifecycleIsSound(t *testing.T) {
	reached, leaves := map[State]bool{None: true}, map[State]bool{}
	for range lifecycle { // to a fixed point: at most one new state per pass
		for _, tr := range lifecycle {
			for _, from := range tr.From {
				if to := tr.to(from); tr.Refuse == nil && reached[from] {
					reached[to] = true
					leaves[from] = leaves[from] || to != from
				}
			}
		}
	}
	deadEnds := []State{refunded}
	for _, s := range allStates() {
		if !reached[s] {
			t.Errorf("%s cannot be reached", s)
		}
		if leaves[s] == slices.Contains(deadEnds, s) {
			t.Errorf("%s: has a way out = %v", s, leaves[s])
		}
		if s != None && (s.Status.Label() == "" || s.Stage != NoStage && s.Stage.Label() == "") {
			t.Errorf("%s has no label", s)
		}
		if s != None && guides[s].what == "" {
			t.Errorf("%s has no guidance", s)
		}
	}
	for _, tr := range lifecycle { // leaving a draft drops none
		if tr.To == draft && slices.ContainsFunc(tr.Then, func(f followUp) bool { return f.on != nil || f.escalates }) {
			t.Errorf("row %d sets a timer of a draft", tr.Row)
		}
	}
	for _, s := range Statuses {
		if !slices.ContainsFunc(allStates(), func(x State) bool { return x.Status == s }) {
			t.Errorf("status %s is in no row", s)
		}
	}
}

// Every cell names something that exists, and every row of the design is here.
func TestRowsAreComplete(t *testing.T) {
	rows := map[int]bool{}
	for _, tr := range lifecycle {
		rows[tr.Row] = true
		if tr.On.Label() == "" {
			t.Errorf("row %d: event %q has no label", tr.Row, tr.On)
		}
		if len(tr.By) == 0 || len(tr.From) == 0 {
			t.Errorf("row %d: nobody or from nowhere", tr.Row)
		}
		for _, f := range append(slices.Clip(tr.When), tr.If...) {
			if _, ok := truths[f]; !ok && f != Complete && f != CertificateFit {
				t.Errorf("row %d: fact %q cannot be told", tr.Row, f)
			}
		}
		timers := map[any]bool{} // set in one statement, which may not set one twice
		set := func(on any) {
			if timers[on] {
				t.Errorf("row %d: timer %q twice is one", tr.Row, on)
			}
			timers[on] = true
		}
		for _, f := range tr.Then {
			if f.on != nil {
				set(f.on)
			}
			if f.escalates {
				for _, e := range escalations {
					set(Remind(e.notice))
				}
			}
			if f.job != "" && !slices.Contains(JobKinds, f.job) {
				t.Errorf("row %d: job %q is not listed", tr.Row, f.job)
			}
			for _, step := range []CertificateStep{f.step, f.lost, f.keys} {
				if step != "" && !slices.Contains(certificateSteps, step) {
					t.Errorf("row %d: step %q is not one of a certificate", tr.Row, step)
				}
			}
			if f.authorize != "" && !slices.Contains([]authorizing{askLegalRep, askAgain, settle}, f.authorize) {
				t.Errorf("row %d: nothing is done to an authorisation by %q", tr.Row, f.authorize)
			}
			if _, ok := Notices[f.notice]; f.notice != "" && !ok {
				t.Errorf("row %d: notice %q is not in the table", tr.Row, f.notice)
			}
			if r, ok := f.on.(Remind); ok {
				if _, ok := Notices[Notice(r)]; !ok {
					t.Errorf("row %d: reminder %q is not in the table", tr.Row, r)
				}
			}
		}
	}
	// Row 10 moves a payment and 60 and 69 move nothing; 23 is 24 to 31.
	for n := 1; n <= 68; n++ {
		if !rows[n] && !slices.Contains([]int{10, 23, 60}, n) {
			t.Errorf("row %d of the design is missing", n)
		}
	}
}

// step is one move of a walk: who does what, and the state expected after it.
type step struct {
	c    Command
	want State
}

func on(e Event, by Role, want State) step { return step{Command{On: e, By: actorOf(by)}, want} }

func actorOf(r Role) Actor {
	switch r {
	case Reviewer:
		return Actor{Role: r, StaffID: "rev1", PersonID: "p-rev1"}
	case Issuer, Shipper, Finance:
		return Actor{Role: r, StaffID: string(r), PersonID: "p-" + string(r)}
	default:
		return Actor{Role: r, PersonID: "p1"}
	}
}

func secondReviewer(e Event, want State) step {
	return step{Command{On: e, By: Actor{Role: Reviewer, StaffID: "rev2", PersonID: "p-rev2"}}, want}
}

func secondFinance(e Event, want State) step {
	return step{Command{On: e, By: Actor{Role: Finance, StaffID: "finance2", PersonID: "p-finance2"}}, want}
}

func reviewed(by ...step) []step { return append([]step{on(Claim, Reviewer, claimed)}, by...) }

func walk(parts ...any) []step {
	var out []step
	for _, p := range parts {
		switch p := p.(type) {
		case step:
			out = append(out, p)
		case []step:
			out = append(out, p...)
		}
	}
	return out
}

// filled is a form that passes every check; the people and companies are invented.
func filled(change map[Field]string) Form {
	f := map[Field]string{
		AgentName: "王小琪", AgentMobile: "17700007069", AgentEmail: "wangxq@example.com", IDType: "resident_id", IDNo: "110101199003070011",
		IDFront: "01FRONT", IDBack: "01BACK", LicenseImage: "01LICENSE", OrgName: "云岭测试科技有限公司", OrgType: "enterprise",
		OrgUSCC: "91110108MA00TEN18F", OrgIndustry: "I", AuthWay: AuthPaper, LegalName: "李建国", LegalIDType: "resident_id", LegalIDNo: "11010519491231002X", LegalMobile: "13800000021", LetterImage: "01LETTER",
		ShipWay: ShipCourier, ShipName: "王小琪", ShipMobile: "17700007069", ShipProvince: "云南省", ShipCity: "昆明市", ShipDistrict: "五华区", ShipAddress: "测试路 1 号",
		InvoiceWant: Yes, Cause: "lost", BidUploaded: No,
	}
	for k, v := range change {
		f[k] = v
	}
	return NewForm(f)
}

var t0 = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)

// walker applies steps to an order in memory, as the service does to a row.
type walker struct {
	o     Order
	items []Item
	rule  SecondRule
	auth  *Authorization
	// frozen is the certificate that the order is about.
	frozen   bool
	proposal *Proposal
}

func (w *walker) take(s step) error {
	c := s.c
	c.auth = w.auth
	c.at, c.items, c.second, c.known = t0, w.items, w.rule, &w.o.Product
	c.about = w.about()
	c.due = func(_ Order, t time.Time) time.Time { return t.Add(3 * day) }
	c.review = func(_ Order, t time.Time) time.Time { return t.Add(day) }
	c.pickup = "246810"
	c.Trade, c.Consent = w.o.TradeNo, Consent{Version: "1", Hash: "h", At: t0}
	if c.Proven == nil {
		c.Proven = everyFact
	}
	if c.Form.filled == nil {
		c.Form = w.o.Form
	}
	if c.Ticks == nil {
		c.Ticks = Ticks
	}
	if c.Snapshot == "" {
		c.Snapshot = w.o.Snapshot
	}
	if c.Reasons == nil {
		c.Reasons = []Reason{{Code: "R03"}}
	}
	if c.Note == "" {
		c.Note = "测试"
	}
	c.Claim, c.End = "C1", KeysReturned
	if c.Keys == 0 && c.On == ParcelReturned {
		c.Keys = wholeKeys(w.items)
	} else if c.Keys == 0 {
		c.Keys = 1
	}
	c.proposal = w.proposal
	if c.On == ParcelMissed && len(w.items) > 0 {
		c.Items = []string{w.items[0].ID}
	}
	c.Carrier, c.TrackingNo, c.PickUpCode = "sf", "SF1234567890123", "246810"
	if c.On == CorrectTracking {
		c.TrackingNo, c.WrongNo, c.Why = "SF1234567890124", w.o.TrackingNo, "测试"
	}
	if c.Item == "" {
		for _, i := range w.items {
			if m, ok := itemMoves[c.On]; ok && slices.Contains(m.from, i.Stage) {
				c.Item = i.ID
				break
			}
		}
	}
	tr, err := next(w.o, c)
	if err != nil {
		return err
	}
	w.o.State = tr.to(w.o.State)
	if tr.Do != nil {
		tr.Do(&w.o, c)
	}
	if tr.Refund != NoRefund {
		w.o.Refund = tr.Refund
	} else if w.o.Status == Refunded {
		w.o.Refund = NoRefund
	}
	if c.On == GiveUpKeys {
		for _, gone := range c.giving() {
			i := slices.IndexFunc(w.items, func(i Item) bool { return i.ID == gone.ID })
			w.items[i].Stage = ItemGivenUp
		}
	}
	switch c.On {
	case RefundProposed:
		w.proposal = &Proposal{Kind: ProposeRefund, StaffID: c.By.StaffID, End: c.End}
	case GiveUpProposed:
		w.proposal = &Proposal{Kind: ProposeGiveUp, StaffID: c.By.StaffID, Keys: c.Keys}
	case RefundStart, GiveUpKeys, ProposalDropped:
		w.proposal = nil
	default:
	}
	if m, ok := itemMoves[c.On]; ok {
		for i := range w.items {
			if w.items[i].ID == c.Item {
				w.items[i].Stage = m.to
				w.items[i].Attempt++
			}
		}
	}
	if c.On == AuthSigned {
		w.auth = &Authorization{State: AtSigned, Content: w.o.signedHash(w.o.Form)}
	}
	if c.On == Confirm || c.On == Resubmit || c.On == ReplaceLost {
		w.o.RealName = RealNameMatch // the job of the row before
	}
	if c.On == Confirm || c.On == ReplaceLost {
		w.items = nil
		for n := range w.o.Quantity() {
			w.items = append(w.items, Item{ID: fmt.Sprint("i", n+1), N: n + 1, Stage: ItemWaiting})
		}
	}
	return nil
}

// about is a certificate that the order's business is possible for.
func (w *walker) about() *About {
	if !w.o.NeedsCertificate() {
		return nil
	}
	return &About{Serial: "s1", PersonID: "p1", NotAfter: t0.Add(20 * day), Renewable: true, Frozen: w.frozen || w.o.Business == Resume}
}

func newWalker(b Business, mode IssueMode, amount Fen, keys int, form map[Field]string) *walker {
	w := &walker{rule: SecondRule{MinAmount: 300000, MinQuantity: 5}}
	w.o = Order{
		ID: "o1", Certificate: map[bool]string{true: "s1"}[b.NeedsCertificate()], Business: b, PersonID: "p1", Amount: amount, Lines: []Line{{Quantity: keys}}, TradeNo: "t1", RealName: RealNameMatch,
		Product: Product{Code: "x", Business: b, IssueMode: mode, Algorithm: P256, Authorizations: []string{AuthPaper, AuthMiniProgram}, Price: amount / Fen(keys), Years: []int{1}, Term: 1, MaxKeys: 20, OnSale: true},
		Form:    filled(form),
	}
	return w
}

// Every path of the design's §2 can be walked.
func TestPaths(t *testing.T) {
	save := on(Save, Applicant, draft)
	pay := walk(save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, queued))
	approved := reviewed(on(Approve, Reviewer, unclaimed))
	made1 := walk(on(MakeKey, System, making), on(KeyVerified, System, toPost))
	mini := map[Field]string{AuthWay: AuthMiniProgram}
	tests := []struct {
		name  string
		walk  *walker
		steps []step
	}{
		{"初购 courier, paid, mini-program", newWalker(Initial, ByAdmin, 30000, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, awaitingAuthorization), on(AuthSigned, LegalRep, queued), approved, made1,
			on(Ship, Shipper, completed), on(CourierMoved, Courier, completed))},
		{"初购 pick-up, paper", newWalker(Initial, ByAdmin, 30000, 1, map[Field]string{ShipWay: ShipPickUp}), walk(
			pay, approved, on(MakeKey, System, making), on(KeyVerified, System, toPickUp), on(PickUp, Shipper, completed))},
		{"初购 self download", newWalker(Initial, BySelf, 30000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, downloadReady)), on(Run, Applicant, downloadRunning), on(ReadBackOK, Helper, completed))},
		{"更新 self ¥0, interrupted", newWalker(Renewal, BySelf, 0, 1, nil), walk(
			save, on(Confirm, Applicant, queued), reviewed(on(Approve, Reviewer, renewReady)), on(Run, Applicant, renewRunning),
			on(Interrupt, Helper, renewInterrupted), on(Run, Helper, renewRunning), on(ReadBackOK, Helper, completed))},
		{"更新 admin", newWalker(Renewal, ByAdmin, 10000, 1, nil), walk(pay, approved, made1, on(Ship, Shipper, completed))},
		{"自助解锁", newWalker(UnlockSelf, BySelf, 0, 1, nil), walk(on(PINSet, Helper, completed))},
		{"审批解锁 free", newWalker(UnlockApproval, BySelf, 0, 1, nil), walk(
			save, on(Confirm, Applicant, queued), reviewed(on(Approve, Reviewer, toUnlock)), on(UnlockFailed, Helper, toUnlock), on(PINSet, Helper, completed))},
		{"审批解锁 without a network", newWalker(UnlockApproval, BySelf, 5000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, toUnlock)), on(CodeGiven, Applicant, completed), on(CodeGiven, Applicant, completed))},
		{"审批解锁 paid, late", newWalker(UnlockApproval, BySelf, 5000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, toUnlock)), on(GrantOver, System, fixable), on(Resubmit, Applicant, queued))},
		{"补办 self", newWalker(Reissue, BySelf, 10000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, downloadReady)), on(Run, Helper, downloadRunning), on(Interrupt, System, downloadInterrupted),
			on(Run, Helper, downloadRunning), on(ReadBackOK, Helper, completed))},
		{"恢复 resume", newWalker(Resume, BySelf, 0, 1, nil), walk(
			save, on(Confirm, Applicant, queued), reviewed(on(Approve, Reviewer, toRestore)), on(Restore, Applicant, completed))},
		{"恢复 recover", newWalker(Recover, ByAdmin, 10000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, toRestore)), on(Recovered, Issuer, toPost), on(Ship, Shipper, completed))},
		{"恢复 recover, archive unusable", newWalker(Recover, ByAdmin, 10000, 1, nil), walk(
			pay, reviewed(on(Approve, Reviewer, toRestore)), on(ArchiveUnusable, Issuer, fixable))},
		{"补办", newWalker(Reissue, ByAdmin, 10000, 1, nil), walk(pay, approved, made1, on(Ship, Shipper, completed))},
		{"rebind with approval", newWalker(Rebind, BySelf, 0, 1, nil), walk(
			save, on(Confirm, Applicant, queued), reviewed(on(Approve, Reviewer, secondApproval)), secondReviewer(Approve, completed))},
		{"refund before making", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, on(RefundStart, Finance, queued), on(RefundFails, Gateway, queued), on(RefundRetry, Finance, queued), on(RefundSucceeded, Gateway, refunded))},
		{"refund after making", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, approved, made1, on(RefundProposed, Finance, toPost), secondFinance(RefundStart, toPost), on(RefundSucceeded, Gateway, refunded))},
		{"refund proposed and dropped", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, approved, made1, on(RefundProposed, Finance, toPost), on(ProposalDropped, Finance, toPost), on(Ship, Shipper, completed), on(RefundProposed, Finance, completed), secondFinance(RefundStart, completed))},
		{"refund while one key failed", newWalker(Initial, ByAdmin, 60000, 2, nil), walk(
			pay, approved, on(MakeKey, System, making), on(KeyFailed, System, makingFailed), on(RefundProposed, Finance, makingFailed), secondFinance(RefundStart, makingFailed), on(RefundSucceeded, Gateway, refunded))},
		{"unpaid, paid later", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(PayFailed, Gateway, awaitingPayment), on(Unpaid, System, draft), on(Confirm, Applicant, awaitingPayment))},
		{"edit and delete unpaid", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(Edit, Applicant, draft), on(Confirm, Applicant, awaitingPayment), on(Delete, Applicant, None))},
		{"rejection", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, reviewed(on(Reject, Reviewer, fixable)), on(Resubmit, Applicant, queued), reviewed(on(Release, Reviewer, queued)), approved)},
		{"never fixed, paid", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, reviewed(on(Reject, Reviewer, fixable)), on(FixExpired, System, fixable), on(RefundSucceeded, Gateway, refunded))},
		{"never fixed, free", newWalker(Renewal, BySelf, 0, 1, nil), walk(
			save, on(Confirm, Applicant, queued), reviewed(on(Reject, Reviewer, fixable)), on(Close, System, closed))},
		{"legal rep declines, then paper", newWalker(Initial, ByAdmin, 30000, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, awaitingAuthorization), on(AuthResend, Applicant, awaitingAuthorization), on(AuthMobile, Applicant, awaitingAuthorization),
			on(AuthDeclined, LegalRep, fixable), step{Command{On: Resubmit, By: actorOf(Applicant), Form: filled(nil)}, queued})},
		{"legal rep expires, other mobile", newWalker(Initial, ByAdmin, 30000, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, awaitingAuthorization), on(AuthExpired, System, fixable), on(Resubmit, Applicant, awaitingAuthorization))},
		{"signed, rejected, only a picture changed", newWalker(Initial, ByAdmin, 30000, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, awaitingAuthorization), on(AuthSigned, LegalRep, queued), reviewed(on(Reject, Reviewer, fixable)),
			step{Command{On: Resubmit, By: actorOf(Applicant), Form: filled(map[Field]string{AuthWay: AuthMiniProgram, IDFront: "01SHARPER", ShipName: "赵大山"})}, queued}, approved)},
		{"signed, rejected, a signed field changed", newWalker(Initial, ByAdmin, 30000, 1, mini), walk( // row 33
			save, on(Confirm, Applicant, awaitingPayment), on(Paid, Gateway, awaitingAuthorization), on(AuthSigned, LegalRep, queued), reviewed(on(Reject, Reviewer, fixable)),
			step{Command{On: Resubmit, By: actorOf(Applicant), Form: filled(map[Field]string{AuthWay: AuthMiniProgram, AgentName: "王大琪"})}, awaitingAuthorization})},
		{"legal rep returns", newWalker(Initial, ByAdmin, 0, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingAuthorization), on(AuthReturned, LegalRep, fixable))},
		{"paper while waiting", newWalker(Initial, ByAdmin, 0, 1, mini), walk(
			save, on(Confirm, Applicant, awaitingAuthorization), on(AuthToPaper, Applicant, queued))},
		{"withdrawal before a serial", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(pay, approved, on(AuthWithdrawn, LegalRep, fixable))},
		{"withdrawal in review", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(pay, reviewed(on(AuthWithdrawn, LegalRep, fixable)))},
		{"partial failure of 3", newWalker(Initial, ByAdmin, 90000, 3, nil), walk(
			pay, approved, on(MakeKey, System, making), on(KeyVerified, System, making), on(MakeKey, System, making), on(KeyFailed, System, makingFailed),
			on(RetryKey, Issuer, making), on(KeyVerified, System, making), on(MakeKey, System, making), on(KeyVerified, System, toPost))},
		{"partial failure, one given up", newWalker(Initial, ByAdmin, 60000, 2, nil), walk(
			pay, approved, on(MakeKey, System, making), on(KeyFailed, System, makingFailed), on(GiveUpKeys, Finance, making),
			on(MakeKey, System, making), on(KeyVerified, System, toPost))},
		{"the last key failed and is given up by the applicant", newWalker(Initial, ByAdmin, 60000, 2, nil), walk(
			pay, approved, on(MakeKey, System, making), on(KeyVerified, System, making), on(MakeKey, System, making), on(KeyFailed, System, makingFailed),
			on(GiveUpProposed, Finance, makingFailed), on(GiveUpKeys, Applicant, toPost), on(Ship, Shipper, completed))},
		{"the last key is given up, picked up", newWalker(Initial, ByAdmin, 60000, 2, map[Field]string{ShipWay: ShipPickUp}), walk(
			pay, approved, on(MakeKey, System, making), on(KeyVerified, System, making), on(MakeKey, System, making), on(KeyFailed, System, makingFailed),
			on(GiveUpKeys, Finance, toPickUp), on(PickUp, Shipper, completed))},
		{"two of three fail, one is given up", newWalker(Initial, ByAdmin, 90000, 3, nil), walk(
			pay, approved, on(MakeKey, System, making), on(MakeKey, System, making), on(KeyFailed, System, makingFailed), on(KeyFailed, System, makingFailed),
			on(GiveUpKeys, Finance, makingFailed))},
		{"given up before the first is begun", newWalker(Initial, ByAdmin, 60000, 2, nil), walk(pay, approved, on(GiveUpKeys, Finance, unclaimed), made1)},
		{"returned parcel", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, approved, made1, on(Ship, Shipper, completed), on(ParcelReturned, Shipper, toPost), on(Ship, Shipper, completed), on(ParcelMissed, Shipper, completed))},
		{"the number of a parcel was a slip", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, approved, made1, on(Ship, Shipper, completed), on(CourierMoved, Courier, completed), on(CorrectTracking, Shipper, completed), on(ParcelReturned, Shipper, toPost))},
		{"replacement of a lost key", newWalker(Reissue, ByAdmin, 0, 1, nil), walk(on(ReplaceLost, System, queued), approved, made1)},
		{"change of address and of way", newWalker(Initial, ByAdmin, 30000, 1, nil), walk(
			pay, on(ChangeDelivery, Applicant, queued), approved, made1, step{Command{On: ChangeDelivery, By: actorOf(Applicant), Form: filled(map[Field]string{ShipWay: ShipPickUp})}, toPickUp})},
		{"certificate revoked meanwhile", newWalker(Renewal, BySelf, 10000, 1, nil), walk(pay, on(CertificateRevoked, System, closed), on(RefundSucceeded, Gateway, refunded))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for i, s := range tt.steps {
				if err := tt.walk.take(s); err != nil {
					t.Fatalf("step %d, %s in %s: %v", i+1, s.c.On, tt.walk.o.State, err)
				}
				if tt.walk.o.State != s.want {
					t.Fatalf("step %d, %s: in %s, want %s", i+1, s.c.On, tt.walk.o.State, s.want)
				}
			}
		})
	}
}

// Everything of the design's §3 is refused.
func TestRefused(t *testing.T) {
	in := func(s State, change func(*walker)) *walker {
		w := newWalker(Initial, ByAdmin, 60000, 2, nil)
		w.o.State = s
		w.o.Snapshot = w.o.Hash()
		w.o.ReviewerID = "rev1"
		w.items = []Item{{ID: "i1", Stage: ItemWaiting}, {ID: "i2", Stage: ItemWaiting}}
		if change != nil {
			change(w)
		}
		return w
	}
	tests := []struct {
		name string
		walk *walker
		do   step
		code string
	}{
		{"待支付 → 待制证", in(awaitingPayment, nil), on(Approve, Reviewer, unclaimed), "order_not_ready"},
		{"approve 待法人授权", in(awaitingAuthorization, nil), on(Approve, Reviewer, unclaimed), "order_not_ready"},
		{"approve without a claim", in(queued, nil), on(Approve, Reviewer, unclaimed), "order_not_ready"},
		{"approve somebody else's claim", in(claimed, func(w *walker) { w.o.ReviewerID = "rev9" }), on(Approve, Reviewer, unclaimed), "holds_claim_required"},
		{"approve a changed snapshot", in(claimed, func(w *walker) { w.o.Form = w.o.Form.With(LicenseImage, "01OTHER") }), on(Approve, Reviewer, unclaimed), "same_snapshot_required"},
		{"approve what was not seen", in(claimed, nil), step{Command{On: Approve, By: actorOf(Reviewer), Snapshot: "old"}, unclaimed}, "same_snapshot_required"},
		{"approve with three ticks", in(claimed, nil), step{Command{On: Approve, By: actorOf(Reviewer), Ticks: Ticks[:3]}, unclaimed}, "all_ticked_required"},
		{"approve before the real-name check", in(claimed, func(w *walker) { w.o.RealName = RealNameUnknown }), on(Approve, Reviewer, unclaimed), "real_name_passed_required"},
		{"same person twice", in(secondApproval, func(w *walker) { w.o.FirstApprover = "rev1" }), on(Approve, Reviewer, unclaimed), "not_first_approver_required"},
		{"claim while 退款中", in(queued, func(w *walker) { w.o.Refund = Refunding }), on(Claim, Reviewer, claimed), "refund_in_progress"},
		{"review own order", in(queued, func(w *walker) { w.o.PersonID = "p-rev1" }), on(Claim, Reviewer, claimed), "not_own_order_required"},
		{"review own company", in(queued, nil), step{Command{On: Claim, By: Actor{Role: Reviewer, StaffID: "r", PersonID: "p", Company: "x"}}, claimed}, ""},
		{"reject own order", in(secondApproval, func(w *walker) { w.o.PersonID, w.o.FirstApprover = "p-rev1", "rev9" }), on(Reject, Reviewer, fixable), "not_own_order_required"},
		{"reject the order of one's own company", in(secondApproval, func(w *walker) { w.o.USCC, w.o.FirstApprover = "x", "rev9" }), step{Command{On: Reject, By: Actor{Role: Reviewer, StaffID: "r", PersonID: "p", Company: "x"}}, fixable}, "not_own_company_required"},
		{"ship with k<n", in(making, func(w *walker) { w.o.Verified = 1 }), on(Ship, Shipper, completed), "order_not_ready"},
		{"picked up on 待寄出", in(toPost, nil), on(PickUp, Shipper, completed), "order_not_ready"},
		{"ship on 待自取", in(toPickUp, nil), on(Ship, Shipper, completed), "order_not_ready"},
		{"wrong pick-up code", in(toPickUp, func(w *walker) { w.o.Form = w.o.Form.With(PickUpCode, "000000") }), on(PickUp, Shipper, completed), "pick_up_code_right_required"},
		{"run on a frozen certificate", func() *walker {
			w := newWalker(Renewal, BySelf, 0, 1, nil)
			w.o.State, w.frozen = renewReady, true
			return w
		}(), step{Command{On: Run, By: actorOf(Helper), Proven: []Fact{KeyMatches}}, renewRunning}, "certificate_is_frozen"},
		{"resubmit with another product", in(fixable, nil), step{Command{On: Resubmit, By: actorOf(Applicant), Product: "other"}, queued}, "lines_unchanged_required"},
		{"resubmit with another quantity", in(fixable, nil), step{Command{On: Resubmit, By: actorOf(Applicant), Lines: []Line{{Quantity: 3}}}, queued}, "lines_unchanged_required"},
		{"resubmit with another term", in(fixable, nil), step{Command{On: Resubmit, By: actorOf(Applicant), Term: 2}, queued}, "lines_unchanged_required"},
		{"resubmit with an unproven mobile", in(fixable, nil), step{Command{On: Resubmit, By: actorOf(Applicant), Form: filled(map[Field]string{AgentMobile: "13800000001", LetterImage: "01NEW"}), Proven: []Fact{}}, queued}, "mobile_proven_if_changed_required"},
		{"refund of ¥0", in(queued, func(w *walker) { w.o.Amount = 0 }), on(RefundStart, Finance, queued), "nothing_to_refund"},
		{"late refund by one person", in(toPost, func(w *walker) { w.proposal = &Proposal{Kind: ProposeRefund, StaffID: "finance"} }), on(RefundStart, Finance, toPost), "refund_confirmed_required"},
		{"late refund that nobody proposed", in(completed, nil), on(RefundStart, Finance, completed), "refund_confirmed_required"},
		{"late refund, the parcel unaccounted for", in(completed, func(w *walker) { w.proposal = &Proposal{Kind: ProposeRefund, StaffID: "other"} }), on(RefundStart, Finance, completed), "keys_settled_required"},
		{"late refund while a key is made", in(making, func(w *walker) { w.items[0].Attempt, w.items[0].Stage = 1, ItemMaking }), on(RefundProposed, Finance, making), "none_making_required"},
		{"proposing a refund of ¥0", in(completed, func(w *walker) { w.o.Amount = 0 }), on(RefundProposed, Finance, completed), "order_not_ready"},
		{"giving up every key", in(unclaimed, nil), step{Command{On: GiveUpKeys, By: actorOf(Finance), Keys: 2}, unclaimed}, "keys_to_give_required"},
		{"giving up what is made", in(making, func(w *walker) { w.items[0].Stage, w.items[1].Stage = ItemVerified, ItemMaking }), on(GiveUpKeys, Finance, making), "keys_to_give_required"},
		{"the applicant gives up what nobody proposed", in(unclaimed, nil), on(GiveUpKeys, Applicant, unclaimed), "applicant_agreed_required"},
		{"applying for a self-service unlock", newWalker(UnlockSelf, BySelf, 0, 1, nil), on(Save, Applicant, draft), "not_applied_for"},
		{"edit in 待审核", in(queued, nil), on(Save, Applicant, draft), "order_not_ready"},
		{"late approval of 已退款", in(refunded, nil), on(Approve, Reviewer, unclaimed), "order_not_ready"},
		{"withdrawal after a serial", in(making, func(w *walker) { w.items[0].Attempt = 1 }), on(AuthWithdrawn, LegalRep, fixable), "too_late_to_withdraw"},
		{"withdrawal after completion", in(completed, nil), on(AuthWithdrawn, LegalRep, fixable), "too_late_to_withdraw"},
		{"applicant approves", in(claimed, nil), on(Approve, Applicant, unclaimed), "role_not_allowed"},
		{"reject without a reason", in(claimed, nil), step{Command{On: Reject, By: actorOf(Reviewer), Reasons: []Reason{}}, fixable}, "has_reasons_required"},
		{"R20 without a note", in(claimed, nil), step{Command{On: Reject, By: actorOf(Reviewer), Reasons: []Reason{{Code: "R20"}}}, fixable}, "has_reasons_required"},
		{"a document's number among the reasons", in(claimed, nil), step{Command{On: Reject, By: actorOf(Reviewer), Reasons: []Reason{{Code: "R20", Note: "身份证 11010119900307001１ 与图片不符"}}}, fixable}, "names_no_number_required"},
		{"a mobile in what the applicant reads", in(unclaimed, nil), step{Command{On: GiveUpProposed, By: actorOf(Finance), Keys: 1, Note: "请回电 13800000021"}, unclaimed}, "names_no_number_required"},
		{"unknown reason", in(claimed, nil), step{Command{On: Reject, By: actorOf(Reviewer), Reasons: []Reason{{Code: "R99"}}}, fixable}, "has_reasons_required"},
		{"ship under a label of the old address", in(toPost, nil), step{Command{On: Ship, By: actorOf(Shipper), relabel: true}, completed}, "label_current_required"},
		{"four eyes: the approver makes the key", in(unclaimed, func(w *walker) { w.o.Product.FourEyes = true; w.o.ReviewerID = "issuer" }), on(MakeKey, Issuer, making), "issuer_may_make_required"},
		{"four eyes: the first approver makes the key", in(unclaimed, func(w *walker) { w.o.Product.FourEyes, w.o.FirstApprover = true, "issuer" }), on(MakeKey, Issuer, making), "issuer_may_make_required"},
		{"four eyes: the first approver makes it anew", in(makingFailed, func(w *walker) { w.o.Product.FourEyes, w.o.FirstApprover = true, "issuer" }), on(RetryKey, Issuer, making), "issuer_may_make_required"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.walk.o.State
			err := tt.walk.take(tt.do)
			if tt.code == "" { // the control: nothing wrong, so it goes through
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			e, ok := AsError(err)
			if !ok || e.Code != tt.code {
				t.Fatalf("error = %v, want code %s", err, tt.code)
			}
			if tt.walk.o.State != before {
				t.Fatalf("refused, yet the order moved to %s", tt.walk.o.State)
			}
		})
	}
}

// Nobody's order ends, and nobody's money goes back, behind his back.
func TestEndsAreTold(t *testing.T) {
	for _, tr := range lifecycle {
		ends := slices.Equal(tr.By, roles(System)) && (tr.To == closed || tr.Refund == Refunding)
		if ends && !slices.ContainsFunc(tr.Then, func(f followUp) bool { return Notices[f.notice].To == ToAgent }) {
			t.Errorf("row %d, %s of %v: the applicant is told nothing", tr.Row, tr.On, tr.businesses())
		}
	}
}

// After a refund nothing moves the order (row 69).
func TestNothingMovesARefundedOrder(t *testing.T) {
	for event := range eventLabels {
		for _, r := range []Role{Applicant, LegalRep, Reviewer, Issuer, Shipper, Finance, Gateway, Courier, Helper, System} {
			w := newWalker(Initial, ByAdmin, 30000, 1, nil)
			w.o.State = refunded
			if err := w.take(on(event, r, refunded)); !errors.Is(err, Conflict) {
				t.Errorf("%s by %s: %v", event, r, err)
			}
		}
	}
}

// docs/lifecycle.md is generated from the table.
func TestLifecycleDiagram(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Lifecycle of an order\n\nGenerated from `order/lifecycle.go`: `go test ./order -run Diagram -update`.\n")
	for _, business := range Businesses {
		fmt.Fprintf(&b, "\n## %s (%s)\n\n```mermaid\nstateDiagram-v2\n", business, business.Label())
		for _, s := range allStates() {
			if s != None && usedBy(business, s) {
				fmt.Fprintf(&b, "    %s: %s\n", diagramID(s), s.Label())
			}
		}
		seen := map[string]bool{}
		for _, tr := range lifecycle {
			for _, from := range tr.From {
				if tr.Refuse != nil || !slices.Contains(tr.businesses(), business) || !usedBy(business, from) {
					continue
				}
				line := fmt.Sprintf("    %s --> %s: %d %s\n", diagramID(from), diagramID(tr.to(from)), tr.Row, tr.On)
				if !seen[line] {
					seen[line] = true
					b.WriteString(line)
				}
			}
		}
		b.WriteString("```\n")
	}
	b.WriteString("\n## The legal representative's authorisation\n\n```mermaid\nstateDiagram-v2\n    [*] --> created: asked\n")
	for _, s := range authorizationStates() {
		fmt.Fprintf(&b, "    %s: %s\n", s, s.Label())
	}
	for _, tr := range authorizationLifecycle {
		for _, from := range tr.From {
			if to := tr.to(from); to != from {
				fmt.Fprintf(&b, "    %s --> %s: %s\n", from, to, tr.On)
			}
		}
	}
	b.WriteString("```\n\n## The invoice\n\nWhile it is 开具中, 已开具, 红冲中 or 红冲失败, no money goes back.\n\n```mermaid\nstateDiagram-v2\n")
	for _, s := range invoiceStates() {
		fmt.Fprintf(&b, "    %s: %s\n", s, s.Label())
	}
	for _, tr := range invoiceLifecycle {
		fmt.Fprintf(&b, "    %s --> %s: %s\n", cmp.Or(string(tr.From), "[*]"), tr.To, tr.On)
	}
	b.WriteString("```\n")
	const golden = "../docs/lifecycle.md"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Fatalf("the diagram is stale (%v): go test ./order -run Diagram -update", err)
	}
}

// usedBy reports whether an order of a business can ever be in a state.
func usedBy(b Business, s State) bool {
	reached := map[State]bool{None: true}
	for range lifecycle {
		for _, tr := range lifecycle {
			for _, from := range tr.From {
				if tr.Refuse == nil && slices.Contains(tr.businesses(), b) && reached[from] && possible(b, tr) {
					reached[tr.to(from)] = true
				}
			}
		}
	}
	return reached[s]
}

// possible leaves out rows whose When no product of the business can meet.
func possible(b Business, tr transition) bool {
	return b != UnlockApproval || !slices.Contains(tr.When, AdminMode)
}

func diagramID(s State) string {
	if s == None {
		return "[*]"
	}
	return strings.ReplaceAll(s.String(), "/", "_")
}
