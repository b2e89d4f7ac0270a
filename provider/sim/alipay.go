package sim

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// alipayError is a refusal by Alipay: HTTP 200 with a code, signed like any answer.
type alipayError struct {
	Code    string `json:"code"`
	Message string `json:"msg"`
	SubCode string `json:"sub_code"`
	SubMsg  string `json:"sub_msg"`
}

func (e *alipayError) Error() string { return e.SubCode + ": " + e.SubMsg }

func alipayInvalid(sub, message string) *alipayError {
	return &alipayError{"40002", "Invalid Arguments", sub, message}
}

func alipayFailed(sub, message string) *alipayError {
	return &alipayError{"40004", "Business Failed", "ACQ." + sub, message}
}

// alipayContent is what biz_content can say.
type alipayContent struct {
	OutTradeNo   string `json:"out_trade_no"`
	MerchantNo   string `json:"merchant_order_no"`
	Total        string `json:"total_amount"`
	Subject      string `json:"subject"`
	Product      string `json:"product_code"`
	SellerID     string `json:"seller_id"`
	Expire       string `json:"time_expire"`
	OutRequestNo string `json:"out_request_no"`
	RefundAmount string `json:"refund_amount"`
	RefundReason string `json:"refund_reason"`
	BillType     string `json:"bill_type"`
	BillDate     string `json:"bill_date"`

	notifyURL string
	base      string // of the gateway, as the merchant calls it
}

// alipayCall is one method. It runs under the lock.
type alipayCall func(alipayContent) (map[string]any, *alipayError)

func (s *Server) routeAlipay(host string) {
	methods := map[string]http.HandlerFunc{}
	for method, m := range map[string]struct {
		family string
		call   alipayCall
	}{
		"alipay.trade.precreate":            {"alipay.precreate", s.alipayPrecreate},
		"alipay.trade.query":                {"alipay.query", s.alipayQuery},
		"alipay.trade.close":                {"alipay.close", s.alipayClose},
		"alipay.trade.refund":               {"alipay.refund", s.alipayRefund},
		"alipay.trade.fastpay.refund.query": {"alipay.refund", s.alipayRefundQuery},

		"alipay.data.dataservice.bill.downloadurl.query": {"alipay.bill", s.alipayBill},
	} {
		refuse := func(w http.ResponseWriter, status int, code string) {
			if status != 0 {
				http.Error(w, "gateway", status)
				return
			}
			s.answerAlipay(w, method, nil, alipayFailed(strings.TrimPrefix(cmp.Or(code, "SYSTEM_ERROR"), "ACQ."), "系统错误"))
		}
		methods[method] = s.faulty(m.family, refuse, s.alipay(method, m.call))
	}
	s.mux.HandleFunc("GET "+host+"/downloadBillFile.resource", s.alipayBillFile)
	s.mux.HandleFunc("POST "+host+"/gateway.do", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "form", http.StatusBadRequest)
			return
		}
		if serve, ok := methods[r.PostForm.Get("method")]; ok {
			serve(w, r)
			return
		}
		s.answerAlipay(w, "error", nil, alipayInvalid("isv.invalid-method", "不存在的方法名"))
	})
}

// alipay verifies the application's signature and makes the call.
func (s *Server) alipay(method string, call alipayCall) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		c, refusal := s.checkApplication(r.PostForm)
		var answer map[string]any
		if refusal == nil {
			c.base = "http://" + r.Host + strings.TrimSuffix(r.URL.Path, "/gateway.do")
			answer, refusal = call(c)
		}
		s.mu.Unlock()
		s.answerAlipay(w, method, answer, refusal)
	}
}

var alipayFixed = map[string]string{"charset": "utf-8", "format": "JSON", "version": "1.0", "sign_type": "RSA2"}

// checkApplication authenticates a request and reads what it asks for.
func (s *Server) checkApplication(form url.Values) (c alipayContent, _ *alipayError) {
	for name, want := range alipayFixed {
		if form.Get(name) != want {
			return c, alipayInvalid("isv.invalid-"+strings.ReplaceAll(name, "_", "-"), name+" 无效")
		}
	}
	if _, err := time.ParseInLocation(time.DateTime, form.Get("timestamp"), shanghai); err != nil {
		return c, alipayInvalid("isv.invalid-timestamp", "时间戳非法")
	}
	app := s.cfg.Alipay
	if app.AppID == "" || form.Get("app_id") != app.AppID {
		return c, alipayInvalid("isv.invalid-app-id", "无效的AppID参数")
	}
	if !verifyRSA2(app.AppKey, signText(form, "sign"), form.Get("sign")) {
		return c, alipayInvalid("isv.invalid-signature", "验签出错")
	}
	if err := json.Unmarshal([]byte(form.Get("biz_content")), &c); err != nil {
		return c, alipayInvalid("isv.invalid-parameter", "biz_content 不是有效的JSON")
	}
	c.notifyURL = form.Get("notify_url")
	return c, nil
}

// answerAlipay signs the exact bytes of the answer, as Alipay does.
func (s *Server) answerAlipay(w http.ResponseWriter, method string, answer map[string]any, refusal *alipayError) {
	var content any = refusal
	if refusal == nil {
		answer["code"], answer["msg"] = "10000", "Success"
		content = answer
	}
	var raw bytes.Buffer
	enc := json.NewEncoder(&raw)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(content) // plain maps and structs
	text := strings.TrimSuffix(raw.String(), "\n")
	w.Header().Set("Content-Type", "text/html;charset=utf-8") // as Alipay says
	fmt.Fprintf(w, `{"%s_response":%s`, strings.ReplaceAll(method, ".", "_"), text)
	if s.cfg.Alipay.PlatformKey != nil {
		fmt.Fprintf(w, `,"sign":"%s"`, signRSA2(s.cfg.Alipay.PlatformKey, text))
	}
	fmt.Fprint(w, "}")
}

var alipayNo = regexp.MustCompile(`^[0-9A-Za-z_]{1,64}$`)

// alipayKey tells Alipay's trades and refunds from WeChat Pay's of the same number.
func alipayKey(no string) string { return "alipay " + no }

// alipayPrecreate makes a QR code. The trade begins when somebody scans it.
func (s *Server) alipayPrecreate(c alipayContent) (map[string]any, *alipayError) {
	total := goldenFen(c.Total)
	expires, err := s.now().Add(codeURLLife), error(nil)
	if c.Expire != "" {
		expires, err = time.ParseInLocation(time.DateTime, c.Expire, shanghai)
	}
	switch {
	case !alipayNo.MatchString(c.OutTradeNo), total < 1, c.Product != "FACE_TO_FACE_PAYMENT", err != nil || !expires.After(s.now()),
		c.Subject == "" || len([]rune(c.Subject)) > 256 || strings.ContainsAny(c.Subject, "/=&"):
		return nil, alipayFailed("INVALID_PARAMETER", "参数有误")
	case c.SellerID != "" && c.SellerID != s.cfg.Alipay.SellerID:
		return nil, alipayFailed("ACCESS_FORBIDDEN", "无权限使用接口")
	}
	if was, known := s.trade(alipayKey(c.OutTradeNo)); known {
		switch {
		case was.PaidAt != nil:
			return nil, alipayFailed("TRADE_HAS_SUCCESS", "交易已被支付")
		case was.State == Closed:
			return nil, alipayFailed("TRADE_HAS_CLOSE", "交易已经关闭")
		case was.Total != total || was.Description != c.Subject || was.Attach != c.MerchantNo:
			return nil, alipayFailed("CONTEXT_INCONSISTENT", "交易信息被篡改")
		}
		return map[string]any{"out_trade_no": was.OutTradeNo, "qr_code": was.CodeURL}, nil
	}
	t := Trade{
		Channel: ViaAlipay, OutTradeNo: c.OutTradeNo, Type: "NATIVE", AppID: s.cfg.Alipay.AppID, CodeURL: "https://qr.alipay.com/bax" + token(10),
		Description: c.Subject, Attach: c.MerchantNo, NotifyURL: c.notifyURL, State: NotPay, Total: total, CreatedAt: s.now(), ExpiresAt: expires,
	}
	s.trades.put(t.key(), t)
	s.note("pay", fmt.Sprintf("支付宝下单 %s %s，待扫码", t.Description, yuan(t.Total)))
	return map[string]any{"out_trade_no": t.OutTradeNo, "qr_code": t.CodeURL}, nil
}

// scannedTrade is a trade that Alipay knows: one whose code was scanned.
func (s *Server) scannedTrade(no string) (Trade, *alipayError) {
	t, ok := s.trade(alipayKey(no))
	if !ok || !t.Scanned {
		return t, alipayFailed("TRADE_NOT_EXIST", "交易不存在")
	}
	return t, nil
}

// alipayState is trade_status: the money of a closed trade was never paid or has all gone back.
func (t Trade) alipayState() string {
	switch {
	case t.State == Closed, t.PaidAt != nil && t.Refunded == t.Total:
		return "TRADE_CLOSED"
	case t.PaidAt != nil:
		return "TRADE_SUCCESS"
	}
	return "WAIT_BUYER_PAY"
}

func (s *Server) alipayQuery(c alipayContent) (map[string]any, *alipayError) {
	t, refusal := s.scannedTrade(c.OutTradeNo)
	if refusal != nil {
		return nil, refusal
	}
	answer := map[string]any{"out_trade_no": t.OutTradeNo, "trade_no": t.TransactionID, "trade_status": t.alipayState(), "total_amount": goldenYuan(t.Total), "buyer_pay_amount": "0.00"}
	if t.PaidAt != nil {
		answer["send_pay_date"] = t.PaidAt.In(shanghai).Format(time.DateTime)
		answer["buyer_pay_amount"] = goldenYuan(t.Total)
	}
	return answer, nil
}

// alipayClose closes a trade that was scanned and not paid. A code that nobody has scanned stays good.
func (s *Server) alipayClose(c alipayContent) (map[string]any, *alipayError) {
	t, refusal := s.scannedTrade(c.OutTradeNo)
	switch {
	case refusal != nil:
		return nil, refusal
	case t.State != NotPay:
		return nil, alipayFailed("TRADE_STATUS_ERROR", "交易状态不合法")
	}
	s.shutAlipay(&t, "商户关闭交易 "+t.OutTradeNo)
	s.poke()
	return map[string]any{"out_trade_no": t.OutTradeNo, "trade_no": t.TransactionID}, nil
}

// shutAlipay closes a trade and has the merchant told.
func (s *Server) shutAlipay(t *Trade, why string) {
	t.Scanned, t.State, t.TransactionID = true, Closed, cmp.Or(t.TransactionID, s.transactionID(ViaAlipay))
	s.trades.put(t.key(), *t)
	s.note("pay", why)
	s.tellSoon(s.newNotice(ViaAlipay, "TRADE_CLOSED", t.OutTradeNo, t.NotifyURL, s.alipayForm(*t)))
}

// tellSoon makes a notification due.
func (s *Server) tellSoon(n Notice) {
	now := s.now()
	n.NextAt = &now
	s.notices.put(n.ID, n)
}

// alipayRefund is idempotent by out_request_no, and at once.
func (s *Server) alipayRefund(c alipayContent) (map[string]any, *alipayError) {
	t, refusal := s.scannedTrade(c.OutTradeNo)
	amount := goldenFen(c.RefundAmount)
	r, known := s.refunds.get(alipayKey(c.OutRequestNo))
	switch {
	case refusal != nil:
		return nil, refusal
	case c.OutRequestNo == "", amount < 1:
		return nil, alipayFailed("INVALID_PARAMETER", "参数有误")
	case t.PaidAt == nil:
		return nil, alipayFailed("TRADE_STATUS_ERROR", "交易状态不合法")
	case known && (r.Amount != amount || r.OutTradeNo != t.OutTradeNo):
		return nil, alipayFailed("DISCORDANT_REPEAT_REQUEST", "不一致的请求")
	case !known && t.Refunded+amount > t.Total:
		return nil, alipayFailed("REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
	}
	change := "N"
	if !known {
		change = "Y"
		now := s.now()
		t.State, t.Refunded = Refunded, t.Refunded+amount
		s.trades.put(t.key(), t)
		s.refunds.put(alipayKey(c.OutRequestNo), Refund{
			Channel: ViaAlipay, OutRefundNo: c.OutRequestNo, OutTradeNo: t.OutTradeNo, TransactionID: t.TransactionID, Reason: c.RefundReason,
			Status: "SUCCESS", Amount: amount, Total: t.Total, CreatedAt: now, DueAt: now, SuccessAt: &now,
		})
		s.note("pay", fmt.Sprintf("支付宝退款 %s %s", yuan(amount), c.RefundReason))
		form := s.alipayForm(t)
		form["refund_fee"], form["gmt_refund"], form["out_biz_no"] = goldenYuan(t.Refunded), now.In(shanghai).Format(time.DateTime), c.OutRequestNo
		s.tellSoon(s.newNotice(ViaAlipay, "REFUND", t.OutTradeNo, t.NotifyURL, form))
		s.poke()
	}
	return map[string]any{"out_trade_no": t.OutTradeNo, "trade_no": t.TransactionID, "fund_change": change, "refund_fee": goldenYuan(t.Refunded)}, nil
}

// alipayRefundQuery says nothing but success of a refund that there is not.
func (s *Server) alipayRefundQuery(c alipayContent) (map[string]any, *alipayError) {
	t, refusal := s.scannedTrade(c.OutTradeNo)
	if refusal != nil {
		return nil, refusal
	}
	r, ok := s.refunds.get(alipayKey(c.OutRequestNo))
	if !ok || r.OutTradeNo != t.OutTradeNo {
		return map[string]any{}, nil
	}
	return map[string]any{
		"out_trade_no": t.OutTradeNo, "trade_no": t.TransactionID, "out_request_no": r.OutRefundNo, "refund_status": "REFUND_SUCCESS",
		"total_amount": goldenYuan(t.Total), "refund_amount": goldenYuan(r.Amount),
	}, nil
}

// alipayForm is a trade as notifications show it.
func (s *Server) alipayForm(t Trade) map[string]string {
	form := map[string]string{
		"charset": "utf-8", "version": "1.0", "notify_type": "trade_status_sync", "notify_id": token(17), "app_id": s.cfg.Alipay.AppID, "auth_app_id": s.cfg.Alipay.AppID,
		"seller_id": s.cfg.Alipay.SellerID, "buyer_id": "2088900000000001", "out_trade_no": t.OutTradeNo, "trade_no": t.TransactionID, "trade_status": t.alipayState(),
		"subject": t.Description, "total_amount": goldenYuan(t.Total), "gmt_create": t.CreatedAt.In(shanghai).Format(time.DateTime),
	}
	if t.PaidAt != nil {
		form["gmt_payment"] = t.PaidAt.In(shanghai).Format(time.DateTime)
		for _, name := range []string{"receipt_amount", "buyer_pay_amount", "invoice_amount"} {
			form[name] = form["total_amount"]
		}
		form["fund_bill_list"] = `[{"amount":"` + form["total_amount"] + `","fundChannel":"ALIPAYACCOUNT"}]`
	}
	return form
}

// alipaySchedule is Alipay's, between one attempt and the next.
var alipaySchedule = []time.Duration{
	4 * time.Minute, 10 * time.Minute, 10 * time.Minute, time.Hour, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour,
}

// sendAlipay posts a notification as a form, signed anew.
func (s *Server) sendAlipay(ctx context.Context, n Notice, key *rsa.PrivateKey) Attempt {
	var fields map[string]string
	if err := json.Unmarshal(n.Resource, &fields); err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	form := url.Values{}
	for k, v := range fields {
		form.Set(k, v)
	}
	form.Set("notify_time", s.Now().In(shanghai).Format(time.DateTime))
	form.Set("sign", signRSA2(key, signText(form)))
	form.Set("sign_type", "RSA2")
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.ProductURL+n.Path, strings.NewReader(form.Encode()))
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; text/html; charset=utf-8") // as Alipay says
	req.Header.Set("User-Agent", "Mozilla/4.0")
	return s.call(req)
}

// signText is the sorted fields of a form, but those left out, as both sides sign them.
func signText(form url.Values, leave ...string) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(form)) {
		if !slices.Contains(leave, k) {
			lines = append(lines, k+"="+form.Get(k))
		}
	}
	return strings.Join(lines, "&")
}

func signRSA2(key *rsa.PrivateKey, text string) string {
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		panic("sim: " + err.Error()) // the key is too short for any digest
	}
	return base64.StdEncoding.EncodeToString(sig)
}

func verifyRSA2(key *rsa.PublicKey, text, signature string) bool {
	sig, err := base64.StdEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(text))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil
}
