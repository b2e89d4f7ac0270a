package notice

import (
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Renewal is what a reminder of the end of certificates is about: one key, or
// several of one company.
type Renewal struct {
	Company  string
	Keys     int
	Token    string    // serial of the first key, of which people see the tail
	NotAfter time.Time // the earliest
	Until    time.Time // the last day on which it can be renewed
}

// keys names the keys: UKEY 尾号 0008, or that and how many more.
func (r Renewal) keys() string {
	if r.Keys == 1 {
		return tokenTail(r.Token)
	}
	return fmt.Sprintf("%s 等 %d 个", tokenTail(r.Token), r.Keys)
}

// renewal is the wording of a reminder; its SMS takes {1} the keys, {2} a day and
// {3} the link, or the company where others than the holder read it. A reminder
// without an SMS has none.
type renewal struct {
	sms          string
	day          func(Renewal) time.Time
	status, next string
	toOthers     bool
}

func ends(r Renewal) time.Time  { return r.NotAfter }
func until(r Renewal) time.Time { return r.Until }

var renewals = map[order.Notice]renewal{
	order.NoticeRenewPlan:     {day: ends, status: "即将到期", next: "还有两个月到期，可提前安排"},
	order.NoticeRenewOpen:     {sms: "您的证书（{1}）将于{2}到期，现在可以更新了：{3}", day: ends, status: "可以更新", next: "现在可以更新了"},
	order.NoticeRenewSoon:     {day: ends, status: "即将到期", next: "还有半个月到期，请尽快更新"},
	order.NoticeRenewWeek:     {sms: "您的证书（{1}）将于{2}到期，还有 7 天，请尽快更新，以免影响投标：{3}", day: ends, status: "即将到期", next: "还有 7 天到期，请尽快更新"},
	order.NoticeRenewDays:     {sms: "您的证书（{1}）将于{2}到期，还有 3 天，请尽快更新，以免影响投标：{3}", day: ends, status: "即将到期", next: "还有 3 天到期，请尽快更新"},
	order.NoticeRenewTomorrow: {sms: "您的证书（{1}）明天（{2}）到期，请今天更新，以免影响投标：{3}", day: ends, status: "明天到期", next: "明天到期，请今天更新"},
	order.NoticeRenewToday:    {sms: "您的证书（{1}）今天（{2}）到期，请马上更新：{3}", day: ends, status: "今天到期", next: "今天到期，请马上更新"},
	order.NoticeRenewExpired:  {sms: "您的证书（{1}）已过期，仍可更新至{2}，逾期需重新办理：{3}", day: until, status: "已过期", next: "已过期，仍可更新"},
	order.NoticeRenewMonth:    {day: until, status: "已过期", next: "已过期一个月，仍可更新"},
	order.NoticeRenewMonths:   {day: until, status: "已过期", next: "已过期两个月，请尽快更新"},
	order.NoticeRenewLast:     {sms: "您已过期的证书（{1}）还剩 7 天可以更新，最后一天是{2}：{3}", day: until, status: "期限将满", next: "还剩 7 天可以更新"},
	order.NoticeRenewOver:     {sms: "您的证书（{1}）已于{2}过了更新期限，如需使用请重新办理：{3}", day: until, status: "不可更新", next: "已过更新期限，请重新办理"},
	order.NoticeRenewContact:  {sms: "{3}的证书（{1}）将于{2}到期，请提醒经办人尽快更新，以免影响投标。您是经办人登记的提醒联系人，如不需要请联系经办人取消。", day: ends, status: "即将到期", next: "请提醒经办人尽快更新", toOthers: true},
}

// AboutRenewal are the reminders; they have words of their own.
func AboutRenewal(n order.Notice) bool {
	_, ok := renewals[n]
	return ok
}

// RenewalSMS returns the template name and parameters of a reminder.
func RenewalSMS(n order.Notice, r Renewal, l Links) (template string, params []string, err error) {
	t, ok := renewals[n]
	if !ok || t.sms == "" {
		return "", nil, fmt.Errorf("reminder %s has no SMS", n)
	}
	last := l.Certificates()
	if t.toOthers {
		last = r.Company
	}
	return string(n), []string{r.keys(), order.Day(t.day(r)), last}, nil
}

// RenewalCard is the WeChat card of a reminder.
func RenewalCard(n order.Notice, r Renewal, l Links) (Card, error) {
	t, ok := renewals[n]
	if !ok {
		return Card{}, fmt.Errorf("reminder %s has no text", n)
	}
	return Card{ProgressTemplate, l.Certificates(), map[string]string{
		"character_string1": r.Token,
		"thing2":            clip(r.keys()+" 证书更新", 20),
		"phrase3":           clip(t.status, 5),
		"thing4":            clip(order.Day(t.day(r))+"："+t.next, 20),
	}}, nil
}
