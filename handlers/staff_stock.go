package handlers

import (
	"context"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

// stockRoutes are the issuer's inventory of blank USBKEYs, and the labels of those
// that are made.
func (k *console) stockRoutes() {
	k.get("/staff/stock", OfStaff, k.stock, order.Issuer)
	k.post("/staff/stock", OfStaff, k.receiveBlanks, order.Issuer)
	k.post("/staff/stock/:serial/scrap", OfStaff, k.scrapBlank, order.Issuer)
	k.get("/staff/making/:id/labels", OfStaff, k.labels, order.Issuer)
}

type stockView struct {
	Tabs           []tabView
	State          certificate.BlankState
	Rows           []blankRow
	Reasons        []choice
	Next           string
	Batch, Serials string // as they were typed, after a refusal
}

type blankRow struct {
	certificate.Blank
	By, Why string
}

func (k *console) stock(c *fiber.Ctx) error { return k.showStock(c, nil) }

func (k *console) showStock(c *fiber.Ctx, refusal error) error {
	ctx := c.UserContext()
	state := certificate.BlankState(c.Query("state", string(certificate.BlankReceived)))
	if !slices.Contains(certificate.BlankStates, state) {
		return order.Errorf(order.Invalid, "blank_state_unknown", "没有该分类，请重新选择")
	}
	counts, err := k.Stock.Count(ctx)
	if err != nil {
		return err
	}
	v := stockView{State: state}
	for _, s := range certificate.BlankStates {
		v.Tabs = append(v.Tabs, tabView{s.Label() + " " + strconv.Itoa(counts[s]), "/staff/stock?state=" + string(s), s == state})
	}
	blanks, err := k.Stock.List(ctx, certificate.BlankFilter{State: state, After: c.Query("after"), Limit: pageSize + 1})
	if err != nil {
		return err
	}
	if len(blanks) > pageSize {
		blanks = blanks[:pageSize]
		v.Next = "/staff/stock?state=" + string(state) + "&after=" + blanks[pageSize-1].Serial
	}
	for _, b := range blanks {
		row := blankRow{Blank: b, By: k.handlerName(ctx, b.ReceivedBy), Why: b.Reason.Label()}
		if b.State == certificate.BlankScrapped {
			row.By = k.handlerName(ctx, b.ScrappedBy)
		}
		v.Rows = append(v.Rows, row)
	}
	for _, r := range certificate.ScrapReasons {
		v.Reasons = append(v.Reasons, choice{string(r.Reason), r.Label, false})
	}
	if refusal != nil {
		v.Batch, v.Serials = c.FormValue("batch"), c.FormValue("serials")
	}
	return k.show(c, "stock", "空白UKEY库存", v, refusal)
}

// handlerName is how colleagues call the one who handled a blank; the station has
// no account.
func (k *console) handlerName(ctx context.Context, id string) string {
	return k.name(ctx, id, "制证站")
}

func (k *console) receiveBlanks(c *fiber.Ctx) error {
	_, err := k.Stock.Receive(c.UserContext(), actor(c, order.Issuer), c.FormValue("batch"), c.FormValue("serials"))
	if err != nil {
		return k.orNotice(c, err, k.showStock)
	}
	return c.Redirect("/staff/stock", http.StatusSeeOther)
}

func (k *console) scrapBlank(c *fiber.Ctx) error {
	err := k.Stock.Scrap(c.UserContext(), actor(c, order.Issuer), c.Params("serial"), certificate.ScrapReason(c.FormValue("reason")), c.FormValue("note"))
	if err != nil {
		return k.orNotice(c, err, k.showStock)
	}
	return c.Redirect("/staff/stock?state=scrapped", http.StatusSeeOther)
}

// labelView is one label to be printed and put on a USBKEY. It names the company,
// which is public, and nobody.
type labelView struct {
	Serial, Company string
	Ends            time.Time
	QR              template.URL
}

type labelsView struct {
	Tail string
	Rows []labelView
}

// labels is the sheet of an order's keys that are made.
func (k *console) labels(c *fiber.Ctx) error {
	ctx := c.UserContext()
	o, err := k.Records.Order(ctx, order.ID(c.Params("id")))
	if err != nil {
		return err
	}
	items, err := k.Records.Items(ctx, o.ID)
	if err != nil {
		return err
	}
	v := labelsView{Tail: order.TailOf(o.No)}
	for _, i := range items {
		if i.Stage != order.ItemVerified || i.TokenSerial == "" {
			continue
		}
		cert, err := k.Records.Certificate(ctx, i.CertSerial)
		if err != nil {
			return err
		}
		qr, err := qrImage(i.TokenSerial)
		if err != nil {
			return err
		}
		v.Rows = append(v.Rows, labelView{i.TokenSerial, o.Company, cert.NotAfter, qr})
	}
	if len(v.Rows) == 0 {
		return order.Errorf(order.NotFound, "labels_none", "该订单还没有制作完成的 UKEY，制作完成后再打印标签")
	}
	return k.show(c, "labels", "UKEY 标签 "+v.Tail, v, nil)
}
