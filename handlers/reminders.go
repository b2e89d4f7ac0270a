package handlers

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) reminderRoutes() {
	s.get("/certificates/:serial/reminders", Applicant, s.showReminders)
	s.post("/certificates/:serial/reminders", Applicant, s.setReminders)
	s.post("/certificates/:serial/reminders/contact", Applicant, s.setContact)
}

// remindersView is what was and will be said about the end of a certificate: the
// evidence that staff and the holder see alike (flows 4.7).
type remindersView struct {
	Rows    []reminderRow
	Planned []plannedRow
}

type reminderRow struct {
	At           time.Time
	Label, State string
	Good         bool
	Why          string
	Ways         []sentView
}

type sentView struct {
	wayView
	Told, Why string
}

type plannedRow struct {
	At       time.Time
	Label    string
	Media    string
	Optional bool
}

// remindWhys say why a reminder was not sent.
var remindWhys = map[string]string{ //nolint:gosec // sentences
	"passed": "日期已过", "overtaken": "由之后的提醒代替", "frozen": "证书已冻结", "unbound": "没有绑定用户", "opted_out": "用户已退订非必要提醒", "revoked": "证书已吊销", "renewed": "证书已更新", "renewing": "更新正在办理",
}

func rungLabel(name certificate.RungName) string {
	r, ok := certificate.RungOf(name)
	if !ok {
		return string(name)
	}
	return whenLabel(r.Day) + "：" + order.Notices[r.Notice].Label
}

// whenLabel says in words how many days after the expiry a rung comes; days
// before it are negative.
func whenLabel(day int) string {
	switch {
	case day < 0:
		return fmt.Sprintf("到期前 %d 天", -day)
	case day == 0:
		return "到期当天"
	default:
		return fmt.Sprintf("到期后 %d 天", day)
	}
}

func (s *Server) remindersView(c *fiber.Ctx, cert certificate.Certificate) (remindersView, error) {
	e, err := s.Reminders.Of(c.UserContext(), cert)
	if err != nil {
		return remindersView{}, err
	}
	var v remindersView
	for _, r := range e.Rows {
		row := reminderRow{At: r.At, Label: rungLabel(r.Step), State: r.State.Label(), Good: r.State == certificate.ReminderSent, Why: remindWhys[r.Why]}
		for _, n := range r.Messages {
			row.Ways = append(row.Ways, sentView{wayOf(n), n.Told, whyLabel(n.Why)})
		}
		v.Rows = append(v.Rows, row)
	}
	for _, p := range e.Planned {
		row := plannedRow{At: p.PlannedAt, Label: rungLabel(p.Step)}
		if r, ok := certificate.RungOf(p.Step); ok {
			row.Optional = r.Optional
			for i, m := range order.Notices[r.Notice].Media {
				row.Media += map[bool]string{true: "、"}[i > 0] + m.Label()
			}
		}
		v.Planned = append(v.Planned, row)
	}
	return v, nil
}

type holderRemindersView struct {
	Cert      certificate.Certificate
	Reminders remindersView
	OptedOut  bool
	Contacts  []contactView
}

// contactView is somebody whom the holder may want reminded, too.
type contactView struct {
	Role        order.Audience
	Label, When string
	Mobile      string // masked; empty while there is none
	Typed       string
	Error       string
}

// showReminders is the holder's page about the reminders of one certificate.
func (s *Server) showReminders(c *fiber.Ctx) error {
	return s.remindersPage(c, http.StatusOK, contactView{})
}

// remindersPage shows the page, with what was wrong about one contact.
func (s *Server) remindersPage(c *fiber.Ctx, status int, wrong contactView) error {
	me := visitorOf(c).PersonID()
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), me)
	if err != nil {
		return err
	}
	v := holderRemindersView{Cert: cert}
	if v.Reminders, err = s.remindersView(c, cert); err != nil {
		return err
	}
	if v.OptedOut, err = s.Reminders.OptedOut(c.UserContext(), me); err != nil {
		return err
	}
	known, err := s.Reminders.Contacts(c.UserContext(), me, cert.USCC)
	if err != nil {
		return err
	}
	for _, r := range certificate.Ladder {
		if r.Contact == "" {
			continue
		}
		view := contactView{Role: r.Contact, Label: r.Contact.Label(), When: fmt.Sprintf("到期前 %d 天", -r.Day)}
		for _, k := range known {
			if k.Role == r.Contact {
				view.Mobile = k.Mobile.Mask()
			}
		}
		if wrong.Role == r.Contact {
			view.Typed, view.Error = wrong.Typed, wrong.Error
		}
		v.Contacts = append(v.Contacts, view)
	}
	return s.render(c, status, "reminders", "更新提醒", v)
}

// setReminders takes or leaves the optional reminders, for all certificates of the
// person.
func (s *Server) setReminders(c *fiber.Ctx) error {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	if err := s.Reminders.SetOptOut(c.UserContext(), visitorOf(c).Actor(c), c.FormValue("optional") == "no"); err != nil {
		return err
	}
	return s.goTo(c, "/certificates/"+cert.Serial+"/reminders")
}

// setContact names somebody to be reminded, too, who has agreed to it, or nobody any
// more (flows 4.7: D-7 a second contact, D-3 who answers for the company).
func (s *Server) setContact(c *fiber.Ctx) error {
	cert, err := s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	typed := contactView{Role: order.Audience(c.FormValue("role")), Typed: c.FormValue("mobile")}
	var mobile identity.Mobile
	if c.FormValue("remove") == "" {
		if mobile, err = identity.ParseMobile(typed.Typed); err != nil {
			typed.Error = err.Error()
		} else if c.FormValue("agreed") == "" {
			typed.Error = "请先征得对方同意，并勾选「对方已同意接收」"
		}
	}
	if typed.Error != "" {
		return s.remindersPage(c, http.StatusUnprocessableEntity, typed)
	}
	if err := s.Reminders.SetContact(c.UserContext(), visitorOf(c).Actor(c), cert, typed.Role, mobile); err != nil {
		return err
	}
	return s.goTo(c, "/certificates/"+cert.Serial+"/reminders")
}
