package bot

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// bareName is a message that names an order or a USBKEY and says nothing about it: its
// number, serial or the end of one, with the little words that people put around it.
var bareName = regexp.MustCompile(`(?i)^(?:我的|我|就|是|查一?下?|看一?下?|问一?下?|那个|这个|那|这|订单号?|单号?|编号|尾号|号码?|序列号|证书|ukey|u盾|ca锁|锁|key|[是为:：，,#…\s])*` +
	`(SAAS1\d{18,20}|TW\d{14}|[0-9a-f]{39,40}|\d{3,6})` +
	`(?:订单|那把|这把|那个|这个|那单|这单|那笔|这笔|的|号|呢|吧|啊|呀|哦|[。.!！?？~\s])*$`)

// goOn takes a message that only names something for more of what was asked before
// (rule 4): after a question about a refund, 尾号0001 asks about that order's refund.
// What was asked lives as long as the conversation is remembered.
func (t *turn) goOn(ctx context.Context) error {
	about := t.state.Matter
	of := answers[about].of
	if of == ofNothing || t.meant.Intent.Staff() || t.meant.Slots[intent.SlotLeak] != "" || !strings.ContainsAny(t.text, "0123456789") {
		return nil
	}
	name := bareName.FindStringSubmatch(t.text) // every name has a digit
	if name == nil {
		return nil
	}
	known, err := t.names(ctx, of, name[1])
	if err == nil && known { // both kinds take an end or a whole number from here
		t.meant = intent.Result{Intent: about, Slots: intent.Slots{intent.SlotOrderTail: strings.ToUpper(name[1])}, Understood: true}
	}
	return err
}

// names reports whether the person has such a thing, called so.
func (t *turn) names(ctx context.Context, of kind, name string) (bool, error) {
	if of == ofOrder {
		mine, err := t.mine(ctx, order.Filter{No: name, Limit: 1})
		return len(mine) > 0, err
	}
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return false, err
	}
	all, err := t.Certs.HeldBy(ctx, p.ID)
	return slices.ContainsFunc(all, func(c certificate.Certificate) bool { return called(c, name) }), err
}
