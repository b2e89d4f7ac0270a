package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// mine lists orders of the person who writes, none while nobody is bound.
func (t *turn) mine(ctx context.Context, f order.Filter) ([]order.Order, error) {
	if t.writer == nil { // who it is and what is his in one query
		f.WeChat = order.WeChatIdentity{AppID: t.AppID, OpenID: t.openid}
		if page, err := t.Store.Orders(ctx, f); err != nil || len(page.Orders) > 0 {
			return page.Orders, err
		}
	}
	p, err := t.who(ctx) // may be bound only now, by the union id
	if err != nil || p.ID == "" {
		return nil, err
	}
	f.WeChat, f.PersonID = order.WeChatIdentity{}, p.ID
	page, err := t.Store.Orders(ctx, f)
	return page.Orders, err
}

// orders answers an intent from the person's own orders: the one that was named,
// or talked about, or the only one; else a list, of many the newest, which asks for the
// company or the tail of the others (rule 3).
func (t *turn) orders(ctx context.Context, about intent.Intent) (string, error) {
	if o, named, err := t.named(ctx); err != nil || named {
		if err != nil {
			return "", err
		}
		return t.aboutOrder(ctx, o, about)
	}
	f := order.Filter{Limit: 30, No: t.meant.Slots[intent.SlotOrderTail], Tracking: t.meant.Slots[intent.SlotTrackingNo], Company: t.meant.Slots[intent.SlotCompany]}
	mine, err := t.mine(ctx, f)
	if err != nil {
		return "", err
	}
	if len(mine) == 0 {
		p, err := t.who(ctx)
		if err != nil {
			return "", err
		}
		if p.ID == "" {
			return t.bindFor(ctx, about)
		}
		if f.Tracking != "" {
			return t.noSuchParcel(ctx, f.Tracking)
		}
		return t.fill(textNoOrders), nil
	}
	choice := relevant(mine, about)
	if len(t.told) > 0 {
		choice = t.told
	}
	if f.No != "" || f.Tracking != "" {
		choice = mine // several have this tail; which is meant is for the person to say
	}
	if s := t.meant.Slots[intent.SlotStatus]; s != "" {
		if in := slices.DeleteFunc(slices.Clone(mine), func(o order.Order) bool { return !hasLabel(o, s) }); len(in) > 0 {
			choice = in
		} else if meaning := stateMeanings[s]; meaning != "" {
			return t.fill(meaning), nil
		}
	}
	switch n := len(choice); {
	case n == 0 && about == intent.RejectFix:
		text, err := t.aboutOrder(ctx, mine[0], intent.OrderStatus)
		return textNothingRejected + "\n\n" + text, err
	case n == 0:
		return t.aboutOrder(ctx, mine[0], about)
	case n == 1:
		return t.aboutOrder(ctx, choice[0], about)
	default:
		return t.list(choice, about), nil
	}
}

// noSuchParcel answers about a tracking number that no parcel of the person's has: one that
// was corrected is told with the right one.
func (t *turn) noSuchParcel(ctx context.Context, number string) (string, error) {
	had, err := t.mine(ctx, order.Filter{Corrected: number, Limit: 1})
	if err != nil || len(had) == 0 {
		return textNoSuchParcel, err
	}
	text, err := t.aboutOrder(ctx, had[0], intent.ShippingTrack)
	return fmt.Sprintf(textNumberCorrected, number, had[0].CarrierName(), had[0].TrackingNo) + "\n\n" + text, err
}

// namesCompany takes the text as the answer to 请发单位名称, if the person has
// orders for such a company.
func (t *turn) namesCompany(ctx context.Context) (text string, ok bool, err error) {
	name := order.PrintedName(t.text)
	if utf8.RuneCountInString(name) < 2 {
		return "", false, nil
	}
	mine, err := t.mine(ctx, order.Filter{Company: name, Limit: 1})
	if err != nil || len(mine) == 0 {
		return "", false, err
	}
	t.meant = intent.Result{Intent: t.state.Topic, Slots: intent.Slots{intent.SlotCompany: name}, Understood: true}
	t.state.Misses = 0
	text, err = t.orders(ctx, t.state.Topic)
	return text, true, err
}

// named finds the one order that the message names: by number, by tail, or as 那个
// for the last one. Another person's order does not exist.
func (t *turn) named(ctx context.Context) (o order.Order, ok bool, err error) {
	no := t.meant.Slots[intent.SlotOrderNo]
	if no == "" {
		no = t.meant.Slots[intent.SlotOrderTail]
	}
	if no != "" {
		mine, err := t.mine(ctx, order.Filter{No: no, Limit: 2})
		if err != nil {
			return o, false, err
		}
		switch len(mine) {
		case 0:
			if p, err := t.who(ctx); err != nil || p.ID == "" {
				return o, false, err
			}
			return o, false, order.Errorf(order.NotFound, "order_not_found", "没有找到该订单，请核对单号，或回复「我的订单」查看您名下的订单")
		case 1:
			return mine[0], true, nil
		default: // tails repeat: the count begins anew each day
			return o, false, nil
		}
	}
	if id := t.pointed().Order; id != "" {
		return t.own(ctx, id)
	}
	return o, false, nil
}

// own reads an order and makes sure that it is the person's.
func (t *turn) own(ctx context.Context, id order.ID) (order.Order, bool, error) {
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return order.Order{}, false, err
	}
	o, err := t.Store.Order(ctx, id)
	switch {
	case errors.Is(err, order.NotFound), err == nil && !o.OwnedBy(p.ID, ""):
		return order.Order{}, false, nil // as if it had not been mentioned
	case err != nil:
		return order.Order{}, false, err
	}
	return o, true, nil
}

// pointed is what the text points back at: 第二个 of the last list, or 那个 for
// what was talked about last (rule 4).
func (t *turn) pointed() thing {
	if m := ordinalPattern.FindStringSubmatch(t.text); m != nil && ordinals[m[1]] <= len(t.state.List) {
		return t.state.List[ordinals[m[1]]-1]
	}
	for _, w := range []string{"它", "那个", "这个", "那单", "这单", "那笔", "这笔", "那把", "这把", "刚才"} {
		if strings.Contains(t.text, w) {
			return t.state.Last
		}
	}
	return thing{}
}

// ordinals are what choicePattern lets through.
var ordinals = map[string]int{"1": 1, "一": 1, "2": 2, "二": 2, "两": 2, "3": 3, "三": 3, "4": 4, "四": 4, "5": 5, "五": 5}

// offList answers a number that is not in the list.
func (t *turn) offList(context.Context) (text string, ok bool, err error) {
	n := len(t.state.List)
	if n == 0 || !offListPattern.MatchString(t.text) {
		return "", false, nil
	}
	return upTo(n), true, nil
}

// upTo asks for one of the numbers of a list.
func upTo(n int) string { return fmt.Sprintf("请回复 1 到 %d 之间的数字。", n) }

// choose answers a digit with that entry of the list.
func (t *turn) choose(ctx context.Context) (text string, ok bool, err error) {
	m := choicePattern.FindStringSubmatch(t.text)
	if m == nil || len(t.state.List) == 0 {
		return "", false, nil
	}
	k := ordinals[m[1]]
	if k > len(t.state.List) {
		return upTo(len(t.state.List)), true, nil
	}
	text, err = t.chosen(ctx, t.state.List[k-1])
	return text, true, err
}

// chosen tells of an entry of the list.
func (t *turn) chosen(ctx context.Context, entry thing) (string, error) {
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if p.ID == "" {
		return t.bindingCard(t.state.Topic), nil
	}
	if entry.Cert != "" {
		return t.chooseCertificate(ctx, p, entry.Cert)
	}
	o, ok, err := t.own(ctx, entry.Order)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", order.Errorf(order.NotFound, "order_not_found", "没有找到该订单，请回复「我的订单」重新查看")
	}
	return t.aboutOrder(ctx, o, t.state.Topic)
}

// relevant are the orders an intent is about, newest first.
func relevant(all []order.Order, about intent.Intent) []order.Order {
	other := func(o order.Order) bool { return !concerns(o, about) }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}

var (
	atWork    = []order.Status{order.InReview, order.ToIssue, order.ToShip}
	toDeliver = append([]order.Status{order.Rejected}, atWork...)
)

// concerns reports whether an intent may be about an order.
func concerns(o order.Order, about intent.Intent) bool {
	over := o.Status == order.Refunded || o.Stage == order.Closed
	switch about {
	case intent.RejectFix:
		return o.Status == order.Rejected && !over
	case intent.ShippingTrack:
		return o.TrackingNo != "" || o.Shipped() && slices.Contains(atWork, o.Status)
	case intent.LegalRepAuth:
		return o.Form.Get(order.AuthWay) == order.AuthMiniProgram && !over && (o.Status == order.InReview || o.Status == order.Rejected)
	case intent.PayProblem:
		return o.Status == order.AwaitingPayment
	case intent.Refund:
		return o.Refund != order.NoRefund || !o.PaidAt.IsZero() && o.Amount > 0
	case intent.Invoice:
		return !o.PaidAt.IsZero() && o.Amount > 0 && !over
	case intent.ChangeAddress:
		return o.Shipped() && !over && (slices.Contains(toDeliver, o.Status) || o.TrackingNo != "" && o.Parcel != order.ParcelSigned)
	case intent.ChangeInfo:
		return o.Status != order.Completed && !over && o.Business == order.Initial
	case intent.SLATime:
		return slices.Contains(atWork, o.Status)
	default:
		return o.Status != order.Completed && !over
	}
}

func hasLabel(o order.Order, label string) bool {
	return o.Status.Label() == label || o.Stage.Label() == label || o.Refund.Label() == label
}

// list offers a choice by digit, of the newest when there are many.
func (t *turn) list(os []order.Order, about intent.Intent) string {
	t.state.List, t.state.Topic = nil, about
	var b strings.Builder
	fmt.Fprintf(&b, "您有 %d 个相关订单", len(os))
	more := len(os) > maxChoices
	if more {
		os = os[:maxChoices]
		fmt.Fprintf(&b, "，最近 %d 个", maxChoices)
	}
	b.WriteString("：\n")
	for i, o := range os {
		t.state.List = append(t.state.List, thing{Order: o.ID, Tail: order.TailOf(o.No)})
		fmt.Fprintf(&b, "%d. %s%s　%s\n", i+1, title(o), placed(o, os), o.Guide(t.Now()).State)
	}
	if b.WriteString("回复数字查看详情。"); more {
		t.state.Asked = askedWhich
		b.WriteString("\n" + t.fill(textOtherOrders))
	}
	return b.String()
}

// placed is the day of an order whose tail another one of the list shares.
func placed(o order.Order, os []order.Order) string {
	same := func(x order.Order) bool {
		return x.ID != o.ID && x.No != "" && order.TailOf(x.No) == order.TailOf(o.No)
	}
	if o.No == "" || !slices.ContainsFunc(os, same) {
		return ""
	}
	return o.PlacedAt.In(order.Shanghai).Format(" 1月2日")
}

// title names an order as its owner knows it.
func title(o order.Order) string {
	name := o.Product.Name
	if name == "" {
		name = o.Business.Label()
	}
	if o.No == "" {
		return name + "（草稿）"
	}
	return name + "（…" + order.TailOf(o.No) + "）"
}

// obstacleTo is why an order cannot go on as its certificate is now; empty when it can.
func (t *turn) obstacleTo(ctx context.Context, o order.Order) (string, error) {
	if o.Certificate == "" || o.PersonID == "" {
		return "", nil
	}
	c, err := t.Certs.Own(ctx, o.Certificate, o.PersonID)
	if errors.Is(err, order.NotFound) { // it is somebody else's now
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if obstacle := c.ObstacleTo(o, t.Now()); obstacle != "" {
		return obstacle + "。", nil
	}
	return "", nil
}

// aboutOrder says one thing about one order.
func (t *turn) aboutOrder(ctx context.Context, o order.Order, i intent.Intent) (string, error) {
	t.state.Last = thing{Order: o.ID, Tail: order.TailOf(o.No)}
	var lines []string
	if i == intent.OrderStatus && strings.Contains(t.text, "加急") { // 尾号0152能加急吗
		i = intent.SLATime
	}
	service := services[i]
	if service != nil {
		var err error
		latest := o
		if lines, err = service(t, ctx, &latest); err != nil {
			return "", err
		}
		o = latest
	}
	g, err := t.Certs.Guide(ctx, o)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.Grow(usualReply)
	line := func(s string) {
		if s != "" {
			b.WriteString(s)
			b.WriteByte('\n')
		}
	}
	line(title(o))
	line("状态：" + g.State)
	line(o.DelayNotice(t.Now()))
	obstacle, err := t.obstacleTo(ctx, o)
	if err != nil {
		return "", err
	}
	line(obstacle)
	closed, err := t.whyClosed(ctx, o)
	if err != nil {
		return "", err
	}
	switch {
	case obstacle != "" && service == nil && slices.Contains([]order.Action{order.ActionPay, order.ActionRun, order.ActionUnlock, order.ActionRestore}, g.Action):
		g = order.Guidance{} // what comes next would be refused
		line(t.fill(`<a href="{portal}/certificates">我的证书</a>`))
	case service != nil:
		for _, s := range lines {
			line(s)
		}
	case o.Status == order.Rejected && o.Refund == order.NoRefund && o.Stage == order.Fixable && !o.RanOut():
		t.rejection(o, line)
	case closed != "" && o.Status == order.Draft:
		line(closed)
		line(textSubmitAgain)
	case o.Stage == order.Closed && len(o.Reasons) > 0:
		line(cmp.Or(closed, g.What) + "原因：" + o.ReasonTexts() + "。")
		line(g.Next)
	case closed != "":
		line(closed)
		line(g.Next)
	case i == intent.ShippingTrack && o.TrackingNo != "":
		line(g.What)
		line(g.Next)
		last, err := t.lastTrack(ctx, o)
		if err != nil {
			return "", err
		}
		line(last)
		if name := o.Form.Masked(order.ShipName); name != "" {
			line("收件人：" + name + " " + o.Form.Masked(order.ShipMobile))
		}
		line("如显示签收但没有收到，请先联系快递员，再拨打 400-666-3999。")
	case i == intent.ShippingTrack && o.Shipped() && o.Status != order.Completed:
		line("UKEY 还没有寄出：" + g.What)
		line(g.Next)
	default:
		line(g.What)
		line(g.Next)
	}
	if text := b.String(); strings.Contains(text, "<a ") { // is the next step, of which there is one (rule 1)
		return strings.TrimSuffix(text, "\n"), nil
	}
	b.WriteString(t.action(o, g))
	return b.String(), nil
}

// lastTrack is what the courier reported last about the order's parcel.
func (t *turn) lastTrack(ctx context.Context, o order.Order) (string, error) {
	parcels, err := t.Store.Shipments(ctx, o.ID)
	if err != nil || len(parcels) == 0 {
		return "", err
	}
	track := parcels[len(parcels)-1].Track
	if len(track) == 0 {
		return "", nil
	}
	l := track[len(track)-1]
	return "最新物流：" + l.At.In(order.Shanghai).Format("01-02 15:04") + " " + quoted(l.Text), nil
}

// rejection gives every reason with the field to fix and how.
func (t *turn) rejection(o order.Order, line func(string)) {
	line("未通过原因：")
	for n, r := range o.Reasons {
		if n == maxChoices {
			line("……")
			break
		}
		said, _ := identity.RedactText(r.Text()) // a reviewer may have written a number that no chat repeats
		text := fmt.Sprintf("%d. %s（%s）", n+1, quoted(said), r.Code)
		if spec, ok := r.Anchor(o.Product, o.Form).Spec(); ok {
			text += "\n　修改项：" + spec.Label
			if spec.Input == order.Image {
				text += "，请平放重拍：无反光、四角完整、彩色清晰"
			}
		}
		line(text)
	}
	line("修改后重新提交即可，不需要再次付款。")
}

// action is the one next step, as a link.
func (t *turn) action(o order.Order, g order.Guidance) string {
	page := t.PublicURL + "/orders/" + string(o.ID)
	link := func(path, label string) string { return `<a href="` + page + path + `">` + label + `</a>` }
	switch g.Action {
	case order.ActionPay:
		return link("/pay", g.Action.Label())
	case order.ActionContinue:
		return link("/edit", g.Action.Label())
	case order.ActionFix:
		anchor := ""
		for _, r := range o.Reasons {
			if f := r.Anchor(o.Product, o.Form); f != "" {
				anchor = "#" + string(f)
				break
			}
		}
		return link("/edit"+anchor, g.Action.Label())
	case order.ActionRun:
		return link("/run", g.Action.Verb(o.Business))
	case order.ActionUnlock:
		return link("/unlock", g.Action.Label())
	case order.ActionRestore:
		return link("/restore", g.Action.Label())
	default:
		return link("", order.ActionView.Label()+"订单")
	}
}
