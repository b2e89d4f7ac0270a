package sim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Golden is the seller at 高灯云 (GoldenCloud), who issues electronic invoices; zero: there is none.
type Golden struct {
	AppKey      string
	AppSecret   string
	SellerTaxNo string
	SellerName  string
	TTF         []byte // the face that the PDFs are printed in; empty: Latin letters only
}

// Invoice is one electronic invoice and, once it is taken back, the red one that does so.
type Invoice struct {
	OrderID  string  `json:"order_id"` // the seller's
	OrderSN  string  `json:"order_sn"` // the platform's
	Title    string  `json:"buyer_title"`
	TaxNo    string  `json:"buyer_taxpayer_num,omitempty"`
	Item     string  `json:"item"`
	Remark   string  `json:"remark,omitempty"`
	Total    int64   `json:"total"` // fen, with tax
	Tax      int64   `json:"tax"`
	File     string  `json:"file,omitempty"` // the secret name of its PDF
	Blue     Printed `json:"blue"`
	Red      Printed `json:"red,omitzero"`
	Callback string  `json:"callback_url"`
}

// Printed is one of the two documents of an [Invoice].
type Printed struct {
	Status  InvoiceStatus `json:"status"` // of a query
	Message string        `json:"message,omitempty"`
	Number  string        `json:"ticket_sn,omitempty"`
	At      *time.Time    `json:"ticket_date,omitempty"`
	DueAt   *time.Time    `json:"due_at,omitempty"` // when the tax office answers; absent while somebody decides
	Plan    string        `json:"plan,omitempty"`   // see [planned]
}

// InvoiceStatus is the status of a query.
type InvoiceStatus int

// The states that the simulator goes through.
const (
	NoInvoice InvoiceStatus = 0
	Issuing   InvoiceStatus = 1
	NotIssued InvoiceStatus = 2
	Issued    InvoiceStatus = 5
)

// InvoiceNotice is one 开票结果异步通知 with everything that was tried.
type InvoiceNotice struct {
	ID        string          `json:"id"`
	OrderID   string          `json:"order_id"`
	Type      string          `json:"notify_type"` // invoice.blue or invoice.red
	Path      string          `json:"path"`        // of the callback_url, with its query
	Body      json.RawMessage `json:"body"`
	Attempts  []Attempt       `json:"attempts"`
	NextAt    *time.Time      `json:"next_at,omitempty"`
	Delivered bool            `json:"delivered"`
	Hostile   bool            `json:"hostile,omitempty"`
}

// planned are the fates that the next invoice can be given: hold waits for somebody to decide, fail is refused,
// lose is issued without a notification.
var planned = map[string]bool{"": true, "hold": true, "fail": true, "lose": true}

// invoiceSchedule is the platform's, between one attempt and the next.
var invoiceSchedule = []time.Duration{
	time.Minute, 10 * time.Minute, 10 * time.Minute, 30 * time.Minute, 30 * time.Minute, time.Hour, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour,
}

const refusedByTax = "购方税号与名称不匹配，请核对后重新开具"

func (s *Server) routeInvoice(host string) {
	handle := func(path, family string, call func(body []byte, r *http.Request) (any, error)) {
		s.mux.HandleFunc("POST "+host+path, s.faulty(family, refuseInvoice, s.golden(host, call)))
	}
	handle("/tax-api/invoice/blue/v1", "invoice.issue", s.issueInvoice)
	handle("/tax-api/invoice/red/v1", "invoice.red", s.reverseInvoice)
	handle("/tax-api/invoice/query/v1", "invoice.query", s.queryInvoice)
	s.mux.HandleFunc("GET "+host+"/files/{name}", s.faulty("invoice.file", refuseInvoice, s.invoiceFile))
}

// goldenError is the platform's refusal: HTTP 200 with a code.
type goldenError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *goldenError) Error() string { return e.Message }

// The documentation lists no codes; these are the simulator's own.
func refuseGolden(message string) error { return &goldenError{10001, message} }

func refuseInvoice(w http.ResponseWriter, status int, code string) {
	if status != 0 {
		http.Error(w, "gateway", status)
		return
	}
	n, err := strconv.Atoi(code)
	if err != nil {
		n = 10002
	}
	writeJSON(w, http.StatusOK, goldenError{n, "系统繁忙"})
}

// golden verifies the signature of 签名方法, makes the call under the lock, and wraps its answer.
func (s *Server) golden(host string, call func([]byte, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var data any
		if err == nil {
			s.mu.Lock()
			if err = s.checkGolden(r.Header.Get("Authorization"), strings.TrimPrefix(r.URL.Path, host), body); err == nil {
				data, err = call(body, r)
			}
			s.mu.Unlock()
		}
		if refusal, ok := errors.AsType[*goldenError](err); ok {
			writeJSON(w, http.StatusOK, refusal)
			return
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, goldenError{10003, err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"code": 0, "message": "success", "data": data})
	}
}

func (s *Server) checkGolden(header, path string, body []byte) error {
	signed, signature, ok := strings.Cut(header, ",signature=")
	given := map[string]string{}
	for part := range strings.SplitSeq(signed, ",") {
		k, v, _ := strings.Cut(part, "=")
		given[k] = v
	}
	stamp, err := strconv.ParseInt(given["timestamp"], 10, 64)
	switch {
	case !ok || err != nil || given["algorithm"] != "HMAC-SHA256" || !goldenNonce.MatchString(given["nonce"]):
		return refuseGolden("签名参数不完整")
	case s.cfg.Golden.AppKey == "" || given["appkey"] != s.cfg.Golden.AppKey:
		return refuseGolden("appkey 不存在")
	case math.Abs(s.now().Sub(time.Unix(stamp, 0)).Seconds()) > 300:
		return refuseGolden("timestamp 已过期")
	}
	mac := hmac.New(sha256.New, []byte(s.cfg.Golden.AppSecret))
	fmt.Fprintf(mac, "algorithm=HMAC-SHA256|appkey=%s|nonce=%s|timestamp=%s|%s|%s", given["appkey"], given["nonce"], given["timestamp"], path, body)
	if !hmac.Equal([]byte(signature), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) {
		return refuseGolden("签名错误")
	}
	return nil
}

var (
	goldenNonce  = regexp.MustCompile(`^\d{6}$`)
	goldenAmount = regexp.MustCompile(`^\d{1,10}\.\d{2}$`)
)

func goldenFen(text string) int64 {
	if !goldenAmount.MatchString(text) {
		return -1
	}
	n, _ := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
	return n
}

func goldenYuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// issueInvoice is idempotent by order_id: an invoice that was refused is tried again with what is sent now.
func (s *Server) issueInvoice(body []byte, _ *http.Request) (any, error) {
	var q struct {
		Seller     string `json:"seller_taxpayer_num"`
		TitleType  int    `json:"title_type"`
		Title      string `json:"buyer_title"`
		TaxNo      string `json:"buyer_taxpayer_num"`
		OrderID    string `json:"order_id"`
		Type       string `json:"invoice_type_code"`
		Callback   string `json:"callback_url"`
		HasTax     string `json:"amount_has_tax"`
		Tax        string `json:"tax_amount"`
		WithoutTax string `json:"amount_without_tax"`
		Remark     string `json:"remark"`
		Items      []struct {
			Name    string `json:"name"`
			TaxCode string `json:"tax_code"`
			Total   string `json:"total_price"`
			Rate    string `json:"tax_rate"`
			Tax     string `json:"tax_amount"`
		} `json:"items"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	total, tax, without := goldenFen(q.HasTax), goldenFen(q.Tax), goldenFen(q.WithoutTax)
	callback, err := url.Parse(q.Callback)
	switch {
	case q.Seller != s.cfg.Golden.SellerTaxNo:
		return nil, refuseGolden("销方税号未授权")
	case q.Title == "" || len([]rune(q.Title)) > 100 || q.TitleType == 2 && q.TaxNo == "":
		return nil, refuseGolden("购方名称或税号不完整")
	case q.OrderID == "" || len(q.OrderID) > 64 || q.Type == "" || err != nil || callback.Host == "":
		return nil, refuseGolden("order_id、invoice_type_code 或 callback_url 不正确")
	case total <= 0 || tax < 0 || without+tax != total:
		return nil, refuseGolden("金额不正确：含税金额应等于不含税金额与税额之和")
	case len(q.Items) == 0:
		return nil, refuseGolden("items 不能为空")
	}
	var items, taxes int64
	for _, i := range q.Items {
		rate, err := strconv.ParseFloat(i.Rate, 64)
		if i.Name == "" || len(i.Name) > 50 || i.TaxCode == "" || err != nil || math.Abs(float64(goldenFen(i.Total))*rate-float64(goldenFen(i.Tax))) > 1 {
			return nil, refuseGolden("商品明细不正确：" + i.Name)
		}
		items, taxes = items+goldenFen(i.Total), taxes+goldenFen(i.Tax)
	}
	if items != without || taxes != tax {
		return nil, refuseGolden("明细合计与总金额不符")
	}
	i, known := s.invoices.get(q.OrderID)
	if known && i.Blue.Status != NotIssued {
		state := map[bool]int{true: 2, false: 1}[i.Blue.Status == Issued]
		return map[string]any{"state": state, "order_sn": i.OrderSN, "invoice_id": i.OrderSN}, nil
	}
	if !known {
		i = Invoice{OrderID: q.OrderID, OrderSN: strconv.FormatInt(s.nextID(), 10)}
	}
	i.Title, i.TaxNo, i.Item, i.Remark, i.Total, i.Tax, i.Callback = q.Title, q.TaxNo, q.Items[0].Name, q.Remark, total, tax, q.Callback
	i.Blue = s.begun()
	s.invoices.put(i.OrderID, i)
	s.note("invoice", fmt.Sprintf("申请开票 %s %s", i.Title, yuan(i.Total)))
	s.poke()
	return map[string]any{"state": 1, "order_sn": i.OrderSN, "invoice_id": i.OrderSN}, nil
}

// begun is a document that the tax office is asked for, with the fate that somebody planned for it.
func (s *Server) begun() Printed {
	p := Printed{Status: Issuing, Plan: s.invoicePlan}
	s.invoicePlan = ""
	if p.Plan != "hold" {
		now := s.now()
		p.DueAt = &now
	}
	return p
}

// reverseInvoice is idempotent by the order id of the invoice that it takes back.
func (s *Server) reverseInvoice(body []byte, _ *http.Request) (any, error) {
	var q struct {
		Invoices []struct {
			Seller   string `json:"seller_taxpayer_num"`
			Callback string `json:"callback_url"`
			OrderID  string `json:"order_id"`
		} `json:"invoices"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	answers := []map[string]any{}
	for _, r := range q.Invoices {
		i, known := s.invoices.get(r.OrderID)
		switch {
		case r.Seller != s.cfg.Golden.SellerTaxNo || r.Callback == "":
			return nil, refuseGolden("销方税号或回传地址不正确")
		case !known || i.Blue.Status != Issued:
			answers = append(answers, map[string]any{"code": 1, "message": "没有可冲红的蓝票", "order_id": r.OrderID})
			continue
		case i.Red.Status == NoInvoice || i.Red.Status == NotIssued:
			i.Red, i.Callback = s.begun(), r.Callback
			s.invoices.put(i.OrderID, i)
			s.note("invoice", fmt.Sprintf("申请冲红 %s %s", i.Title, yuan(i.Total)))
			s.poke()
		}
		answers = append(answers, map[string]any{"code": 0, "message": "", "order_sn": i.OrderSN, "invoice_id": i.OrderSN + "-red"})
	}
	return answers, nil
}

func (s *Server) queryInvoice(body []byte, r *http.Request) (any, error) {
	var q struct {
		Seller  string `json:"seller_taxpayer_num"`
		OrderID string `json:"order_id"`
		IsRed   int    `json:"is_red"`
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	i, known := s.invoices.get(q.OrderID)
	if !known || q.Seller != s.cfg.Golden.SellerTaxNo || q.IsRed == 1 && i.Red.Status == NoInvoice {
		return nil, refuseGolden("订单不存在")
	}
	p, total, tax := i.Blue, i.Total, i.Tax
	if q.IsRed == 1 {
		p, total, tax = i.Red, -total, -tax
	}
	view := map[string]any{
		"order_id": i.OrderID, "order_sn": i.OrderSN, "status": strconv.Itoa(int(p.Status)), "message": p.Message, "ticket_sn": p.Number, "ticket_code": "",
		"ticket_date": "", "amount_with_tax": goldenYuan(total), "amount_without_tax": goldenYuan(total - tax), "tax_amount": goldenYuan(tax),
		"is_red_washed": strconv.FormatBool(i.Red.Status == Issued), "pdf_url": "",
	}
	if p.At != nil {
		view["ticket_date"] = p.At.In(shanghai).Format(time.DateTime)
		view["pdf_url"] = "http://" + r.Host + "/playground/apigw.goldentec.com/files/" + i.File + map[bool]string{true: "-red.pdf", false: ".pdf"}[q.IsRed == 1]
	}
	return view, nil
}

// invoiceFile serves a PDF to whoever knows its name, as the platform's file store does.
func (s *Server) invoiceFile(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(r.PathValue("name"), ".pdf")
	name, red := strings.CutSuffix(name, "-red")
	s.mu.Lock()
	found := s.invoices.find(func(i Invoice) bool { return i.File != "" && i.File == name })
	s.mu.Unlock()
	if !ok || len(found) == 0 {
		http.NotFound(w, r)
		return
	}
	pdf, err := s.printInvoice(found[0], red)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/pdf")
	_, _ = w.Write(pdf)
}

// dueInvoices has the tax office answer what is due, and returns the notifications to send. The caller holds the lock.
func (s *Server) dueInvoices() []string {
	now, ids := s.now(), []string{}
	for _, i := range s.invoices.find(func(i Invoice) bool { return i.Blue.due(now) || i.Red.due(now) }) {
		ids = append(ids, s.answerInvoice(i, "")...)
	}
	for _, n := range s.invoiceNotices.find(func(n InvoiceNotice) bool { return n.NextAt != nil && !n.NextAt.After(now) }) {
		ids = append(ids, n.ID)
	}
	return ids
}

func (p Printed) due(now time.Time) bool {
	return p.Status == Issuing && p.DueAt != nil && !p.DueAt.After(now)
}

// answerInvoice is the tax office's answer to what is open of an invoice: as was planned for it, or as decided now.
// The caller holds the lock.
func (s *Server) answerInvoice(i Invoice, decided string) []string {
	p, kind := &i.Blue, "invoice.blue"
	if i.Blue.Status != Issuing {
		p, kind = &i.Red, "invoice.red"
	}
	if p.Status != Issuing {
		return nil
	}
	how := p.Plan
	if decided != "" {
		how = decided
	}
	now := s.now()
	p.DueAt, p.Plan = nil, ""
	if how == "fail" {
		p.Status, p.Message = NotIssued, refusedByTax
	} else {
		p.Status, p.Message, p.At = Issued, "", &now
		p.Number = fmt.Sprintf("%s53%016d", now.In(shanghai).Format("06"), s.nextID()%1e16) // 53: Yunnan
		if i.File == "" {
			i.File = token(16)
		}
	}
	s.invoices.put(i.OrderID, i)
	s.changed()
	s.note("invoice", fmt.Sprintf("%s %s：%s", map[string]string{"invoice.blue": "开票", "invoice.red": "冲红"}[kind], i.Title, map[bool]string{true: "成功 " + p.Number, false: "失败 " + p.Message}[p.Status == Issued]))
	if how == "lose" {
		return nil
	}
	return []string{s.newInvoiceNotice(i, kind, i.Total, s.cfg.Golden.AppKey).ID}
}

// newInvoiceNotice records a notification without sending it. The caller holds the lock.
func (s *Server) newInvoiceNotice(i Invoice, kind string, total int64, appKey string) InvoiceNotice {
	p := i.Blue
	if kind == "invoice.red" {
		p, total = i.Red, -total
	}
	body := map[string]any{
		"appkey": appKey, "message": p.Message, "notify_type": kind, "notify_time": strconv.FormatInt(s.now().Unix(), 10), "order_id": i.OrderID,
		"g_unique_id": i.OrderSN, "order_sn": i.OrderSN, "ticket_code": "", "ticket_sn": p.Number, "ticket_status": "2", "ticket_date": "",
		"ticket_total_amount_has_tax": "", "pdf_url": "",
	}
	if p.Status == Issued {
		body["message"], body["ticket_status"] = "SUCCESS", "3"
		body["ticket_date"], body["ticket_total_amount_has_tax"] = p.At.In(shanghai).Format(time.DateTime), goldenYuan(total)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic("sim: " + err.Error()) // plain values
	}
	u, err := url.Parse(i.Callback)
	if err != nil {
		u = &url.URL{Path: "/"}
	}
	n := InvoiceNotice{ID: "GN-" + token(10), OrderID: i.OrderID, Type: kind, Path: u.RequestURI(), Body: raw, Attempts: []Attempt{}}
	s.invoiceNotices.put(n.ID, n)
	s.changed()
	return n
}

// tellInvoice makes one attempt, with as many extra copies as the fault says, and plans the next when it was not accepted.
func (s *Server) tellInvoice(ctx context.Context, id string) InvoiceNotice {
	f := s.strike("invoice.notify")
	if f.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	defer s.occupy()() // between the repeats, too
	var n InvoiceNotice
	for range 1 + f.Repeat {
		n = s.tellInvoiceOnce(ctx, id)
	}
	return n
}

func (s *Server) tellInvoiceOnce(ctx context.Context, id string) InvoiceNotice {
	s.mu.Lock()
	n, _ := s.invoiceNotices.get(id)
	n.NextAt = nil
	s.invoiceNotices.put(id, n)
	s.busy++
	s.mu.Unlock()
	defer s.free()

	a := s.sendInvoiceNotice(ctx, n)

	s.mu.Lock()
	defer s.mu.Unlock()
	n, _ = s.invoiceNotices.get(id)
	n.Attempts = append(n.Attempts, a)
	var answer struct {
		Code *int `json:"code"`
	}
	n.Delivered = n.Delivered || a.Status == http.StatusOK && json.Unmarshal([]byte(a.Body), &answer) == nil && answer.Code != nil && *answer.Code == 0
	if tried := len(n.Attempts); !n.Delivered && !n.Hostile && tried <= len(invoiceSchedule) {
		next := s.now().Add(time.Duration(float64(invoiceSchedule[tried-1]) * s.cfg.RetryScale))
		n.NextAt = &next
	}
	s.invoiceNotices.put(id, n)
	s.note("invoice", fmt.Sprintf("开票通知 %s：HTTP %d %s", n.Type, a.Status, a.Error))
	return n
}

func (s *Server) sendInvoiceNotice(ctx context.Context, n InvoiceNotice) Attempt {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.ProductURL+n.Path, bytes.NewReader(n.Body))
	if err != nil {
		return Attempt{At: s.Now(), Error: err.Error()}
	}
	req.Header.Set("Content-Type", "application/json")
	return s.call(req)
}

// invoiceRequest is one thing somebody does with an invoice, or plans for the next one.
type invoiceRequest struct {
	OrderID string  `json:"order_id"`
	How     string  `json:"how"`
	Times   int     `json:"times"`
	Plan    *string `json:"plan"`
}

// InvoiceResult is what an operation on invoices did.
type InvoiceResult struct {
	Plan    string          `json:"plan"` // of the next one
	Notices []InvoiceNotice `json:"notices"`
}

// operateInvoice does what the tax office, or somebody with worse intentions, does to an invoice.
func (s *Server) operateInvoice(ctx context.Context, q invoiceRequest) (any, error) {
	s.mu.Lock()
	if q.Plan != nil {
		defer s.mu.Unlock()
		if !planned[*q.Plan] {
			return nil, fmt.Errorf("unknown plan %q", *q.Plan)
		}
		s.invoicePlan = *q.Plan
		s.changed()
		return InvoiceResult{Plan: s.invoicePlan, Notices: []InvoiceNotice{}}, nil
	}
	ids, err := s.prepareInvoice(q)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	result := InvoiceResult{Notices: []InvoiceNotice{}}
	for _, id := range ids {
		for range max(q.Times, 1) {
			result.Notices = append(result.Notices, s.tellInvoice(ctx, id))
		}
	}
	return result, nil
}

// prepareInvoice changes the invoice and writes the notifications to send. The caller holds the lock.
func (s *Server) prepareInvoice(q invoiceRequest) ([]string, error) {
	i, known := s.invoices.get(q.OrderID)
	if !known {
		return nil, fmt.Errorf("没有这张发票")
	}
	kind := "invoice.blue"
	if i.Red.Status != NoInvoice {
		kind = "invoice.red"
	}
	hostile := func(total int64, appKey, path string) ([]string, error) {
		n := s.newInvoiceNotice(i, kind, total, appKey)
		n.Hostile = true
		if path != "" {
			n.Path = path
		}
		s.invoiceNotices.put(n.ID, n)
		s.note("invoice", "可疑通知："+q.How)
		return []string{n.ID}, nil
	}
	switch q.How {
	case "issue", "fail", "lose":
		if i.Blue.Status != Issuing && i.Red.Status != Issuing {
			return nil, fmt.Errorf("这张发票没有待处理的申请")
		}
		return s.answerInvoice(i, q.How), nil
	case "repeat":
		sent := s.invoiceNotices.newest(1, func(n InvoiceNotice) bool { return n.OrderID == i.OrderID && !n.Hostile })
		if len(sent) == 0 {
			return nil, fmt.Errorf("这张发票还没有通知")
		}
		return []string{sent[0].ID}, nil
	case "wrong-amount":
		i.Blue = i.pretended(s)
		return hostile(i.Total-1, s.cfg.Golden.AppKey, "")
	case "forged":
		i.Blue = i.pretended(s)
		u, err := url.Parse(i.Callback)
		if err != nil {
			return nil, err
		}
		q := u.Query()
		q.Set("seal", strings.Repeat("0", 64))
		u.RawQuery = q.Encode()
		return hostile(i.Total, s.cfg.Golden.AppKey, u.RequestURI())
	}
	return nil, fmt.Errorf("unknown how %q", q.How)
}

// pretended is a blue invoice that a hostile notification claims to have been issued.
func (i Invoice) pretended(s *Server) Printed {
	if i.Blue.Status == Issued {
		return i.Blue
	}
	at := s.now()
	return Printed{Status: Issued, At: &at, Number: "26530000000000000000"}
}
