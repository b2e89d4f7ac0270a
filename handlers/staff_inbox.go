package handlers

import (
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

const (
	inboxPath = "/staff/inbox"
	// unreadShown is the highest number of new messages that is counted.
	unreadShown = 99
)

// inboxRoutes are everybody's: a message that WeChat and SMS cannot deliver is
// still here.
func (k *console) inboxRoutes() {
	k.get(inboxPath, OfStaff, k.inbox)
	k.post(inboxPath+"/read", OfStaff, k.readInbox)
	k.post(inboxPath+"/quiet", OfStaff, k.setQuiet)
	k.get("/staff/notices/:id", OfStaff, k.notices, searchers...)
}

type inboxView struct {
	messagesView
	From, To string // quiet hours
	Quiet    string
	Leader   bool
}

func (k *console) inbox(c *fiber.Ctx) error { return k.showInbox(c, nil) }

func (k *console) showInbox(c *fiber.Ctx, refusal error) error {
	m := staffOf(c)
	page, err := messagesPage(c, k.Records, k.links(), order.MessageFilter{StaffID: m.ID})
	if err != nil {
		return err
	}
	v := inboxView{messagesView: page, Quiet: m.Quiet.String(), Leader: m.Leader}
	v.From, v.To = m.Quiet.Ends()
	if refusal != nil {
		v.From, v.To = c.FormValue("from"), c.FormValue("to")
	}
	return k.show(c, "inbox", "消息", v, refusal)
}

func (k *console) readInbox(c *fiber.Ctx) error {
	if err := k.Staffing.ReadInbox(c.UserContext(), staffOf(c).ID); err != nil {
		return err
	}
	return c.Redirect(inboxPath, http.StatusSeeOther)
}

// setQuiet sets the hours of 免打扰; without hours there are none.
func (k *console) setQuiet(c *fiber.Ctx) error {
	q, err := order.ParseQuiet(c.FormValue("from"), c.FormValue("to"))
	if c.FormValue("off") != "" {
		q, err = order.Quiet{}, nil
	}
	if err == nil {
		err = k.Staffing.SetQuiet(c.UserContext(), actor(c, staffOf(c).MainRole()), q)
	}
	if err != nil {
		return k.orNotice(c, err, k.showInbox)
	}
	return c.Redirect(inboxPath, http.StatusSeeOther)
}

// noticesView is who was told what about an order, when and how.
type noticesView struct {
	No, Tail, Company string
	Rows              []noticeRow
}

type noticeRow struct {
	Label, To, Told string
	wayView
	Why      string
	At       time.Time
	Replaces bool // it takes the place of one that could not be delivered
	Attempts []attemptView
}

type attemptView struct {
	N               int
	State, Way, Why string
	At              time.Time
}

func (k *console) notices(c *fiber.Ctx) error {
	ctx := c.UserContext()
	o, err := k.underReview(c)
	if err != nil {
		return err
	}
	ns, err := k.Records.Notifications(ctx, o.ID)
	if err != nil {
		return err
	}
	v := noticesView{No: o.No, Tail: order.TailOf(o.No), Company: o.Company}
	for _, n := range ns {
		row := noticeRow{Label: order.Notices[n.Notice].Label, To: n.To.Label(), Told: n.Told, wayView: wayOf(n), Why: whyLabel(n.Why), At: n.CreatedAt, Replaces: n.FallbackOf != ""}
		if n.StaffID != "" {
			m, err := k.Records.Staff(ctx, n.StaffID)
			if err != nil {
				return err
			}
			row.To, row.Told = m.Name, ""
		}
		attempts, err := k.Records.Attempts(ctx, n.ID)
		if err != nil {
			return err
		}
		for _, a := range attempts {
			row.Attempts = append(row.Attempts, attemptView{a.N, a.State.Label(), a.Way.Label(), whyLabel(a.Why), a.At})
		}
		v.Rows = append(v.Rows, row)
	}
	return k.show(c, "notices", "通知记录 "+v.Tail, v, nil)
}
