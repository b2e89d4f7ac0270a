package certificate

import (
	"context"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Opening is when bids are opened that were encrypted for a certificate: its USBKEY
// must be at hand then, unlocked, and the certificate neither ended nor revoked.
type Opening struct {
	ID      string
	Serial  string // of the certificate
	Project string // as its holder calls it
	At      time.Time
	// OrderID and Seq are its line in the history of the certificate's order, which
	// its reminder carries, too.
	OrderID   order.ID
	Seq       int64
	CreatedAt time.Time
}

const (
	// maxOpenings bounds what is ahead of one certificate.
	maxOpenings = 20
	// maxProject is how long a project's name may be, in characters.
	maxProject = 60
	// openingsAhead is how far ahead an opening may be; tenders take weeks.
	openingsAhead = 366 * 24 * time.Hour
	// openingsKept is how long an opening is kept after it has passed.
	openingsKept = 30 * 24 * time.Hour
	// openingSoon is when to try the USBKEY.
	openingSoon = 3 * 24 * time.Hour
)

// OpeningQueries read openings.
type OpeningQueries interface {
	// Openings are those of a certificate that are ahead at now, the next first.
	Openings(ctx context.Context, serial string, now time.Time) ([]Opening, error)
	// OpeningsOf are those ahead at now of all certificates that a person holds.
	OpeningsOf(ctx context.Context, personID string, now time.Time) ([]Opening, error)
	// OpeningsBefore reports whether some are kept that have passed before a moment.
	OpeningsBefore(ctx context.Context, passed time.Time) (bool, error)
}

// OpeningTx writes them.
type OpeningTx interface {
	InsertOpening(ctx context.Context, o Opening) error
	// DeleteOpening takes one of a certificate back, and reports whether it was there.
	DeleteOpening(ctx context.Context, serial, id string) (bool, error)
	// ForgetOpenings deletes those that have passed before a moment.
	ForgetOpenings(ctx context.Context, passed time.Time) error
}

// Light is how sure it is that bids can be opened.
type Light string

// The lights.
const (
	Green  Light = "green"
	Yellow Light = "yellow" // something is to be done before
	Red    Light = "red"    // as things are, they cannot be opened
)

// Guard judges an opening at now: what would keep the holder of the certificate from
// decrypting what is opened, in a sentence with what to do.
func (c Certificate) Guard(o Opening, now time.Time) (Light, string) {
	switch {
	case c.State() == Revoked:
		return Red, "证书已吊销，用它加密的投标文件无法解密：请用新证书重新生成并上传。"
	case c.State() == Frozen:
		return Red, "证书已冻结，开标时无法解密：请先申请恢复。"
	case c.NotAfter.Before(o.At):
		return Red, "证书 " + order.Day(c.NotAfter) + "到期，早于开标：请先更新，再用新证书重新生成并上传投标文件。"
	case c.SupersededBy != "":
		return Yellow, "证书已更新：请用新证书重新生成并上传投标文件；不能重新上传的，请保管好这把 UKEY。"
	case o.At.Sub(now) <= openingSoon:
		return Yellow, "即将开标：请插上 UKEY 试登录一次招标平台，口令锁定时请立即解锁。"
	default:
		return Green, "开标时证书有效。"
	}
}

// Openings are those of the person's certificate that are ahead, the next first.
func (s *Service) Openings(ctx context.Context, serial string) ([]Opening, error) {
	return s.store.Openings(ctx, serial, s.now())
}

// OpeningsOf are those of all certificates that a person holds, the next first.
func (s *Service) OpeningsOf(ctx context.Context, personID string) ([]Opening, error) {
	return s.store.OpeningsOf(ctx, personID, s.now())
}

// AddOpening registers when bids are opened; the holder is reminded the day before.
// Invalid: its field is "project" or "opening".
func (s *Service) AddOpening(ctx context.Context, serial, project string, at time.Time, by order.Actor) error {
	now := s.now()
	switch {
	case project == "":
		project = "投标项目"
	case utf8.RuneCountInString(project) > maxProject:
		return order.Errorf(order.Invalid, "project_too_long", "项目名称不能超过 %d 字", maxProject).About("project")
	case identity.HasPersonalNumber(project):
		return order.Errorf(order.Invalid, "names_no_number_required", "项目名称里请不要填写手机号、证件号码等个人信息").About("project")
	}
	if !at.After(now) || at.Sub(now) > openingsAhead {
		return order.Errorf(order.Invalid, "opening_not_ahead", "开标时间请填写一年以内、还没有到的时间").About("opening")
	}
	return s.owned(ctx, serial, by, func(tx Tx, cert Certificate) error {
		if cert.State() == Revoked {
			return order.Errorf(order.Conflict, "certificate_is_revoked", "证书已吊销，不能登记开标")
		}
		known, err := tx.Openings(ctx, serial, now)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(known, func(o Opening) bool { return o.Project == project && o.At.Equal(at) }) {
			return nil // registered once more because the answer was lost
		}
		if len(known) >= maxOpenings {
			return order.Errorf(order.Conflict, "too_many_openings", "一张证书最多登记 %d 个开标，请先删除不需要的", maxOpenings)
		}
		o := Opening{ID: s.newID(), Serial: serial, Project: project, At: at, OrderID: cert.OrderID, CreatedAt: now}
		c := Command{On: "register_opening", By: by, Note: openedAt(at), at: now}
		if o.Seq, err = s.happened(ctx, tx, cert, order.OpeningRegistered, c); err != nil {
			return err
		}
		if err := tx.InsertOpening(ctx, o); err != nil {
			return err
		}
		remind := dayBefore(at)
		if !remind.After(now) {
			return nil // the page says what to do today
		}
		return s.tellAt(ctx, tx, remind, cert.OrderID, order.NoticeOpeningAhead, o.Seq, order.ToHolder, cert.PersonID)
	})
}

// KeptOpeningsOf are all that is kept of a person's openings, also of those that have
// passed.
func (s *Service) KeptOpeningsOf(ctx context.Context, personID string) ([]Opening, error) {
	return s.store.OpeningsOf(ctx, personID, time.Time{})
}

// DropOpening takes an opening back; nobody is reminded of it any more.
func (s *Service) DropOpening(ctx context.Context, serial, id string, by order.Actor) error {
	return s.owned(ctx, serial, by, func(tx Tx, cert Certificate) error {
		there, err := tx.DeleteOpening(ctx, serial, id)
		switch {
		case err != nil:
			return err
		case !there:
			return order.Errorf(order.NotFound, "opening_not_found", "没有找到这个开标，它可能已经被删除，请刷新后查看")
		}
		_, err = s.happened(ctx, tx, cert, order.OpeningDropped, Command{On: "drop_opening", By: by, at: s.now()})
		return err
	})
}

// forgetOpenings deletes what has passed long ago.
func (s *Reminders) forgetOpenings(ctx context.Context) error {
	passed := s.now().Add(-openingsKept)
	some, err := s.store.OpeningsBefore(ctx, passed)
	if err != nil || !some {
		return err
	}
	return s.store.Change(ctx, func(tx Tx) error { return tx.ForgetOpenings(ctx, passed) })
}

// dayBefore is when people are reminded of an opening: at ten in the morning of the day
// before, in Shanghai.
func dayBefore(at time.Time) time.Time {
	y, m, d := at.In(order.Shanghai).AddDate(0, 0, -1).Date()
	return time.Date(y, m, d, 10, 0, 0, 0, order.Shanghai)
}

func openedAt(t time.Time) string { return t.In(order.Shanghai).Format("2006-01-02 15:04") + " 开标" }
