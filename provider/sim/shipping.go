package sim

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// 发货信息管理: WeChat keeps what was paid in the mini-program until its merchant has said how it was delivered. A
// payment is known here by having been made at the same WeChat's payment desk, see [Trade].

// Shipping is what WeChat knows of how one payment in the mini-program was delivered.
type Shipping struct {
	TransactionID string         `json:"transaction_id"`
	OutTradeNo    string         `json:"out_trade_no"`
	LogisticsType int            `json:"logistics_type"`
	DeliveryMode  int            `json:"delivery_mode"`
	Count         int            `json:"finish_shipping_count"` // 1, and 2 once it was shipped anew
	List          []ShippingItem `json:"shipping_list"`
	UploadTime    time.Time      `json:"upload_time"` // of the request that counts
	Reminded      bool           `json:"reminded"`    // of confirming the receipt
	Confirmed     bool           `json:"confirmed"`   // by the buyer
}

// ShippingView is it with the state that get_order tells.
type ShippingView struct {
	Shipping
	State OrderState `json:"order_state"`
}

// ShippingItem is one parcel, or what stands for one.
type ShippingItem struct {
	TrackingNo     string `json:"tracking_no"`
	ExpressCompany string `json:"express_company"`
	GoodsDesc      string `json:"goods_desc"`
	UploadTime     int64  `json:"upload_time"`
	Contact        struct {
		Consignor string `json:"consignor_contact"`
		Receiver  string `json:"receiver_contact"`
	} `json:"contact"`
}

// OrderState is WeChat's order_state of a payment.
type OrderState int

// The states of a payment in 发货信息管理.
const (
	AwaitsShipping   OrderState = 1
	HasShipped       OrderState = 2
	ReceiptConfirmed OrderState = 3
	OrderRefunded    OrderState = 5
)

const (
	express, sameCity, virtual, selfPickUp = 1, 2, 3, 4
	unified, split                         = 1, 2

	// indexLag is how long 发货信息管理 does not know of a payment that was just made.
	indexLag = 3 * time.Second

	maxParcels, maxGoods, maxCode = 15, 120, 128
)

// expressCompanies are ids of get_delivery_list.
var expressCompanies = []string{"SF", "ZTO", "YTO", "STO", "YUNDA", "YD", "EMS", "JD", "DBL", "JTSD"}

// maskedContact is a number of which the last four digits, and not all of the others, can be read.
var maskedContact = regexp.MustCompile(`^[0-9+\-]*\*+[0-9]{4}$`)

var (
	noSuchPayment  = wxError{10060001, "支付单不存在"}
	badParameter   = wxError{10060014, "参数错误"}
	nothingUpdated = wxError{10060023, "发货信息未更新"}
)

func (s *Server) routeShipping(api string) {
	handle := func(path string, call func(wxCall) any) {
		s.mux.HandleFunc("POST "+api+"/wxa/sec/order/"+path, s.wechat("mini.shipping", false, func(c wxCall) any {
			if refusal := s.checkToken(s.cfg.MiniProgram.AppID, c.query.Get("access_token")); refusal.Code != 0 {
				return refusal
			}
			return call(c)
		}))
	}
	managed := func(call func(wxCall) any) func(wxCall) any {
		return func(c wxCall) any {
			if !s.shippingManaged() {
				return wxError{48001, "api unauthorized"}
			}
			return call(c)
		}
	}
	handle("is_trade_managed", s.tradeManaged)
	handle("upload_shipping_info", managed(s.uploadShipping))
	handle("get_order", managed(s.shippingOrder))
	handle("notify_confirm_receive", managed(s.remindReceipt))
	s.mux.HandleFunc("GET /playground/control/shippings", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		views := []ShippingView{}
		for _, is := range s.shippings.newest(0, nil) {
			t, _ := s.trades.get(is.OutTradeNo)
			state, _ := s.orderState(t)
			views = append(views, ShippingView{is, state})
		}
		writeControl(w, views, nil)
	})
	post(s, "mini/managed", func(_ context.Context, q struct{ Managed bool }) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keepSetting("shipping-managed", q.Managed)
		return q, nil
	})
	post(s, "mini/confirm", s.confirmReceipt)
}

// shippingManaged reports whether the mini-program has 发货信息管理, which one that sells has unless it is said otherwise.
func (s *Server) shippingManaged() bool {
	managed := true
	s.setting("shipping-managed", &managed)
	return managed
}

func (s *Server) tradeManaged(c wxCall) any {
	var q struct {
		AppID string `json:"appid"`
	}
	switch {
	case !c.decode(&q):
		return wxBadJSON
	case q.AppID == "":
		return wxError{40097, "invalid args"}
	case q.AppID != s.cfg.MiniProgram.AppID:
		return wxError{40013, "invalid appid"}
	}
	return struct {
		wxError
		Managed bool `json:"is_trade_managed"`
	}{wxOK, s.shippingManaged()}
}

// orderKey names a payment, in one of two ways.
type orderKey struct {
	Type          int    `json:"order_number_type"`
	TransactionID string `json:"transaction_id"`
	MchID         string `json:"mchid"`
	OutTradeNo    string `json:"out_trade_no"`
}

func (k orderKey) check() wxError {
	switch {
	case k.Type != 1 && k.Type != 2:
		return wxError{268485194, "order_number_type 不合法"}
	case k.Type == 2 && k.TransactionID == "":
		return wxError{268485195, "transaction_id 不能为空"}
	case k.Type == 1 && k.MchID == "":
		return wxError{268485196, "mchid 不能为空"}
	case k.Type == 1 && k.OutTradeNo == "":
		return wxError{268485197, "out_trade_no 不能为空"}
	}
	return wxError{}
}

// miniTrade is the payment of a key: one made in the mini-program, long enough ago.
func (s *Server) miniTrade(k orderKey) (Trade, bool) {
	found := s.trades.find(func(t Trade) bool {
		named := k.TransactionID != "" && t.TransactionID == k.TransactionID
		if k.TransactionID == "" {
			named = k.MchID == s.cfg.Pay.MchID && t.OutTradeNo == k.OutTradeNo
		}
		return named && t.Channel == ViaWeChat && t.Type == "JSAPI" && t.PaidAt != nil && !s.now().Before(t.PaidAt.Add(indexLag))
	})
	if len(found) == 0 {
		return Trade{}, false
	}
	return found[0], true
}

// orderState is what became of a payment. The caller holds the lock.
func (s *Server) orderState(t Trade) (OrderState, Shipping) {
	shipping, _ := s.shippings.get(t.TransactionID)
	switch {
	case t.Refunded == t.Total:
		return OrderRefunded, shipping
	case shipping.Confirmed:
		return ReceiptConfirmed, shipping
	case shipping.Count > 0:
		return HasShipped, shipping
	}
	return AwaitsShipping, shipping
}

// shippingUpload is the body of upload_shipping_info.
type shippingUpload struct {
	Key           orderKey `json:"order_key"`
	LogisticsType int      `json:"logistics_type"`
	DeliveryMode  int      `json:"delivery_mode"`
	AllDelivered  *bool    `json:"is_all_delivered"`
	List          []struct {
		ShippingItem
		ItemDesc string `json:"item_desc"`
	} `json:"shipping_list"`
	UploadTime string `json:"upload_time"`
	Payer      struct {
		OpenID string `json:"openid"`
	} `json:"payer"`
}

func (q shippingUpload) check() wxError {
	if refusal := q.Key.check(); refusal.Code != 0 {
		return refusal
	}
	_, err := time.Parse(time.RFC3339, q.UploadTime)
	switch {
	case q.DeliveryMode != unified && q.DeliveryMode != split:
		return wxError{268485224, "delivery_mode 不合法"}
	case !slices.Contains([]int{express, sameCity, virtual, selfPickUp}, q.LogisticsType):
		return wxError{10060005, "物流类型有误"}
	case q.DeliveryMode == split && q.LogisticsType != express:
		return wxError{10060006, "非快递发货时不允许分拆发货"}
	case q.DeliveryMode == split && q.AllDelivered == nil:
		return wxError{10060007, "分拆发货模式下必须填写 is_all_delivered"}
	case q.DeliveryMode == unified && len(q.List) != 1:
		return wxError{268485228, "统一发货模式下物流信息列表长度必须为 1"}
	case len(q.List) > maxParcels:
		return wxError{10060024, "物流信息列表太长"}
	case len(q.List) == 0:
		return badParameter
	case err != nil:
		return wxError{268485216, "upload_time 非法"}
	case q.Payer.OpenID == "":
		return badParameter
	}
	for _, i := range q.List {
		if refusal := i.check(q.LogisticsType, i.ItemDesc); refusal.Code != 0 {
			return refusal
		}
	}
	return wxError{}
}

func (i ShippingItem) check(logisticsType int, goods string) wxError {
	n := utf8.RuneCountInString(goods)
	switch {
	case n == 0:
		return wxError{10060008, "商品描述 item_desc 不能为空"}
	case n > maxGoods:
		return wxError{10060009, "商品描述 item_desc 太长"}
	case logisticsType != express:
		return wxError{}
	case i.TrackingNo == "":
		return wxError{268485226, "tracking_no 不能为空"}
	case len(i.TrackingNo) > maxCode:
		return wxError{10060026, "物流单号太长"}
	case i.ExpressCompany == "":
		return wxError{268485227, "express_company 不能为空"}
	case len(i.ExpressCompany) > maxCode:
		return wxError{10060025, "物流公司编码太长"}
	case !slices.Contains(expressCompanies, i.ExpressCompany):
		return badParameter
	case i.ExpressCompany == "SF" && !maskedContact.MatchString(i.Contact.Receiver) && !maskedContact.MatchString(i.Contact.Consignor):
		return badParameter // and of a whole number, too: it has to be masked
	}
	return wxError{}
}

// uploadShipping is 发货信息录入. What is uploaded of a payment that was shipped is 重新发货, for which there is one
// chance; the same again is no change, and neither is a request that is older than the one that counts.
func (s *Server) uploadShipping(c wxCall) any {
	var q shippingUpload
	if !c.decode(&q) {
		return wxBadJSON
	}
	if refusal := q.check(); refusal.Code != 0 {
		return refusal
	}
	t, known := s.miniTrade(q.Key)
	if !known {
		return noSuchPayment
	}
	at, _ := time.Parse(time.RFC3339, q.UploadTime) // checked
	state, was := s.orderState(t)
	is := Shipping{
		TransactionID: t.TransactionID, OutTradeNo: t.OutTradeNo, LogisticsType: q.LogisticsType, DeliveryMode: q.DeliveryMode, Count: was.Count,
		UploadTime: at, Reminded: was.Reminded,
	}
	if q.DeliveryMode == split && was.DeliveryMode == split && was.Count == 0 {
		is.List = slices.Clone(was.List)
	}
	for _, i := range q.List {
		parcel := i.ShippingItem
		parcel.GoodsDesc, parcel.UploadTime = i.ItemDesc, s.now().Unix()
		is.List = append(is.List, parcel)
	}
	switch {
	case t.Payer != q.Payer.OpenID:
		return wxError{10060031, "该笔支付单不属于 openid 所指定的用户"}
	case state == OrderRefunded:
		return wxError{10060004, "支付单处于不可发货的状态"}
	case state == ReceiptConfirmed:
		return wxError{10060002, "支付单已完成发货，无法继续发货"}
	case at.Before(was.UploadTime), was.same(is):
		return nothingUpdated
	case was.Count > 1:
		return wxError{10060003, "支付单已使用重新发货机会"}
	}
	if q.DeliveryMode == unified || *q.AllDelivered {
		is.Count++
	}
	s.shippings.put(is.TransactionID, is)
	s.note("mini", fmt.Sprintf("微信记录发货信息：%s %s", t.Description, is.words()))
	return wxOK
}

// same reports whether an upload says nothing new.
func (s Shipping) same(is Shipping) bool {
	return s.Count > 0 && s.LogisticsType == is.LogisticsType && s.DeliveryMode == is.DeliveryMode && slices.EqualFunc(s.List, is.List, func(a, b ShippingItem) bool {
		a.UploadTime = b.UploadTime
		return a == b
	})
}

func (s Shipping) words() string {
	how := map[int]string{express: "快递", sameCity: "同城配送", virtual: "虚拟发货", selfPickUp: "用户自提"}[s.LogisticsType]
	for _, i := range s.List {
		if i.TrackingNo != "" {
			how += " " + i.ExpressCompany + " " + i.TrackingNo
		}
	}
	if s.Count > 1 {
		how += "（重新发货）"
	}
	return how
}

// shippingQuery names a payment to ask about; its names are not those of an upload.
type shippingQuery struct {
	TransactionID string `json:"transaction_id"`
	MerchantID    string `json:"merchant_id"`
	TradeNo       string `json:"merchant_trade_no"`
	ReceivedTime  int64  `json:"received_time"`
}

func (s *Server) queried(c wxCall) (q shippingQuery, t Trade, refusal wxError) {
	if !c.decode(&q) {
		return q, t, wxBadJSON
	}
	if q.TransactionID == "" && (q.MerchantID == "" || q.TradeNo == "") {
		return q, t, badParameter
	}
	t, known := s.miniTrade(orderKey{TransactionID: q.TransactionID, MchID: q.MerchantID, OutTradeNo: q.TradeNo})
	if !known {
		return q, t, noSuchPayment
	}
	return q, t, wxError{}
}

func (s *Server) shippingOrder(c wxCall) any {
	_, t, refusal := s.queried(c)
	if refusal.Code != 0 {
		return refusal
	}
	state, is := s.orderState(t)
	order := map[string]any{
		"transaction_id": t.TransactionID, "merchant_id": s.cfg.Pay.MchID, "sub_merchant_id": "", "merchant_trade_no": t.OutTradeNo, "description": t.Description,
		"paid_amount": t.Total, "openid": t.Payer, "trade_create_time": t.CreatedAt.Unix(), "pay_time": t.PaidAt.Unix(), "order_state": state, "in_complaint": false,
		"shipping": map[string]any{
			"delivery_mode": is.DeliveryMode, "logistics_type": is.LogisticsType, "finish_shipping": is.Count > 0, "finish_shipping_count": is.Count,
			"goods_desc": "", "shipping_list": append([]ShippingItem{}, is.List...),
		},
	}
	return struct {
		wxError
		Order any `json:"order"`
	}{wxOK, order}
}

// remindReceipt is 确认收货提醒: once per payment, of what a courier has delivered.
func (s *Server) remindReceipt(c wxCall) any {
	q, t, refusal := s.queried(c)
	if refusal.Code != 0 {
		return refusal
	}
	state, is := s.orderState(t)
	switch {
	case state == OrderRefunded:
		return wxError{10060004, "支付单处于不可发货的状态"}
	case is.Count == 0:
		return wxError{10060028, "支付单未发货"}
	case is.LogisticsType != express:
		return wxError{10060032, "只有快递发货的支付单才能提醒"}
	case q.ReceivedTime < is.UploadTime.Unix():
		return wxError{10060029, "签收时间早于发货时间"}
	case is.Reminded || is.Confirmed:
		return wxError{10060030, "确认收货提醒已使用"}
	}
	is.Reminded = true
	s.shippings.put(is.TransactionID, is)
	s.note("mini", "微信提醒"+s.nameOfMini(t.Payer)+"确认收货："+t.Description)
	return wxOK
}

// confirmReceipt is what a buyer does with the reminder, or without it.
func (s *Server) confirmReceipt(_ context.Context, q struct {
	OutTradeNo string `json:"out_trade_no"`
},
) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, _ := s.trades.get(q.OutTradeNo)
	state, is := s.orderState(t)
	if state != HasShipped {
		return nil, fmt.Errorf("该笔支付不是「已发货」状态：%s", strconv.Itoa(int(state)))
	}
	is.Confirmed = true
	s.shippings.put(is.TransactionID, is)
	s.note("mini", s.nameOfMini(t.Payer)+"确认收货："+t.Description)
	return is, nil
}

func (s *Server) nameOfMini(openID string) string {
	for _, p := range s.cfg.Personas {
		if MiniOpenID(p) == openID {
			return p.Name
		}
	}
	return openID
}
