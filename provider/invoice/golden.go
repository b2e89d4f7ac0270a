// Package invoice has electronic invoices (数电票) issued through the open platform of
// 高灯云 (GoldenCloud), as documented at docs.gc365.com (云开票 › API 文档): 签名方法,
// 发票开具 (/tax-api/invoice/blue/v1), 发票冲红 (…/red/v1), 发票查询 (…/query/v1) and
// 开票结果异步通知; the shapes are those of the platform's published SDKs.
//
// The platform works asynchronously: it takes a request, and says later, in a
// notification and on a query, what became of it. The documentation has no signature
// on a notification, so the address that the platform is given for one carries a
// keyed hash of what the notification will be about, and what it says decides
// nothing: the platform is asked, with a signed query. The platform's id of an
// invoice is ours, so that asking for the same one again makes no second one.
package invoice

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Config is the seller's agreement with the platform.
type Config struct {
	AppKey, AppSecret string
	SellerTaxNo       string
	TypeCode          string // 开具发票类型 that the agreement names for 数电普票
	TaxCode           string // 税收商品编码 of what is sold
	TaxRate           int    // in thousandths; the price includes it

	CallbackURL string // where the platform reports; no query
	BaseURL     string // default https://apigw.goldentec.com

	// Now dates signatures; the platform refuses more than five minutes.
	Now func() time.Time
	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

const (
	timeout  = 8 * time.Second
	maxReply = 1 << 20
	maxFile  = 10 << 20

	bluePath  = "/tax-api/invoice/blue/v1"
	redPath   = "/tax-api/invoice/red/v1"
	queryPath = "/tax-api/invoice/query/v1"
)

var _ order.InvoicePlatform = (*Golden)(nil)

// Golden is one seller. It is safe for concurrent use.
type Golden struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// NewGolden checks the agreement and returns the seller's client.
func NewGolden(cfg Config) (*Golden, error) {
	base, err := url.Parse(cmp.Or(cfg.BaseURL, "https://apigw.goldentec.com"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("invoice: base URL %q is not absolute", cfg.BaseURL)
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	if cfg.AppKey == "" || cfg.AppSecret == "" || cfg.SellerTaxNo == "" || cfg.TypeCode == "" || cfg.TaxCode == "" {
		return nil, errors.New("invoice: app key, secret, seller's tax number, invoice type or tax code is missing")
	}
	if cfg.TaxRate < 0 || cfg.TaxRate > 200 {
		return nil, fmt.Errorf("invoice: tax rate %d is not in thousandths", cfg.TaxRate)
	}
	if u, err := url.Parse(cfg.CallbackURL); err != nil || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("invoice: callback URL %q is not absolute or has a query", cfg.CallbackURL)
	}
	g := &Golden{cfg: cfg, base: base}
	g.http = &http.Client{Timeout: timeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if req.Method != http.MethodGet || !g.trusts(req.URL) || len(via) >= 5 { // only files may have moved
			return errors.New("it leads elsewhere")
		}
		return nil
	}}
	return g, nil
}

// trusts tells whether a file may be fetched there: over TLS, or from the platform's own
// address.
func (g *Golden) trusts(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == g.base.Scheme && u.Host == g.base.Host)
}

// Error is a refusal by the platform. Its words travel in the domain's error.
type Error struct {
	Op   string
	Code int
}

func (e *Error) Error() string { return fmt.Sprintf("%s: code %d", e.Op, e.Code) }

// blueRequest is 发票开具. Amounts are in yuan with two decimals.
type blueRequest struct {
	Seller      string     `json:"seller_taxpayer_num"`
	TitleType   int        `json:"title_type"` // 1: no tax number, 2: 企业
	Title       string     `json:"buyer_title"`
	TaxNo       string     `json:"buyer_taxpayer_num,omitempty"`
	OrderID     string     `json:"order_id"`
	Type        string     `json:"invoice_type_code"`
	CallbackURL string     `json:"callback_url"`
	HasTax      string     `json:"amount_has_tax"`
	Tax         string     `json:"tax_amount"`
	WithoutTax  string     `json:"amount_without_tax"`
	Remark      string     `json:"remark,omitempty"`
	Items       []blueItem `json:"items"`
}

type blueItem struct {
	Name       string `json:"name"`
	TaxCode    string `json:"tax_code"`
	TotalPrice string `json:"total_price"` // without tax
	TaxRate    string `json:"tax_rate"`
	Tax        string `json:"tax_amount"`
}

type redRequest struct {
	Invoices []redInvoice `json:"invoices"`
}

type redInvoice struct {
	Seller      string `json:"seller_taxpayer_num"`
	CallbackURL string `json:"callback_url"`
	OrderID     string `json:"order_id"`
}

// Submit asks for an invoice, or for the red one of an invoice that is to be taken
// back. Asking again is harmless: the platform goes by the order id.
func (g *Golden) Submit(ctx context.Context, i order.Invoice) error {
	if i.Red() {
		var out []struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		}
		err := g.call(ctx, "red", redPath, redRequest{[]redInvoice{{g.cfg.SellerTaxNo, g.callbackURL(i), i.ID}}}, &out)
		if err == nil && len(out) == 1 && out[0].Code != 0 {
			err = refused("red", out[0].Code, out[0].Message)
		}
		return err
	}
	total := int64(i.Amount)
	without, tax := split(total, g.cfg.TaxRate)
	in := blueRequest{
		Seller: g.cfg.SellerTaxNo, TitleType: 2, Title: i.Title, TaxNo: i.TaxNo, OrderID: i.ID, Type: g.cfg.TypeCode, CallbackURL: g.callbackURL(i),
		HasTax: yuan(total), Tax: yuan(tax), WithoutTax: yuan(without), Remark: remark(i),
		Items: []blueItem{{Name: goods(i.Item), TaxCode: g.cfg.TaxCode, TotalPrice: yuan(without), TaxRate: rate(g.cfg.TaxRate), Tax: yuan(tax)}},
	}
	if i.TaxNo == "" {
		in.TitleType = 1
	}
	var out struct {
		State json.Number `json:"state"` // 1: taken, 2: issued before
	}
	return g.call(ctx, "blue", bluePath, in, &out)
}

// split divides an amount that includes tax, in fen, rounded half up.
func split(total int64, thousandths int) (without, tax int64) {
	divisor := int64(1000 + thousandths)
	without = (total*1000*2 + divisor) / (2 * divisor)
	return without, total - without
}

func yuan(fen int64) string {
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// fen reads an amount in yuan; a red invoice's is negative.
func fen(text string) (int64, error) {
	m := amountForm.FindStringSubmatch(text)
	if m == nil {
		return 0, errors.New("not an amount in yuan")
	}
	n, err := strconv.ParseInt(m[2]+(m[3] + "00")[:2], 10, 64)
	if m[1] == "-" {
		n = -n
	}
	return n, err
}

var amountForm = regexp.MustCompile(`^(-?)(\d{1,12})(?:\.(\d{0,2}))?$`)

func rate(thousandths int) string { return strconv.FormatFloat(float64(thousandths)/1000, 'f', -1, 64) }

// goods is a product's name as the platform takes it: fifty bytes at most, without
// the characters that it refuses.
func goods(name string) string {
	name = strings.NewReplacer("<", "", ">", "", "/", "", "&", "", `"`, "", `\`, "").Replace(name)
	if len(name) > 50 {
		name = strings.ToValidUTF8(name[:50], "")
	}
	return name
}

func remark(i order.Invoice) string {
	if i.OrderNo == "" {
		return ""
	}
	return "订单号 " + i.OrderNo
}

// queryStatus reads the status of a query; notifications number theirs otherwise.
var queryStatus = map[string]order.InvoiceStatus{
	"1": order.InvoicePending,                                                  // 开票中
	"2": order.InvoiceRejected,                                                 // 开票失败
	"3": order.InvoicePending,                                                  // 已开票待签章
	"4": order.InvoicePending,                                                  // 签章失败: the platform signs again
	"5": order.InvoiceDone,                                                     // 开票成功
	"6": order.InvoiceDone, "7": order.InvoiceDone, "8": order.InvoiceRejected, // 作废
}

// numberForm is the number of a 数电票 (rules.md §3.6).
var numberForm = regexp.MustCompile(`^\d{20}$`)

// Ask asks what became of an invoice, or of its red one.
func (g *Golden) Ask(ctx context.Context, i order.Invoice) (order.InvoiceAnswer, error) {
	in := struct {
		Seller  string `json:"seller_taxpayer_num"`
		OrderID string `json:"order_id"`
		IsRed   int    `json:"is_red"`
	}{g.cfg.SellerTaxNo, i.ID, 0}
	if i.Red() {
		in.IsRed = 1
	}
	var out struct {
		OrderID string      `json:"order_id"`
		Status  json.Number `json:"status"`
		Message string      `json:"message"`
		Number  string      `json:"ticket_sn"`
		Date    string      `json:"ticket_date"`
		Amount  string      `json:"amount_with_tax"`
		PDF     string      `json:"pdf_url"`
	}
	err := g.call(ctx, "query", queryPath, in, &out)
	if errors.Is(err, order.Invalid) {
		// The documentation names no code for an order that the platform has not: to
		// submit it again is harmless, and refused in plain words where that is due.
		return order.InvoiceAnswer{Status: order.InvoiceUnknown}, nil
	}
	if err != nil {
		return order.InvoiceAnswer{}, err
	}
	status, known := queryStatus[out.Status.String()]
	switch {
	case out.OrderID != i.ID:
		return order.InvoiceAnswer{}, unavailable("query", errors.New("reply is about another invoice"))
	case !known:
		return order.InvoiceAnswer{}, unavailable("query", errors.New("invoice has an unknown status"))
	case status != order.InvoiceDone:
		return order.InvoiceAnswer{Status: status, Why: out.Message}, nil
	}
	a := order.InvoiceAnswer{Status: status, Number: out.Number, File: out.PDF}
	amount, err := fen(out.Amount)
	if err == nil {
		a.At, err = g.time(out.Date)
	}
	if err != nil || !numberForm.MatchString(out.Number) {
		return order.InvoiceAnswer{}, unavailable("query", errors.New("invoice has no number, amount or date"))
	}
	if i.Red() {
		amount = -amount
	}
	a.Amount = order.Fen(amount)
	return a, nil
}

// time reads when an invoice was issued, which the platform writes in two forms.
func (g *Golden) time(text string) (time.Time, error) {
	if s, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Unix(s, 0).UTC(), nil
	}
	t, err := time.ParseInLocation(time.DateTime, text, order.Shanghai)
	return t.UTC(), err
}

// File fetches a PDF that the platform pointed to, from an address that it trusts.
func (g *Golden) File(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || !g.trusts(u) {
		return nil, unavailable("file", errors.New("the file's address is not to be trusted"))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	body, err := g.do("file", req, maxFile)
	if err == nil && !bytes.HasPrefix(body, []byte("%PDF-")) {
		err = unavailable("file", errors.New("the file is no PDF"))
	}
	return body, err
}

// call posts one signed request and decodes the data of its reply.
func (g *Golden) call(ctx context.Context, op, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", op, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("preparing %s: %w", op, err)
	}
	nonce, err := rand.Int(rand.Reader, big.NewInt(900_000))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", authorization(g.cfg.AppKey, g.cfg.AppSecret, nonce.Int64()+100_000, g.cfg.Now().Unix(), path, body))
	reply, err := g.do(op, req, maxReply)
	if err != nil {
		return err
	}
	var envelope struct {
		Code    *int            `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	switch err := json.Unmarshal(reply, &envelope); {
	case err != nil || envelope.Code == nil:
		return unavailable(op, errors.New("reply is not the platform's"))
	case *envelope.Code != 0:
		return refused(op, *envelope.Code, envelope.Message)
	}
	if err := json.Unmarshal(envelope.Data, out); err != nil {
		return unavailable(op, errors.New("reply has unexpected fields"))
	}
	return nil
}

func (g *Golden) do(op string, req *http.Request, limit int64) (body []byte, err error) {
	done := outbound.Timed(g.cfg.Latency, op)
	defer func() { done(outcome(err)) }()
	resp, err := g.http.Do(req)
	if err != nil {
		return nil, unavailable(op, outbound.WithoutURL(err))
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, unavailable(op, outbound.WithoutURL(err))
	case resp.StatusCode != http.StatusOK:
		return nil, unavailable(op, fmt.Errorf("HTTP status %d", resp.StatusCode))
	case int64(len(body)) > limit:
		return nil, unavailable(op, errors.New("reply is too long"))
	}
	return body, nil
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	return "error"
}

// refused is the platform's no. Its words are for finance; they go no further than
// the invoice's record.
func refused(op string, code int, words string) error {
	return &order.Error{Kind: order.Invalid, Code: "invoice_refused", Detail: cmp.Or(words, "开票平台未说明原因"), Err: &Error{op, code}}
}

func unavailable(op string, cause error) error {
	return &order.Error{
		Kind: order.Unavailable, Code: "invoice_unavailable", Detail: "开票服务暂时不可用，系统会自动重试",
		RetryAfter: 30 * time.Second, Err: fmt.Errorf("calling the invoice platform, %s: %w", op, cause),
	}
}
