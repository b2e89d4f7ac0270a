package certificate

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Loan is a line of the log: somebody of the unit has a USBKEY for a while. Like a
// company's seal it is lent to nobody else (F113).
type Loan struct {
	ID       string
	Token    string // see Token
	PersonID string // who looks after the USBKEY
	Borrower identity.PersonName
	// Department and Purpose are as they were typed; the first may be empty.
	Department, Purpose string
	LentAt              time.Time
	// DueAt is the end of the day on which it is due back, in Shanghai.
	DueAt      time.Time
	ReturnedAt time.Time // zero while it is out
	RemindAt   time.Time // when its person is reminded next; zero is never
}

// Out reports whether the USBKEY has not been given back.
func (l Loan) Out() bool { return l.ReturnedAt.IsZero() }

// Overdue reports whether it should have been given back.
func (l Loan) Overdue(now time.Time) bool { return l.Out() && now.After(l.DueAt) }

// LoanPage is a page of a log; Next is zero on the last one.
type LoanPage struct {
	Loans []Loan
	Next  order.Cursor // its ID is a loan's
}

const (
	// maxDepartment and maxPurpose are how long they may be, in characters.
	maxDepartment = 30
	maxPurpose    = 60
	// lentFor is for how long a USBKEY may be given out.
	lentFor = 366 * 24 * time.Hour
)

// LoansOut are what a person has given out and not got back.
func (s *Service) LoansOut(ctx context.Context, personID string) ([]Loan, error) {
	return s.store.LoansOut(ctx, personID)
}

// Loans is a page of a person's log, newest first: of one USBKEY, or of all.
func (s *Service) Loans(ctx context.Context, personID, token string, after order.Cursor, limit int) (LoanPage, error) {
	return s.store.Loans(ctx, personID, token, after, limit)
}

// Lend writes down who takes a USBKEY of the cabinet, what for and until when. Invalid
// names what to put right; Conflict while somebody else has it.
func (s *Service) Lend(ctx context.Context, l Loan, by order.Actor) error {
	now := s.now()
	l.Department, l.Purpose = order.PrintedName(l.Department), order.PrintedName(l.Purpose)
	switch {
	case l.Borrower.IsZero():
		return order.Errorf(order.Invalid, "borrower_missing", "请填写领用人的姓名").About("borrower")
	case utf8.RuneCountInString(l.Department) > maxDepartment:
		return order.Errorf(order.Invalid, "department_too_long", "部门不能超过 %d 字", maxDepartment).About("department")
	case l.Purpose == "":
		return order.Errorf(order.Invalid, "purpose_missing", "请填写用途").About("purpose")
	case utf8.RuneCountInString(l.Purpose) > maxPurpose:
		return order.Errorf(order.Invalid, "purpose_too_long", "用途不能超过 %d 字", maxPurpose).About("purpose")
	case identity.HasPersonalNumber(l.Department):
		return order.Errorf(order.Invalid, "log_no_numbers", "部门里请不要填写手机号、证件号码").About("department")
	case identity.HasPersonalNumber(l.Purpose):
		return order.Errorf(order.Invalid, "log_no_numbers", "用途里请不要填写手机号、证件号码").About("purpose")
	case l.DueAt.Before(now) || l.DueAt.Sub(now) > lentFor:
		return order.Errorf(order.Invalid, "due_not_ahead", "归还日请填写今天或以后、一年以内的日期").About("due")
	}
	l.ID, l.PersonID, l.LentAt, l.ReturnedAt, l.RemindAt = s.newID(), by.PersonID, now, time.Time{}, firstReminder(DueBack, l.DueAt, now)
	return s.store.Change(ctx, func(tx Tx) error {
		if _, err := ownToken(ctx, tx, l.Token, by.PersonID); err != nil {
			return err
		}
		if err := tx.InsertLoan(ctx, l); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "lent", by)
	})
}

// GiveBack writes down that a USBKEY is back; nobody is reminded of it any more.
func (s *Service) GiveBack(ctx context.Context, token, id string, by order.Actor) error {
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.ReturnLoan(ctx, by.PersonID, token, id, s.now()); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "returned", by)
	})
}

// ForgetLoan takes a line that is over out of the log.
func (s *Service) ForgetLoan(ctx context.Context, token, id string, by order.Actor) error {
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.DeleteLoan(ctx, by.PersonID, token, id); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "loan_deleted", by)
	})
}

// Guard judges an opening for which the USBKEY may not be at hand; ok is false when
// nothing is to be said about it.
func (l Loan) Guard(o Opening, now time.Time) (says string, ok bool) {
	if !l.Out() || o.At.Sub(now) > openingSoon && l.DueAt.Before(o.At) {
		return "", false
	}
	return "UKEY 借出中，应于 " + order.Day(l.DueAt) + " 归还：请在开标前收回。", true
}
