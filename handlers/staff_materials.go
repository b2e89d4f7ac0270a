package handlers

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// reviewView is the review page: what was typed beside what was photographed,
// what machines make of it, and what may be decided now (flows.md 4.4).
type reviewView struct {
	ID                         order.ID
	No, Tail, Business, State  string
	Refund, Express            string
	Amount                     order.Fen
	Company, UnitType, Product string
	Lines                      []lineView
	Term, Quantity, Submission int
	Submitted, Due             time.Time
	Waiting                    string
	Overdue                    bool
	Checks, Risks              []checkView
	About                      []factView // the certificate that the order is about
	Changes                    []changeOf // against the earlier order
	Earlier                    string     // address of the earlier order
	Panels                     []panelView
	Ship                       []factView
	Delay                      string // what the applicant reads about the delay
	Consent                    order.Consent
	History                    []momentView
	Masked                     bool
	UnmaskReasons              []choice
	Decision                   decisionView
	Evidence                   *evidenceView
}

// panelView is one document: its pictures beside the fields to compare.
type panelView struct {
	ID, Title string
	Pictures  []documentView
	Fields    []factView
}

type documentView struct {
	Field      order.Field
	Label, URL string
	Doubts     []string
}

type factView struct {
	Field        order.Field
	Label, Value string
	Hidden       bool
	Mono         bool // compared character by character
	Expect       string
}

// panels say which fields each document proves.
var panels = []struct {
	id, title        string
	pictures, fields []order.Field
}{
	{"license", "营业执照", []order.Field{order.LicenseImage}, []order.Field{order.OrgName, order.OrgUSCC, order.OrgType, order.OrgIndustry, order.LegalName}},
	{"person", "经办人证件", []order.Field{order.IDFront, order.IDBack}, []order.Field{order.AgentName, order.IDType, order.IDNo, order.AgentMobile, order.AgentEmail}},
	{"letter", "授权书", []order.Field{order.LetterImage}, []order.Field{order.AuthWay, order.OrgName, order.AgentName, order.AgentMobile, order.AgentEmail, order.LegalName}},
}

var monospaced = []order.Field{order.OrgUSCC, order.IDNo, order.AgentMobile}

// underReview is the order of the path, if it ever came to review. A draft is
// its applicant's own business.
func (k *console) underReview(c *fiber.Ctx) (order.Order, error) {
	o, err := k.Records.Order(c.UserContext(), order.ID(c.Params("id")))
	if err == nil && !submitted(o) {
		err = order.Errorf(order.NotFound, "order_not_found", "没有找到该订单，可能已被申请人撤回修改")
	}
	if err == nil {
		err = o.MayBeSeen()
	}
	return o, err
}

// submitted reports whether the applicant has done his part.
func submitted(o order.Order) bool {
	return o.Submission > 0 && !slices.Contains([]order.Status{order.Draft, order.AwaitingPayment}, o.Status)
}

func (k *console) reviewView(c *fiber.Ctx, inClear bool) (reviewView, error) {
	ctx := c.UserContext()
	o, err := k.underReview(c)
	if err != nil {
		return reviewView{}, err
	}
	events, err := k.Records.Events(ctx, o.ID)
	if err != nil {
		return reviewView{}, err
	}
	t := k.taskView(c, o)
	v := reviewView{
		ID: o.ID, No: o.No, Tail: t.Tail, Business: o.Business.Label(), State: o.State.Label(), Refund: o.Refund.Label(), Express: t.Express, Amount: o.Amount,
		Company: o.Company, UnitType: identity.UnitType(o.Form.Get(order.OrgType)).Label(), Product: o.Product.Name,
		Lines: lineViews(o), Term: o.Product.Term, Quantity: o.Quantity(), Submission: o.Submission,
		Submitted: t.Since, Due: t.Due, Waiting: t.Waiting, Overdue: t.Overdue && o.Status == order.InReview,
		Consent: o.Consent, Masked: !inClear, UnmaskReasons: unmaskReasons,
		Panels: k.panels(o, inClear), Ship: shipFacts(o, order.Form.Masked), History: k.history(ctx, events),
	}
	if err := k.aboutView(ctx, o, inClear, &v); err != nil {
		return v, err
	}
	v.Checks = append(k.checks(o), k.pictureChecks(ctx, o, v.Panels)...)
	if v.Evidence, err = k.evidence(ctx, o); err != nil {
		return v, err
	}
	if v.Evidence != nil {
		a, _, _, err := k.authorizationOf(ctx, o)
		if err != nil {
			return v, err
		}
		v.Checks = append(v.Checks, authorizationCheck(v.Evidence, a))
	}
	if v.Risks, err = k.risks(ctx, o); err != nil {
		return v, err
	}
	v.Delay = o.DelayNotice(k.Now())
	v.Decision = k.decision(c, o, events)
	return v, k.manage(c, o, &v.Decision)
}

// Count is how many checks and risks came out at a level.
func (v reviewView) Count(l level) int {
	n := 0
	for _, c := range slices.Concat(v.Checks, v.Risks) {
		if c.Level == l {
			n++
		}
	}
	return n
}

func (k *console) panels(o order.Order, inClear bool) []panelView {
	var out []panelView
	for _, p := range panels {
		if p.id == "letter" && o.Form.Get(order.AuthWay) == order.AuthMiniProgram {
			continue // the evidence of the signature takes its place
		}
		pv := panelView{ID: p.id, Title: p.title}
		for _, name := range p.pictures {
			spec, _ := name.Spec()
			if object := o.Form.Get(name); object != "" {
				pv.Pictures = append(pv.Pictures, documentView{Field: name, Label: spec.LabelFor(o.Form), URL: k.pictureURL(o.ID, object, sizeLarge)})
			}
		}
		for _, name := range p.fields {
			if f := factOf(o, name, inClear); f.Value != "" {
				pv.Fields = append(pv.Fields, f)
			}
		}
		if o.Certificate == "" || len(pv.Pictures) > 0 || p.id != "letter" && len(pv.Fields) > 0 {
			out = append(out, pv)
		}
	}
	return out
}

// factOf is a field with its value, masked unless inClear.
func factOf(o order.Order, name order.Field, inClear bool) factView {
	spec, _ := name.Spec()
	value := o.Form.Masked(name)
	if inClear {
		value = o.Form.Get(name)
	}
	f := factView{Field: name, Label: spec.LabelFor(o.Form), Value: labelOf(spec, value), Hidden: !inClear && spec.Mask != nil && value != "", Mono: slices.Contains(monospaced, name)}
	if name == order.OrgType && value != "" {
		if code, err := identity.CheckUnitCode(o.USCC); err == nil {
			if want, known := code.UnitType(); known && string(want) != o.Form.Get(order.OrgType) {
				f.Expect = want.Label()
			}
		}
	}
	return f
}

// shipFacts are the delivery fields, seen through get.
func shipFacts(o order.Order, get func(order.Form, order.Field) string) []factView {
	var out []factView
	for _, spec := range order.Fields {
		if value := get(o.Form, spec.Name); spec.Group == order.GroupShip && value != "" && spec.IsAsked(o.Product, o.Form) {
			out = append(out, factView{Field: spec.Name, Label: spec.Label, Value: labelOf(spec, value), Hidden: value != o.Form.Get(spec.Name)})
		}
	}
	return out
}

// history is what happened so far, newest first, with earlier rejections.
func (k *console) history(ctx context.Context, events []order.EventRecord) []momentView {
	var out []momentView
	for _, e := range slices.Backward(events) {
		text := e.Label()
		switch {
		case e.Event == order.Assign: // the note is whom to
			text += "：" + k.staffName(ctx, e.Note)
		case e.Note != "":
			text += "：" + e.Note
		}
		out = append(out, momentView{At: e.At, Text: text, Who: k.nameOf(ctx, e)})
	}
	return out
}

// decisionView is what the reviewer can do now.
type decisionView struct {
	CanClaim, CanDecide bool
	Second              bool // the second of two approvals
	Mine                bool
	Until               time.Time // when the claim runs out
	Says                string    // why nothing can be decided, or who is at it
	Blocked             string    // why approval would be refused
	Ticks               []choice
	Reasons             []reasonGroup
	Note, Snapshot      string
	Rejecting           bool
	Colleagues          []choice // whom the task may be given to
	Delays              []choice // why it is late, for the leader to say
}

type reasonGroup struct {
	Label, Panel string
	Reasons      []choice
}

func (k *console) decision(c *fiber.Ctx, o order.Order, events []order.EventRecord) decisionView {
	m, v := staffOf(c), decisionView{Snapshot: o.Snapshot, Reasons: reasonGroups()}
	for _, t := range order.Ticks {
		v.Ticks = append(v.Ticks, choice{Value: string(t), Label: t.Label()})
	}
	last, _ := order.LastReview(events)
	own := m.PersonID == o.PersonID || m.Company != "" && m.Company == o.USCC
	switch {
	case o.Refund != order.NoRefund:
		v.Says = "订单" + o.Refund.Label() + "，不再审核"
	case own && o.Status == order.InReview:
		v.Says = "这是您本人或本单位的订单，请由其他审核员处理"
	case o.Stage == order.Queued:
		v.CanClaim = true
	case o.Stage == order.Claimed && o.ReviewerID == m.ID:
		v.CanDecide, v.Mine, v.Until = true, true, last.At.Add(claimLife(last))
	case o.Stage == order.Claimed:
		v.Says = k.staffName(c.UserContext(), o.ReviewerID) + "正在审核（" + clock(last.At.Add(claimLife(last))) + " 前锁定）"
	case o.Stage == order.SecondApproval && o.FirstApprover == m.ID:
		v.Says = "您已通过初审，等待另一位审核员复核"
	case o.Stage == order.SecondApproval:
		v.CanDecide, v.Second = true, true
	case last.Event == order.Approve || last.Event == order.Reject:
		v.Says = "已由" + k.nameOf(c.UserContext(), last) + "于 " + clock(last.At) + " 处理：" + last.Label()
	default:
		v.Says = "当前为「" + o.State.Label() + "」，不需要审核"
	}
	if o.RealName != order.RealNameMatch && o.RealName != order.RealNameManual {
		v.Blocked = "经办人实名：" + o.RealName.Label() + "，暂不能通过"
	}
	return v
}

// claimLife is how long the claim lasts that an event began.
func claimLife(e order.EventRecord) time.Duration {
	if e.Event == order.Assign {
		return order.AssignLife
	}
	return order.ClaimLife
}

// manage fills in what was ticked already and what a leader, or whoever holds the
// claim, may do beside deciding.
func (k *console) manage(c *fiber.Ctx, o order.Order, v *decisionView) error {
	m := staffOf(c)
	if v.CanDecide {
		checks, err := k.Records.ReviewChecks(c.UserContext(), o.ID, m.ID)
		if err != nil {
			return err
		}
		for i := range v.Ticks {
			v.Ticks[i].Chosen = checks.Snapshot == o.Snapshot && slices.Contains(checks.Ticks, order.Tick(v.Ticks[i].Value))
		}
	}
	open := o.Refund == order.NoRefund && slices.Contains([]order.Stage{order.Queued, order.Claimed}, o.Stage)
	if open && (m.Leader || v.Mine) {
		staff, err := k.Records.StaffWithRole(c.UserContext(), order.Reviewer)
		if err != nil {
			return err
		}
		for _, s := range staff {
			if s.ID != o.ReviewerID && s.PersonID != o.PersonID && (s.Company == "" || s.Company != o.USCC) {
				v.Colleagues = append(v.Colleagues, choice{Value: s.ID, Label: s.Name})
			}
		}
	}
	if m.Leader && o.Late(k.Now()) && o.Refund == order.NoRefund {
		for _, d := range order.Delays {
			v.Delays = append(v.Delays, choice{string(d), d.Label(), d == o.Delay})
		}
	}
	return nil
}

// reasonGroups are the templates R01–R20 by the document they are about.
func reasonGroups() []reasonGroup {
	groups := []reasonGroup{{Label: "营业执照与单位", Panel: "license"}, {Label: "经办人证件", Panel: "person"}, {Label: "授权书", Panel: "letter"}, {Label: "其他"}}
	of := map[order.Field]int{
		order.OrgName: 0, order.OrgUSCC: 0, order.LicenseImage: 0, order.LegalName: 0,
		order.IDFront: 1, order.IDBack: 1, order.IDNo: 1, order.AgentName: 1, order.LetterImage: 2, order.AuthWay: 2,
	}
	for _, r := range order.Reasons {
		i, known := of[r.Anchor]
		if !known {
			i = 3
		}
		if r.Code != "R20" { // the note stands for it
			groups[i].Reasons = append(groups[i].Reasons, choice{Value: r.Code, Label: r.Text})
		}
	}
	return groups
}

// restore keeps what the reviewer had chosen when his decision was refused.
func (v *decisionView) restore(c *fiber.Ctx) {
	ticks, reasons := formValues(c, "tick"), formValues(c, "reason")
	for i := range v.Ticks {
		v.Ticks[i].Chosen = slices.Contains(ticks, v.Ticks[i].Value)
	}
	for _, g := range v.Reasons {
		for i := range g.Reasons {
			g.Reasons[i].Chosen = slices.Contains(reasons, g.Reasons[i].Value)
		}
	}
	v.Note = c.FormValue("note")
	v.Rejecting = strings.HasSuffix(c.Path(), "/reject")
}

type previewView struct {
	SMS, Page string
	Length    int
}

// rejectionSMS is the message that the applicant would get.
func (k *console) rejectionSMS(o order.Order) (string, error) {
	if len(o.Reasons) == 0 {
		return "", nil
	}
	template, params, err := notice.SMS(order.NoticeRejected, o, notice.Links{PublicURL: strings.TrimSuffix(k.PublicURL.String(), "/")})
	if err != nil {
		return "", err
	}
	text, ok := notice.SMSTemplates()[template]
	if !ok {
		return "", errors.New("the rejection has no SMS template")
	}
	for i, p := range params {
		text = strings.ReplaceAll(text, "{"+strconv.Itoa(i+1)+"}", p)
	}
	return text, nil
}
