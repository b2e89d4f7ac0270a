package certificate

import (
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Event is something that happens to a certificate.
type Event string

// The events.
const (
	Freeze Event = "freeze"
	Resume Event = "resume"
	Revoke Event = "revoke"
)

var eventLabels = map[Event]string{Freeze: "冻结", Resume: "恢复", Revoke: "吊销"}

// Label is the event as people read it.
func (e Event) Label() string { return eventLabels[e] }

// Events lists every event.
var Events = []Event{Freeze, Resume, Revoke}

var (
	staff     = []order.Role{order.Issuer, order.Admin}
	everybody = []order.Role{order.Applicant, order.Issuer, order.Admin}
)

// lifecycle is all that can happen to a certificate; anything not in a row is
// refused. A revocation is for ever: no row leaves Revoked.
var lifecycle = []transition{
	{From: of(Valid), On: Freeze, To: Frozen, By: everybody, If: []fact{mobileProven, explained, unexpired}, Do: freeze, Event: order.CertificateFrozen, Notice: order.NoticeFrozen},
	{From: of(Valid, Frozen), On: Revoke, To: Revoked, By: everybody, If: []fact{mobileProven, explained, reasonAllowed, bidAnswered, unexpired}, Do: revoke, Event: order.CertificateRevoked, Notice: order.NoticeRevoked},
	// Taking a freeze back is for staff, who know who asks; the bound user's own
	// way is an order with review (row 44).
	{From: of(Frozen), On: Resume, To: Valid, By: staff, If: []fact{explained, unexpired}, Do: resume, Event: order.CertificateResumed, Notice: order.NoticeResumed},
}

// A transition is one row: a certificate in From, on event On by one of By, goes
// to To, provided all of If hold.
type transition struct {
	From []State
	On   Event
	To   State
	By   []order.Role
	// If must hold; the first that does not is the refusal people read.
	If []fact
	Do func(*Certificate, Command)
	// Event is its line in the order's history, Notice the message to the holder.
	Event  order.Event
	Notice order.Notice
}

// Command is one thing somebody wants to happen to a certificate.
type Command struct {
	On     Event
	By     order.Actor
	Reason Reason  // revoke
	Bid    OpenBid // revoke, by its holder
	Note   string  // why, for colleagues; staff must say
	// MobileProven says that the caller has checked a code sent to the bound
	// user's mobile for this very event and certificate.
	MobileProven bool
	// ByOrder says that an order decided it: its lifecycle has asked who may.
	ByOrder bool

	at    time.Time
	alone bool // what else is on the USBKEY stays as it is
}

func of(s ...State) []State { return s }

// fact is a condition of a row; nil when it holds.
type fact func(Certificate, Command) error

func mobileProven(_ Certificate, c Command) error {
	if c.By.Role == order.Applicant && !c.MobileProven && !c.ByOrder {
		return order.Errorf(order.Invalid, "certificate_code_required", "请先完成短信验证")
	}
	return nil
}

func explained(_ Certificate, c Command) error {
	switch n := len([]rune(c.Note)); {
	case c.By.Role != order.Applicant && n == 0 && !c.ByOrder:
		return order.Errorf(order.Invalid, "certificate_note_required", "请填写办理说明")
	case n > 100:
		return order.Errorf(order.Invalid, "certificate_note_too_long", "办理说明不能超过 100 字")
	}
	return nil
}

func reasonAllowed(_ Certificate, c Command) error {
	if !c.Reason.openTo(c.By.Role) && !c.ByOrder {
		return order.Errorf(order.Invalid, "revocation_reason_unknown", "请选择吊销原因")
	}
	return nil
}

func unexpired(cert Certificate, c Command) error {
	if cert.Expired(c.at) {
		return order.Errorf(order.Conflict, "certificate_expired", "证书已过期，不需要冻结或吊销")
	}
	return nil
}

func (r Reason) openTo(role order.Role) bool { return slices.Contains(reasons[r].by, role) }

func freeze(cert *Certificate, c Command) { cert.RevokedAt, cert.Reason = c.at, Hold }

// revoke keeps the instant of an earlier freeze: since then nobody relied on it.
func revoke(cert *Certificate, c Command) {
	if cert.RevokedAt.IsZero() {
		cert.RevokedAt = c.at
	}
	cert.Reason = c.Reason
}

func resume(cert *Certificate, _ Command) { cert.RevokedAt, cert.Reason = time.Time{}, Unspecified }

// next finds the row for a command, or says why there is none.
func next(cert Certificate, c Command) (transition, error) {
	i := slices.IndexFunc(lifecycle, func(t transition) bool { return t.On == c.On && slices.Contains(t.From, cert.State()) })
	if i < 0 {
		return transition{}, order.Errorf(order.Conflict, "certificate_not_ready", "证书当前状态为「%s」，不能%s，请刷新后查看", cert.State().Label(), c.On.Label())
	}
	t := lifecycle[i]
	switch {
	case !slices.Contains(t.By, c.By.Role) && !c.ByOrder:
		return t, order.Errorf(order.Forbidden, "certificate_role", "您没有执行该操作的权限")
	}
	for _, holds := range t.If {
		if err := holds(cert, c); err != nil {
			return t, err
		}
	}
	return t, nil
}

// Along are those of all, newest first, that go the way of one of them because they
// are on its USBKEY (F99): all of its user's there when the key itself is frozen, found
// again or in other hands, and always what it was renewed from and is valid still.
func Along(cert Certificate, all []Certificate, cmd Command, now time.Time) []Certificate {
	if cmd.alone || cert.TokenSerial == "" {
		return nil
	}
	everything := cmd.On == Resume || cmd.On == Freeze && !cmd.ByOrder || cmd.Reason == KeyCompromise
	cmd.By.Role, cmd.ByOrder = order.System, true // who may has been asked
	line := []string{cert.Serial}
	var along []Certificate
	for _, c := range all {
		older := slices.Contains(line, c.SupersededBy)
		if older {
			line = append(line, c.Serial)
		}
		if (older || everything) && c.Serial != cert.Serial && c.TokenSerial == cert.TokenSerial && c.PersonID == cert.PersonID && c.Refusal(cmd, now) == nil {
			along = append(along, c)
		}
	}
	return along
}

// Refusal is why a command cannot happen at now, or nil. Who asks before a code of
// the bound mobile is used up does not waste it on what is refused anyway.
func (c Certificate) Refusal(cmd Command, now time.Time) error {
	cmd.at = now
	_, err := next(c, cmd)
	return err
}

// Allowed are the events that a role may cause to the certificate at now.
func (c Certificate) Allowed(role order.Role, now time.Time) []Event {
	var out []Event
	for _, t := range lifecycle {
		if slices.Contains(t.From, c.State()) && slices.Contains(t.By, role) && !c.Expired(now) {
			out = append(out, t.On)
		}
	}
	return out
}
