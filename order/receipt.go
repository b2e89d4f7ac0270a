package order

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// ProgressReceipt (进度凭证) lets a bidder prove to a tender agent that his
// certificate is being made. Its paper carries a code; who has the code sees what the
// receipt said when it was issued and how the order stands now, and nothing more.
type ProgressReceipt struct {
	ID       string
	OrderID  ID
	CodeHash string // SHA-256 (hex) of the code
	Statement
	IssuedAt    time.Time
	ExpiresAt   time.Time
	WithdrawnAt time.Time // zero while it holds
}

// Statement is what a receipt says: the least that proves something, about nobody in
// person.
type Statement struct {
	Company string
	USCC    string
	OrderNo string
	Product string
	State   string // in plain words
	Since   time.Time
}

// Equal reports whether two statements say the same.
func (s Statement) Equal(t Statement) bool {
	same := s.Since.Equal(t.Since)
	s.Since, t.Since = time.Time{}, time.Time{}
	return same && s == t
}

// ReceiptLife is how long a receipt holds, MaxReceipts how many of an order may hold
// at a time.
const (
	ReceiptLife = 30 * day
	MaxReceipts = 5
)

// Holds reports whether a receipt still proves anything.
func (r ProgressReceipt) Holds(now time.Time) bool {
	return r.WithdrawnAt.IsZero() && now.Before(r.ExpiresAt)
}

// Object is where its PDF is kept.
func (r ProgressReceipt) Object() string { return r.ID + "-receipt" }

// codeAlphabet is Crockford's: no letter looks like a digit.
const (
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLength   = 20
)

// newReceiptCode is 100 random bits in twenty characters.
func newReceiptCode() string {
	var raw [codeLength]byte
	_, _ = rand.Read(raw[:]) // never fails
	for i, b := range raw {
		raw[i] = codeAlphabet[b%byte(len(codeAlphabet))] // a divisor of 256
	}
	return string(raw[:])
}

// ReceiptCode is a code as it was typed or scanned, without what people add or
// mistake; ok is false when it cannot be one.
func ReceiptCode(typed string) (code string, ok bool) {
	code = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(typed)))
	return code, len(code) == codeLength && strings.Trim(code, codeAlphabet) == ""
}

// GroupedCode is a code as it is printed.
func GroupedCode(code string) string {
	var groups []string
	for part := range slices.Chunk([]byte(code), 4) {
		groups = append(groups, string(part))
	}
	return strings.Join(groups, "-")
}

// ReceiptHash is what is kept of a code.
func ReceiptHash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// progress is how far an order is, in words for people outside of it.
var progress = map[State]string{
	awaitingAuthorization: "已受理，等待法定代表人授权",
	queued:                "已受理，等待审核",
	claimed:               "审核中",
	secondApproval:        "审核中",
	fixable:               "审核未通过，等待补正材料",
	closed:                "订单已关闭，不再办理",
	unclaimed:             "审核通过，正在制证",
	making:                "审核通过，正在制证",
	makingFailed:          "审核通过，正在制证",
	toPost:                "已制证，等待寄出",
	toPickUp:              "已制证，等待领取",
	renewReady:            "审核通过，等待写入证书",
	renewRunning:          "审核通过，等待写入证书",
	renewInterrupted:      "审核通过，等待写入证书",
	downloadReady:         "审核通过，等待写入证书",
	downloadRunning:       "审核通过，等待写入证书",
	downloadInterrupted:   "审核通过，等待写入证书",
	refunded:              "已退款，不再办理",
}

// duringRefund are the events of an order whose money is on its way back.
var duringRefund = []Event{CourierMoved, CorrectTracking, RefundFails, RefundRetry}

// StatementOf says how an order stands, from its history.
func StatementOf(o Order, events []EventRecord) Statement {
	s := Statement{Company: o.Company, USCC: o.USCC, OrderNo: o.No, Product: o.Product.Name, State: progress[o.State], Since: o.UpdatedAt}
	began := func(e EventRecord) bool { return e.From.Status != o.Status || progress[e.From] != progress[o.State] }
	switch {
	case o.Refund != NoRefund:
		s.State = "正在退款，不再办理"
		began = func(e EventRecord) bool { return !slices.Contains(duringRefund, e.Event) }
	case o.Status == Completed && o.Parcel == ParcelLost:
		s.State = "已制证，UKEY 在寄送途中丢失或损坏，证书已吊销"
		began = func(e EventRecord) bool { return e.Event == ParcelMissed }
	case o.Status == Completed && o.TrackingNo != "":
		s.State = "已制证，UKEY 已寄出"
	case o.Status == Completed && o.Shipped():
		s.State = "已制证，UKEY 已领取"
	case o.Status == Completed:
		s.State = "已制证，证书已写入 UKEY"
	}
	for _, e := range slices.Backward(events) {
		s.Since = e.At
		if began(e) {
			break
		}
	}
	return s
}

// receiptBusinesses end in a certificate.
var receiptBusinesses = []Business{Initial, Renewal, Reissue}

// Receiptable reports whether a receipt of the order can be issued now.
func (o Order) Receiptable() bool { return o.receiptable() == nil }

func (o Order) receiptable() error {
	switch {
	case !slices.Contains(receiptBusinesses, o.Business):
		return Errorf(Conflict, "receipt_no_certificate", "该业务不产生新证书，不能出具进度凭证")
	case o.Status == Draft || o.Status == AwaitingPayment:
		return Errorf(Conflict, "receipt_too_early", "订单提交并支付后才能出具进度凭证")
	case o.Status == Refunded || o.Stage == Closed || o.Refund != NoRefund:
		return Errorf(Conflict, "receipt_order_ended", "订单已关闭或退款，不能出具进度凭证")
	default:
		return nil
	}
}

// NewReceipt states how the caller's order stands, under a new code. Nothing is kept
// before [Service.IssueReceipt], so that the paper can be made in between.
func (s *Service) NewReceipt(ctx context.Context, id ID, by Actor) (r ProgressReceipt, code string, err error) {
	o, _, err := s.receiptOrder(ctx, s.store, id, by)
	if err != nil {
		return r, "", err
	}
	events, err := s.store.Events(ctx, id)
	if err != nil {
		return r, "", err
	}
	code = newReceiptCode()
	now := s.now()
	return ProgressReceipt{ID: s.newID(), OrderID: id, CodeHash: ReceiptHash(code), Statement: StatementOf(o, events), IssuedAt: now, ExpiresAt: now.Add(ReceiptLife)}, code, nil
}

// receiptOrder is an order of by's that may have one more receipt, with those that hold.
func (s *Service) receiptOrder(ctx context.Context, q Queries, id ID, by Actor) (Order, []ProgressReceipt, error) {
	o, err := q.Order(ctx, id)
	if err != nil {
		return o, nil, err
	}
	if !o.OwnedBy(by.PersonID, "") {
		return o, nil, orderNotFound
	}
	if err := o.receiptable(); err != nil {
		return o, nil, err
	}
	held, err := q.Receipts(ctx, id)
	now := s.now()
	held = slices.DeleteFunc(held, func(r ProgressReceipt) bool { return !r.Holds(now) })
	if err == nil && len(held) >= MaxReceipts {
		err = Errorf(Conflict, "too_many_receipts", "这个订单已有 %d 份有效的进度凭证，请先撤回不用的，再出具新的", len(held))
	}
	return o, held, err
}

// samePress is how long who issues a receipt once more gets the one that he has: he has
// pressed twice, or in two windows.
const samePress = time.Minute

// IssueReceipt has a receipt hold and returns it, or the one that was issued just before
// and says the same.
func (s *Service) IssueReceipt(ctx context.Context, r ProgressReceipt, by Actor) (ProgressReceipt, error) {
	err := s.store.InTx(ctx, func(tx Tx) error {
		_, held, err := s.receiptOrder(ctx, tx, r.OrderID, by)
		i := slices.IndexFunc(held, func(h ProgressReceipt) bool {
			return h.Equal(r.Statement) && r.IssuedAt.Sub(h.IssuedAt).Abs() < samePress
		})
		if i >= 0 {
			r = held[i]
			return nil
		}
		if err != nil {
			return err
		}
		if err := tx.InsertReceipt(ctx, r); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(r.OrderID, "receipt_issued:"+r.ID, s.now()))
	})
	return r, err
}

// WithdrawReceipt ends a receipt of the caller's order before its time.
func (s *Service) WithdrawReceipt(ctx context.Context, id ID, receipt string, by Actor) (r ProgressReceipt, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		if !o.OwnedBy(by.PersonID, "") {
			return orderNotFound
		}
		if r, err = tx.Receipt(ctx, id, receipt); err != nil || !r.WithdrawnAt.IsZero() {
			return err // withdrawn twice is once
		}
		r.WithdrawnAt = s.now()
		if err := tx.WithdrawReceipt(ctx, r.ID, r.WithdrawnAt); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(r.OrderID, "receipt_withdrawn:"+r.ID, s.now()))
	})
	return r, err
}
