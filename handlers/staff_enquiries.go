package handlers

import (
	"errors"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// enquiryRoutes are for those who call people back. They see what was said and,
// one at a time and on record, whom to call.
func (k *console) enquiryRoutes() {
	k.get("/staff/enquiries", OfStaff, k.enquiries, order.Reviewer)
	k.post("/staff/enquiries/:id/reveal", OfStaff, k.revealCaller, order.Reviewer)
	k.post("/staff/enquiries/:id/done", OfStaff, k.closeEnquiry, order.Reviewer)
}

type enquiriesView struct {
	Rows []enquiryRow
	Next string
}

type enquiryRow struct {
	order.Enquiry
	Mobile  string
	Call    string // the number to dial, when it is shown
	Tail    string
	Overdue bool
}

func (k *console) enquiries(c *fiber.Ctx) error { return k.showEnquiries(c, "", nil) }

// showEnquiries lists who waits for a call; the number of the enquiry revealed is
// shown whole.
func (k *console) showEnquiries(c *fiber.Ctx, revealed string, refusal error) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	open, err := k.Enquiries.OpenEnquiries(c.UserContext(), order.EnquiryCursor{DueAt: after.At, ID: string(after.ID)}, pageSize+1)
	if err != nil {
		return err
	}
	var v enquiriesView
	if len(open) > pageSize {
		open = open[:pageSize]
		last := open[pageSize-1]
		v.Next = "/staff/enquiries?after=" + cursorText(order.Cursor{At: last.DueAt, ID: order.ID(last.ID)})
	}
	for _, e := range open {
		row, err := k.enquiryRow(c, e)
		if err != nil {
			return err
		}
		if e.ID == revealed {
			row.Call, row.Mobile = row.Mobile, ""
		} else {
			row.Mobile = identity.NewMobile(row.Mobile).Mask()
		}
		v.Rows = append(v.Rows, row)
	}
	return k.show(c, "enquiries", "回电", v, refusal)
}

// enquiryRow is the row with the whole number in Mobile.
func (k *console) enquiryRow(c *fiber.Ctx, e order.Enquiry) (enquiryRow, error) {
	row := enquiryRow{Enquiry: e, Overdue: k.Now().After(e.DueAt)}
	p, err := k.Store.Person(c.UserContext(), e.PersonID)
	if err != nil {
		return row, err
	}
	row.Mobile = p.Mobile.Reveal()
	if e.OrderID != "" {
		o, err := k.Store.Order(c.UserContext(), e.OrderID)
		if err != nil && !errors.Is(err, order.NotFound) { // deleted meanwhile
			return row, err
		}
		row.Tail = order.TailOf(o.No)
	}
	return row, nil
}

// revealCaller shows one number in the clear, and records it.
func (k *console) revealCaller(c *fiber.Ctx) error {
	e, err := k.Enquiries.Enquiry(c.UserContext(), c.Params("id"))
	if err != nil {
		return err
	}
	by := actor(c, order.Reviewer)
	err = allow(c.UserContext(), k.Once, "unmask:"+by.StaffID, unmasksAnHour, time.Hour, "查看完整信息过于频繁，请稍后再试")
	if err == nil {
		err = k.Staffing.Record(c.UserContext(), e.OrderID, order.ActionUnmask+"caller:"+e.ID, by, "ok")
	}
	if err != nil {
		return k.orNotice(c, err, func(c *fiber.Ctx, err error) error { return k.showEnquiries(c, "", err) })
	}
	return k.showEnquiries(c, e.ID, nil)
}

func (k *console) closeEnquiry(c *fiber.Ctx) error {
	err := k.Enquiries.CloseEnquiry(c.UserContext(), c.Params("id"), actor(c, order.Reviewer), k.Now())
	if err != nil {
		return k.orNotice(c, err, func(c *fiber.Ctx, err error) error { return k.showEnquiries(c, "", err) })
	}
	return c.Redirect("/staff/enquiries", http.StatusSeeOther)
}
