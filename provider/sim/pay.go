package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/apiv3"
)

// PayChannel is a payment platform.
type PayChannel string

// The platforms.
const (
	ViaWeChat PayChannel = "wechatpay"
	ViaAlipay PayChannel = "alipay"
)

// Trade is one payment, by QR code (Native, or Alipay's) or inside the mini-program (JSAPI).
type Trade struct {
	Channel       PayChannel `json:"channel"`
	OutTradeNo    string     `json:"out_trade_no"`
	Type          string     `json:"trade_type"` // NATIVE or JSAPI
	AppID         string     `json:"appid"`
	PrepayID      string     `json:"prepay_id,omitempty"` // JSAPI
	For           string     `json:"for,omitempty"`       // JSAPI: the only OpenID that may pay
	TransactionID string     `json:"transaction_id,omitempty"`
	CodeURL       string     `json:"code_url,omitempty"`
	Description   string     `json:"description"`
	Attach        string     `json:"attach,omitempty"`
	NotifyURL     string     `json:"notify_url"`
	State         TradeState `json:"trade_state"`
	Total         int64      `json:"total"` // fen
	Refunded      int64      `json:"refunded,omitempty"`
	Payer         string     `json:"payer,omitempty"`
	Scanned       bool       `json:"scanned,omitempty"` // Alipay: until then it knows of no trade
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     time.Time  `json:"expires_at"`
	PaidAt        *time.Time `json:"paid_at,omitempty"`
}

// key is under what a trade is kept.
func (t Trade) key() string {
	if t.Channel == ViaAlipay {
		return alipayKey(t.OutTradeNo)
	}
	return t.OutTradeNo
}

// TradeState is WeChat Pay's trade_state.
type TradeState string

// The states a trade goes through.
const (
	NotPay   TradeState = "NOTPAY"
	PayError TradeState = "PAYERROR"
	Success  TradeState = "SUCCESS"
	Refunded TradeState = "REFUND"
	Closed   TradeState = "CLOSED"
)

var stateText = map[TradeState]string{
	NotPay: "订单未支付", PayError: "支付失败(其他原因，如银行返回失败)", Success: "支付成功", Refunded: "订单发生过退款，退款详情请查询退款单", Closed: "订单已关闭",
}

// codeURLLife is how long a code_url can be scanned when the merchant sets no time_expire.
const codeURLLife = 2 * time.Hour

// payError is APIv3's error answer.
type payError struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *payError) Error() string { return e.Code + ": " + e.Message }

func paramError(message string) *payError {
	return &payError{http.StatusBadRequest, "PARAM_ERROR", message}
}

// payCall is one APIv3 call whose signature was verified. It runs under the lock; nil means 204.
type payCall struct {
	r    *http.Request
	body []byte
}

func (s *Server) routePay(host string) {
	handle := func(pattern, path, family string, call func(payCall) (any, *payError)) {
		s.mux.HandleFunc(pattern+" "+host+path, s.faulty(family, refusePay, s.apiv3(host, call)))
	}
	handle("POST", "/v3/pay/transactions/native", "pay.native", s.nativePrepay)
	handle("POST", "/v3/pay/transactions/jsapi", "pay.jsapi", s.jsapiPrepay)
	handle("GET", "/v3/pay/transactions/out-trade-no/{no}", "pay.query", s.queryTrade)
	handle("GET", "/v3/pay/transactions/id/{id}", "pay.query", s.queryTrade)
	handle("POST", "/v3/pay/transactions/out-trade-no/{no}/close", "pay.close", s.closeTrade)
	handle("POST", "/v3/refund/domestic/refunds", "pay.refund", s.createRefund)
	handle("GET", "/v3/refund/domestic/refunds/{no}", "pay.refund", s.queryRefund)
	handle("POST", "/v3/refund/domestic/refunds/{id}/apply-abnormal-refund", "pay.refund", s.settleRefund)
	handle("GET", "/v3/bill/tradebill", "pay.bill", s.tradeBill)
	s.mux.HandleFunc("GET "+host+"/v3/billdownload/file", s.tradeBillFile(host))
}

func refusePay(w http.ResponseWriter, status int, code string) {
	if status == 0 {
		status = http.StatusInternalServerError
	}
	if code == "" {
		code = "SYSTEM_ERROR"
	}
	writeJSON(w, status, payError{Code: code, Message: "系统异常，请稍后重试"})
}

// apiv3 verifies the merchant's signature, makes the call, and signs the answer.
func (s *Server) apiv3(host string, call func(payCall) (any, *payError)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			writeJSON(w, http.StatusBadRequest, paramError("请求体过大"))
			return
		}
		s.mu.Lock()
		var answer any
		refusal := s.checkMerchant(r, strings.TrimPrefix(r.URL.RequestURI(), host), body)
		if refusal == nil {
			answer, refusal = call(payCall{r, body})
		}
		s.mu.Unlock()
		if refusal != nil {
			writeJSON(w, refusal.status, refusal)
			return
		}
		s.writeSigned(w, answer)
	}
}

// checkMerchant authenticates a request; a nonce is good for one.
func (s *Server) checkMerchant(r *http.Request, uri string, body []byte) *payError {
	auth, err := apiv3.ParseAuthorization(r.Header.Get("Authorization"))
	if err == nil {
		switch {
		case s.cfg.Pay.MchID == "" || auth.MchID != s.cfg.Pay.MchID:
			err = fmt.Errorf("商户号 %s 不存在", auth.MchID)
		case !strings.EqualFold(auth.Serial, s.cfg.Pay.MerchantSerial):
			err = fmt.Errorf("商户证书序列号有误")
		default:
			err = auth.Verify(s.cfg.Pay.MerchantKey, r.Method, uri, body, wireNow())
		}
	}
	if err != nil {
		return &payError{http.StatusUnauthorized, "SIGN_ERROR", err.Error()}
	}
	for nonce, seen := range s.nonces {
		if time.Since(seen) > 2*apiv3.Skew {
			delete(s.nonces, nonce)
		}
	}
	if _, seen := s.nonces[auth.Nonce]; seen {
		return &payError{http.StatusUnauthorized, "SIGN_ERROR", "nonce_str 重复"}
	}
	s.nonces[auth.Nonce] = wireNow()
	if r.Header.Get("Accept") == "" || r.Header.Get("User-Agent") == "" {
		return paramError("Http头缺少Accept或User-Agent")
	}
	return nil
}

func (s *Server) writeSigned(w http.ResponseWriter, answer any) {
	var body []byte
	status := http.StatusNoContent
	if answer != nil {
		body, _ = json.Marshal(answer) // plain maps and structs
		status = http.StatusOK
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	stamp, nonce := wireNow().Unix(), token(16)
	sig, err := apiv3.Sign(s.cfg.Pay.PlatformKey, stamp, nonce, body)
	if err != nil {
		http.Error(w, "signing", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Request-ID", token(12))
	setSignature(w.Header(), s.cfg.Pay.PlatformKeyID, sig, nonce, stamp)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func setSignature(h http.Header, keyID, sig, nonce string, stamp int64) {
	h.Set("Wechatpay-Serial", keyID)
	h.Set("Wechatpay-Signature", sig)
	h.Set("Wechatpay-Signature-Type", apiv3.Scheme)
	h.Set("Wechatpay-Timestamp", strconv.FormatInt(stamp, 10))
	h.Set("Wechatpay-Nonce", nonce)
}

var tradeNo = regexp.MustCompile(`^[0-9A-Za-z_\-|*]{6,32}$`)

// prepayOrder is what both kinds of prepay say about a trade.
type prepayOrder struct {
	AppID       string     `json:"appid"`
	MchID       string     `json:"mchid"`
	Description string     `json:"description"`
	OutTradeNo  string     `json:"out_trade_no"`
	Expire      *time.Time `json:"time_expire"`
	Attach      string     `json:"attach"`
	NotifyURL   string     `json:"notify_url"`
	Amount      struct {
		Total    int64  `json:"total"`
		Currency string `json:"currency"`
	} `json:"amount"`
	Payer struct {
		OpenID string `json:"openid"`
	} `json:"payer"`
}

func (s *Server) nativePrepay(c payCall) (any, *payError) {
	t, refusal := s.prepay(c, "NATIVE", s.cfg.Pay.AppID, func(t *Trade, _ prepayOrder) *payError {
		t.CodeURL = "weixin://wxpay/bizpayurl?pr=" + token(6) + "z00"
		return nil
	})
	if refusal != nil {
		return nil, refusal
	}
	return map[string]string{"code_url": t.CodeURL}, nil
}

// prepay opens a trade, or finds it open; open adds what its kind needs.
func (s *Server) prepay(c payCall, kind, appID string, open func(*Trade, prepayOrder) *payError) (Trade, *payError) {
	var q prepayOrder
	if err := json.Unmarshal(c.body, &q); err != nil {
		return Trade{}, paramError("请求体不是有效的JSON: " + err.Error())
	}
	if refusal := s.checkPrepay(q, appID); refusal != nil {
		return Trade{}, refusal
	}
	t := Trade{
		Channel: ViaWeChat, OutTradeNo: q.OutTradeNo, Type: kind, AppID: q.AppID, Description: q.Description, Attach: q.Attach, NotifyURL: q.NotifyURL, State: NotPay,
		Total: q.Amount.Total, CreatedAt: s.now(), ExpiresAt: s.now().Add(codeURLLife),
	}
	if refusal := open(&t, q); refusal != nil {
		return Trade{}, refusal
	}
	if was, known := s.trade(q.OutTradeNo); known {
		switch {
		case was.State == Success || was.State == Refunded:
			return was, &payError{http.StatusBadRequest, "ORDERPAID", "该订单已支付"}
		case was.State == Closed:
			return was, &payError{http.StatusBadRequest, "ORDER_CLOSED", "该订单已关闭，请重新下单"}
		case was.Type != t.Type || was.For != t.For || was.Total != t.Total || was.Description != t.Description || was.Attach != t.Attach:
			return was, &payError{http.StatusForbidden, "OUT_TRADE_NO_USED", "商户订单号重复"}
		}
		return was, nil
	}
	if q.Expire != nil {
		t.ExpiresAt = *q.Expire
	}
	s.trades.put(t.key(), t)
	s.note("pay", fmt.Sprintf("商户下单 %s %s，待支付", t.Description, yuan(t.Total)))
	return t, nil
}

func (s *Server) checkPrepay(q prepayOrder, appID string) *payError {
	switch {
	case q.MchID != s.cfg.Pay.MchID:
		return &payError{http.StatusBadRequest, "MCH_NOT_EXISTS", "商户号不存在"}
	case q.AppID == "" || q.AppID != appID:
		return &payError{http.StatusBadRequest, "APPID_MCHID_NOT_MATCH", "商户号与AppID不匹配"}
	case !tradeNo.MatchString(q.OutTradeNo):
		return paramError("out_trade_no 须为6到32位的数字、大小写字母_-|*")
	case q.Description == "" || len(q.Description) > 127:
		return paramError("description 须为1到127字节")
	case len(q.Attach) > 128:
		return paramError("attach 最长128字节")
	case !strings.HasPrefix(q.NotifyURL, "http") || strings.Contains(q.NotifyURL, "?"):
		return paramError("notify_url 须为完整URL且不能带参数")
	case q.Amount.Total < 1:
		return paramError("amount.total 须为大于0的整数")
	case q.Amount.Currency != "" && q.Amount.Currency != "CNY":
		return paramError("amount.currency 只支持CNY")
	case q.Expire != nil && !q.Expire.After(s.now()):
		return paramError("time_expire 已过期")
	}
	return nil
}

// trade reads a trade by its key; one whose time is over is closed. The caller holds the lock.
func (s *Server) trade(key string) (Trade, bool) {
	t, ok := s.trades.get(key)
	if ok && (t.State == NotPay || t.State == PayError) && !s.now().Before(t.ExpiresAt) {
		t.State = Closed
		s.trades.put(key, t)
		s.changed()
	}
	return t, ok
}

func (s *Server) queryTrade(c payCall) (any, *payError) {
	if c.r.URL.Query().Get("mchid") != s.cfg.Pay.MchID {
		return nil, paramError("mchid 不正确")
	}
	t, ok := s.trade(c.r.PathValue("no"))
	if id := c.r.PathValue("id"); id != "" {
		for _, paid := range s.trades.find(func(t Trade) bool { return t.TransactionID == id }) {
			t, ok = paid, true
		}
	}
	if !ok {
		return nil, &payError{http.StatusNotFound, "ORDERNOTEXIST", "订单不存在"}
	}
	return s.transaction(t), nil
}

// transaction is a trade as queries and notifications show it.
func (s *Server) transaction(t Trade) map[string]any {
	answer := map[string]any{
		"appid": cmp.Or(t.AppID, s.cfg.Pay.AppID), "mchid": s.cfg.Pay.MchID, "out_trade_no": t.OutTradeNo,
		"trade_state": t.State, "trade_state_desc": stateText[t.State], "attach": t.Attach,
	}
	amount := map[string]any{"total": t.Total, "currency": "CNY"}
	if t.PaidAt != nil {
		answer["transaction_id"] = t.TransactionID
		answer["trade_type"] = cmp.Or(t.Type, "NATIVE")
		answer["bank_type"] = "OTHERS"
		answer["success_time"] = t.PaidAt.In(shanghai).Format(time.RFC3339)
		answer["payer"] = map[string]any{"openid": t.Payer}
		amount["payer_total"] = t.Total
		amount["payer_currency"] = "CNY"
	}
	answer["amount"] = amount
	return answer
}

func (s *Server) closeTrade(c payCall) (any, *payError) {
	var q struct {
		MchID string `json:"mchid"`
	}
	if json.Unmarshal(c.body, &q) != nil || q.MchID != s.cfg.Pay.MchID {
		return nil, paramError("mchid 不正确")
	}
	t, ok := s.trade(c.r.PathValue("no"))
	switch {
	case !ok:
		return nil, &payError{http.StatusNotFound, "ORDERNOTEXIST", "订单不存在"}
	case t.State == Success || t.State == Refunded:
		return nil, &payError{http.StatusBadRequest, "ORDERPAID", "该订单已支付"}
	case t.State == Closed:
		return nil, &payError{http.StatusBadRequest, "ORDER_CLOSED", "该订单已关闭"}
	}
	t.State = Closed
	s.trades.put(t.key(), t)
	s.note("pay", "商户关闭订单 "+t.OutTradeNo)
	return nil, nil
}

// Refund is one refund of a trade.
type Refund struct {
	Channel       PayChannel `json:"channel"`
	RefundID      string     `json:"refund_id"`
	OutRefundNo   string     `json:"out_refund_no"`
	OutTradeNo    string     `json:"out_trade_no"`
	TransactionID string     `json:"transaction_id"`
	NotifyURL     string     `json:"notify_url,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	Status        string     `json:"status"`            // PROCESSING, then SUCCESS, ABNORMAL or CLOSED
	Account       string     `json:"account,omitempty"` // where the money went, other than to the payer's wallet
	Amount        int64      `json:"amount"`
	Total         int64      `json:"total"`
	CreatedAt     time.Time  `json:"created_at"`
	DueAt         time.Time  `json:"due_at"`
	SuccessAt     *time.Time `json:"success_at,omitempty"`
}

// createRefund is idempotent by out_refund_no.
func (s *Server) createRefund(c payCall) (any, *payError) {
	var q struct {
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		OutRefundNo   string `json:"out_refund_no"`
		Reason        string `json:"reason"`
		NotifyURL     string `json:"notify_url"`
		Amount        struct {
			Refund   int64  `json:"refund"`
			Total    int64  `json:"total"`
			Currency string `json:"currency"`
		} `json:"amount"`
	}
	if err := json.Unmarshal(c.body, &q); err != nil {
		return nil, paramError("请求体不是有效的JSON: " + err.Error())
	}
	trades := s.trades.find(func(t Trade) bool {
		return t.PaidAt != nil && t.Channel != ViaAlipay && (t.OutTradeNo == q.OutTradeNo || q.OutTradeNo == "" && t.TransactionID == q.TransactionID)
	})
	switch {
	case q.OutRefundNo == "" || len(q.OutRefundNo) > 64 || q.OutTradeNo == "" && q.TransactionID == "":
		return nil, paramError("out_refund_no 与 out_trade_no 或 transaction_id 必填")
	case q.Amount.Refund < 1 || q.Amount.Currency != "CNY":
		return nil, paramError("amount 不正确")
	case len(trades) == 0:
		return nil, &payError{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "订单不存在"}
	}
	t := trades[0]
	if r, known := s.refunds.get(q.OutRefundNo); known {
		if r.Amount != q.Amount.Refund || r.OutTradeNo != t.OutTradeNo {
			return nil, &payError{http.StatusBadRequest, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试"}
		}
		return refundView(r), nil
	}
	if q.Amount.Total != t.Total || t.Refunded+q.Amount.Refund > t.Total {
		return nil, &payError{http.StatusBadRequest, "INVALID_REQUEST", "订单金额或退款金额不正确"}
	}
	r := Refund{
		Channel: ViaWeChat, RefundID: "5030" + strconv.FormatInt(s.nextID(), 10), OutRefundNo: q.OutRefundNo, OutTradeNo: t.OutTradeNo, TransactionID: t.TransactionID,
		NotifyURL: q.NotifyURL, Reason: q.Reason, Status: "PROCESSING", Amount: q.Amount.Refund, Total: t.Total, CreatedAt: s.now(), DueAt: s.now(),
	}
	t.State = Refunded
	t.Refunded += r.Amount
	s.trades.put(t.key(), t)
	s.refunds.put(r.OutRefundNo, r)
	s.note("pay", fmt.Sprintf("商户申请退款 %s %s", yuan(r.Amount), r.Reason))
	s.poke()
	return refundView(r), nil
}

func (s *Server) queryRefund(c payCall) (any, *payError) {
	r, ok := s.refunds.get(c.r.PathValue("no"))
	if !ok {
		return nil, &payError{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "退款单不存在"}
	}
	return refundView(r), nil
}

// refundEnds are how a fault of the family "pay.refund.end" ends the next refund, as its code: the payer's bank sends it
// back, or the merchant's balance stays too low for seven days.
var refundEnds = map[string]bool{"ABNORMAL": true, "CLOSED": true}

// endRefund is what becomes of a refund whose time has come. One that is closed gives its amount free. The caller holds the lock.
func (s *Server) endRefund(r Refund) Refund {
	now := s.now()
	switch r.Status = cmp.Or(s.strikeLocked("pay.refund.end").Code, "SUCCESS"); r.Status {
	case "SUCCESS":
		r.SuccessAt = &now
		s.note("pay", "退款到账 "+yuan(r.Amount))
	case "CLOSED":
		if t, ok := s.trade(r.OutTradeNo); ok {
			t.Refunded -= r.Amount
			s.trades.put(t.key(), t)
		}
		s.note("pay", "退款关闭 "+yuan(r.Amount)+"：商户余额不足超过7天")
	case "ABNORMAL":
		s.note("pay", "退款异常 "+yuan(r.Amount)+"：付款人的银行卡已注销")
	}
	s.refunds.put(r.OutRefundNo, r)
	return r
}

// settleRefund is 发起异常退款: an abnormal refund goes to another card of the payer's, or back to the merchant.
func (s *Server) settleRefund(c payCall) (any, *payError) {
	var q struct {
		OutRefundNo string `json:"out_refund_no"`
		Type        string `json:"type"`
		BankType    string `json:"bank_type"`
		Account     string `json:"bank_account"`
		Name        string `json:"real_name"`
	}
	if err := json.Unmarshal(c.body, &q); err != nil {
		return nil, paramError("请求体不是有效的JSON: " + err.Error())
	}
	r, ok := s.refunds.get(q.OutRefundNo)
	switch {
	case !ok || r.RefundID != c.r.PathValue("id"):
		return nil, &payError{http.StatusNotFound, "RESOURCE_NOT_EXISTS", "退款单不存在"}
	case q.Type == "USER_BANK_CARD" && (q.BankType == "" || q.Account == "" || q.Name == ""):
		return nil, paramError("退款至用户时 bank_type、bank_account、real_name 必填")
	}
	r, err := s.settleAbnormal(r, q.Type)
	if err != nil {
		return nil, &payError{http.StatusBadRequest, "INVALID_REQUEST", err.Error()}
	}
	return refundView(r), nil
}

// abnormalTo is where an abnormal refund can go.
var abnormalTo = map[string]string{"USER_BANK_CARD": "招商银行借记卡0403", "MERCHANT_BANK_CARD": "商户结算银行账户"}

// settleAbnormal finishes an abnormal refund as the merchant's console or its API does. The caller holds the lock.
func (s *Server) settleAbnormal(r Refund, to string) (Refund, error) {
	account, ok := abnormalTo[to]
	if !ok || r.Status != "ABNORMAL" {
		return r, fmt.Errorf("退款单状态为 %s，不能以 %q 处理异常退款", r.Status, to)
	}
	now := s.now()
	r.Status, r.Account, r.SuccessAt = "SUCCESS", account, &now
	s.refunds.put(r.OutRefundNo, r)
	s.note("pay", "异常退款已处理，退到"+account+" "+yuan(r.Amount))
	return r, nil
}

func refundView(r Refund) map[string]any {
	view := map[string]any{
		"refund_id": r.RefundID, "out_refund_no": r.OutRefundNo, "transaction_id": r.TransactionID, "out_trade_no": r.OutTradeNo,
		"channel": "ORIGINAL", "user_received_account": cmp.Or(r.Account, "支付用户零钱"), "create_time": r.CreatedAt.In(shanghai).Format(time.RFC3339),
		"status": r.Status, "funds_account": "AVAILABLE",
		"amount": map[string]any{
			"total": r.Total, "refund": r.Amount, "payer_total": r.Total, "payer_refund": r.Amount,
			"settlement_refund": r.Amount, "settlement_total": r.Total, "discount_refund": 0, "currency": "CNY",
		},
	}
	if r.Account != "" {
		view["channel"] = "OTHER_BANKCARD"
	}
	if r.SuccessAt != nil {
		view["success_time"] = r.SuccessAt.In(shanghai).Format(time.RFC3339)
	}
	return view
}

// yuan shows fen as people read it.
func yuan(fen int64) string { return fmt.Sprintf("¥%d.%02d", fen/100, fen%100) }
