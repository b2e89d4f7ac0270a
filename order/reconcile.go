package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Bill is one day of a payment platform's trade bill (账单), and how far its comparison
// with our books has come (对账).
type Bill struct {
	Channel PayChannel
	Day     string // 2006-01-02 in Shanghai
	// Tries are how often the platform was asked, Why what it answered last while the
	// bill was not to be had.
	Tries int
	Why   string
	// Lines are what the bill lists, Received and Returned what it sums up to.
	Lines              int
	Received, Returned Fen
	// Found are the differences that the comparison found.
	Found      int
	NextTry    time.Time // zero once it is compared, or given up
	ComparedAt time.Time
	CreatedAt  time.Time
}

// BillLine is what a platform says of one movement of money. Nothing about who paid is
// kept of a bill.
type BillLine struct {
	TradeNo  string
	RefundNo string // empty: money in
	Amount   Fen    // positive either way
}

// Number is what the movement is known by on both sides.
func (l BillLine) Number() string {
	if l.RefundNo != "" {
		return l.RefundNo
	}
	return l.TradeNo
}

// BillSource is a payment platform that says every day what it received and returned.
type BillSource interface {
	// Bill is the trade bill of the Shanghai day of t. NotFound: there is none, or
	// none yet. Unavailable: asking again may help.
	Bill(ctx context.Context, t time.Time) ([]BillLine, error)
}

// Movement is a movement of money as our books have it: a payment, or a refund of all or
// of a part of one.
type Movement struct {
	Number  string // the trade's, or the refund's
	TradeNo string
	OrderID ID
	Refund  bool
	Amount  Fen
	State   PaymentState
	ByHand  bool // a refund that was settled by a transfer
}

// DifferenceKind is how a bill and our books differ about one movement.
type DifferenceKind string

// The kinds of differences.
const (
	UnknownHere   DifferenceKind = "unknown_here"  // the platform moved money under a number that is not ours
	UnbookedHere  DifferenceKind = "unbooked_here" // it moved money that we have not booked
	UnknownThere  DifferenceKind = "unknown_there" // we booked money that no bill names
	AmountsDiffer DifferenceKind = "amounts_differ"
	ReturnedTwice DifferenceKind = "returned_twice" // it returned what finance has returned by a transfer
)

var differenceKinds = map[DifferenceKind]struct{ label, advice string }{
	UnknownHere:   {"我方没有", "平台账单里有这一笔，本系统没有这个单号。请核实是否由其他系统收退，或在商户平台手工操作。"},
	UnbookedHere:  {"我方未记账", "平台账单里有这一笔，本系统里它还没有收到或退回。请查看订单，必要时联系平台。"},
	UnknownThere:  {"账单没有", "本系统已记账，平台的账单里没有这一笔。请在商户平台核实钱是否真的到账或退回。"},
	ReturnedTwice: {"可能退了两次", "财务已登记线下退款，平台账单里又退回了同一笔。请核实钱是否退了两次，并联系收款人追回。"},
	AmountsDiffer: {"金额不一致", "两边的金额不同。请在商户平台核实。"},
}

// Label is the kind as people read it, Advice what finance does about it.
func (k DifferenceKind) Label() string { return differenceKinds[k].label }

// Advice says what to do about a difference.
func (k DifferenceKind) Advice() string { return differenceKinds[k].advice }

// Difference is one disagreement between a bill and our books, for finance to explain.
type Difference struct {
	ID      string
	Channel PayChannel
	Day     string // of the bill
	Kind    DifferenceKind
	Number  string
	TradeNo string
	Refund  bool
	OrderID ID // empty when the number is not ours
	Ours    Fen
	Theirs  Fen

	FoundAt    time.Time
	ResolvedAt time.Time // zero: open
	ResolvedBy string    // a member of staff; empty: a later bill named it
	Note       string    // how it was explained
}

// DifferenceFilter chooses differences for a list, newest first.
type DifferenceFilter struct {
	Resolved bool
	After    Cursor // continues behind the last one of the page before
	Limit    int    // default 20, at most 100
}

// DifferencePage is one page of differences; Next is zero on the last one.
type DifferencePage struct {
	Differences []Difference
	Next        Cursor
}

// BillTooOld is why a bill is given up: its day is longer past than platforms remember.
const BillTooOld = "bill_too_old"

const (
	// billReady is when, on the day after, both platforms have made a day's bill.
	billReady = 10*time.Hour + 5*time.Minute
	// billRetry is the time between two questions for a bill that is not there yet.
	billRetry = 30 * time.Minute
	// billPatience is how long after billReady a platform that says that there is no
	// bill may still mean that it is late; then it means that nothing was traded.
	billPatience = 24 * time.Hour
	// billMemory is how many days back platforms give bills: WeChat Pay's three months.
	billMemory = 89
	// maxExplanation bounds what finance writes, in characters.
	maxExplanation = 200
	// billBatch bounds what is read or written in one transaction.
	billBatch = 200
)

// Reconciler compares every night what the payment platforms say they received and
// returned with our books.
type Reconciler struct {
	store   Store
	sources map[PayChannel]BillSource
	now     func() time.Time
	newID   func() string
	planned atomic.Pointer[string] // the last day that was planned here
}

// NewReconciler returns one on the books in store; a channel without a source is not
// compared.
func NewReconciler(store Store, sources map[PayChannel]BillSource, now func() time.Time, newID func() string) *Reconciler {
	return &Reconciler{store: store, sources: sources, now: now, newID: newID}
}

// dayOf is the start of a bill's day in Shanghai.
func dayOf(day string) (time.Time, error) { return time.ParseInLocation(time.DateOnly, day, Shanghai) }

// Sweep plans the bills whose time has come, also those of days that were missed, and
// has due ones fetched. It is safe to run in several processes at once.
func (r *Reconciler) Sweep(ctx context.Context) error {
	y, m, d := r.now().In(Shanghai).Add(-billReady).Date()
	last := time.Date(y, m, d-1, 0, 0, 0, 0, Shanghai)
	if day := last.Format(time.DateOnly); r.planned.Load() == nil || *r.planned.Load() != day {
		for channel := range r.sources {
			if err := r.plan(ctx, channel, last); err != nil {
				return err
			}
		}
		r.planned.Store(&day)
	}
	due, err := r.store.DueBills(ctx, r.now(), sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, was := range due {
		if r.sources[was.Channel] == nil {
			continue // not configured any more
		}
		faults = append(faults, r.store.InTx(ctx, func(tx Tx) error {
			b := was
			b.NextTry = r.now().Add(billRetry)
			b.Tries++
			if err := tx.UpdateBill(ctx, b, was.Tries); err != nil {
				if errors.Is(err, Conflict) { // another process was faster
					return nil
				}
				return err
			}
			return tx.Enqueue(ctx, Job{Kind: JobBill, Ref: string(b.Channel) + " " + b.Day, Seq: int64(b.Tries)})
		}))
	}
	return errors.Join(faults...)
}

// plan adds the bills of a channel from the day after the last one up to last. The first
// start begins there.
func (r *Reconciler) plan(ctx context.Context, channel PayChannel, last time.Time) error {
	from := last
	switch newest, err := r.store.NewestBill(ctx, channel); {
	case err == nil:
		day, err := dayOf(newest.Day)
		if err != nil {
			return err
		}
		from = day.AddDate(0, 0, 1)
	case !errors.Is(err, NotFound):
		return err
	}
	if oldest := last.AddDate(0, 0, -billMemory); from.Before(oldest) {
		from = oldest
	}
	if from.After(last) {
		return nil
	}
	return r.store.InTx(ctx, func(tx Tx) error {
		for day := from; !day.After(last); day = day.AddDate(0, 0, 1) {
			if err := tx.InsertBill(ctx, Bill{Channel: channel, Day: day.Format(time.DateOnly), NextTry: r.now(), CreatedAt: r.now()}); err != nil {
				return err
			}
		}
		return nil
	})
}

// Compare fetches a bill, named as the job names it, and records how it differs from our
// books. A bill that is not there yet, or not usable, waits for the next sweep. However
// often it runs and wherever it is cut short, a difference is recorded once.
func (r *Reconciler) Compare(ctx context.Context, ref string) error {
	channel, day, _ := strings.Cut(ref, " ")
	b, err := r.store.Bill(ctx, PayChannel(channel), day)
	if err != nil || !b.ComparedAt.IsZero() {
		return err
	}
	start, err := dayOf(b.Day)
	if err != nil {
		return err
	}
	source := r.sources[b.Channel]
	if source == nil {
		return nil // not configured any more
	}
	lines, err := source.Bill(ctx, start)
	if errors.Is(err, NotFound) && !r.now().Before(start.AddDate(0, 0, 1).Add(billReady+billPatience)) {
		lines, err = nil, nil
	}
	if err != nil {
		return r.postpone(ctx, b, start, err)
	}
	b.Lines, b.Received, b.Returned = len(lines), 0, 0
	for chunk := range slices.Chunk(lines, billBatch) {
		if err := r.compareLines(ctx, &b, chunk); err != nil {
			return err
		}
	}
	if err := r.findUnbilled(ctx, b, start); err != nil {
		return err
	}
	return r.conclude(ctx, b)
}

// postpone records why there is no bill, so that the next sweep asks again; not for a day
// that platforms no longer tell about. What is neither a bill that is late nor a platform
// that does not answer is a refusal, which goes to the log.
func (r *Reconciler) postpone(ctx context.Context, b Bill, start time.Time, cause error) error {
	refusal, known := AsError(cause)
	if !known || refusal.Kind != NotFound && refusal.Kind != Unavailable {
		refusal = &Error{Kind: Conflict, Code: "bill_refused", Detail: "平台拒绝提供账单", Err: cause}
	}
	b.Why = refusal.Code
	if r.now().After(start.AddDate(0, 0, billMemory+2)) {
		b.Why, b.NextTry = BillTooOld, time.Time{}
	}
	if err := r.store.InTx(ctx, func(tx Tx) error { return tx.UpdateBill(ctx, b, b.Tries) }); err != nil {
		return err
	}
	if refusal.Code == "bill_refused" && b.Why != BillTooOld {
		return refusal
	}
	return nil
}

// compareLines records a part of a bill and how it differs from our books.
func (r *Reconciler) compareLines(ctx context.Context, b *Bill, lines []BillLine) error {
	numbers := make([]string, len(lines))
	for i, l := range lines {
		numbers[i] = l.Number()
		if l.RefundNo == "" {
			b.Received += l.Amount
		} else {
			b.Returned += l.Amount
		}
	}
	return r.store.InTx(ctx, func(tx Tx) error {
		ours, err := tx.Movements(ctx, b.Channel, numbers)
		if err != nil {
			return err
		}
		if err := tx.InsertBillLines(ctx, *b, lines); err != nil {
			return err
		}
		for _, l := range lines {
			i := slices.IndexFunc(ours, func(m Movement) bool { return m.Refund == (l.RefundNo != "") && m.Number == l.Number() })
			d := Difference{Channel: b.Channel, Day: b.Day, Number: l.Number(), TradeNo: l.TradeNo, Refund: l.RefundNo != "", Theirs: l.Amount}
			var m *Movement
			if i >= 0 {
				m = &ours[i]
				d.OrderID, d.Ours = m.OrderID, m.Amount
			}
			if d.Kind = differ(l, m); d.Kind != "" {
				if err := r.found(ctx, tx, d); err != nil {
					return err
				}
			}
			if d.Kind == UnbookedHere && !d.Refund { // its notification was lost: the gateway's own word books it
				if err := tx.Enqueue(ctx, Job{Kind: JobQueryPayment, Ref: l.TradeNo, Seq: r.now().UnixMilli()}); err != nil {
					return err
				}
			}
		}
		// What an earlier bill did not name is in this one.
		return tx.FoundLater(ctx, b.Channel, numbers, r.now(), "已出现在 "+b.Day+" 的账单中")
	})
}

// differ is how a line of a bill differs from the movement that we have under its
// number, if any. A refund that is still on its way here is no difference.
func differ(l BillLine, m *Movement) DifferenceKind {
	switch {
	case m == nil || m.TradeNo != l.TradeNo:
		return UnknownHere
	case m.Amount != l.Amount:
		return AmountsDiffer
	case m.ByHand:
		return ReturnedTwice
	case !m.Refund && slices.Contains([]PaymentState{PaymentPending, PaymentClosed}, m.State),
		m.Refund && m.State == PaymentRefundFailed:
		return UnbookedHere
	}
	return ""
}

// findUnbilled records what we booked and no bill names: payments of the bill's day, and
// refunds, which one side may date a day later than the other, once the bills of their
// day and of the next are both compared.
func (r *Reconciler) findUnbilled(ctx context.Context, b Bill, start time.Time) error {
	if err := r.findUnbilledOf(ctx, b, false, start); err != nil {
		return err
	}
	for _, pair := range []struct{ day, other int }{{-1, -1}, {0, 1}} {
		other, err := r.store.Bill(ctx, b.Channel, start.AddDate(0, 0, pair.other).Format(time.DateOnly))
		if errors.Is(err, NotFound) || err == nil && other.ComparedAt.IsZero() {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.findUnbilledOf(ctx, b, true, start.AddDate(0, 0, pair.day)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) findUnbilledOf(ctx context.Context, b Bill, refunds bool, day time.Time) error {
	f := UnbilledFilter{Channel: b.Channel, Refund: refunds, From: day, To: day.AddDate(0, 0, 1), Limit: billBatch}
	for {
		missing, err := r.store.Unbilled(ctx, f)
		if err != nil || len(missing) == 0 {
			return err
		}
		err = r.store.InTx(ctx, func(tx Tx) error {
			for _, m := range missing {
				d := Difference{Channel: b.Channel, Day: b.Day, Kind: UnknownThere, Number: m.Number, TradeNo: m.TradeNo, Refund: m.Refund, OrderID: m.OrderID, Ours: m.Amount}
				if err := r.found(ctx, tx, d); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		f.After = missing[len(missing)-1].Number
	}
}

// UnbilledFilter chooses movements that were booked in [From, To) and that no bill names, by
// number.
type UnbilledFilter struct {
	Channel  PayChannel
	Refund   bool
	From, To time.Time
	After    string
	Limit    int
}

func (r *Reconciler) found(ctx context.Context, tx Tx, d Difference) error {
	d.ID, d.FoundAt = r.newID(), r.now()
	return tx.InsertDifference(ctx, d)
}

// conclude marks a bill as compared and tells finance when something differs.
func (r *Reconciler) conclude(ctx context.Context, b Bill) error {
	return r.store.InTx(ctx, func(tx Tx) error {
		found, err := tx.CountFound(ctx, b)
		if err != nil {
			return err
		}
		now := r.now()
		b.Found, b.Why, b.NextTry, b.ComparedAt = found, "", time.Time{}, now
		if err := tx.UpdateBill(ctx, b, b.Tries); err != nil {
			return err
		}
		did := BySystem.Did("", "bill_compared:"+string(b.Channel)+":"+b.Day, now)
		if err := tx.AppendAudit(ctx, did.Ending(fmt.Sprintf("differences %d", found))); err != nil || found == 0 {
			return err
		}
		staff, err := tx.StaffWithRole(ctx, Finance)
		if err != nil {
			return err
		}
		for _, m := range staff {
			n := Notification{ID: r.newID(), Seq: now.UnixMilli(), Notice: NoticeBillDiffers, Medium: WeChat, To: ToFinance, StaffID: m.ID, CreatedAt: now}
			if err := Send(ctx, tx, n); err != nil {
				return err
			}
		}
		return nil
	})
}

// Resolve closes a difference with how finance explained it.
func (r *Reconciler) Resolve(ctx context.Context, id string, by Actor, note string) error {
	note = strings.TrimSpace(note)
	switch {
	case by.Role != Finance:
		return Errorf(Forbidden, "role_missing", "只有财务可以处理对账差异")
	case note == "" || utf8.RuneCountInString(note) > maxExplanation:
		return Errorf(Invalid, "explanation_invalid", "请填写处理说明，最多 %d 字", maxExplanation)
	}
	return r.store.InTx(ctx, func(tx Tx) error {
		d, err := tx.Difference(ctx, id)
		if err != nil {
			return err
		}
		if !d.ResolvedAt.IsZero() {
			return Errorf(Conflict, "difference_resolved", "该差异已经处理过了，请刷新页面")
		}
		d.ResolvedAt, d.ResolvedBy, d.Note = r.now(), by.StaffID, note
		if err := tx.ResolveDifference(ctx, d); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(d.OrderID, "difference_resolved:"+d.ID, r.now()))
	})
}
