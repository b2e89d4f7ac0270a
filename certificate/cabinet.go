package certificate

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// The cabinet (钥匙柜) of a person is all the USBKEYs that he looks after: those of the
// certificates bound to him, and those of other CAs that he has registered; and the log
// of who holds which of them.

// Foreign is a USBKEY of another CA: nothing is known of it but what its person typed,
// or what the file of its certificate said.
type Foreign struct {
	ID       string
	PersonID string // who looks after it
	Label    string // as he calls it
	Issuer   string // the CA
	Holder   string // whose certificate it is; may be empty
	Number   string // the serial of the USBKEY or of the certificate; may be empty
	// NotAfter is the end of the certificate's last day in Shanghai.
	NotAfter  time.Time
	RemindAt  time.Time // when its person is reminded next; zero is never
	CreatedAt time.Time
}

// Token is a USBKEY of a cabinet.
type Token struct {
	ID       string // its serial; of one of another CA, the id of its entry
	Name     string // for people
	NotAfter time.Time
	Foreign  *Foreign // nil for one of ours
}

// Cabinet is what a person looks after, and who has what of it.
type Cabinet struct {
	// Tokens are ours first, then those of other CAs, whichever ends next first. One of
	// ours whose certificates are revoked is left out once it is back.
	Tokens []Token
	Out    []Loan // the longest due first
}

// maxForeign bounds the USBKEYs of other CAs that one person registers.
const maxForeign = 100

// MaxLabel is how long each of its texts may be, in characters.
const MaxLabel = 60

// foreignAhead is how far ahead their certificates may end, in years.
const foreignAhead = 20

// CabinetQueries read cabinets.
type CabinetQueries interface {
	// Foreign returns a USBKEY of another CA; NotFound when there is none.
	Foreign(ctx context.Context, id string) (Foreign, error)
	// ForeignOf are those of a person, whichever ends next first.
	ForeignOf(ctx context.Context, personID string) ([]Foreign, error)
	// LoansOut are what a person has given out and not got back, the longest due first.
	LoansOut(ctx context.Context, personID string) ([]Loan, error)
	// Loans is a page of a person's log, newest first: of one USBKEY, or of all when
	// token is empty.
	Loans(ctx context.Context, personID, token string, after order.Cursor, limit int) (LoanPage, error)
	// DueCabinets returns up to limit entries of whose end a person is to be told, those
	// of one person together.
	DueCabinets(ctx context.Context, now time.Time, limit int) ([]DueEntry, error)
	// CabinetBefore reports whether something is kept that was over before a moment.
	CabinetBefore(ctx context.Context, over time.Time) (bool, error)
}

// CabinetTx writes them.
type CabinetTx interface {
	InsertForeign(ctx context.Context, f Foreign) error
	// UpdateForeign writes all of an entry of its person; NotFound when he has none.
	UpdateForeign(ctx context.Context, f Foreign) error
	// DeleteForeign takes one away with its log; NotFound when the person has none.
	DeleteForeign(ctx context.Context, personID, id string) error
	// InsertLoan adds to the log; Conflict with code "token_lent" while the USBKEY is out.
	InsertLoan(ctx context.Context, l Loan) error
	// ReturnLoan ends one of a person's that is out; NotFound when none is.
	ReturnLoan(ctx context.Context, personID, token, id string, at time.Time) error
	// DeleteLoan takes one that is over out of a person's log; NotFound when none is.
	DeleteLoan(ctx context.Context, personID, token, id string) error
	// RemindAgain plans when to tell of an entry next, zero is never, and reports
	// whether it was still due as d says.
	RemindAgain(ctx context.Context, d DueEntry, next time.Time) (bool, error)
	// ForgetCabinets deletes what was over before a moment.
	ForgetCabinets(ctx context.Context, over time.Time) error
	// EmptyCabinet deletes all of a person's entries and his whole log.
	EmptyCabinet(ctx context.Context, personID string) error
}

// ForeignOf are the USBKEYs of other CAs that a person looks after.
func (s *Service) ForeignOf(ctx context.Context, personID string) ([]Foreign, error) {
	return s.store.ForeignOf(ctx, personID)
}

// Cabinet is that of a person.
func (s *Service) Cabinet(ctx context.Context, personID string) (c Cabinet, err error) {
	held, err := s.store.HeldBy(ctx, personID)
	if err != nil {
		return c, err
	}
	if c.Out, err = s.store.LoansOut(ctx, personID); err != nil {
		return c, err
	}
	for _, h := range held {
		listed := slices.ContainsFunc(c.Tokens, func(t Token) bool { return t.ID == h.TokenSerial })
		out := slices.ContainsFunc(c.Out, func(l Loan) bool { return l.Token == h.TokenSerial })
		if h.TokenSerial != "" && !listed && (h.State() != Revoked || out) {
			c.Tokens = append(c.Tokens, Token{ID: h.TokenSerial, Name: h.Holder, NotAfter: h.NotAfter})
		}
	}
	slices.SortStableFunc(c.Tokens, func(a, b Token) int { return a.NotAfter.Compare(b.NotAfter) })
	foreign, err := s.store.ForeignOf(ctx, personID)
	for _, f := range foreign {
		c.Tokens = append(c.Tokens, f.token())
	}
	return c, err
}

// token is how an entry is seen by whoever writes the log.
func (f Foreign) token() Token {
	return Token{ID: f.ID, Name: f.Label, NotAfter: f.NotAfter, Foreign: &f}
}

// OwnToken returns a USBKEY of a person's cabinet; any other answers as if it did not
// exist.
func (s *Service) OwnToken(ctx context.Context, id, personID string) (Token, error) {
	return ownToken(ctx, s.store, id, personID)
}

func ownToken(ctx context.Context, q Queries, id, personID string) (Token, error) {
	if personID != "" && id != "" {
		on, err := q.OnToken(ctx, id)
		if err != nil {
			return Token{}, err
		}
		for _, c := range on {
			if c.PersonID == personID {
				return Token{ID: id, Name: c.Holder, NotAfter: c.NotAfter}, nil
			}
		}
		f, err := q.Foreign(ctx, id)
		if err == nil && f.PersonID == personID {
			return f.token(), nil
		}
		if _, known := order.AsError(err); err != nil && !known {
			return Token{}, err
		}
	}
	return Token{}, tokenNotFound()
}

func tokenNotFound() error {
	return order.Errorf(order.NotFound, "token_not_found", "没有找到这把 UKEY，请在「我的证书」中查看")
}

// checked is f as it may be kept. Invalid: something is missing, too long or no end.
func (f Foreign) checked(now time.Time) (Foreign, error) {
	for _, field := range []struct {
		value *string
		name  order.Field
		what  string
		must  bool
	}{{&f.Label, "label", "名称", true}, {&f.Issuer, "issuer", "发证机构", true}, {&f.Holder, "holder", "证书主体", false}, {&f.Number, "number", "序列号", false}} {
		*field.value = order.PrintedName(*field.value)
		switch {
		case field.must && *field.value == "":
			return f, order.Errorf(order.Invalid, "foreign_incomplete", "请填写%s", field.what).About(field.name)
		case utf8.RuneCountInString(*field.value) > MaxLabel:
			return f, order.Errorf(order.Invalid, "foreign_too_long", "%s不能超过 %d 字", field.what, MaxLabel).About(field.name)
		}
	}
	if f.NotAfter.Before(now) || f.NotAfter.After(now.AddDate(foreignAhead, 0, 0)) {
		return f, order.Errorf(order.Invalid, "foreign_ended", "到期日请填写今天或以后、%d 年以内的日期", foreignAhead).About("ends")
	}
	return f, nil
}

// AddForeign registers a USBKEY of another CA, of whose end its person is reminded, and
// returns it.
func (s *Service) AddForeign(ctx context.Context, f Foreign, by order.Actor) (Foreign, error) {
	f, err := f.checked(s.now())
	if err != nil {
		return f, err
	}
	f.ID, f.PersonID, f.CreatedAt = s.newID(), by.PersonID, s.now()
	return f, s.store.Change(ctx, func(tx Tx) error {
		known, err := tx.ForeignOf(ctx, by.PersonID)
		if err != nil {
			return err
		}
		if len(known) >= maxForeign {
			return order.Errorf(order.Conflict, "too_many_foreign", "最多登记 %d 把其他 CA 的 UKEY，请先删除不需要的", maxForeign)
		}
		f.RemindAt = firstReminder(DueEnd, f.NotAfter, s.now())
		if err := tx.InsertForeign(ctx, f); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "foreign_added", by)
	})
}

// ChangeForeign writes what its person typed anew.
func (s *Service) ChangeForeign(ctx context.Context, f Foreign, by order.Actor) error {
	f, err := f.checked(s.now())
	if err != nil {
		return err
	}
	f.PersonID, f.RemindAt = by.PersonID, firstReminder(DueEnd, f.NotAfter, s.now())
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.UpdateForeign(ctx, f); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "foreign_changed", by)
	})
}

// DropForeign takes a USBKEY of another CA out of the cabinet, with its log.
func (s *Service) DropForeign(ctx context.Context, id string, by order.Actor) error {
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.DeleteForeign(ctx, by.PersonID, id); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "foreign_dropped", by)
	})
}

// EmptyCabinet forgets all USBKEYs of other CAs and the whole log of a person.
func (s *Service) EmptyCabinet(ctx context.Context, by order.Actor) error {
	return s.store.Change(ctx, func(tx Tx) error {
		if err := tx.EmptyCabinet(ctx, by.PersonID); err != nil {
			return err
		}
		return s.cabinetAudit(ctx, tx, "emptied", by)
	})
}

// cabinetAudit keeps that a person changed his cabinet, and not what is in it.
func (s *Service) cabinetAudit(ctx context.Context, tx Tx, action string, by order.Actor) error {
	return tx.AppendAudit(ctx, by.Did("", "cabinet:"+action, s.now()))
}

// LastOf is the end of a day in Shanghai, typed as 2026-12-20; ok is false for anything
// else.
func LastOf(typed string) (end time.Time, ok bool) {
	day, err := time.ParseInLocation(time.DateOnly, strings.TrimSpace(identity.HalfWidth(typed)), order.Shanghai)
	return endOfDay(day), err == nil
}

// endOfDay is the last second of a day in Shanghai.
func endOfDay(t time.Time) time.Time {
	y, m, d := t.In(order.Shanghai).Date()
	return time.Date(y, m, d, 23, 59, 59, 0, order.Shanghai).UTC()
}
