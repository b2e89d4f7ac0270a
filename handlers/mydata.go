package handlers

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// dataRoutes are 我的资料: what is kept of a person, until when and who has seen it;
// a copy of it, its erasure, and the end of the account (PIPL, Art. 45 and 47).
func (s *Server) dataRoutes() {
	s.get("/me/data", Applicant, s.myData)
	s.provenRoutes("/me/data/cabinet", provenPage{"data_cabinet", "钥匙柜的资料", s.cabinetData, s.emptyCabinet})
	s.provenRoutes("/me/data/:id", provenPage{"data_order", "这份订单的资料", s.orderData, s.erase})
	s.provenRoutes("/me/copy", provenPage{"data_copy", "下载我的资料", s.copying, s.prepareCopy})
	s.get("/me/copy/:ticket", Applicant, s.sendCopy)
	s.provenRoutes("/me/close", provenPage{"account_close", "注销账号", s.leaving, s.closeAccount})
}

// The purposes of the codes before these.
const (
	codeErase = "erase"
	codeCopy  = "copy"
	codeClose = "close_account"
)

// dataService keeps the promises about personal data; *order.Service.
type dataService interface {
	Promises(ctx context.Context, orders []order.Order) ([]order.Promise, error)
	Erasable(ctx context.Context, o order.Order) (bool, error)
	AskErasure(ctx context.Context, id order.ID, by order.Actor) (order.Promise, error)
	RecordCopy(ctx context.Context, by order.Actor) error
	NeededAccount(ctx context.Context, personID string) error
	CloseAccount(ctx context.Context, by order.Actor) error
}

type dataView struct {
	Mobile  string // masked
	Since   time.Time
	Cabinet bool // something is in his cabinet
	Rows    []dataRow
	Next    string
}

// dataRow is what is kept of one order.
type dataRow struct {
	Order            order.Order
	Fields, Pictures int // filled in
	Until            promiseView
}

// promiseView says how long in a few words.
type promiseView struct {
	Text string
	Good bool // nothing is left, or it is sure to go
}

// viewOfPromise is what somebody reads who asks how long.
func viewOfPromise(o order.Order, p order.Promise) promiseView {
	switch {
	case p.Gone:
		return promiseView{"已删除", true}
	case !o.EraseAskedAt.IsZero() && p.ByLaw:
		return promiseView{"依法保存至 " + day(p.Until) + "，已停止使用，到期自动删除", true}
	case !o.EraseAskedAt.IsZero():
		return promiseView{"正在删除", true}
	case p.Until.IsZero():
		return promiseView{"办理中，办结或关闭后开始计算", false}
	case p.ByLaw:
		return promiseView{"依法保存至 " + day(p.Until) + "（证书失效后五年），到期自动删除", false}
	default:
		return promiseView{"保存至 " + day(p.Until) + "，到期自动删除", false}
	}
}

func rowOfData(o order.Order, p order.Promise) dataRow {
	r := dataRow{Order: o, Until: viewOfPromise(o, p)}
	for _, spec := range order.Fields {
		switch {
		case o.Form.Get(spec.Name) == "":
		case spec.Input == order.Image:
			r.Pictures++
		default:
			r.Fields++
		}
	}
	return r
}

func (s *Server) myData(c *fiber.Ctx) error {
	ctx, me := c.UserContext(), visitorOf(c).PersonID()
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	person, err := s.Store.Person(ctx, me)
	if err != nil {
		return err
	}
	page, err := s.Store.Orders(ctx, order.Filter{PersonID: me, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	promises, err := s.Orders.Promises(ctx, page.Orders)
	if err != nil {
		return err
	}
	v := dataView{Mobile: person.Mobile.Mask(), Since: person.CreatedAt}
	for i, o := range page.Orders {
		v.Rows = append(v.Rows, rowOfData(o, promises[i]))
	}
	kept, err := s.cabinetOf(ctx, me, 1)
	if err != nil {
		return err
	}
	v.Cabinet = len(kept.Foreign)+len(kept.Loans) > 0
	v.Next = link("/me/data?after=", page.Next)
	return s.render(c, http.StatusOK, "data", "我的资料", v)
}

// orderDataView is everything that is kept of one order, masked, who has seen it, and
// how it can be made to go.
type orderDataView struct {
	provenView
	dataRow
	Groups []groupView
	Looks  []lookView
	Next   string
	Can    bool // be asked to go now
	ByLaw  bool // but is kept until a law allows
	Draft  bool
}

type lookView struct {
	At        time.Time
	Who, What string
}

func (s *Server) orderData(c *fiber.Ctx) (provable, session.Challenge, error) {
	ctx, none := c.UserContext(), session.Challenge{}
	o, err := s.ownOrder(c)
	if err != nil {
		return nil, none, err
	}
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return nil, none, err
	}
	promises, err := s.Orders.Promises(ctx, []order.Order{o})
	if err != nil {
		return nil, none, err
	}
	looks, err := s.Store.Looks(ctx, o.ID, after, pageSize)
	if err != nil {
		return nil, none, err
	}
	v := &orderDataView{dataRow: rowOfData(o, promises[0]), Groups: s.summary(o, order.Form.Masked), ByLaw: promises[0].ByLaw, Draft: o.Status == order.Draft}
	for _, l := range looks.Looks {
		v.Looks = append(v.Looks, lookView{l.At, l.Role.Label(), lookLabel(l.Action)})
	}
	if looks.Next != (order.Cursor{}) {
		v.Next = "/me/data/" + string(o.ID) + "?after=" + cursorText(looks.Next) + "#looks"
	}
	if v.Can, err = s.Orders.Erasable(ctx, o); err != nil {
		return nil, none, err
	}
	var ch session.Challenge
	v.provenView, ch, err = s.proving(c, codeErase, string(o.ID), "/me/data/"+string(o.ID))
	return v, ch, err
}

func (s *Server) erase(c *fiber.Ctx, page provable) error {
	v := page.(*orderDataView)
	if _, err := s.Orders.AskErasure(c.UserContext(), v.Order.ID, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, v.Path)
}

// lookLabel says what of an order was seen, and why.
func lookLabel(action string) string {
	switch {
	case strings.HasPrefix(action, order.ActionDownload):
		return "下载法定代表人的授权文件"
	case strings.HasPrefix(action, order.ActionUnmask+"caller"):
		return "按您的要求回电，查看手机号"
	case strings.HasPrefix(action, order.ActionUnmask):
		for _, why := range unmaskReasons {
			if action == order.ActionUnmask+why.Value {
				return "查看完整号码：" + why.Label
			}
		}
		return "查看完整号码"
	default:
		return "查看申请内容和图片（号码遮盖，图片带水印）"
	}
}

// provenPage is a page whose form a code to the person's own mobile seals.
type provenPage struct {
	template, title string
	view            func(c *fiber.Ctx) (provable, session.Challenge, error)
	then            func(c *fiber.Ctx, v provable) error // once the code was right
}

// provable is the view of one.
type provable interface{ form() *provenView }

// provenView is its form.
type provenView struct {
	Path, Mobile string // where it goes; masked
	Code         codeView
	Sure         bool
	Error        string
}

func (v *provenView) form() *provenView { return v }

// provenRoutes adds the routes of a page: itself, its code, and its form.
func (s *Server) provenRoutes(path string, p provenPage) {
	s.get(path, Applicant, func(c *fiber.Ctx) error {
		v, _, err := p.view(c)
		if err != nil {
			return err
		}
		return s.render(c, http.StatusOK, p.template, p.title, v)
	})
	s.post(path+"/code", Applicant, func(c *fiber.Ctx) error {
		v, ch, err := p.view(c)
		if err != nil {
			return err
		}
		return s.sendCode(c, ch, v.form().Code)
	})
	s.post(path, Applicant, func(c *fiber.Ctx) error {
		v, ch, err := p.view(c)
		if err != nil {
			return err
		}
		f := v.form()
		if f.Sure {
			err = s.Codes.Verify(c.UserContext(), ch, c.FormValue("code"))
			f.Error, _ = correctable(err)
		} else {
			f.Error = "请先勾选确认"
		}
		switch {
		case f.Error != "":
			return s.render(c, http.StatusUnprocessableEntity, p.template, p.title, v)
		case err != nil:
			return err
		default:
			return p.then(c, v)
		}
	})
}

// proving is the form of a page, and the challenge behind it, for a purpose and about
// subject.
func (s *Server) proving(c *fiber.Ctx, purpose, subject, path string) (provenView, session.Challenge, error) {
	p, err := s.Store.Person(c.UserContext(), visitorOf(c).PersonID())
	if err != nil {
		return provenView{}, session.Challenge{}, err
	}
	v := provenView{Path: path, Mobile: p.Mobile.Mask(), Code: codeView{URL: path + "/code"}, Sure: c.FormValue("sure") == "yes"}
	return v, session.Challenge{Purpose: purpose, Mobile: p.Mobile, Subject: subject, IP: c.IP()}, nil
}

// copyView is the page that hands out a copy.
type copyView struct {
	provenView
	URL, Password string // once the code was right
}

// ticketCopy is the purpose of the ticket of a copy, copyLife how long it is good for
// and copiesADay how many there may be.
const (
	ticketCopy = "copy"
	copyLife   = 10 * time.Minute
	copiesADay = 5
)

// copyTicket is whose copy it is, and what it is locked with.
type copyTicket struct{ PersonID, Password string }

func (s *Server) copying(c *fiber.Ctx) (provable, session.Challenge, error) {
	v, ch, err := s.proving(c, codeCopy, visitorOf(c).PersonID(), "/me/copy")
	return &copyView{provenView: v}, ch, err
}

// prepareCopy shows the password of a copy, and where to get it.
func (s *Server) prepareCopy(c *fiber.Ctx, page provable) error {
	ctx, me, v := c.UserContext(), visitorOf(c).PersonID(), page.(*copyView)
	if err := allow(ctx, s.Attempts, "copies:"+me, copiesADay, 24*time.Hour, "一天内下载的次数过多，请明天再来"); err != nil {
		return err
	}
	v.Password = newPassword()
	value, err := json.Marshal(copyTicket{me, v.Password}) //nolint:gosec // for the ticket alone
	if err != nil {
		return err
	}
	ticket, err := s.Tickets.Put(ctx, ticketCopy, value, copyLife)
	if err != nil {
		return err
	}
	if err := s.Orders.RecordCopy(ctx, visitorOf(c).Actor(c)); err != nil {
		return err
	}
	v.URL = "/me/copy/" + ticket
	c.Set(fiber.HeaderCacheControl, "no-store")
	return s.render(c, http.StatusOK, "data_copy", "下载我的资料", v)
}

// closeView is the page that ends an account.
type closeView struct {
	provenView
	Needed string // why it cannot be ended yet
}

func (s *Server) leaving(c *fiber.Ctx) (provable, session.Challenge, error) {
	me := visitorOf(c).PersonID()
	form, ch, err := s.proving(c, codeClose, me, "/me/close")
	if err != nil {
		return nil, ch, err
	}
	v := &closeView{provenView: form}
	err = s.Orders.NeededAccount(c.UserContext(), me)
	if fault, is := order.AsError(err); is && fault.Kind == order.Conflict {
		v.Needed, err = fault.Detail, nil
	}
	return v, ch, err
}

// closeAccount forgets who the visitor is.
func (s *Server) closeAccount(c *fiber.Ctx, _ provable) error {
	if err := s.Orders.CloseAccount(c.UserContext(), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.logoutApplicant(c)
}
