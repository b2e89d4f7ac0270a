package order

import (
	"context"
	"time"
)

// What a person may know and ask of the personal data that is kept of him (PIPL,
// Art. 45 and 47; rules.md 3.2).

// Promise is how long the personal data of an order is kept, as its person reads it.
type Promise struct {
	Keeping           // zero while something may still happen to the order
	Until   time.Time // zero while nobody can tell
	Gone    bool      // it has been erased
}

func (k Kept) promise() Promise {
	p, _, ok := k.keeping()
	return Promise{Keeping: p, Until: k.Until(), Gone: ok && len(k.Form.Reveal()) == 0 && k.Status != Draft}
}

// Promises says of each of some orders how long it is kept.
func (s *Service) Promises(ctx context.Context, orders []Order) ([]Promise, error) {
	ids := make([]ID, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	lapses, err := s.store.Lapses(ctx, ids...)
	if err != nil {
		return nil, err
	}
	out := make([]Promise, len(orders))
	for i, o := range orders {
		out[i] = Kept{Order: o, Lapse: lapses[o.ID]}.promise()
	}
	return out, nil
}

// erasable says why an order's data cannot be asked to go yet; nil when it can.
func (k Kept) erasable(now time.Time) error {
	_, _, ok := k.keeping()
	switch {
	case k.promise().Gone:
		return Errorf(Conflict, "erase_gone", "这份订单的资料已经删除，没有可以再删除的内容")
	case k.Status == Draft:
		return Errorf(Conflict, "erase_draft", "草稿请在「我的订单」中直接删除，填写的内容和图片会一并删除")
	case !ok:
		return Errorf(Conflict, "erase_open", "订单还在办理，办结或关闭后可以要求删除资料")
	case k.InForce.After(now):
		return Errorf(Conflict, "erase_in_force", "证书有效期内，更新、吊销和通知都要用到这些资料；证书到期或吊销后可以要求删除")
	default:
		return nil
	}
}

// Erasable reports whether AskErasure of an order would be granted now.
func (s *Service) Erasable(ctx context.Context, o Order) (bool, error) {
	lapses, err := s.store.Lapses(ctx, o.ID)
	return err == nil && o.EraseAskedAt.IsZero() && Kept{Order: o, Lapse: lapses[o.ID]}.erasable(s.now()) == nil, err
}

// AskErasure has the personal data of a person's own order erased. What no law keeps
// goes at once; else nobody opens it any more, and it goes when its time has passed
// (PIPL, Art. 47). Asking twice is asking once. Conflict while the order is open or its
// certificate in force.
func (s *Service) AskErasure(ctx context.Context, id ID, by Actor) (p Promise, err error) {
	err = s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		if !o.OwnedBy(by.PersonID, "") {
			return orderNotFound
		}
		k, err := tx.Kept(ctx, id)
		if err != nil {
			return err
		}
		if !k.EraseAskedAt.IsZero() {
			p = k.promise()
			return nil
		}
		now := s.now()
		if err := k.erasable(now); err != nil {
			return err
		}
		k.EraseAskedAt = now
		p = k.promise()
		if err := tx.AskErasure(ctx, o, now, p.Until); err != nil {
			return err
		}
		if !p.Until.After(now) {
			if err := s.enqueuePurge(ctx, tx, id, now); err != nil {
				return err
			}
		}
		return tx.AppendAudit(ctx, by.Did(id, "erase_asked", now))
	})
	return p, err
}

// MayBeSeen refuses a look of staff at personal data whose person asked for its erasure.
func (o Order) MayBeSeen() error {
	if o.EraseAskedAt.IsZero() {
		return nil
	}
	return Errorf(Forbidden, "erase_asked", "申请人已要求删除这份资料：依法保存的期间只作保存，不再查看")
}

// CloseAccount forgets a person's mobile and WeChat at once and logs him out
// everywhere. Conflict while an order, a certificate or a call we owe still needs them.
func (s *Service) CloseAccount(ctx context.Context, by Actor) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := needed(ctx, tx, by.PersonID); err != nil {
			return err
		}
		if _, err := tx.PurgePerson(ctx, by.PersonID); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, by.PersonID, s.now()); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", "close_account", s.now()))
	})
}

// NeededAccount is why a person's account cannot be closed; nil when it can.
func (s *Service) NeededAccount(ctx context.Context, personID string) error {
	return needed(ctx, s.store, personID)
}

func needed(ctx context.Context, q Queries, personID string) error {
	k, err := q.KeptPerson(ctx, personID)
	if err == nil && k.Needed {
		err = Errorf(Conflict, "account_needed", "您名下还有草稿、办理中或依法保存的订单和证书，或等待回电的工单，暂时不能注销账号。请先删除草稿；其余的办结、到期后即可注销")
	}
	return err
}

// Look is a moment at which a member of staff saw personal data of an order.
type Look struct {
	ID     string // of its line in the audit trail
	At     time.Time
	Role   Role   // in which he looked
	Action string // see or unmask, and what or why
}

// LookPage is a page of them, newest first.
type LookPage struct {
	Looks []Look
	Next  Cursor // zero on the last page; its ID is a look's
}

// The beginnings of the actions in the audit trail that are looks: at what is masked
// and drawn with a watermark, at what is in the clear, and at a file.
const (
	ActionSee      = "see:"
	ActionUnmask   = "unmask:"
	ActionDownload = "download:"
)

// ActionLabel is the look at an address to print the label of a parcel.
const ActionLabel = ActionUnmask + "label"

// RecordCopy keeps in the audit trail that a person took a copy of all his data.
func (s *Service) RecordCopy(ctx context.Context, by Actor) error {
	return s.store.InTx(ctx, func(tx Tx) error { return tx.AppendAudit(ctx, by.Did("", "copy", s.now())) })
}
