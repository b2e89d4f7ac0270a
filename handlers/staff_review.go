package handlers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

func (k *console) reviewRoutes() {
	k.authorizationRoutes()
	k.get("/staff/review", OfStaff, k.queue, order.Reviewer)
	k.get("/staff/review/:id", OfStaff, k.review, order.Reviewer)
	k.post("/staff/review/:id/claim", OfStaff, k.claim, order.Reviewer)
	k.post("/staff/review/:id/release", OfStaff, k.release, order.Reviewer)
	k.post("/staff/review/:id/ticks", OfStaff, k.tick, order.Reviewer)
	k.post("/staff/review/:id/assign", OfStaff, k.assign, order.Reviewer)
	k.post("/staff/review/:id/delay", OfStaff, k.delay, order.Reviewer)
	k.get("/staff/stats", OfStaff, k.stats, order.Reviewer)
	k.post("/staff/review/:id/approve", OfStaff, k.approve, order.Reviewer)
	k.post("/staff/review/:id/reject", OfStaff, k.reject, order.Reviewer)
	k.post("/staff/review/:id/preview", OfStaff, k.preview, order.Reviewer)
	k.post("/staff/review/:id/unmask", OfStaff, k.unmask, order.Reviewer)
}

// overdueTab is the tab of the reviews that are late, whatever their stage.
const overdueTab order.Stage = "overdue"

// openingTab is the tab of the orders without which bids cannot be opened in the next
// days: an unlock, a freeze to be taken back, a renewal.
const (
	openingTab   order.Stage = "opening"
	openingAhead             = 3 * 24 * time.Hour
)

// expressTab is the tab of the orders that were paid for to be done soon.
const expressTab order.Stage = "express"

// queueStages are the tabs of the review queue.
var queueStages = []order.Stage{order.Queued, order.SecondApproval, order.Claimed, order.AwaitingAuthorization, expressTab, openingTab, overdueTab}

func tabLabel(s order.Stage) string {
	switch s {
	case overdueTab:
		return "超时"
	case openingTab:
		return "即将开标"
	case expressTab:
		return "加急"
	default:
		return s.Label()
	}
}

type queueView struct {
	Tabs []tabView
	Rows []taskView
	Next string
}

// taskView is a line of the queue: what may stand on a task card too, so no
// personal data (flows.md 4.4).
type taskView struct {
	ID                   order.ID
	Title, Tail, Company string
	Quantity             int
	Again                bool // a resubmission
	Since, Due           time.Time
	Waiting              string
	Overdue              bool
	Who                  string // holds the claim
	Waits                bool   // for the legal representative: nothing to do yet (G9)
	Express              string // how its express promise stands, if it has one
	Opening              string // when bids are opened that need it, if soon
}

// queue lists what waits for review, what is promised for the earliest moment first.
func (k *console) queue(c *fiber.Ctx) error {
	stage := order.Stage(c.Query("stage", string(order.Queued)))
	if !slices.Contains(queueStages, stage) {
		return order.Errorf(order.Invalid, "stage_unknown", "没有该任务分类，请重新选择")
	}
	filter := order.Filter{Status: order.InReview, Stage: stage, Sort: order.DueFirst}
	switch stage {
	case overdueTab:
		filter.Stage, filter.ReviewDueBefore = "", k.Now()
	case expressTab:
		filter.Stage, filter.Express = "", order.ExpressPromised
	case openingTab:
		filter.Stage, filter.OpensFrom, filter.OpensUntil = "", k.Now(), k.Now().Add(openingAhead)
	default:
	}
	f, err := listPage(c, filter)
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	var v queueView
	for _, s := range queueStages {
		v.Tabs = append(v.Tabs, tabView{tabLabel(s), "/staff/review?stage=" + string(s), s == stage})
	}
	for _, o := range page.Orders {
		v.Rows = append(v.Rows, k.taskView(c, o))
	}
	v.Next = link("/staff/review?stage="+string(stage)+"&after=", page.Next)
	return k.show(c, "queue", "审核任务", v, nil)
}

func (k *console) taskView(c *fiber.Ctx, o order.Order) taskView {
	t := taskView{
		ID: o.ID, Title: o.Business.Label() + " · ¥" + o.Amount.Yuan(), Tail: order.TailOf(o.No), Company: o.Company, Quantity: o.Quantity(),
		Again: o.Submission > 1, Since: submittedAt(o), Due: o.DueAt, Overdue: !o.DueAt.IsZero() && k.Now().After(o.DueAt),
	}
	t.Express = o.Express.Label()
	t.Waits = o.Stage == order.AwaitingAuthorization
	if !o.ReviewDue.IsZero() {
		t.Due, t.Overdue = o.ReviewDue, o.Late(k.Now())
	}
	t.Waiting = lasting(k.Now().Sub(t.Since))
	if o.Stage == order.Claimed {
		t.Who = k.name(c.UserContext(), o.ReviewerID, "")
	}
	if o.Certificate != "" {
		ahead, err := k.Records.Openings(c.UserContext(), o.Certificate, k.Now())
		if err != nil {
			k.Log.ErrorContext(c.UserContext(), "reading which bids are opened", "err", err)
		}
		if len(ahead) > 0 && !ahead[0].At.After(k.Now().Add(openingAhead)) {
			t.Opening = opensAt(ahead[0].At, k.Now())
		}
	}
	return t
}

// submittedAt is when the applicant had done his part.
func submittedAt(o order.Order) time.Time {
	if o.PaidAt.After(o.PlacedAt) {
		return o.PaidAt
	}
	return o.PlacedAt
}

// lasting writes a duration in the two units that matter.
func lasting(d time.Duration) string {
	minutes := max(0, int(d.Minutes()))
	days, hours := minutes/(24*60), minutes/60%24
	switch {
	case days > 0:
		return fmt.Sprintf("%d 天 %d 小时", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d 小时 %d 分", hours, minutes%60)
	default:
		return fmt.Sprintf("%d 分钟", minutes)
	}
}

// review is the one page on which an order is judged.
func (k *console) review(c *fiber.Ctx) error {
	v, err := k.reviewView(c, false)
	if err != nil {
		return err
	}
	if err := k.Staffing.Record(c.UserContext(), v.ID, order.ActionSee+"materials", actor(c, order.Reviewer), "ok"); err != nil {
		return err
	}
	return k.show(c, "review", "审核 "+v.Tail, v, nil)
}

// refuse shows the review page again with what went wrong on top.
func (k *console) refuse(c *fiber.Ctx, refusal error) error {
	if _, ok := order.AsError(refusal); !ok || c.Get("HX-Request") == "true" {
		return refusal
	}
	v, err := k.reviewView(c, false)
	if err != nil {
		return err
	}
	v.Decision.restore(c)
	return k.show(c, "review", "审核 "+v.Tail, v, refusal)
}

// decide applies a reviewer's command and returns to the page, or to the queue
// when his part is done.
func (k *console) decide(c *fiber.Ctx, cmd order.Command, then string) error {
	_, err := k.act(c, order.Reviewer, cmd)
	if err != nil {
		if err = k.explain(c, cmd, err); err != nil {
			return k.refuse(c, err)
		}
	}
	return c.Redirect(then, http.StatusSeeOther)
}

// explain turns the refusal of a decision into who was first. The same decision
// again by the same reviewer, as by a double click, is no refusal.
func (k *console) explain(c *fiber.Ctx, cmd order.Command, refusal error) error {
	if !errors.Is(refusal, order.Conflict) && !errors.Is(refusal, order.Forbidden) {
		return refusal
	}
	events, err := k.Records.Events(c.UserContext(), order.ID(c.Params("id")))
	if err != nil {
		return err
	}
	last, ok := order.LastReview(events)
	switch {
	case !ok:
		return refusal
	case last.ActorID == staffOf(c).ID:
		if last.Event == cmd.On {
			return nil
		}
		return refusal
	case last.Event == order.Claim:
		return order.Errorf(order.Conflict, "claimed_by_other", "%s正在审核该订单（%s 领取）", k.nameOf(c.UserContext(), last), clock(last.At))
	case last.Event == order.Assign:
		return order.Errorf(order.Conflict, "assigned_to_other", "该订单已指派给%s（%s）", k.staffName(c.UserContext(), last.Note), clock(last.At))
	case last.Event == order.Approve && errors.Is(refusal, order.Conflict), last.Event == order.Reject:
		return order.Errorf(order.Conflict, "decided_by_other", "该订单已由%s于 %s 处理：%s", k.nameOf(c.UserContext(), last), clock(last.At), last.Label())
	default:
		return refusal
	}
}

// clock writes a time of day, for today's events.
func clock(t time.Time) string { return t.In(order.Shanghai).Format("01-02 15:04") }

func (k *console) here(c *fiber.Ctx) string { return "/staff/review/" + c.Params("id") }

func (k *console) claim(c *fiber.Ctx) error {
	return k.decide(c, order.Command{On: order.Claim}, k.here(c))
}

func (k *console) release(c *fiber.Ctx) error {
	return k.decide(c, order.Command{On: order.Release}, "/staff/review")
}

// approve says yes to exactly what the page showed: the snapshot's hash.
func (k *console) approve(c *fiber.Ctx) error {
	cmd := order.Command{On: order.Approve, Snapshot: c.FormValue("snapshot")}
	for _, t := range formValues(c, "tick") {
		cmd.Ticks = append(cmd.Ticks, order.Tick(t))
	}
	return k.decide(c, cmd, k.here(c))
}

// tick keeps what is ticked so far: it is there when the page is opened again, and
// a decision by chat rests on it.
func (k *console) tick(c *fiber.Ctx) error {
	var ticks []order.Tick
	for _, t := range formValues(c, "tick") {
		ticks = append(ticks, order.Tick(t))
	}
	if err := k.Orders.TickChecks(c.UserContext(), order.ID(c.Params("id")), actor(c, order.Reviewer), c.FormValue("snapshot"), ticks); err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

// assign gives the task to a colleague.
func (k *console) assign(c *fiber.Ctx) error {
	to := c.FormValue("to")
	return k.decide(c, order.Command{On: order.Assign, Assignee: to, Note: to}, k.here(c))
}

// delay says to the applicant why the review takes longer.
func (k *console) delay(c *fiber.Ctx) error {
	d := order.Delay(c.FormValue("delay"))
	return k.decide(c, order.Command{On: order.ExplainDelay, Delay: d, Note: d.Label()}, k.here(c))
}

func (k *console) reject(c *fiber.Ctx) error {
	reasons := typedReasons(c)
	return k.decide(c, order.Command{On: order.Reject, Reasons: reasons, Note: codesOf(reasons)}, k.here(c))
}

// typedReasons are the templates chosen and the free text, which is R20.
func typedReasons(c *fiber.Ctx) []order.Reason {
	var out []order.Reason
	note := strings.TrimSpace(c.FormValue("note"))
	for _, code := range formValues(c, "reason") {
		if code != "R20" {
			out = append(out, order.Reason{Code: code})
		}
	}
	if note != "" || slices.Contains(formValues(c, "reason"), "R20") {
		out = append(out, order.Reason{Code: "R20", Note: note})
	}
	return out
}

// codesOf is what the history keeps of a rejection for ever: the templates, not
// the free text, which may name people.
func codesOf(reasons []order.Reason) string {
	var texts []string
	for _, r := range reasons {
		if spec, ok := r.Spec(); ok {
			texts = append(texts, spec.Code+" "+spec.Text)
		}
	}
	return strings.Join(texts, "；")
}

// preview shows the SMS that a rejection would send. It changes nothing.
func (k *console) preview(c *fiber.Ctx) error {
	o, err := k.underReview(c)
	if err != nil {
		return err
	}
	o.Reasons = typedReasons(c)
	text, err := k.rejectionSMS(o)
	if err != nil {
		return err
	}
	return k.render(c, http.StatusOK, "staff/preview", "", previewView{text, o.ReasonTexts(), utf8.RuneCountInString(text)})
}

// unmaskReasons are why a reviewer may see personal data in the clear. They are
// codes, so that the audit trail holds no free text.
var unmaskReasons = []choice{{Value: "compare", Label: "与图片逐字核对"}, {Value: "contact", Label: "需要联系经办人"}, {Value: "dispute", Label: "处理异议或投诉"}}

// unmasksAnHour is how many times a member of staff may look behind the masks.
const unmasksAnHour = 60

// unmask shows the order's personal data in the clear, once, and says so in the
// audit trail (rules.md §3.2).
func (k *console) unmask(c *fiber.Ctx) error {
	reason := c.FormValue("why")
	if !slices.ContainsFunc(unmaskReasons, func(r choice) bool { return r.Value == reason }) {
		return k.refuse(c, order.Errorf(order.Invalid, "reason_required", "请选择查看完整信息的原因"))
	}
	v, err := k.reviewView(c, true)
	if err != nil {
		return err
	}
	if err := k.reveal(c, order.Reviewer, order.ActionUnmask+reason); err != nil {
		return k.refuse(c, err)
	}
	if c.Get("HX-Request") == "true" {
		return k.render(c, http.StatusOK, "staff/materials", "", v)
	}
	return k.show(c, "review", "审核 "+v.Tail, v, nil)
}

// reveal permits and records one look at personal data in the clear.
func (k *console) reveal(c *fiber.Ctx, r order.Role, action string) error {
	by := actor(c, r)
	if err := allow(c.UserContext(), k.Once, "unmask:"+by.StaffID, unmasksAnHour, time.Hour, "查看完整信息过于频繁，请稍后再试"); err != nil {
		return err
	}
	return k.Staffing.Record(c.UserContext(), order.ID(c.Params("id")), action, by, "ok")
}

// formValues are all values of a form field.
func formValues(c *fiber.Ctx, name string) []string {
	var out []string
	for _, v := range c.Request().PostArgs().PeekMulti(name) {
		out = append(out, string(v))
	}
	if form, err := c.MultipartForm(); err == nil {
		out = append(out, form.Value[name]...)
	}
	return out
}
