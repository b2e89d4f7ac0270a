package sim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/apiv3"
)

// Notice is one notification of a payment platform with everything that was tried.
type Notice struct {
	Channel    PayChannel      `json:"channel"`
	ID         string          `json:"id"`
	Event      string          `json:"event_type"` // TRANSACTION.SUCCESS or REFUND.SUCCESS; Alipay: TRADE_SUCCESS, TRADE_CLOSED or REFUND
	OutTradeNo string          `json:"out_trade_no"`
	Path       string          `json:"path"`     // of the trade's notify_url
	Resource   json.RawMessage `json:"resource"` // what is sent, encrypted or as a form
	CreatedAt  time.Time       `json:"created_at"`
	Attempts   []Attempt       `json:"attempts"`
	NextAt     *time.Time      `json:"next_at,omitempty"` // when the next retry is due; absent when delivered or given up
	Delivered  bool            `json:"delivered"`
	Hostile    bool            `json:"hostile,omitempty"` // not from WeChat Pay: never retried
}

// schedule is WeChat Pay's, between one attempt and the next.
var schedule = []time.Duration{
	15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	30 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour,
}

var noticeSummary = map[string]string{
	"TRANSACTION.SUCCESS": "支付成功", "REFUND.SUCCESS": "退款成功", "TRADE_SUCCESS": "支付宝支付成功", "TRADE_CLOSED": "支付宝交易关闭", "REFUND": "支付宝退款",
}

// wire is how a platform tells the merchant.
type wire struct {
	schedule []time.Duration
	key      *rsa.PrivateKey
	send     func(context.Context, Notice, *rsa.PrivateKey) Attempt
	taken    func(Attempt) bool
}

func (s *Server) wire(c PayChannel) wire {
	if c == ViaAlipay {
		return wire{alipaySchedule, s.cfg.Alipay.PlatformKey, s.sendAlipay, func(a Attempt) bool { return a.Status == http.StatusOK && a.Body == "success" }}
	}
	return wire{schedule, s.cfg.Pay.PlatformKey, s.sendNotice, func(a Attempt) bool { return a.Status == http.StatusOK || a.Status == http.StatusNoContent }}
}

// tick is how often, in real time, the delivery loop looks for what is due.
const tick = 100 * time.Millisecond

// newNotice records a notification without sending it. The caller holds the lock.
func (s *Server) newNotice(via PayChannel, event, outTradeNo, notifyURL string, resource any) Notice {
	raw, err := json.Marshal(resource)
	if err != nil {
		panic("sim: " + err.Error()) // plain values
	}
	n := Notice{
		Channel: via, ID: "EV-" + token(14), Event: event, OutTradeNo: outTradeNo, Path: pathOf(notifyURL), Resource: raw,
		CreatedAt: s.now(), Attempts: []Attempt{},
	}
	s.notices.put(n.ID, n)
	s.changed()
	return n
}

// pathOf is what is kept of a notify URL: its public host may not be reachable from here, and the port may change.
func pathOf(notify string) string {
	u, err := url.Parse(notify)
	if err != nil {
		return "/"
	}
	return u.Path
}

// resume makes the notifications due whose attempt an earlier run began and did not end. The caller holds the lock.
func (s *Server) resume() {
	now := s.now()
	for _, n := range s.invoiceNotices.find(func(n InvoiceNotice) bool {
		return !n.Delivered && !n.Hostile && n.NextAt == nil && len(n.Attempts) <= len(invoiceSchedule)
	}) {
		n.NextAt = &now
		s.invoiceNotices.put(n.ID, n)
	}
	for _, n := range s.notices.find(func(n Notice) bool {
		return !n.Delivered && !n.Hostile && n.NextAt == nil && len(n.Attempts) <= len(s.wire(n.Channel).schedule)
	}) {
		n.NextAt = &now
		s.notices.put(n.ID, n)
	}
}

// notify makes one attempt, with as many extra copies as the fault says, and schedules the next when it was not accepted.
func (s *Server) notify(ctx context.Context, id string) Notice {
	f := s.strike("notify")
	if f.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	defer s.occupy()() // between the repeats, too
	var n Notice
	for range 1 + f.Repeat {
		n = s.notifyOnce(ctx, id, nil)
	}
	return n
}

// notifyOnce makes one attempt, signed with key; nil is the platform's own.
func (s *Server) notifyOnce(ctx context.Context, id string, key *rsa.PrivateKey) Notice {
	s.mu.Lock()
	n, _ := s.notices.get(id)
	n.NextAt = nil // taken: nobody else sends it meanwhile
	s.notices.put(id, n)
	s.busy++
	s.mu.Unlock()
	defer s.free()

	w := s.wire(n.Channel)
	a := w.send(ctx, n, cmp.Or(key, w.key))

	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ = s.notices.get(id)
	n.Attempts = append(n.Attempts, a)
	n.Delivered = n.Delivered || w.taken(a)
	if tried := len(n.Attempts); !n.Delivered && !n.Hostile && tried <= len(w.schedule) {
		next := s.now().Add(time.Duration(float64(w.schedule[tried-1]) * s.cfg.RetryScale))
		n.NextAt = &next
	}
	s.notices.put(id, n)
	s.note("pay", fmt.Sprintf("%s通知 %s：HTTP %d %s", noticeSummary[n.Event], n.OutTradeNo, a.Status, a.Error))
	return n
}

func (s *Server) sendNotice(ctx context.Context, n Notice, key *rsa.PrivateKey) Attempt {
	original := map[string]string{"TRANSACTION.SUCCESS": "transaction", "REFUND.SUCCESS": "refund"}[n.Event]
	nonce := token(6) // twelve bytes
	sealed, err := apiv3.Seal(s.cfg.Pay.APIv3Key, nonce, original, n.Resource)
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	body, err := json.Marshal(map[string]any{
		"id": n.ID, "create_time": n.CreatedAt.In(shanghai).Format(time.RFC3339), "resource_type": "encrypt-resource",
		"event_type": n.Event, "summary": noticeSummary[n.Event],
		"resource": map[string]string{
			"original_type": original, "algorithm": "AEAD_AES_256_GCM", "ciphertext": sealed, "associated_data": original, "nonce": nonce,
		},
	})
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	stamp, lineNonce := wireNow().Unix(), token(16)
	sig, err := apiv3.Sign(key, stamp, lineNonce, body)
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.ProductURL+n.Path, bytes.NewReader(body))
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	setSignature(req.Header, s.cfg.Pay.PlatformKeyID, sig, lineNonce, stamp)
	return s.call(req)
}

// forge sends a notification signed by a key that is not the platform's.
func (s *Server) forge(ctx context.Context, id string) (Notice, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Notice{}, err
	}
	return s.notifyOnce(ctx, id, key), nil
}

// deliverDue retries notifications and finishes refunds when the clock says so.
func (s *Server) deliverDue() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
		s.mu.Lock()
		due, invoices, pushes := s.due(), s.dueInvoices(), s.duePushes()
		s.busy++ // what was due is now on its way: nothing is settled before it arrived
		s.mu.Unlock()
		for _, again := range pushes {
			again(s.ctx)
		}
		for _, id := range due {
			s.notify(s.ctx, id)
		}
		for _, id := range invoices {
			s.tellInvoice(s.ctx, id)
		}
		s.free()
	}
}

// due finishes the refunds and returns the notifications whose time has come. The caller holds the lock.
func (s *Server) due() []string {
	now, ids := s.now(), []string{}
	for _, r := range s.refunds.find(func(r Refund) bool { return r.Status == "PROCESSING" && !r.DueAt.After(now) }) {
		r = s.endRefund(r)
		if r.NotifyURL != "" {
			ids = append(ids, s.newNotice(ViaWeChat, "REFUND."+r.Status, r.OutTradeNo, r.NotifyURL, s.refundResource(r)).ID)
		}
	}
	for _, n := range s.notices.find(func(n Notice) bool { return n.NextAt != nil && !n.NextAt.After(now) }) {
		ids = append(ids, n.ID)
	}
	return ids
}

func (s *Server) refundResource(r Refund) map[string]any {
	resource := map[string]any{
		"mchid": s.cfg.Pay.MchID, "out_trade_no": r.OutTradeNo, "transaction_id": r.TransactionID, "out_refund_no": r.OutRefundNo,
		"refund_id": r.RefundID, "refund_status": r.Status,
		"user_received_account": cmp.Or(r.Account, "支付用户零钱"),
		"amount":                map[string]any{"total": r.Total, "refund": r.Amount, "payer_total": r.Total, "payer_refund": r.Amount},
	}
	if r.SuccessAt != nil {
		resource["success_time"] = r.SuccessAt.In(shanghai).Format(time.RFC3339)
	}
	return resource
}

// PayResult is what a payment operation did.
type PayResult struct {
	Trades  []Trade  `json:"trades"`
	Notices []Notice `json:"notices"`
}

// payRequest is one thing somebody does with a payment code.
type payRequest struct {
	CodeURL    string `json:"code_url"`
	OutTradeNo string `json:"out_trade_no"`
	How        string `json:"how"`
	Times      int    `json:"times"`
	Persona    string `json:"persona"`
}

// find returns the trade a request means. The caller holds the lock.
func (s *Server) find(q payRequest) (Trade, error) {
	for _, t := range s.trades.find(nil) {
		if t.OutTradeNo == q.OutTradeNo || q.CodeURL != "" && t.CodeURL == q.CodeURL {
			t, _ = s.trade(t.key())
			return t, nil
		}
	}
	return Trade{}, fmt.Errorf("没有这笔交易")
}

// operate does what a person with a phone, or somebody with worse intentions, does to a trade.
func (s *Server) operate(ctx context.Context, q payRequest) (PayResult, error) {
	s.mu.Lock()
	t, err := s.find(q)
	payer := s.cfg.Personas[0]
	if q.Persona != "" && err == nil {
		payer, err = s.persona(q.Persona)
	}
	if err != nil {
		s.mu.Unlock()
		return PayResult{}, err
	}
	trades, notices, err := s.prepare(q.How, t, payer)
	s.mu.Unlock()
	if err != nil {
		return PayResult{}, err
	}

	result := PayResult{Trades: trades, Notices: []Notice{}}
	for _, n := range notices {
		switch q.How {
		case "forged":
			n, err = s.forge(ctx, n.ID)
		case "repeat":
			for range max(q.Times, 1) {
				n = s.notifyOnce(ctx, n.ID, nil)
			}
		default:
			n = s.notify(ctx, n.ID)
		}
		if err != nil {
			return PayResult{}, err
		}
		result.Notices = append(result.Notices, n)
	}
	return result, nil
}

// prepare changes the trades and writes the notifications to send. The caller holds the lock.
func (s *Server) prepare(how string, t Trade, payer Persona) ([]Trade, []Notice, error) {
	success := func(t Trade) Notice {
		if t.Channel == ViaAlipay {
			return s.newNotice(ViaAlipay, "TRADE_SUCCESS", t.OutTradeNo, t.NotifyURL, s.alipayForm(t))
		}
		return s.newNotice(ViaWeChat, "TRANSACTION.SUCCESS", t.OutTradeNo, t.NotifyURL, s.transaction(t))
	}
	if how == "repeat" {
		if t.PaidAt == nil {
			return nil, nil, fmt.Errorf("这笔交易还没有支付")
		}
		sent := s.notices.newest(1, func(n Notice) bool {
			return (n.Event == "TRANSACTION.SUCCESS" || n.Event == "TRADE_SUCCESS") && bytes.Contains(n.Resource, []byte(t.TransactionID))
		})
		if len(sent) == 0 { // it was lost; now it is found
			sent = []Notice{success(t)}
		}
		return []Trade{t}, sent, nil
	}
	if t.State != NotPay && t.State != PayError {
		return nil, nil, fmt.Errorf("二维码不能支付：%s", stateText[t.State])
	}
	switch how {
	case "pay":
		t = s.payNow(t, payer)
		return []Trade{t}, []Notice{success(t)}, nil
	case "lose":
		t = s.payNow(t, payer)
		s.note("pay", "支付通知被丢失："+t.OutTradeNo)
		return []Trade{t}, nil, nil
	case "twice":
		other, err := s.sibling(t)
		if err != nil {
			return nil, nil, err
		}
		t, other = s.payNow(t, payer), s.payNow(other, payer)
		return []Trade{t, other}, []Notice{success(t), success(other)}, nil
	case "scan": // only Alipay knows the difference
		t.Scanned, t.TransactionID = true, cmp.Or(t.TransactionID, s.transactionID(t.Channel))
		s.trades.put(t.key(), t)
		s.note("pay", payer.Name+" 扫码后没有付款")
		return []Trade{t}, nil, nil
	case "fail":
		if t.Channel == ViaAlipay { // which tells nobody that a bank refused; the payer gives up
			s.shutAlipay(&t, fmt.Sprintf("%s 支付失败，取消了交易", payer.Name))
			s.poke()
			return []Trade{t}, nil, nil
		}
		t.State = PayError
		s.trades.put(t.key(), t)
		s.note("pay", fmt.Sprintf("%s 支付失败：银行卡余额不足", payer.Name))
		return []Trade{t}, nil, nil
	case "wrong-amount", "forged":
		claimed := t
		if how == "wrong-amount" {
			claimed.Total--
		}
		at := s.now()
		claimed.State, claimed.PaidAt, claimed.Payer, claimed.TransactionID = Success, &at, cmp.Or(t.For, payer.OpenID), s.transactionID(t.Channel)
		s.note("pay", "可疑通知："+how)
		n := success(claimed)
		n.Hostile = true
		s.notices.put(n.ID, n)
		return []Trade{t}, []Notice{n}, nil
	}
	return nil, nil, fmt.Errorf("unknown how %q", how)
}

func (s *Server) payNow(t Trade, payer Persona) Trade {
	at := s.now()
	t.State, t.PaidAt, t.Payer, t.Scanned, t.TransactionID = Success, &at, cmp.Or(t.For, payer.OpenID), true, cmp.Or(t.TransactionID, s.transactionID(t.Channel))
	s.trades.put(t.key(), t)
	s.note("pay", fmt.Sprintf("%s 扫码支付 %s（%s）", payer.Name, yuan(t.Total), t.Description))
	return t
}

// transactionID looks like the platform's: 28 digits.
func (s *Server) transactionID(via PayChannel) string {
	day, n := s.now().In(shanghai).Format("20060102"), s.nextID()%1e14
	if via == ViaAlipay {
		return day + fmt.Sprintf("220014%014d", n)
	}
	return "420000" + day + fmt.Sprintf("%014d", n)
}

// sibling is another trade of the same order that can still be paid; failing that, one that was closed: somebody
// was typing the password of its payment when the close went through.
func (s *Server) sibling(t Trade) (Trade, error) {
	for _, payable := range [][]TradeState{{NotPay, PayError}, {Closed}} {
		for _, other := range s.trades.newest(0, nil) {
			other, _ = s.trade(other.key())
			same := other.Description == t.Description
			if t.Attach != "" {
				same = other.Attach == t.Attach
			}
			if same && other.key() != t.key() && slices.Contains(payable, other.State) {
				return other, nil
			}
		}
	}
	return Trade{}, fmt.Errorf("这个订单只有一个二维码：请先在支付页点「返回修改信息」并重新提交，再点重复支付")
}
