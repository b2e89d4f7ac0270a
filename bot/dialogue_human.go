package bot

import (
	"context"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/order"
)

// human hands over (rule 7): to WeChat's customer service during office hours, where the
// account has one. Whatever becomes of that, somebody bound is called back by a time
// we promise, with a summary for whoever calls; the telephone is named in any case.
func (t *turn) human(ctx context.Context, i intent.Intent) (string, error) {
	text, err := t.enquire(ctx, i)
	if open, _ := order.Opening(t.Workdays, t.Now()); open {
		t.handed = text
	}
	return text, err
}

// enquire registers the call and says what was promised.
func (t *turn) enquire(ctx context.Context, i intent.Intent) (string, error) {
	t.state.Misses = 0
	var b strings.Builder
	if i == intent.Complaint {
		b.WriteString(textSorry)
	}
	now := t.Now()
	open, next := order.Opening(t.Workdays, now)
	said := t.summary()
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		t.state.Asked, t.state.Topic = askedMobile, intent.HumanAgent
		b.WriteString(fillIn(either(open, textHumanOpen, textHumanClosed), "{next}", next.Format("1月2日 15:04")))
		if said != "" {
			b.WriteString("\n接通后可以直接说：「" + said + "」")
		}
		return b.String() + "\n" + textHumanUnbound, nil
	}
	e := order.Enquiry{
		ID: t.NewID(), PersonID: p.ID, OrderID: t.state.Last.Order, Topic: topics[t.state.Matter], Said: said,
		Urgent: urgent(t.text), CreatedAt: now,
	}
	due := order.CallBy(t.Workdays, now, e.Urgent)
	e.DueAt = due
	e, err = t.Enquiries.Enquire(ctx, e)
	if err != nil {
		return "", err
	}
	text := either(open, textCallOpen, textCallClosed)
	if e.DueAt.Before(now) { // an earlier promise that was not kept
		text, e.DueAt = textCallAgain, due
	}
	b.WriteString(fillIn(text, "{due}", e.DueAt.In(order.Shanghai).Format("1月2日 15:04"), "{mobile}", p.Mobile.Mask()))
	if e.Said != "" {
		b.WriteString("\n已转给同事的摘要：「" + e.Said + "」")
	}
	return b.String(), nil
}

// summary is what was said before, without secrets, so that nobody tells the story
// twice.
func (t *turn) summary() string {
	said := strings.Join(t.state.Said, "；")
	if t.state.Last.Tail != "" {
		said = strings.TrimSuffix(t.state.Last.name()+"；"+said, "；")
	}
	return said
}

// name is how a thing is called beside people.
func (x thing) name() string {
	if x.Cert != "" {
		return "UKEY 尾号 " + x.Tail
	}
	return "订单尾号 " + x.Tail
}

// urgent reports whether somebody cannot wait.
func urgent(text string) bool {
	for _, w := range []string{"急", "马上", "立刻", "立即", "赶紧", "开标", "来不及"} {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

func either(which bool, yes, no string) string {
	if which {
		return yes
	}
	return no
}

// fillIn replaces the names in a text by their values.
func fillIn(text string, namesAndValues ...string) string {
	return strings.NewReplacer(namesAndValues...).Replace(text)
}
