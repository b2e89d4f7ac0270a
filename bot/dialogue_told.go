package bot

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/order"
)

// news is what has become of orders by itself, as people say it: too few words for the
// recogniser, which does not know of whom they come.
type news struct {
	words []string // of which each that is said so has one: patterns are slow
	said  *regexp.Regexp
	means intent.Intent
	of    func(order.Order) bool
	// only: whatever else it may mean comes first unless there is such an order.
	only bool
}

// closedPattern is 被关闭了吗, 怎么关了 and the like, and not 怎么关闭.
var closedPattern = func() *regexp.Regexp {
	const (
		lead = `(?:我的?|这个|那个|这笔|那笔|这单|那单|订单|单子|申请|尾号|saas1\d{18,20}|\d{3,6}|为什么|为啥|为何|怎么|咋|是不是|是|又|就|都|已经?|会|给|系统|[,，\s])*`
		tail = `(?:订单|申请)?(?:吗|呢|啊|吧|么|[?？。.!！\s])*$`
	)
	return regexp.MustCompile(`(?i)^` + lead + `(?:(?:被|自动)+` + lead + `(?:关闭?|取消)(?:了|掉|的)*|(?:关闭?|取消)掉?[了的])` + tail)
}()

// heard is looked through in this order.
var heard = []news{
	{[]string{"关", "取消"}, closedPattern, intent.OrderStatus, gone, false},
	{[]string{"期", "时"}, regexp.MustCompile(`(?:恢复|解冻|解锁|下载)(?:申请|期限|时间|订单|证书)*[^,，。不能]{0,3}(?:过期|超期|逾期|超时|过了期|过时)`), intent.OrderStatus, order.Order.RanOut, true},
	{[]string{"发票"}, regexp.MustCompile(`退[^,，。]{0,4}款[^。]{0,6}发票|发票[^。]{0,6}退[^,，。]{0,4}款`), intent.Invoice, func(o order.Order) bool { return paidFor(o) && back(o) }, true},
	{[]string{"发票"}, regexp.MustCompile(`发票[^,，。]{0,4}(?:能用|可以用|有效|有用|作废|失效|红冲|冲红|能报销|可以报销|能不能用|好用)`), intent.Invoice, paidFor, false},
}

// gone reports whether an order was closed, or went back to being filled in after it was
// submitted.
func gone(o order.Order) bool {
	return o.Stage == order.Closed || o.Status == order.Draft && !o.PlacedAt.IsZero()
}

func paidFor(o order.Order) bool { return !o.PaidAt.IsZero() && o.Amount > 0 }

// back reports whether the money goes back.
func back(o order.Order) bool { return o.Refund != order.NoRefund || o.Status == order.Refunded }

// tells takes a message for one about what has become of the person's orders, where it may
// tell of that.
func (t *turn) tells(ctx context.Context) error {
	if t.cancels || t.meant.Slots[intent.SlotLeak] != "" || t.meant.Intent == intent.SecurityAlert {
		return nil
	}
	i := slices.IndexFunc(heard, func(n news) bool {
		return slices.ContainsFunc(n.words, func(w string) bool { return strings.Contains(t.text, w) }) && n.said.MatchString(t.text)
	})
	if i < 0 {
		return nil
	}
	n := heard[i]
	mine, err := t.mine(ctx, order.Filter{No: t.meant.Slots[intent.SlotOrderTail], Limit: 30})
	if err != nil {
		return err
	}
	t.told = slices.DeleteFunc(slices.Clone(mine), func(o order.Order) bool { return !n.of(o) })
	if len(t.told) > 0 || t.meant.Intent == intent.OutOfScope || !n.only && !t.meant.Intent.Staff() {
		t.meant.Intent, t.meant.Understood = n.means, true
	}
	return nil
}

// whyClosed is how an order came to be closed, or back to being filled in; "" when nothing
// of the kind happened.
func (t *turn) whyClosed(ctx context.Context, o order.Order) (string, error) {
	if !gone(o) {
		return "", nil
	}
	events, err := t.Store.Events(ctx, o.ID)
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(events) {
		text := ""
		switch {
		case e.Event == order.Save:
			continue
		case e.Event == order.Unpaid:
			text = textClosedUnpaid
		case e.Event == order.Close && e.Role == order.System:
			text = textClosedUnmended
		case e.Event == order.Close:
			text = textClosedByOwner
		}
		return fillIn(text, "{day}", order.Day(e.At)+" "), nil
	}
	return "", nil
}
