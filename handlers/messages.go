package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

func (s *Server) messageRoutes() { s.get("/messages", Applicant, s.messages) }

// messagesShown is how many notifications a page of messages is made of; several
// may be one message.
const messagesShown = 40

// messageRow is one message with the ways it took.
type messageRow struct {
	ID          string
	At          time.Time
	Title, Text string
	Tail, URL   string
	Unread      bool
	Ways        []wayView
}

// wayView is one medium of a message and how far it came.
type wayView struct {
	Medium, State string
	Good          bool
}

func wayOf(n order.Notification) wayView {
	return wayView{n.Medium.Label(), n.State.Label(), n.State == order.DeliverySent || n.State == order.DeliveryDelivered}
}

// orderReader reads one order.
type orderReader interface {
	Order(ctx context.Context, id order.ID) (order.Order, error)
}

// messageRows joins the notifications that are one message over several media.
// One about an order that is gone is left out.
func messageRows(ctx context.Context, from orderReader, l notice.Links, ns []order.Notification) ([]messageRow, error) {
	type key struct {
		id  order.ID
		seq int64
		n   order.Notice
	}
	var rows []messageRow
	at := map[key]int{}
	orders := map[order.ID]order.Order{}
	for _, n := range ns {
		k := key{n.OrderID, n.Seq, n.Notice}
		if i, known := at[k]; known {
			rows[i].Ways = append(rows[i].Ways, wayOf(n))
			continue
		}
		o, known := orders[n.OrderID]
		if !known && n.OrderID != "" {
			var err error
			if o, err = from.Order(ctx, n.OrderID); err != nil && !errors.Is(err, order.NotFound) {
				return nil, err
			}
			orders[n.OrderID] = o
		}
		if o.ID == "" && n.OrderID != "" {
			continue
		}
		row := messageRow{ID: n.ID, At: n.CreatedAt, Title: order.Notices[n.Notice].Label, Unread: n.ReadAt.IsZero(), Ways: []wayView{wayOf(n)}}
		if n.Notice == order.NoticeBillDiffers {
			row.Text, row.URL = "平台账单与本系统的记账有差异，请核实", l.Reconciliation()
		} else if notice.AboutCabinet(n.Notice) {
			row.Text, row.URL = notice.Brief(n.Notice, o, l)
		} else if n.OrderID == "" {
			row.Text, row.URL = order.Day(n.Day())+" 的审核统计", l.Day(n.Day())
		} else {
			row.Tail = order.TailOf(o.No)
			row.Text, row.URL = notice.Brief(n.Notice, o, l)
		}
		at[k] = len(rows)
		rows = append(rows, row)
	}
	return rows, nil
}

// links are local addresses.
func (s *Server) links() notice.Links { return notice.Links{} }

type messagesView struct {
	Rows []messageRow
	Next string
}

// messageReader reads messages and what they are about.
type messageReader interface {
	orderReader
	Messages(ctx context.Context, f order.MessageFilter) ([]order.Notification, error)
}

// messagesPage reads one page of messages.
func messagesPage(c *fiber.Ctx, from messageReader, l notice.Links, f order.MessageFilter) (messagesView, error) {
	f.Before, f.Limit = c.Query("before"), messagesShown
	ns, err := from.Messages(c.UserContext(), f)
	if err != nil {
		return messagesView{}, err
	}
	var v messagesView
	if v.Rows, err = messageRows(c.UserContext(), from, l, ns); err != nil {
		return v, err
	}
	if len(ns) == messagesShown {
		v.Next = c.Path() + "?before=" + url.QueryEscape(ns[len(ns)-1].ID)
	}
	return v, nil
}

// messages is 我的消息: what the person was told, when and how.
func (s *Server) messages(c *fiber.Ctx) error {
	v, err := messagesPage(c, s.Store, s.links(), order.MessageFilter{PersonID: visitorOf(c).PersonID()})
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "messages", "我的消息", v)
}

// whyLabels say in plain words why a message was not delivered; a code that is
// not here is shown as it is.
var whyLabels = map[string]string{
	"not_bound": "未绑定微信", "not_following": "未关注公众号", "no_mobile": "没有手机号", "unconfirmed": "发送中断，结果未知，未重发",
	"wechat 43004": "未关注公众号", "wechat 43101": "未同意接收", "wechat 43116": "已屏蔽消息", "wechat 45015": "超过 48 小时未互动", "wechat 45047": "超过下发条数",
	"wechat 40037": "消息模板无效", "wechat 47003": "消息内容不符合模板", "wechat 45009": "微信当日额度用完", "wechat 40001": "微信凭证失效",
	"failed:user block": "用户拒收", "failed: system failed": "微信发送失败",
}

func whyLabel(code string) string {
	if label, ok := whyLabels[code]; ok {
		return label
	}
	return strings.TrimSpace(code)
}
