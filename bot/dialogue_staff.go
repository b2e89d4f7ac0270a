package bot

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/order"
)

// confirmTTL is how long a decision waits for its code, confirmTries how often a
// wrong one may be typed.
const (
	confirmTTL   = 5 * time.Minute
	confirmTries = 3
)

// desk is what a reviewer has begun and not finished. It names orders and staff by
// id and holds nothing about applicants.
type desk struct {
	// List are the tasks a digit chooses from, Wish what is to happen to the chosen.
	List []order.ID `json:"list,omitempty"`
	Wish wish       `json:"wish"`
	// Code confirms Wish for Order.
	Code     string   `json:"code,omitempty"`
	Order    order.ID `json:"order,omitempty"`
	Snapshot string   `json:"snapshot,omitempty"`
	Tries    int      `json:"tries,omitempty"`
	// Used is the code that Wish was confirmed with: typed twice, it does nothing more.
	Used string `json:"used,omitempty"`
}

// wish is a decision as it was typed.
type wish struct {
	On       order.Event `json:"on,omitempty"`
	Reasons  []string    `json:"reasons,omitempty"`  // codes
	Assignee string      `json:"assignee,omitempty"` // as typed
	Staff    string      `json:"staff,omitempty"`    // id of the assignee
}

func (t *turn) recallDesk(ctx context.Context) desk {
	var d desk
	b, err := t.Memory.Recall(ctx, "desk:"+t.openid)
	if err == nil && len(b) > 0 {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Log.WarnContext(ctx, "recalling a desk", "err", err) // the reviewer starts anew
		return desk{}
	}
	return d
}

// keepDesk remembers d; the zero value forgets. Without memory nothing can be
// confirmed, so its failure is the caller's.
func (t *turn) keepDesk(ctx context.Context, d desk) error {
	if d.Code == "" && d.Used == "" && len(d.List) == 0 {
		return t.Memory.Remember(ctx, "desk:"+t.openid, nil, confirmTTL)
	}
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return t.Memory.Remember(ctx, "desk:"+t.openid, b, confirmTTL)
}

var (
	confirmPattern = regexp.MustCompile(`^\d{4}$`)
	claimPattern   = regexp.MustCompile(`^(领取|领单|认领|受理|释放|放回)(?:任务|订单)?\s*(?:尾号)?\s*(\d{3,6}(?:[\s、,，和]+\d{3,6}){0,4})$`)
	tailPattern    = regexp.MustCompile(`\d+`)
	quietPattern   = regexp.MustCompile(`^免打扰\s*(.*)$`)
	hoursPattern   = regexp.MustCompile(`^(\d{1,2}):(\d{2})\s*(?:-|–|—|~|到|至)\s*(\d{1,2}):(\d{2})$`)
	overdueWords   = regexp.MustCompile(`超时|逾期|过期|延迟|到期`)
	statsWords     = regexp.MustCompile(`统计|汇总|战报|今天.*(?:审|批|处理).*(?:多少|几)`)
)

// shortcuts are the staff's messages that are no sentences. The first whose
// pattern fits and that has something to say answers.
var shortcuts = []struct {
	pattern *regexp.Regexp
	answer  func(t *turn, ctx context.Context, m order.Staff, parts []string) (text string, ok bool, err error)
}{
	{confirmPattern, (*turn).confirm},
	{choicePattern, (*turn).chooseTask},
	{offListPattern, (*turn).chooseTask},
	{claimPattern, (*turn).claimOrRelease},
	{quietPattern, (*turn).quiet},
}

// shortcut answers a reviewer's message that is no sentence; ok is false when it
// is none.
func (t *turn) shortcut(ctx context.Context) (text string, ok bool, err error) {
	for _, s := range shortcuts {
		parts := s.pattern.FindStringSubmatch(t.text)
		if parts == nil {
			continue
		}
		m, isStaff, err := t.member(ctx)
		if err != nil || !isStaff {
			return "", false, err
		}
		if text, ok, err = s.answer(t, ctx, m, parts); ok || err != nil {
			return text, ok, err
		}
	}
	return "", false, nil
}

// staff answers what only staff may ask; everybody else hears that the bot does
// not know what they mean (rule 9).
func (t *turn) staff(ctx context.Context, i intent.Intent) (string, error) {
	m, ok, err := t.member(ctx)
	if err != nil {
		return "", err
	}
	if !ok {
		return t.fill(advice[intent.OutOfScope]), nil
	}
	if quietPattern.MatchString(t.text) {
		text, _, err := t.quiet(ctx, m, quietPattern.FindStringSubmatch(t.text))
		return text, err
	}
	switch {
	case !m.Has(order.Reviewer) && i == intent.StaffQueue:
		return t.toDo(ctx, m)
	case !m.Has(order.Reviewer):
		return t.fill(textNotReviewer), nil
	case i == intent.StaffQueue && statsWords.MatchString(t.text):
		return t.stats(ctx)
	case i == intent.StaffQueue && overdueWords.MatchString(t.text):
		return t.overdue(ctx)
	case i == intent.StaffQueue:
		return t.queue(ctx, m)
	}
	w := wishes(i, t.meant.Slots)
	if len(t.meant.Also) > 0 {
		return t.oneByOne(w), nil
	}
	return t.task(ctx, m, w)
}

// wishes are what a staff intent wants to happen.
func wishes(i intent.Intent, s intent.Slots) wish {
	var codes []string
	if code := cmp.Or(s[intent.SlotReasonCode], intent.ReasonCode(s[intent.SlotReason])); code != "" {
		codes = strings.Split(code, ",")
	}
	return wish{
		On:       map[intent.Intent]order.Event{intent.StaffApprove: order.Approve, intent.StaffReject: order.Reject, intent.StaffAssign: order.Assign}[i],
		Reasons:  codes,
		Assignee: s[intent.SlotAssignee],
	}
}

// oneByOne asks for a command of its own for each of several tasks: a code confirms one
// decision, and which reason is whose only their reviewer knows.
func (t *turn) oneByOne(w wish) string {
	first := cmp.Or(t.meant.Slots[intent.SlotOrderNo], t.meant.Slots[intent.SlotOrderTail])
	named := append([]string{first}, t.meant.Also...)
	list := strings.Join(named[:min(len(named), maxChoices)], "、")
	if len(named) > maxChoices {
		list += " 等"
	}
	example := map[order.Event]string{order.Approve: "通过 {no}", order.Reject: "驳回 {no} R××", order.Assign: "指派 {no} 给 {name}"}[w.On]
	return strings.NewReplacer("{n}", strconv.Itoa(len(named)), "{list}", list,
		"{example}", strings.NewReplacer("{no}", first, "{name}", cmp.Or(w.Assignee, "同事姓名")).Replace(example)).Replace(textOneByOne)
}

// member returns the member of staff behind the openid.
func (t *turn) member(ctx context.Context) (order.Staff, bool, error) {
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return order.Staff{}, false, err
	}
	m, err := t.Store.StaffByPerson(ctx, p.ID)
	if errors.Is(err, order.NotFound) {
		return order.Staff{}, false, nil
	}
	return m, err == nil && !m.Disabled, err
}

// queue lists what a reviewer could take on now, the most urgent first.
func (t *turn) queue(ctx context.Context, m order.Staff) (string, error) {
	claimed, err := t.Store.Orders(ctx, order.Filter{Status: order.InReview, Stage: order.Claimed, Sort: order.DueFirst, Limit: 50})
	if err != nil {
		return "", err
	}
	var mine []order.Order
	for _, o := range claimed.Orders {
		if o.ReviewerID == m.ID {
			mine = append(mine, o)
		}
	}
	waiting, err := t.Store.Orders(ctx, order.Filter{Status: order.InReview, Stage: order.Queued, Sort: order.DueFirst, Limit: 50})
	if err != nil {
		return "", err
	}
	second, err := t.Store.Orders(ctx, order.Filter{Status: order.InReview, Stage: order.SecondApproval, Sort: order.DueFirst, Limit: 50})
	if err != nil {
		return "", err
	}
	if len(mine)+len(waiting.Orders)+len(second.Orders) == 0 {
		return textQueueEmpty, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "待受理 %s · 待复核 %s · 我正在审 %d\n", atLeast(waiting), atLeast(second), len(mine))
	left := maxChoices
	for _, part := range []struct {
		label  string
		orders []order.Order
	}{{"我正在审", mine}, {"待受理", waiting.Orders}, {"待复核", second.Orders}} {
		for _, o := range part.orders {
			if left == 0 {
				break
			}
			left--
			b.WriteString(t.taskLine(o, part.label) + "\n")
		}
	}
	b.WriteString(`<a href="` + t.PublicURL + `/staff">打开审核台</a>`)
	return b.String(), nil
}

// afterReview is where approved orders wait for members of staff, by their role.
var afterReview = []struct {
	role   order.Role
	queues []waitingList
	path   string
}{
	{order.Issuer, []waitingList{
		{"待制证", order.Filter{Status: order.ToIssue, Stage: order.Unclaimed}},
		{"制证失败", order.Filter{Status: order.ToIssue, Stage: order.MakingFailed}},
	}, "/staff/making"},
	{order.Shipper, []waitingList{
		{"待寄出", order.Filter{Status: order.ToShip, Stage: order.ToPost}},
		{"待自取", order.Filter{Status: order.ToShip, Stage: order.ToPickUp}},
	}, "/staff/shipping"},
}

// waitingList is a queue with what it is called.
type waitingList struct {
	label string
	of    order.Filter
}

// toDo lists what waits for a member of staff who does not review, what is promised for
// the earliest moment first.
func (t *turn) toDo(ctx context.Context, m order.Staff) (string, error) {
	var b strings.Builder
	for _, d := range afterReview {
		if !m.Has(d.role) {
			continue
		}
		var counts, lines []string
		for _, q := range d.queues {
			q.of.Sort, q.of.Limit = order.DueFirst, maxChoices
			page, err := t.Store.Orders(ctx, q.of)
			if err != nil {
				return "", err
			}
			counts = append(counts, q.label+" "+atLeast(page))
			for _, o := range page.Orders {
				lines = append(lines, t.waits(o, q.label))
			}
		}
		lines = lines[:min(len(lines), 3)] // two desks are as long as an answer may be
		b.WriteString(strings.Join(append([]string{strings.Join(counts, " · ")}, lines...), "\n"))
		b.WriteString("\n<a href=\"" + t.PublicURL + d.path + "\">打开工作台</a>\n")
	}
	if b.Len() == 0 {
		return t.fill(textNotReviewer), nil
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// overdue lists the reviews that are late, the most urgent first.
func (t *turn) overdue(ctx context.Context) (string, error) {
	page, err := t.Store.Orders(ctx, order.Filter{Status: order.InReview, ReviewDueBefore: t.Now(), Sort: order.DueFirst, Limit: maxChoices})
	if err != nil {
		return "", err
	}
	if len(page.Orders) == 0 {
		return "没有超时的审核任务。回复「待办」查看全部任务。", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "超时任务 %s\n", atLeast(page))
	for _, o := range page.Orders {
		b.WriteString(t.taskLine(o, o.Stage.Label()+"，应于 "+o.ReviewDue.In(order.Shanghai).Format("01-02 15:04")) + "\n")
	}
	return b.String() + `<a href="` + t.PublicURL + `/staff/review?stage=overdue">查看全部</a>`, nil
}

// stats is how the day of reviewing goes.
func (t *turn) stats(ctx context.Context) (string, error) {
	now := t.Now()
	s, err := order.DayStats(ctx, t.Store, now, now)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("今日统计（%s）\n通过 %d · 拒绝 %d\n待受理 %d · 待复核 %d · 超时 %d\n<a href=\"%s/staff/stats\">查看每人明细</a>",
		now.In(order.Shanghai).Format("01-02 15:04"), s.Approved, s.Rejected, s.Queued, s.Second, s.Overdue, t.PublicURL), nil
}

func atLeast(p order.Page) string {
	if p.Next != (order.Cursor{}) {
		return fmt.Sprintf("%d+", len(p.Orders))
	}
	return fmt.Sprint(len(p.Orders))
}

// taskLine names a task without any personal data (flows 4.4).
func (t *turn) taskLine(o order.Order, label string) string {
	return fmt.Sprintf(`%s<a href="%s">打开审核</a>`, t.waits(o, label), t.reviewURL(o))
}

// waits is taskLine without the link.
func (t *turn) waits(o order.Order, label string) string {
	since := t.Now().Sub(o.UpdatedAt).Truncate(time.Minute)
	return fmt.Sprintf(`%s（%s，等待 %d:%02d）`, taskName(o), label, int(since.Hours()), int(since.Minutes())%60)
}

func taskName(o order.Order) string {
	hurry := ""
	if o.Express == order.ExpressPromised {
		hurry = "【加急】"
	}
	return fmt.Sprintf("%s…%s %s ¥%s %s", hurry, order.TailOf(o.No), o.Business.Label(), o.Amount.Yuan(), o.Company)
}

func (t *turn) reviewURL(o order.Order) string {
	return t.PublicURL + "/staff/review/" + string(o.ID)
}

// task finds the task that a command names: one is acted on, several are listed,
// of none is told who decided it.
func (t *turn) task(ctx context.Context, m order.Staff, w wish) (string, error) {
	no := cmp.Or(t.meant.Slots[intent.SlotOrderNo], t.meant.Slots[intent.SlotOrderTail])
	return t.taskNamed(ctx, m, no, w)
}

func (t *turn) taskNamed(ctx context.Context, m order.Staff, no string, w wish) (string, error) {
	page, err := t.Store.Orders(ctx, order.Filter{Status: order.InReview, No: no, Limit: maxChoices})
	if err != nil {
		return "", err
	}
	switch len(page.Orders) {
	case 0:
		return t.decidedAlready(ctx, no)
	case 1:
		return t.wishFor(ctx, m, page.Orders[0], w)
	}
	d := desk{Wish: w}
	var b strings.Builder
	b.WriteString(fillIn(textWhichTask, "{n}", atLeast(page), "{alike}", either(no != "", "尾号相同", "在等审核")) + "\n")
	for i, o := range page.Orders {
		d.List = append(d.List, o.ID)
		fmt.Fprintf(&b, "%d. %s（%s，%s 提交）\n", i+1, taskName(o), o.Stage.Label(), o.PlacedAt.In(order.Shanghai).Format("01-02"))
	}
	t.state.List = nil // a digit means this list now
	return strings.TrimSuffix(b.String(), "\n"), t.keepDesk(ctx, d)
}

// chooseTask takes a digit as the choice from the list of tasks shown last.
func (t *turn) chooseTask(ctx context.Context, m order.Staff, parts []string) (string, bool, error) {
	if len(t.state.List) > 0 {
		return "", false, nil
	}
	d := t.recallDesk(ctx)
	if len(d.List) == 0 {
		return "", false, nil
	}
	k := ordinals[parts[1]]
	if k == 0 || k > len(d.List) {
		return upTo(len(d.List)), true, nil
	}
	o, err := t.Store.Order(ctx, d.List[k-1])
	if err != nil {
		return "", true, err
	}
	text, err := t.wishFor(ctx, m, o, d.Wish)
	return text, true, err
}

// decidedAlready tells who was first.
func (t *turn) decidedAlready(ctx context.Context, no string) (string, error) {
	page, err := t.Store.Orders(ctx, order.Filter{No: no, Limit: maxChoices})
	if err != nil {
		return "", err
	}
	for _, o := range page.Orders {
		if text, ok, err := t.decidedBy(ctx, o); ok || err != nil {
			return text, err
		}
	}
	return fmt.Sprintf("没有找到尾号 %s 的待审订单，可能已经处理。回复「待办」查看列表。", no), nil
}

func (t *turn) decidedBy(ctx context.Context, o order.Order) (string, bool, error) {
	events, err := t.Store.Events(ctx, o.ID)
	if err != nil {
		return "", false, err
	}
	last, ok := order.LastReview(events)
	if !ok || last.Event != order.Approve && last.Event != order.Reject || last.Role != order.Reviewer {
		return "", false, nil
	}
	return fmt.Sprintf("%s 已由%s于 %s 处理：%s，现在是「%s」。", taskName(o), t.colleague(ctx, last.ActorID), last.At.In(order.Shanghai).Format("01-02 15:04"), last.Event.Label(), o.State.Label()), true, nil
}

func (t *turn) colleague(ctx context.Context, staffID string) string {
	if m, err := t.Store.Staff(ctx, staffID); err == nil {
		return m.Name
	}
	return order.Reviewer.Label()
}

// wishFor begins a decision about one task: with a code to confirm when all that
// it needs is there, else with the link to the page, which has the rest.
func (t *turn) wishFor(ctx context.Context, m order.Staff, o order.Order, w wish) (string, error) {
	if w.On == order.Claim || w.On == order.Release { // nothing is decided
		return t.move(ctx, o.ID, order.Command{On: w.On, By: m.Actor(order.Reviewer, order.OfficialAcc, "")})
	}
	onPage := func(why string) (string, error) { return why + "\n" + t.taskLine(o, o.Stage.Label()), nil }
	if o.Stage == order.SecondApproval && o.FirstApprover == m.ID && w.On != order.Assign {
		return onPage(textFirstApproved)
	}
	leaderAssigns := w.On == order.Assign && m.Leader
	if o.Stage == order.Claimed && o.ReviewerID != m.ID && !leaderAssigns {
		return onPage(t.colleague(ctx, o.ReviewerID) + "正在审核这个任务：")
	}
	mayDecide := o.Stage == order.Claimed && o.ReviewerID == m.ID || o.Stage == order.SecondApproval && o.FirstApprover != m.ID
	d := desk{Order: o.ID, Snapshot: o.Snapshot}
	var what string
	switch w.On {
	case order.Approve:
		checks, err := t.Store.ReviewChecks(ctx, o.ID, m.ID)
		if err != nil {
			return "", err
		}
		if !mayDecide || !checks.Complete(o) {
			return onPage(textDecideOnPage)
		}
		what = "通过 " + taskName(o) + "\n四项检查已于 " + checks.At.In(order.Shanghai).Format("01-02 15:04") + " 在页面勾选。"
	case order.Reject:
		why, ok := reasonsOf(w.Reasons, "{text}（{code}）")
		if !ok {
			return onPage(strings.ReplaceAll(textWhichReason, "{tail}", order.TailOf(o.No)))
		}
		if !mayDecide {
			return onPage(textDecideOnPage)
		}
		what = "驳回 " + taskName(o) + "\n申请人将收到：" + why + "。"
	case order.Assign:
		name := w.Assignee
		if name == "我" {
			name = m.Name
		}
		to, problem, err := t.assignee(ctx, name)
		if problem != "" || err != nil {
			return problem, err
		}
		w.Staff = to.ID
		what = "把 " + taskName(o) + " 指派给" + to.Name + "。"
	default:
		return onPage(textDecideOnPage)
	}
	code, err := rand.Int(rand.Reader, big.NewInt(10_000))
	if err != nil {
		return "", fmt.Errorf("making a confirmation code: %w", err)
	}
	d.Wish, d.Code = w, fmt.Sprintf("%04d", code)
	if err := t.keepDesk(ctx, d); err != nil {
		return "", err
	}
	return what + "\n" + strings.ReplaceAll(textConfirm, "{code}", d.Code), nil
}

// reasonsOf are the reasons with these codes, in a form of words; ok is false when there
// is none, or one of them needs more than its code.
func reasonsOf(codes []string, form string) (text string, ok bool) {
	var texts []string
	for _, code := range codes {
		spec, known := order.Reason{Code: code}.Spec()
		if !known || spec.Code == "R20" {
			return "", false
		}
		texts = append(texts, strings.NewReplacer("{code}", spec.Code, "{text}", spec.Text).Replace(form))
	}
	return strings.Join(texts, "；"), len(texts) > 0
}

// assignee finds the colleague whom a name means, whole or in part (李四, 小李).
func (t *turn) assignee(ctx context.Context, name string) (to order.Staff, problem string, err error) {
	staff, err := t.Store.StaffWithRole(ctx, order.Reviewer)
	if err != nil {
		return to, "", err
	}
	bare := strings.TrimLeft(strings.TrimRight(name, "工哥姐总"), "小老阿")
	fits := slices.DeleteFunc(slices.Clone(staff), func(s order.Staff) bool { return s.Name != name })
	if len(fits) == 0 && bare != "" {
		fits = slices.DeleteFunc(slices.Clone(staff), func(s order.Staff) bool { return !strings.HasPrefix(s.Name, bare) })
	}
	var names []string
	for _, s := range cmpOr(fits, staff) {
		names = append(names, s.Name)
	}
	switch len(fits) {
	case 1:
		return fits[0], "", nil
	case 0:
		return to, "没有找到审核员「" + name + "」。可以指派给：" + strings.Join(names, "、") + "。", nil
	default:
		return to, "有几位审核员都可能是「" + name + "」：" + strings.Join(names, "、") + "。请写出全名。", nil
	}
}

func cmpOr(a, b []order.Staff) []order.Staff {
	if len(a) > 0 {
		return a
	}
	return b
}

// confirm takes four digits as the code of the decision that waits for one.
func (t *turn) confirm(ctx context.Context, m order.Staff, parts []string) (string, bool, error) {
	d := t.recallDesk(ctx)
	if d.Code == "" && d.Used == parts[0] {
		text, err := t.usedBefore(ctx, d)
		return text, true, err
	}
	if d.Code == "" {
		return "", false, nil
	}
	if parts[0] != d.Code {
		d.Tries++
		if d.Tries >= confirmTries {
			d = desk{}
		}
		return textConfirmOver, true, t.keepDesk(ctx, d)
	}
	if err := t.keepDesk(ctx, desk{Used: d.Code, Order: d.Order}); err != nil { // a code works once
		return "", true, err
	}
	c := order.Command{On: d.Wish.On, By: m.Actor(order.Reviewer, order.OfficialAcc, "")}
	switch c.On {
	case order.Approve:
		checks, err := t.Store.ReviewChecks(ctx, d.Order, m.ID)
		if err != nil {
			return "", true, err
		}
		c.Snapshot, c.Ticks = d.Snapshot, checks.Ticks
	case order.Reject:
		for _, code := range d.Wish.Reasons {
			c.Reasons = append(c.Reasons, order.Reason{Code: code})
		}
		c.Note, _ = reasonsOf(d.Wish.Reasons, "{code} {text}")
	default:
		c.Assignee, c.Note = d.Wish.Staff, d.Wish.Staff
	}
	text, err := t.move(ctx, d.Order, c)
	return text, true, err
}

// usedBefore answers a code that is typed once more with what became of the task.
func (t *turn) usedBefore(ctx context.Context, d desk) (string, error) {
	o, err := t.Store.Order(ctx, d.Order)
	if err != nil {
		return "", err
	}
	now, ok, err := t.decidedBy(ctx, o)
	if !ok {
		now = taskName(o) + " 现在是「" + o.State.Label() + "」。"
	}
	return textConfirmUsed + now, err
}

// move applies a reviewer's command; a refusal tells who was first.
func (t *turn) move(ctx context.Context, id order.ID, c order.Command) (string, error) {
	o, err := t.Reviews.Apply(ctx, id, c)
	if errors.Is(err, order.Conflict) || errors.Is(err, order.Forbidden) {
		now, readErr := t.Store.Order(ctx, id)
		if readErr != nil {
			return "", readErr
		}
		if text, ok, told := t.decidedBy(ctx, now); now.Status != order.InReview && (ok || told != nil) {
			return text, told
		}
		if now.Stage == order.Claimed && now.ReviewerID != c.By.StaffID {
			return t.colleague(ctx, now.ReviewerID) + "正在审核 " + taskName(now) + "。", nil
		}
		if now.Stage == order.Claimed && c.On == order.Claim {
			return "您正在审核 " + taskName(now) + "。\n" + t.openReview(now), nil
		}
	}
	if err != nil {
		return "", err
	}
	done := map[order.Event]string{order.Approve: "已通过 ", order.Reject: "已驳回 ", order.Assign: "已指派 ", order.Claim: "已领取 ", order.Release: "已放回 "}[c.On]
	text := done + taskName(o) + "，现在是「" + o.State.Label() + "」。"
	if c.On == order.Claim {
		text += "\n" + t.openReview(o)
	}
	return text, nil
}

func (t *turn) openReview(o order.Order) string {
	return `<a href="` + t.reviewURL(o) + `">打开审核</a>，15 分钟内有效。`
}

// claimOrRelease takes tasks or puts them back: neither decides anything, so
// neither needs a code.
func (t *turn) claimOrRelease(ctx context.Context, m order.Staff, parts []string) (string, bool, error) {
	if !m.Has(order.Reviewer) {
		return t.fill(textNotReviewer), true, nil
	}
	on := order.Claim
	if parts[1] == "释放" || parts[1] == "放回" {
		on = order.Release
	}
	var texts []string
	for _, tail := range tailPattern.FindAllString(parts[2], -1) {
		text, err := t.taskNamed(ctx, m, tail, wish{On: on})
		if err != nil {
			return "", true, err
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, "\n"), true, nil
}

// quiet shows or sets the hours without messages (免打扰).
func (t *turn) quiet(ctx context.Context, m order.Staff, parts []string) (string, bool, error) {
	wants := strings.Trim(strings.ReplaceAll(parts[1], "：", ":"), " 。了吧")
	hours := hoursPattern.FindStringSubmatch(wants)
	var q order.Quiet
	switch {
	case hours != nil:
		var err error
		if q, err = order.ParseQuiet(pad(hours[1])+":"+hours[2], pad(hours[3])+":"+hours[4]); err != nil {
			return "", true, err
		}
	case !slices.Contains([]string{"关", "关闭", "取消", "off"}, wants):
		return t.fill(strings.ReplaceAll(textQuietHelp, "{hours}", m.Quiet.String())), true, nil
	}
	if err := t.Staffing.SetQuiet(ctx, m.Actor(m.MainRole(), order.OfficialAcc, ""), q); err != nil {
		return "", true, err
	}
	return t.fill(strings.ReplaceAll(textQuietHelp, "{hours}", q.String())), true, nil
}

func pad(hour string) string {
	if len(hour) == 1 {
		return "0" + hour
	}
	return hour
}
