package handlers

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

const reconciliationPath = "/staff/reconciliation"

// reconciliationRoutes are finance's: how the payment platforms' bills differ from our
// books.
func (k *console) reconciliationRoutes() {
	k.get(reconciliationPath, OfStaff, k.reconciliation, order.Finance)
	k.post(reconciliationPath+"/:id/resolve", OfStaff, k.resolveDifference, order.Finance)
}

type reconciliationView struct {
	Tabs  []tabView
	Rows  []differenceView
	Bills []billView
	Next  string
	Late  []billView // bills that are not compared though their day is over, on the first page
}

type differenceView struct {
	order.Difference
	By    string // who resolved it
	Draft string // what a refused explanation said
}

type billView struct {
	order.Bill
	Reason string // why it is not compared yet
}

// billReasons say in plain words why a bill is not compared yet.
var billReasons = map[string]string{
	"bill_missing": "平台还没有这一天的账单；满一天仍没有的，按没有交易处理", "payment_unavailable": "平台还没有生成好，或暂时不能访问", "bill_unusable": "下载的账单不完整或不能识别", "bill_refused": "平台拒绝提供账单，请检查商户号是否有下载账单的权限",
	order.BillTooOld: "已超过平台提供账单的期限，请在商户平台人工核对",
}

func viewBill(b order.Bill) billView {
	v := billView{Bill: b}
	if b.ComparedAt.IsZero() {
		if v.Reason = billReasons[b.Why]; v.Reason == "" {
			v.Reason = "等待下载"
		}
	}
	return v
}

// billsShown bounds a page of bills; a day has one of each channel.
const billsShown = 40

func (k *console) reconciliation(c *fiber.Ctx) error { return k.showReconciliation(c, nil) }

func (k *console) showReconciliation(c *fiber.Ctx, refusal error) error {
	list := c.Query("list", "open")
	v := reconciliationView{Tabs: []tabView{
		{"待处理", reconciliationPath, list == "open"}, {"已处理", reconciliationPath + "?list=resolved", list == "resolved"}, {"账单", reconciliationPath + "?list=bills", list == "bills"},
	}}
	var err error
	switch list {
	case "open", "resolved":
		err = k.listDifferences(c, &v, list)
	case "bills":
		err = k.listBills(c, &v)
	default:
		err = order.Errorf(order.Invalid, "reconciliation_list_unknown", "没有该对账分类，请重新选择")
	}
	if err != nil {
		return err
	}
	return k.show(c, "reconciliation", "对账", v, refusal)
}

func (k *console) listDifferences(c *fiber.Ctx, v *reconciliationView, list string) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := k.Records.Differences(c.UserContext(), order.DifferenceFilter{Resolved: list == "resolved", After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	for _, d := range page.Differences {
		row := differenceView{Difference: d}
		if d.ResolvedBy != "" {
			row.By = k.staffName(c.UserContext(), d.ResolvedBy)
		}
		if c.Params("id") == d.ID {
			row.Draft = c.FormValue("note")
		}
		v.Rows = append(v.Rows, row)
	}
	v.Next = link(reconciliationPath+"?list="+list+"&after=", page.Next)
	if list != "open" || c.Query("after") != "" {
		return nil
	}
	bills, err := k.Records.Bills(c.UserContext(), "", billsShown)
	for _, b := range bills {
		if b.ComparedAt.IsZero() {
			v.Late = append(v.Late, viewBill(b))
		}
	}
	return err
}

func (k *console) listBills(c *fiber.Ctx, v *reconciliationView) error {
	bills, err := k.Records.Bills(c.UserContext(), c.Query("before"), billsShown)
	if n := len(bills); n == billsShown { // the last day may go on: it is the next page's
		last := bills[n-1].Day
		bills = slices.DeleteFunc(bills, func(b order.Bill) bool { return b.Day == last })
		v.Next = reconciliationPath + "?list=bills&before=" + url.QueryEscape(bills[len(bills)-1].Day)
	}
	for _, b := range bills {
		v.Bills = append(v.Bills, viewBill(b))
	}
	return err
}

// resolveDifference keeps how finance explains a difference.
func (k *console) resolveDifference(c *fiber.Ctx) error {
	if err := k.Reconciler.Resolve(c.UserContext(), c.Params("id"), actor(c, order.Finance), c.FormValue("note")); err != nil {
		return k.orNotice(c, err, k.showReconciliation)
	}
	return c.Redirect(reconciliationPath, http.StatusSeeOther)
}
