package handlers

import (
	"net/url"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// searchers may look up any order. What they get is public or about the order,
// never about a person.
var searchers = []order.Role{order.Reviewer, order.Issuer, order.Finance}

func (k *console) searchRoutes() { k.get("/staff/orders", OfStaff, k.search, searchers...) }

type searchView struct {
	No, Company string
	Asked       bool
	Rows        []foundRow
	Next        string
}

type foundRow struct {
	moneyRow
	Placed time.Time
	Links  []actionView
}

func (k *console) search(c *fiber.Ctx) error {
	v := searchView{No: order.PrintedNo(c.Query("no")), Company: order.PrintedName(c.Query("company"))}
	v.Asked = v.No != "" || v.Company != ""
	if !v.Asked {
		return k.show(c, "search", "查订单", v, nil)
	}
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), order.Filter{No: v.No, Company: v.Company, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	m := staffOf(c)
	for _, o := range page.Orders {
		if o.No == "" {
			continue // a draft is its applicant's own business
		}
		v.Rows = append(v.Rows, foundRow{moneyRowOf(o), o.PlacedAt, searchLinks(m, o)})
	}
	v.Next = link("/staff/orders?no="+url.QueryEscape(v.No)+"&company="+url.QueryEscape(v.Company)+"&after=", page.Next)
	return k.show(c, "search", "查订单", v, nil)
}

// searchLinks lead to the pages that this member of staff may open.
func searchLinks(m order.Staff, o order.Order) []actionView {
	var out []actionView
	if m.Has(order.Reviewer) && submitted(o) {
		out = append(out, actionView{Label: "审核页", URL: "/staff/review/" + string(o.ID)})
	}
	if m.Has(order.Finance) && o.Amount > 0 {
		out = append(out, actionView{Label: "款项", URL: "/staff/finance/" + string(o.ID)})
	}
	return out
}
