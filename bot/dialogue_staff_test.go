package bot

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Flows 4.4 whole: decisions in the chat, with the page's ticks and a code.
func TestReviewInChat(t *testing.T) {
	as := func(f func(*order.Order)) func(*order.Order) { return f }
	plain := as(func(*order.Order) {})
	li := func(o *order.Order) { o.Stage, o.ReviewerID = order.Claimed, "li" }
	for _, story := range []struct {
		name string
		play func(c *chat, p order.Person, says func(who, text string) string)
	}{
		{"approve", func(c *chat, p order.Person, says func(who, text string) string) {
			o := c.task(p, 1, plain)
			says("li", "通过 0101") // not claimed
			says("li", "领取 0101")
			says("zhou", "领取0101")
			says("li", "通过 0101") // claimed, not ticked
			by := order.Actor{Role: order.Reviewer, StaffID: "li", PersonID: "x"}
			c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks[:3]))
			says("li", "通过 0101") // three of four
			c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks))
			says("zhou", "通过 0101") // somebody else's
			code := confirmCode.FindStringSubmatch(says("li", "通过 0101"))[1]
			wrong := "0000"
			if code == wrong {
				wrong = "1111"
			}
			says("li", wrong)
			says("zhou", code) // the code is the reviewer's own
			says("li", code)
			says("li", code) // works once
			says("zhou", "通过 0101")
			says("zhou", "驳回 0101 R03")
			says("li", "今日统计")
		}},
		{"reject", func(c *chat, p order.Person, says func(who, text string) string) {
			c.task(p, 2, plain)
			says("li", "驳回 0102 R03")
			says("li", "领取 0102")
			says("li", "驳回 0102")
			says("li", "驳回 0102 R20")
			code := confirmCode.FindStringSubmatch(says("li", "驳回 0102 R03"))[1]
			c.clock.set(c.clock.Now().Add(confirmTTL + time.Second))
			says("li", code) // too late
			code = confirmCode.FindStringSubmatch(says("li", "驳回 0102 R03"))[1]
			says("li", code)
		}},
		{"several", func(c *chat, p order.Person, says func(who, text string) string) {
			first, second := c.task(p, 7, li), c.task(p, 8, li)
			by := order.Actor{Role: order.Reviewer, StaffID: "li", PersonID: "x"}
			for _, o := range []order.Order{first, second} {
				c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, by, o.Snapshot, order.Ticks))
			}
			says("li", "释放 0107 0108")
			says("li", "领取0107、0108")
			// Two tasks, however they are joined, even one decision for each: nothing happens.
			says("li", "通过 0107 0108")
			says("li", "把0107和0108都通过")
			says("li", "0107、0108驳回 R03")
			says("li", "0107没问题，过，0108驳回 R07")
			says("li", "0107、0108转给小周")
			says("li", "通过 "+first.No+" "+second.No)
			code := confirmCode.FindStringSubmatch(says("li", "不是0107 是0108通过"))[1]
			says("li", code)
			// Several reasons are one decision.
			says("li", "驳回 0107 R03 R20")
			code = confirmCode.FindStringSubmatch(says("li", "驳回 0107 R03、R07，r11"))[1]
			says("li", code)
			if now, err := c.db.Order(c.Context(), first.ID); err != nil || len(now.Reasons) != 3 {
				c.Errorf("rejected for %v, %v", now.Reasons, err)
			}
			says("owner", "为什么被拒绝")
		}},
		{"assign", func(c *chat, p order.Person, says func(who, text string) string) {
			c.task(p, 3, li)
			says("zhou", "0103转给小李")
			says("li", "指派 0103 给 王五")
			code := confirmCode.FindStringSubmatch(says("li", "0103转给小周"))[1]
			says("li", code)
			says("li", "通过 0103")
			code = confirmCode.FindStringSubmatch(says("head", "指派 0103 给 李审核"))[1]
			says("head", code)
			says("li", "释放 0103")
			says("li", "0103分给我")
		}},
		{"same-tail", func(c *chat, p order.Person, says func(who, text string) string) {
			for n := range 2 {
				c.task(p, 4+n, as(func(o *order.Order) {
					li(o)
					o.PlacedAt = o.PlacedAt.AddDate(0, 0, -n)
					o.No = order.FormatNo(o.PlacedAt, 1)
				}))
			}
			says("li", "驳回 0001 R07")
			says("li", "3")
			says("li", "2")
			says("li", "领取 0001")
			says("li", "2")
			says("li", "释放 0001")
			says("li", "1")
		}},
		{"overdue-and-quiet", func(c *chat, p order.Person, says func(who, text string) string) {
			says("li", "我的超时任务")
			c.task(p, 6, plain)
			c.clock.set(c.clock.Now().Add(72 * time.Hour))
			says("li", "我的超时任务")
			says("owner", "我的订单到哪一步了")
			says("li", "免打扰")
			says("li", "免打扰 22:00-8:00")
			says("li", "免打扰 关")
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			c := newChat(t)
			owner := c.bind("o-owner", applicant)
			c.hire("o-li", "13911112221", "li", "李审核", func(*order.Staff) {})
			c.hire("o-zhou", "13911112222", "zhou", "周复核", func(*order.Staff) {})
			c.hire("o-head", "13911112223", "head", "孙组长", func(s *order.Staff) { s.Leader = true })
			var log strings.Builder
			var codes []string
			story.play(c, owner, func(who, text string) string {
				answer := c.says("o-"+who, text)
				shown := answer
				if m := confirmCode.FindStringSubmatch(answer); m != nil {
					codes = append(codes, m[1])
					shown = strings.ReplaceAll(answer, m[1], "〈码〉")
				}
				if slices.Contains(codes, text) {
					text = "〈码〉"
				} else if who != "owner" && confirmPattern.MatchString(text) {
					text = "〈错码〉"
				}
				fmt.Fprintf(&log, "%s: %s\n云采盾: %s\n\n", who, text, shown)
				return answer
			})
			golden(t, "desk-"+story.name+".txt", log.String())
			for _, personal := range []string{applicant, "王小琪"} {
				if strings.Contains(log.String(), personal) {
					t.Errorf("the chat holds personal data: %s", personal)
				}
			}
		})
	}
}

// Rule 9: the words of the desk do nothing for an applicant.
func TestDeskIsForStaff(t *testing.T) {
	c := newChat(t)
	o := c.task(c.bind("o-owner", applicant), 6, func(*order.Order) {})
	for _, text := range []string{"领取 0106", "免打扰 22:00-8:00", "1234", "释放0106", "通过 0106", "今日统计"} {
		answer := c.says("o-owner", text)
		for _, staff := range []string{"已领取", "未开启", "22:00–08:00", "确认码", "待受理 1", "打开审核"} {
			if strings.Contains(answer, staff) {
				t.Errorf("%s: %s", text, answer)
			}
		}
	}
	if now, err := c.db.Order(t.Context(), o.ID); err != nil || now.Rev != o.Rev {
		t.Errorf("the order moved to %s, %v", now.State, err)
	}
}

// Whoever makes or posts what is approved hears what waits for him, and decides no review.
func TestAfterReview(t *testing.T) {
	c := newChat(t)
	owner, colleague := c.bind("o-owner", applicant), c.bind("o-shipper", colleague)
	c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.SaveStaff(t.Context(), order.Staff{ID: "staff1", PersonID: colleague.ID, Name: "赵发货", Roles: []order.Role{order.Issuer, order.Shipper}, CreatedAt: c.clock.Now()})
	}))
	for text, want := range map[string]string{"待办": "待寄出 0 · 待自取 0", "通过 0103": "没有审核权限"} {
		if got := c.says("o-shipper", text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
	for i, at := range []order.State{{Status: order.ToIssue, Stage: order.Unclaimed}, {Status: order.ToIssue, Stage: order.MakingFailed}, {Status: order.ToShip, Stage: order.ToPost}, {Status: order.ToShip, Stage: order.ToPost}, {Status: order.ToShip, Stage: order.ToPickUp}} {
		c.insert(anOrder(owner, i+1, at.Status, at.Stage))
	}
	got := c.says("o-shipper", "今天要发哪些")
	for _, want := range []string{"待制证 1 · 制证失败 1", "…0101", "…0102", "/staff/making", "待寄出 2 · 待自取 1", "…0103", "…0105", "/staff/shipping"} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %s: %s", want, got)
		}
	}
	if len([]rune(got)) > 600 || strings.Contains(got, applicant) {
		t.Errorf("%d characters: %s", len([]rune(got)), got)
	}
}

// Rule 9 and flows 4.4: a reviewer sees the queue; a decision needs the page.
func TestReviewer(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	reviewer := c.bind("o-reviewer", colleague)
	c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
		return tx.SaveStaff(t.Context(), order.Staff{ID: "staff1", PersonID: reviewer.ID, Name: "李审核", Roles: []order.Role{order.Reviewer}, CreatedAt: c.clock.Now()})
	}))
	if got := c.says("o-reviewer", "待办"); got != textQueueEmpty {
		t.Errorf("empty queue: %s", got)
	}
	mine := anOrder(owner, 2, order.InReview, order.Claimed)
	mine.ReviewerID = "staff1"
	c.insert(anOrder(owner, 1, order.InReview, order.Queued), mine)
	var log strings.Builder
	for _, text := range []string{"待办", "0102审核通过", "驳回0101 R03", "0101转给小王", "9999通过"} {
		fmt.Fprintf(&log, "审核员: %s\n云采盾: %s\n\n", text, c.says("o-reviewer", text))
	}
	golden(t, "talk-reviewer.txt", log.String())
	for _, personal := range []string{applicant, "王小琪"} {
		if strings.Contains(log.String(), personal) {
			t.Errorf("the card holds personal data: %s", personal)
		}
	}
	for _, o := range []order.ID{"01JORDER01", "01JORDER02"} {
		got, err := c.db.Order(t.Context(), o)
		c.must(err)
		if got.Status != order.InReview {
			t.Errorf("%s was decided in chat", o)
		}
	}
	if got := c.event("o-reviewer", EventClick, MenuTodo); !strings.Contains(got, "待受理 1") {
		t.Errorf("todo: %s", got)
	}
}

// A command that names no task does not say that several end alike.
func TestCommandWithoutTask(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	c.hire("o-reviewer", colleague, "staff1", "李审核", func(*order.Staff) {})
	c.insert(anOrder(owner, 1, order.InReview, order.Queued), anOrder(owner, 2, order.InReview, order.Queued))
	if got := c.says("o-reviewer", "通过"); !strings.HasPrefix(got, "有 2 个任务在等审核，请回复数字选择：") {
		t.Errorf("通过: %s", got)
	}
	if got := c.says("o-reviewer", "7"); got != "请回复 1 到 2 之间的数字。" {
		t.Errorf("7: %s", got)
	}
}

// What a reviewer or the courier wrote is no link in the chat.
func TestNoLinksOfOthers(t *testing.T) {
	c := newChat(t)
	link := `<a href="https://evil.example/">点此改派</a>`
	p := c.bind("o-a", applicant)
	o := anOrder(p, 1, order.Rejected, order.Fixable)
	o.Reasons = []order.Reason{{Code: "R20", Note: link}}
	sent := anOrder(p, 2, order.Completed, order.NoStage)
	sent.Carrier, sent.TrackingNo, sent.ShippedAt = "sf", "SF1234567890", talkTime
	c.insert(o, sent)
	c.tracked(sent, order.ParcelDelivering, link)
	for _, asked := range []string{"为什么被拒绝", "物流到哪了"} {
		if got := c.says("o-a", asked); !strings.Contains(got, "点此改派") || strings.Contains(got, `<a href="https://evil`) {
			t.Errorf("%s: %s", asked, got)
		}
	}
}

// What a reviewer wrote is repeated without the numbers of people (rules.md §3.2).
func TestRejectionWithoutNumbers(t *testing.T) {
	c := newChat(t)
	o := anOrder(c.bind("o-a", applicant), 1, order.Rejected, order.Fixable)
	o.Reasons = []order.Reason{{Code: "R20", Note: "证件号 110101199003070011 与照片不符"}}
	c.insert(o)
	got := c.says("o-a", "为什么被拒绝")
	if !strings.Contains(got, "与照片不符（R20）") || strings.Contains(got, "110101199003070011") {
		t.Error(got)
	}
}

// Flows 4.4: three wrong codes end a decision, and what was ticked decides nothing once the
// task is no longer one's own.
func TestDecisionIsNotGuessed(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	c.hire("o-li", colleague, "li", "李审核", func(*order.Staff) {})
	o := c.task(owner, 1, func(*order.Order) {})
	c.says("o-li", "领取 0101")
	c.must(c.dialogue.Reviews.(*order.Service).TickChecks(c.Context(), o.ID, order.Actor{Role: order.Reviewer, StaffID: "li", PersonID: "x"}, o.Snapshot, order.Ticks))
	code := confirmCode.FindStringSubmatch(c.says("o-li", "通过 0101"))[1]
	for n := range confirmTries {
		wrong := fmt.Sprintf("%04d", n)
		if wrong == code {
			wrong = "9999"
		}
		if got := c.says("o-li", wrong); got != textConfirmOver {
			t.Errorf("a wrong code: %s", got)
		}
	}
	c.says("o-li", code)
	if now, err := c.db.Order(t.Context(), o.ID); err != nil || now.Stage != order.Claimed {
		t.Errorf("the right code after three wrong ones: %s, %v", now.State, err)
	}
	c.says("o-li", "放回 0101")
	if got := c.says("o-li", "通过 0101"); !strings.Contains(got, textDecideOnPage) || confirmCode.MatchString(got) {
		t.Errorf("of a task that was given back: %s", got)
	}
}

// Whoever gave the first of two approvals is told that it is another's turn, not to claim
// the task.
func TestFirstApproverWaits(t *testing.T) {
	c := newChat(t)
	owner := c.bind("o-owner", applicant)
	c.hire("o-li", colleague, "li", "李审核", func(*order.Staff) {})
	c.task(owner, 1, func(o *order.Order) { o.Stage, o.FirstApprover = order.SecondApproval, "li" })
	for _, text := range []string{"通过 0101", "驳回 0101 R03"} {
		if got := c.says("o-li", text); !strings.Contains(got, "您已通过初审") || !strings.Contains(got, "另一位审核员") || strings.Contains(got, "领取") {
			t.Errorf("%s: %s", text, got)
		}
	}
}
