package handlers

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// accountRoutes are what the bar on top leads to beside orders and certificates
// (F11): 在线客服, 小程序, 费用中心, 工单 and 个人中心.
func (s *Server) accountRoutes() {
	s.get("/service", Public, s.servicePage)
	s.get("/punctuality", Public, s.punctualityPage)
	s.get("/mini", Public, s.miniPage)
	s.get("/fees", Applicant, s.fees)
	s.get("/enquiries", Applicant, s.ownEnquiries)
	s.post("/enquiries", Applicant, s.enquire)
	s.get("/me", Applicant, s.me)
	s.post("/me/unbind", Applicant, s.unbindWeChat)
}

// serviceView says when somebody answers the telephone.
type serviceView struct {
	Open bool
	Next string
}

func (s *Server) servicePage(c *fiber.Ctx) error {
	open, next := order.Opening(s.Workdays, s.Now())
	return s.render(c, http.StatusOK, "service", "在线客服", serviceView{open, next.In(order.Shanghai).Format("1月2日 15:04")})
}

// miniPage shows the way into the mini-program: WeChat opens it for this address, other
// browsers get the page.
func (s *Server) miniPage(c *fiber.Ctx) error {
	code, err := qrImage(s.absolute("/mini"))
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "mini", "小程序", code)
}

type feesView struct {
	Rows []order.Fee
	Next string
}

// fees is 费用中心: what was paid, and what came back.
func (s *Server) fees(c *fiber.Ctx) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := s.Store.Fees(c.UserContext(), visitorOf(c).PersonID(), after, pageSize)
	if err != nil {
		return err
	}
	v := feesView{Rows: page.Fees}
	v.Next = link("/fees?after=", page.Next)
	return s.render(c, http.StatusOK, "fees", "费用中心", v)
}

// enquiryTopics are what somebody may ask to be called about.
var enquiryTopics = []string{"办理进度", "支付与退款", "发票", "UKEY 使用", "投诉与建议", "其他"}

// maxEnquiry is how much may be said with it, in characters.
const maxEnquiry = 200

type ownEnquiriesView struct {
	Topics       []string
	Rows         []order.Enquiry
	Next         string
	Waiting      bool // one is open: what is written now is added to it
	Topic, Typed string
	Urgent       bool
	Error        string
}

// ownEnquiries is 工单: what somebody wants to be called back about, here or in the chat.
func (s *Server) ownEnquiries(c *fiber.Ctx) error {
	return s.showOwnEnquiries(c, http.StatusOK, ownEnquiriesView{})
}

func (s *Server) showOwnEnquiries(c *fiber.Ctx, status int, v ownEnquiriesView) error {
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := s.Enquiries.EnquiriesOf(c.UserContext(), visitorOf(c).PersonID(), after, pageSize)
	if err != nil {
		return err
	}
	v.Topics, v.Rows = enquiryTopics, page.Enquiries
	v.Waiting = slices.ContainsFunc(v.Rows, func(e order.Enquiry) bool { return e.DoneAt.IsZero() })
	v.Next = link("/enquiries?after=", page.Next)
	return s.render(c, status, "enquiries", "工单", v)
}

// enquire asks to be called back. Secrets that people write all the same are not kept.
func (s *Server) enquire(c *fiber.Ctx) error {
	v := ownEnquiriesView{Topic: c.FormValue("topic"), Typed: strings.TrimSpace(c.FormValue("said")), Urgent: c.FormValue("urgent") == "yes"}
	switch {
	case !slices.Contains(enquiryTopics, v.Topic):
		v.Error = "请选择事由"
	case v.Typed == "":
		v.Error = "请写明需要我们帮您做什么"
	case utf8.RuneCountInString(v.Typed) > maxEnquiry:
		v.Error = "内容最多 200 字，请精简"
	}
	if v.Error != "" {
		return s.showOwnEnquiries(c, http.StatusUnprocessableEntity, v)
	}
	said, _ := identity.RedactText(v.Typed)
	e := order.Enquiry{ID: s.NewID(), PersonID: visitorOf(c).PersonID(), Topic: v.Topic, Said: said, Urgent: v.Urgent, CreatedAt: s.Now()}
	e.DueAt = order.CallBy(s.Workdays, e.CreatedAt, e.Urgent)
	if _, err := s.Enquiries.Enquire(c.UserContext(), e); err != nil {
		return err
	}
	return c.Redirect("/enquiries", http.StatusSeeOther)
}

type meView struct {
	Mobile  string // masked
	WeChats []weChatView
}

// weChatView is where the person's WeChat is bound.
type weChatView struct {
	App  string
	At   time.Time
	Deaf bool // it gets no notices there
}

// me is 个人中心.
func (s *Server) me(c *fiber.Ctx) error {
	p, err := s.Store.Person(c.UserContext(), visitorOf(c).PersonID())
	if err != nil {
		return err
	}
	all, err := s.Store.WeChats(c.UserContext(), p.ID)
	if err != nil {
		return err
	}
	v := meView{Mobile: p.Mobile.Mask()}
	for _, w := range all {
		app := "公众号"
		if w.AppID == s.Mini.AppID {
			app = "小程序"
		}
		v.WeChats = append(v.WeChats, weChatView{app, w.UpdatedAt, !w.Subscribed})
	}
	return s.render(c, http.StatusOK, "me", "个人中心", v)
}

// unbindWeChat ends what ties the visitor to WeChat, and this login.
func (s *Server) unbindWeChat(c *fiber.Ctx) error {
	if err := s.unbind(c.UserContext(), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.logoutApplicant(c)
}

func (s *Server) unbind(ctx context.Context, by order.Actor) error {
	return s.Store.InTx(ctx, func(tx order.Tx) error { return order.UnbindWeChat(ctx, tx, by, s.Now()) })
}
