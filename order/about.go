package order

import (
	"context"
	"slices"
	"time"
)

// About is what the registration authority knows of the certificate that an
// order is about; package certificate tells it.
type About struct {
	Serial      string // 40 upper-case hex digits
	TokenSerial string // of the USBKEY it is on
	Holder      string // company
	USCC        string
	// OrderID is the order it was issued for, PersonID the bound user.
	OrderID   ID
	PersonID  string
	NotBefore time.Time
	NotAfter  time.Time
	Frozen    bool
	Revoked   bool
	// Replaced certificates have a successor, or were revoked because of one that may
	// still be on its way; Succeeded ones have it.
	Replaced, Succeeded bool
	Expired             bool
	// Renewable says that its window is open (F65).
	Renewable bool
	Algorithm Algorithm // of its key
	// KeyWornOut says that its key pair may not be certified again: it is too old.
	KeyWornOut bool
	// LastOpening is the latest opening of bids that its holder has registered and that
	// is ahead; zero for none.
	LastOpening time.Time
}

// WantsNewKey reports whether a product would keep the key pair of the certificate
// although that may not be certified again.
func (a About) WantsNewKey(p Product) bool {
	return a.KeyWornOut && p.Business == Renewal && p.IssueMode == BySelf && p.Algorithm == a.Algorithm
}

// CertificateStep is what an order does to the certificate it is about.
type CertificateStep string

// The steps. Each is harmless when the certificate is there already.
const (
	// HoldCertificate freezes it until the order is decided.
	HoldCertificate CertificateStep = "hold"
	// RevokeCertificate revokes it: a new one takes its place.
	RevokeCertificate CertificateStep = "revoke"
	// RestoreCertificate takes a freeze back.
	RestoreCertificate CertificateStep = "restore"
	// SupersedeCertificate says which certificate it was renewed by.
	SupersedeCertificate CertificateStep = "supersede"
	// RebindCertificate gives it to the order's person.
	RebindCertificate CertificateStep = "rebind"
	// LostCertificate revokes it: its key was lost before it reached anybody.
	LostCertificate CertificateStep = "lost"
	// RefundCertificate revokes it: its price goes back.
	RefundCertificate CertificateStep = "refund"
	// ReinstateCertificate takes back that the order's certificate has replaced it.
	ReinstateCertificate CertificateStep = "reinstate"
	// ReinstateRenewed takes that back of what was renewed by it: its key was lost on its
	// way, and is not made again.
	ReinstateRenewed CertificateStep = "reinstate_renewed"
)

// Certificates is package certificate as the registration authority needs it.
// Both work in the transaction of the order.
type Certificates interface {
	// About tells of a certificate; NotFound when there is none.
	About(ctx context.Context, tx Tx, serial string) (About, error)
	// Unlocking reports whether a key helper holds what sets the USBKEY of an approved unlock
	// a new PIN, or may have set it already.
	Unlocking(ctx context.Context, tx Tx, o Order) (bool, error)
	// Step has happen to the certificate of o what its order decided.
	Step(ctx context.Context, tx Tx, step CertificateStep, o Order, c Command) error
}

// certificateBusinesses are about a certificate that exists.
var certificateBusinesses = []Business{Renewal, UnlockSelf, UnlockApproval, Resume, Recover, Reissue, Rebind}

// NeedsCertificate reports whether an order of the business is about a
// certificate that exists.
func (b Business) NeedsCertificate() bool { return slices.Contains(certificateBusinesses, b) }

// A demand is one part of the design's guard K: what must be true of the
// certificate, and what people read when it is not.
type demand struct {
	holds   func(About) bool
	refusal *Error
}

var (
	notRevoked   = demand{func(a About) bool { return !a.Revoked }, Errorf(Conflict, "certificate_is_revoked", "证书已吊销，不能办理该业务，请重新申请初购")}
	notFrozen    = demand{func(a About) bool { return !a.Frozen }, Errorf(Conflict, "certificate_is_frozen", "证书已冻结，请先恢复")}
	isFrozen     = demand{func(a About) bool { return a.Frozen }, Errorf(Conflict, "certificate_not_frozen", "证书不在冻结状态，不需要恢复")}
	notExpired   = demand{func(a About) bool { return !a.Expired }, Errorf(Conflict, "certificate_is_expired", "证书已过期，不能办理该业务；到期 90 天内可以更新，之后请重新申请初购")}
	notReplaced  = demand{func(a About) bool { return !a.Replaced }, Errorf(Conflict, "certificate_replaced", "该证书已有新证书替代，请选择新证书办理")}
	notSucceeded = demand{func(a About) bool { return !a.Succeeded }, notReplaced.refusal}
	inWindow     = demand{func(a About) bool { return a.Renewable }, Errorf(Conflict, "not_in_renewal_window", "证书到期前 30 天内、到期后 90 天内才能更新")}
)

// KeyWornOut refuses a renewal that would keep a key pair for too long.
var KeyWornOut = Errorf(Conflict, "key_worn_out", "这把 UKEY 的密钥已用满规定的年限，不能继续沿用。请返回「我的证书」，选择换用新密钥的更新方式；没有可选的方式时请致电 400-666-3999")

// demands is the guard K of the design, business by business: what must be true
// when the order is submitted, and when it is approved or run. The window of a
// renewal is judged at the submission only (F66).
var demands = map[Business]struct{ submit, approve []demand }{
	Renewal:        {[]demand{notRevoked, notFrozen, notReplaced, inWindow}, []demand{notRevoked, notFrozen, notReplaced}},
	UnlockApproval: {[]demand{notRevoked, notFrozen}, []demand{notRevoked, notFrozen}},
	Resume:         {[]demand{notRevoked, isFrozen, notExpired}, []demand{notRevoked, isFrozen, notExpired}},
	Reissue:        {[]demand{notExpired, notReplaced}, []demand{notExpired, notReplaced}},
	Rebind:         {[]demand{notRevoked}, []demand{notRevoked}},
}

// again are the demands of a business whose first approval has changed the certificate
// (row 30), when it is submitted or approved once more.
var again = map[Business][]demand{Reissue: {notExpired, notSucceeded}}

// submissions are the events at which an order is promised anew.
var submissions = []Event{Save, Confirm, Resubmit}

// fit checks guard K.
func fit(o Order, c Command) error {
	if !o.NeedsCertificate() {
		return nil
	}
	if c.about == nil {
		return Errorf(Conflict, "certificate_unknown", "没有找到订单对应的证书，请联系客服 400-666-3999")
	}
	list := demands[o.Business].approve
	if slices.Contains(submissions, c.On) {
		list = demands[o.Business].submit
		if c.about.WantsNewKey(o.Product) {
			return KeyWornOut
		}
	}
	if more, ok := again[o.Business]; ok && !o.ApprovedAt.IsZero() {
		list = more
	}
	for _, d := range list {
		if !d.holds(*c.about) {
			return d.refusal
		}
	}
	return nil
}

// Offered says whether a person who holds the certificate could apply for a
// business now, and if not, why.
func (a About) Offered(b Business) error {
	return fit(Order{Business: b}, Command{On: Confirm, about: &a})
}

// StillFits says whether what was approved about the certificate may be gone on with,
// and if not, why. What replaces a certificate has revoked it itself.
func (a About) StillFits(b Business) error {
	if b == Reissue {
		return nil
	}
	return fit(Order{Business: b}, Command{On: Run, about: &a})
}

// Obstacle says why an order whose move is still to come cannot go on as its certificate
// is now; nil when it can, or when nothing is asked of the certificate any more.
func (a About) Obstacle(o Order) error {
	if o.Refund != NoRefund || o.Stage == Closed {
		return nil
	}
	switch o.Status {
	case Draft:
		return fit(o, Command{On: Confirm, about: &a})
	case AwaitingPayment, InReview, Rejected, ToRenew, ToUnlock, ToRestore:
		return fit(o, Command{On: Run, about: &a})
	default:
		return nil
	}
}

// The grants: how long an approval may be acted on.
const (
	renewalGrant = 30 * day // at least, and until 90 days after the end of the certificate
	lateRenewal  = 90 * day
	unlockGrant  = 7 * day
	resumeGrant  = 7 * day
	fetchGrant   = 30 * day
)

// GrantEnd is when an approved order can no longer be acted on (F66 and rows 25
// to 29); zero when nothing runs out. notAfter is that of its certificate.
func (o Order) GrantEnd(notAfter time.Time) time.Time {
	switch {
	case o.ApprovedAt.IsZero():
		return time.Time{}
	case o.Business == Renewal:
		end := o.ApprovedAt.Add(renewalGrant)
		if late := notAfter.Add(lateRenewal); late.After(end) {
			return late
		}
		return end
	case o.Business == UnlockApproval:
		return o.ApprovedAt.Add(unlockGrant)
	case o.Business == Resume:
		return o.ApprovedAt.Add(resumeGrant)
	default:
		return o.ApprovedAt.Add(fetchGrant)
	}
}

func grantEnd(o Order, c Command) time.Time {
	if c.about == nil {
		return o.GrantEnd(time.Time{})
	}
	return o.GrantEnd(c.about.NotAfter)
}

func grantAlive(o Order, c Command) bool { return c.at.Before(grantEnd(o, c)) }
