package order_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Who proposes a refund is not asked to confirm it: another has to.
func TestProposerIsNotAsked(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		one, two := h.staff(t, "吴财务", "13800000016", order.Finance), h.staff(t, "郑财务", "13800000017", order.Finance)
		o := h.made(t)
		h.mustApply(t, o.ID, order.Command{On: order.RefundProposed, By: one, Note: "不办了", End: order.KeysWithUs})
		all, err := h.db.Notifications(t.Context(), o.ID)
		var asked []string
		for _, n := range all {
			if n.Notice == order.NoticeRefundProposed {
				asked = append(asked, n.StaffID)
			}
		}
		if err != nil || !slices.Equal(asked, []string{two.StaffID}) {
			t.Errorf("asked %v, want %s, %v", asked, two.StaffID, err)
		}
	})
}

// Flows 4.4: shares of a review's time are counted in office hours (9:00–17:30 of
// working days), over weekends and holidays.
func TestShareOfOfficeHours(t *testing.T) {
	cal, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name           string
		from           time.Time
		half, most, to time.Time
	}{
		{"Monday morning", shanghai(11, 23, 9, 0), shanghai(11, 23, 17, 30), shanghai(11, 24, 14, 6), shanghai(11, 24, 17, 30)},
		{"Friday afternoon", shanghai(11, 20, 16, 30), shanghai(11, 23, 12, 45), shanghai(11, 23, 15, 36), shanghai(11, 23, 17, 30)},
		{"at night", shanghai(11, 23, 22, 0), shanghai(11, 24, 17, 30), shanghai(11, 25, 14, 6), shanghai(11, 25, 17, 30)},
		{"before the National Day", shanghai(9, 30, 17, 0), shanghai(10, 8, 13, 0), shanghai(10, 8, 15, 42), shanghai(10, 8, 17, 30)},
	} {
		if due := cal.Due(tt.from, 1); !due.Equal(tt.to) {
			t.Fatalf("%s: due %s", tt.name, due)
		}
		for share, want := range map[float64]time.Time{0.5: tt.half, 0.8: tt.most, 1: tt.to} {
			if got := cal.Share(tt.from, tt.to, share); !got.Equal(want) {
				t.Errorf("%s, %v: %s, want %s", tt.name, share, got.In(order.Shanghai), want)
			}
		}
	}
}

// heard counts the members of staff that got a notice about an order.
func (h *house) heard(t *testing.T, id order.ID, n order.Notice) (who []string) {
	t.Helper()
	ns, err := h.db.Notifications(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range ns {
		if m.Notice == n && m.FallbackOf == "" {
			who = append(who, m.StaffID)
		}
	}
	slices.Sort(who)
	return who
}

func (h *house) lead(t *testing.T, a order.Actor) order.Actor {
	t.Helper()
	err := h.db.InTx(t.Context(), func(tx order.Tx) error {
		m, err := tx.Staff(t.Context(), a.StaffID)
		if err != nil {
			return err
		}
		m.Leader = true
		return tx.SaveStaff(t.Context(), m)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.Leader = true
	return a
}

func (h *house) until(t *testing.T, at time.Time) {
	t.Helper()
	h.advance(at.Sub(h.now()))
	if err := h.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Half of the time: the owner, or whoever could take it; 80 %: the leader; over:
// the leader, and the applicant reads it with the reason. Each once, also when
// the task changes hands in between.
func TestEscalation(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		li, zhou := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		head := h.lead(t, h.staff(t, "孙组长", "13800000013", order.Reviewer))
		o := h.confirm(t, h.draft(t, nil)) // Monday 10:30
		h.pays(t, o)
		all := []string{li.StaffID, zhou.StaffID, head.StaffID}
		slices.Sort(all)
		due := shanghai(11, 24, 17, 30) // 15.5 office hours after
		h.until(t, shanghai(11, 24, 9, 44))
		if who := h.heard(t, o.ID, order.NoticeReviewHalf); who != nil {
			t.Errorf("told too early: %v", who)
		}
		h.until(t, shanghai(11, 24, 9, 45))
		h.until(t, shanghai(11, 24, 9, 45))
		if who := h.heard(t, o.ID, order.NoticeReviewHalf); !slices.Equal(who, all) {
			t.Errorf("half: %v", who)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: li})
		h.until(t, shanghai(11, 24, 10, 1)) // the claim is over
		if who := h.heard(t, o.ID, order.NoticeReviewHalf); len(who) != 3 {
			t.Errorf("half said again: %v", who)
		}
		h.until(t, shanghai(11, 24, 14, 24))
		if who := h.heard(t, o.ID, order.NoticeReviewSoon); !slices.Equal(who, []string{head.StaffID}) {
			t.Errorf("80 %%: %v", who)
		}
		h.until(t, due)
		if who := h.heard(t, o.ID, order.NoticeReviewOverdue); !slices.Equal(who, []string{head.StaffID}) {
			t.Errorf("overdue: %v", who)
		}
		explain := order.Command{On: order.ExplainDelay, By: head, Delay: order.DelayLoad}
		if _, err := h.Apply(t.Context(), o.ID, explain); !errors.Is(err, order.Conflict) {
			t.Errorf("explained in time: %v", err)
		}
		h.advance(time.Minute)
		byLi := explain
		byLi.By = li
		if _, err := h.Apply(t.Context(), o.ID, byLi); !errors.Is(err, order.Forbidden) {
			t.Errorf("explained by who does not lead: %v", err)
		}
		nothing := explain
		nothing.Delay = "because"
		if _, err := h.Apply(t.Context(), o.ID, nothing); !errors.Is(err, order.Conflict) {
			t.Errorf("explained by nothing: %v", err)
		}
		o = h.mustApply(t, o.ID, explain)
		if want := "审核延迟：应于 11月24日 17:30 前完成，已交由负责人督办。原因：近期申请较多，正在按顺序审核。"; o.DelayNotice(h.now()) != want || o.DelayNotice(due) != "" {
			t.Errorf("the applicant reads %q", o.DelayNotice(h.now()))
		}
		late, err := h.db.Orders(t.Context(), order.Filter{Status: order.InReview, ReviewDueBefore: h.now()})
		if err != nil || len(late.Orders) != 1 {
			t.Errorf("%d overdue, %v", len(late.Orders), err)
		}
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: li})
		o = h.mustApply(t, o.ID, order.Command{On: order.Reject, By: li, Reasons: []order.Reason{{Code: "R03"}}})
		if o.Delay != order.NoDelay || !o.ReviewDue.IsZero() || o.DelayNotice(h.now()) != "" {
			t.Errorf("after the rejection: %+v", o.ReviewDue)
		}
	})
}

// Without a leader the admins hear of what is late.
func TestEscalationToAdmins(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		h.staff(t, "李审核", "13800000011", order.Reviewer)
		admin := h.staff(t, "吴管理", "13800000014", order.Admin)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		h.until(t, shanghai(11, 24, 17, 30))
		if who := h.heard(t, o.ID, order.NoticeReviewOverdue); !slices.Equal(who, []string{admin.StaffID}) {
			t.Errorf("overdue: %v", who)
		}
	})
}

// Flows 4.4: a task is given to a colleague by its holder or a leader; he may be
// away, so it comes back after two hours.
func TestAssign(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		li, zhou := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		head := h.lead(t, h.staff(t, "孙组长", "13800000013", order.Reviewer))
		issuer := h.staff(t, "陈制证", "13800000014", order.Issuer)
		applicant := h.staff(t, "王小琪", "17700007069", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		assign := func(by order.Actor, to string) error {
			_, err := h.Apply(t.Context(), o.ID, order.Command{On: order.Assign, By: by, Assignee: to, Note: to})
			return err
		}
		for _, tt := range []struct {
			name string
			by   order.Actor
			to   string
			want order.Kind
		}{
			{"without holding it", li, zhou.StaffID, order.Forbidden},
			{"to who may not review", head, issuer.StaffID, order.Invalid},
			{"to the applicant", head, applicant.StaffID, order.Invalid},
			{"to nobody", head, "", order.Invalid},
			{"to a stranger", head, "nobody", order.NotFound},
		} {
			if err := assign(tt.by, tt.to); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		if err := assign(head, li.StaffID); err != nil {
			t.Fatal(err)
		}
		if err := assign(li, li.StaffID); !errors.Is(err, order.Invalid) {
			t.Errorf("to himself: %v", err)
		}
		h.advance(time.Hour)
		if err := assign(li, zhou.StaffID); err != nil {
			t.Fatal(err)
		}
		if who := h.heard(t, o.ID, order.NoticeAssigned); len(who) != 2 {
			t.Errorf("told %v", who)
		}
		h.advance(order.AssignLife - time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o, err := h.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Claimed || o.ReviewerID != zhou.StaffID {
			t.Errorf("before it is over: %s by %s, %v", o.Stage, o.ReviewerID, err)
		}
		h.advance(time.Minute)
		if err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if o, err := h.db.Order(t.Context(), o.ID); err != nil || o.Stage != order.Queued || o.ReviewerID != "" {
			t.Errorf("when it is over: %s by %s, %v", o.Stage, o.ReviewerID, err)
		}
	})
}

// Only who may decide has ticks, and only for what the page showed.
func TestTickChecks(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		li, zhou := h.staff(t, "李审核", "13800000011", order.Reviewer), h.staff(t, "周复核", "13800000012", order.Reviewer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		tick := func(by order.Actor, snapshot string, ticks []order.Tick) error {
			return h.TickChecks(t.Context(), o.ID, by, snapshot, ticks)
		}
		if err := tick(li, o.Snapshot, order.Ticks); !errors.Is(err, order.Conflict) {
			t.Errorf("not claimed: %v", err)
		}
		o = h.mustApply(t, o.ID, order.Command{On: order.Claim, By: li})
		for name, err := range map[string]error{"another's": tick(zhou, o.Snapshot, order.Ticks), "another page": tick(li, "x", order.Ticks)} {
			if !errors.Is(err, order.Conflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		own := li
		own.Company = o.USCC
		if err := tick(own, o.Snapshot, order.Ticks); codeOf(err) != "not_own_company_required" {
			t.Errorf("the order of one's own company: %v", err)
		}
		complete := func() bool {
			c, err := h.db.ReviewChecks(t.Context(), o.ID, li.StaffID)
			if err != nil {
				t.Fatal(err)
			}
			return c.Complete(o)
		}
		if complete() {
			t.Error("complete with nothing ticked")
		}
		for n := range len(order.Ticks) + 1 {
			if err := tick(li, o.Snapshot, append([]order.Tick{"nonsense"}, order.Ticks[:n]...)); err != nil {
				t.Fatal(err)
			}
			if complete() != (n == len(order.Ticks)) {
				t.Errorf("%d ticks: complete is %t", n, complete())
			}
		}
		if o.Snapshot = "changed"; complete() {
			t.Error("complete for another snapshot")
		}
	})
}

// The summary of a day: at 17:30 of a working day, once, also after a restart.
func TestDaySummary(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		li := h.staff(t, "李审核", "13800000011", order.Reviewer)
		h.staff(t, "陈制证", "13800000014", order.Issuer)
		o := h.confirm(t, h.draft(t, nil))
		h.pays(t, o)
		h.mustApply(t, o.ID, order.Command{On: order.Claim, By: li})
		h.mustApply(t, o.ID, order.Command{On: order.Reject, By: li, Reasons: []order.Reason{{Code: "R03"}}})
		summaries := func() (days []int64) {
			t.Helper()
			ns, err := h.db.Messages(t.Context(), order.MessageFilter{StaffID: li.StaffID})
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range ns {
				if n.Notice == order.NoticeDaySummary {
					days = append(days, n.Seq)
				}
			}
			return days
		}
		for _, tt := range []struct {
			at   time.Time
			want []int64
		}{
			{shanghai(11, 23, 17, 29), nil},
			{shanghai(11, 23, 17, 30), []int64{20261123}},
			{shanghai(11, 23, 17, 31), []int64{20261123}},
			{shanghai(11, 24, 9, 0), []int64{20261123}},
			{shanghai(11, 24, 20, 0), []int64{20261123}}, // too late in the evening
			{shanghai(11, 28, 18, 0), []int64{20261123}}, // a Saturday
			{shanghai(11, 30, 18, 0), []int64{20261130, 20261123}},
		} {
			h.until(t, tt.at)
			if got := summaries(); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %v, want %v", tt.at, got, tt.want)
			}
		}
		again := order.NewService(order.Deps{Store: h.db, Gateways: h.gateways(), Calendar: h.calendar(t), Catalogue: h.Catalogue, Now: h.now, NewID: h.newID})
		if err := again.Sweep(t.Context()); err != nil || len(summaries()) != 2 {
			t.Errorf("after a restart: %v, %v", summaries(), err)
		}
		s, err := order.DayStats(t.Context(), h.db, shanghai(11, 23, 0, 0), h.now())
		if err != nil || s.Rejected != 1 || s.Approved != 0 || s.By[li.StaffID] != 1 || s.Queued != 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = order.DayStats(t.Context(), h.db, shanghai(11, 24, 0, 0), h.now()); err != nil || s.Rejected != 0 {
			t.Errorf("the day after: %+v, %v", s, err)
		}
	})
}

func (h *house) calendar(t *testing.T) *order.Calendar {
	t.Helper()
	cal, err := order.DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	return cal
}

// Who is approved after the promised day reads that it has passed, not that it is to come.
func TestApprovedLate(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		reviewer := h.staff(t, "李审核", "13800000011", order.Reviewer)
		for name, test := range map[string]struct {
			wait time.Duration
			want order.Notice
		}{
			"in time": {0, order.NoticeApprovedIssue},
			"late":    {30 * 24 * time.Hour, order.NoticeApprovedLate},
		} {
			o := h.confirm(t, h.draft(t, nil))
			h.pays(t, o)
			h.advance(test.wait)
			o = h.approve(t, o, reviewer)
			for _, n := range []order.Notice{order.NoticeApprovedIssue, order.NoticeApprovedLate} {
				if heard := len(h.heard(t, o.ID, n)) > 0; heard != (n == test.want) {
					t.Errorf("%s: %s %v", name, n, heard)
				}
			}
		}
	})
}
