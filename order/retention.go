package order

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// MaxUploads is how many pictures may be uploaded for one order within a day.
const MaxUploads = 100

// RecordUpload keeps which order an object belongs to, before the object exists, so
// that it goes when the order's data goes; and the SHA-256 (hex) of the file that somebody
// sent, of which we keep a picture of our own (rules §3.2), empty for what nobody sent.
// Too many in a day are refused.
func (s *Service) RecordUpload(ctx context.Context, id ID, object, original string) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		n, err := tx.CountUploads(ctx, id, s.now().Add(-day))
		if err != nil {
			return err
		}
		if n >= MaxUploads {
			return &Error{Kind: RateLimited, Code: "too_many_uploads", Detail: "这份申请一天内上传的图片过多，请明天再试，或致电 400-666-3999", RetryAfter: day}
		}
		return tx.InsertUpload(ctx, id, object, original, s.now())
	})
}

// A Keeping is one promise of how long something is kept, and from when.
type Keeping struct {
	Name                string
	What, From          string // for people
	Years, Months, Days int
	ByLaw               bool // so long, even when its person asks for its erasure
}

// Until is when what began to be kept at from must have gone.
func (k Keeping) Until(from time.Time) time.Time {
	if from.IsZero() {
		return time.Time{}
	}
	return from.AddDate(k.Years, k.Months, k.Days)
}

// The promises (rules.md 3.1 and 3.2; 电子签名法, Art. 24; PIPL, Art. 19 and 47). The
// privacy text and docs/operations.md repeat them.
var (
	KeepIssued    = Keeping{Name: "issued", What: "认证信息（申请内容、证件与授权材料）", From: "证书到期或吊销，以较晚者为准", Years: 5, ByLaw: true}
	KeepUnissued  = Keeping{Name: "unissued", What: "未签发证书的申请资料", From: "订单关闭或退款", Months: 6}
	KeepDraft     = Keeping{Name: "draft", What: "未提交的草稿及图片（已登录）", From: "最后保存", Months: 6}
	KeepAnonymous = Keeping{Name: "anonymous", What: "未提交的草稿及图片（未登录）", From: "最后保存", Days: 30}
	KeepChat      = Keeping{Name: "chat", What: "人工客服留言", From: "留言", Days: 180}
	KeepCabinet   = Keeping{Name: "cabinet", What: "钥匙柜（领用记录、其他 CA 的 UKEY）", From: "归还；其他 CA 的证书到期", Years: 1}
	KeepPerson    = Keeping{Name: "person", What: "手机号与微信绑定", From: "最后一次办理，且没有其他需保存的资料", Months: 6}
)

// Keepings lists them all.
var Keepings = []Keeping{KeepIssued, KeepUnissued, KeepDraft, KeepAnonymous, KeepChat, KeepCabinet, KeepPerson}

// FirstLook is when a new order or person is looked at for the first time, and how
// often one is whose end nobody can tell yet.
const FirstLook = 30 * day

// Lapse is how an order's certificates, and that which it is about, end. Both are zero
// when there is none.
type Lapse struct {
	// Lapsed is when the last of them expired or was revoked, whichever is later.
	Lapsed time.Time
	// InForce is the end of the last that is not revoked for ever.
	InForce time.Time
}

// Kept is what decides how long an order's personal data is kept.
type Kept struct {
	Order
	DeletedAt time.Time
	Lapse
	// Objects are all its pictures and documents.
	Objects []string
}

// keeping says which promise holds for an order and since when; ok is false while
// something may still happen to it.
func (k Kept) keeping() (p Keeping, from time.Time, ok bool) {
	switch {
	case !k.DeletedAt.IsZero():
		return Keeping{}, k.DeletedAt, true
	case k.Status == Draft && k.PersonID == "":
		return KeepAnonymous, k.UpdatedAt, true
	case k.Status == Draft:
		return KeepDraft, k.UpdatedAt, true
	case k.Status != Completed && k.Status != Refunded && k.Stage != Closed || k.Refund != NoRefund:
		return Keeping{}, time.Time{}, false
	case !k.Lapsed.IsZero():
		return KeepIssued, k.Lapsed, true
	default:
		return KeepUnissued, k.UpdatedAt, true
	}
}

// Until is when its personal data must go; zero while nobody can tell.
func (k Kept) Until() time.Time {
	p, from, ok := k.keeping()
	switch {
	case !ok:
		return time.Time{}
	case !k.EraseAskedAt.IsZero() && !p.ByLaw:
		return k.EraseAskedAt
	default:
		return p.Until(from)
	}
}

// KeptPerson is what decides how long a person's mobile and WeChat are kept.
type KeptPerson struct {
	// Last is when he was last heard of, or until when what he has us remind him of runs.
	Last time.Time
	// Needed says that an order, a certificate or his work for us still needs him.
	Needed bool
}

// retainAgain is when what could not be erased is tried again, so that it holds up
// nothing else.
const retainAgain = time.Hour

// Retain erases what has been kept for as long as it was promised: a batch of
// each kind at a time, the longest overdue first. Doing so again, in several
// processes or after a crash, changes nothing more. What is no personal data stays:
// certificates, the history of orders, bookings, the audit trail.
func (s *Service) Retain(ctx context.Context) error {
	now := s.now()
	orders, err := s.store.DueKept(ctx, now, sweepBatch)
	if err != nil {
		return err
	}
	var faults []error
	for _, id := range orders {
		if err := s.retainOrder(ctx, id); err != nil && !errors.Is(err, Conflict) {
			later := s.store.InTx(ctx, func(tx Tx) error { return tx.KeepOrder(ctx, id, now.Add(retainAgain)) })
			faults = append(faults, fmt.Errorf("retention of order %s: %w", id, err), later)
		}
	}
	people, err := s.store.DuePeople(ctx, now, sweepBatch)
	if err != nil {
		return errors.Join(append(faults, err)...)
	}
	for _, id := range people {
		if err := s.retainPerson(ctx, id); err != nil {
			later := s.store.InTx(ctx, func(tx Tx) error { return tx.KeepPerson(ctx, id, now.Add(retainAgain)) })
			faults = append(faults, fmt.Errorf("retention of person %s: %w", id, err), later)
		}
	}
	return errors.Join(append(faults, s.retainChats(ctx))...)
}

// retainOrder deletes a draft that nobody goes on with and has the data of an order
// erased whose time has passed; any other is looked at again when it may be.
func (s *Service) retainOrder(ctx context.Context, id ID) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		now := s.now()
		// Looked at again tomorrow, should the job be lost; it ends the looking. This
		// comes first, so that nobody saves a draft while it is judged.
		if err := tx.KeepOrder(ctx, id, now.Add(day)); err != nil {
			return err
		}
		k, err := tx.Kept(ctx, id)
		if err != nil {
			return err
		}
		until := k.Until()
		if until.IsZero() {
			until = now.Add(FirstLook)
		}
		if until.After(now) {
			return tx.KeepOrder(ctx, id, until)
		}
		if k.DeletedAt.IsZero() && k.Status == Draft {
			_, err := s.ApplyIn(ctx, tx, id, Command{On: Delete, By: BySystem})
			return err
		}
		return s.enqueuePurge(ctx, tx, id, now)
	})
}

// enqueuePurge has an order's data erased, once a day.
func (s *Service) enqueuePurge(ctx context.Context, tx Tx, id ID, now time.Time) error {
	return tx.Enqueue(ctx, Job{Kind: JobPurge, Ref: string(id), Seq: now.Unix() / int64(day/time.Second)})
}

// Purgeable are the objects of an order whose personal data must go; ok is false
// when it must stay.
func (s *Service) Purgeable(ctx context.Context, id ID) (objects []string, ok bool, err error) {
	k, err := s.store.Kept(ctx, id)
	until := k.Until()
	return k.Objects, err == nil && !until.IsZero() && !until.After(s.now()), err
}

// Purge erases the personal data of an order that was deleted or has come to its
// end, once its objects have gone.
func (s *Service) Purge(ctx context.Context, id ID) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		purged, err := tx.PurgeOrder(ctx, id)
		if err != nil || !purged {
			return err
		}
		return tx.AppendAudit(ctx, BySystem.Did(id, "erase", s.now()))
	})
}

func (s *Service) retainPerson(ctx context.Context, id string) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		k, err := tx.KeptPerson(ctx, id)
		if err != nil {
			return err
		}
		now, until := s.now(), KeepPerson.Until(k.Last)
		if k.Needed {
			until = now.Add(FirstLook)
		}
		if until.After(now) {
			return tx.KeepPerson(ctx, id, until)
		}
		purged, err := tx.PurgePerson(ctx, id)
		if err != nil || !purged {
			return err
		}
		return tx.AppendAudit(ctx, BySystem.Did("", "erase", s.now()))
	})
}

func (s *Service) retainChats(ctx context.Context) error {
	before := s.now().AddDate(0, 0, -KeepChat.Days)
	some, err := s.store.ChatsBefore(ctx, before)
	if err != nil || !some {
		return err
	}
	return s.store.InTx(ctx, func(tx Tx) error {
		if err := tx.PurgeChats(ctx, before, sweepBatch); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, BySystem.Did("", "erase", s.now()))
	})
}
