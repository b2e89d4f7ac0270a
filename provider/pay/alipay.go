package pay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/smartwalle/alipay/v3"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// AlipayConfig is the merchant's agreement with Alipay.
type AlipayConfig struct {
	AppID      string
	SellerID   string // the merchant's own account, 2088…
	PrivateKey string // the application's, PKCS#1 or PKCS#8, in base64 or PEM
	PublicKey  string // Alipay's, PKIX, in base64 or PEM

	NotifyURL  string // where Alipay reports
	GatewayURL string // default https://openapi.alipay.com/gateway.do

	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

var _ order.PaymentGateway = (*Alipay)(nil)

// Alipay is one merchant. It is safe for concurrent use.
type Alipay struct {
	cfg    AlipayConfig
	client *alipay.Client
	files  *http.Client
}

// NewAlipay checks the keys and returns the merchant's client.
func NewAlipay(cfg AlipayConfig) (*Alipay, error) {
	cfg.GatewayURL = cmp.Or(cfg.GatewayURL, "https://openapi.alipay.com/gateway.do")
	for name, address := range map[string]string{"gateway": cfg.GatewayURL, "notify URL": cfg.NotifyURL} {
		if u, err := url.Parse(address); err != nil || u.Host == "" || u.RawQuery != "" {
			return nil, fmt.Errorf("alipay: %s %q is not absolute or has a query", name, address)
		}
	}
	if cfg.AppID == "" || cfg.SellerID == "" {
		return nil, errors.New("alipay: app ID or seller ID is missing")
	}
	// In what the SDK calls production it would download, and trust, any certificate
	// that a notification names. We agreed on a key.
	const production = false
	client, err := alipay.New(cfg.AppID, cfg.PrivateKey, production, alipay.WithSandboxGateway(cfg.GatewayURL), alipay.WithTimeLocation(order.Shanghai),
		alipay.WithHTTPClient(&http.Client{
			Timeout: timeout, Transport: outbound.Limited(maxReply),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
	if err != nil {
		return nil, fmt.Errorf("alipay: application's private key: %w", err)
	}
	if err := client.LoadAliPayPublicKey(cfg.PublicKey); err != nil {
		return nil, fmt.Errorf("alipay: Alipay's public key: %w", err)
	}
	return &Alipay{cfg, client, &http.Client{Timeout: billTimeout, Transport: outbound.Limited(maxBill)}}, nil
}

// alipayReply is what we read of the signed part of any reply.
type alipayReply struct {
	Code         string `json:"code"`
	SubCode      string `json:"sub_code"`
	TradeNo      string `json:"out_trade_no"` // ours
	AlipayNo     string `json:"trade_no"`
	QRCode       string `json:"qr_code"`
	Status       string `json:"trade_status"`
	Total        string `json:"total_amount"`
	PaidAt       string `json:"send_pay_date"`
	RefundNo     string `json:"out_request_no"`
	RefundAmount string `json:"refund_amount"`
	RefundStatus string `json:"refund_status"`
	BillURL      string `json:"bill_download_url"`
}

// Prepay opens a trade and returns what its QR code says (https://qr.alipay.com/…).
// Errors as those of [WeChat.Prepay].
func (a *Alipay) Prepay(ctx context.Context, p order.Payment, description string) (string, error) {
	r, err := a.ask(ctx, "precreate", alipay.TradePreCreate{Trade: alipay.Trade{
		NotifyURL: a.cfg.NotifyURL, SellerId: a.cfg.SellerID, ProductCode: "FACE_TO_FACE_PAYMENT",
		OutTradeNo: p.TradeNo, MerchantOrderNo: string(p.OrderID), TotalAmount: p.Amount.Yuan(), TimeExpire: p.ExpiresAt.In(order.Shanghai).Format(time.DateTime),
		Subject: atMost(256, strings.NewReplacer("/", " ", "=", " ", "&", " ").Replace(description)), // which Alipay refuses
	}})
	switch {
	case codeOf(err) == "TRADE_HAS_SUCCESS":
		return "", tradePaid(err)
	case codeOf(err) == "TRADE_HAS_CLOSE":
		return "", tradeClosed(err)
	case err != nil:
		return "", err
	case r.TradeNo != p.TradeNo || !strings.HasPrefix(r.QRCode, "https://qr.alipay.com/"):
		return "", unavailable("alipay precreate", errors.New("reply has no usable qr_code"))
	}
	return r.QRCode, nil
}

// Query asks what became of a trade; the receipt is set when it is paid. Alipay
// knows no trade whose code nobody has scanned.
func (a *Alipay) Query(ctx context.Context, tradeNo string) (order.TradeStatus, order.Receipt, error) {
	r, err := a.ask(ctx, "query", alipay.TradeQuery{OutTradeNo: tradeNo})
	if codeOf(err) == "TRADE_NOT_EXIST" {
		return order.TradeUnknown, order.Receipt{}, nil
	}
	if err != nil {
		return "", order.Receipt{}, err
	}
	status, receipt, err := readAlipay(r)
	if err == nil && r.TradeNo != tradeNo {
		err = errors.New("reply is about another trade")
	}
	if err != nil {
		return "", order.Receipt{}, unavailable("alipay query", err)
	}
	return status, receipt, nil
}

// Close makes sure that nobody can pay a trade any more, as [WeChat.Close] does. A
// code that nobody has scanned is not known to Alipay and cannot be closed: it stays
// until its time is over, and the domain asks about it then.
func (a *Alipay) Close(ctx context.Context, tradeNo string) error {
	_, refusal := a.ask(ctx, "close", alipay.TradeClose{OutTradeNo: tradeNo})
	status, _, err := a.Query(ctx, tradeNo)
	return closed("alipay close", refusal, status, err)
}

// Refund returns an amount of a trade under p.RefundNo. It is idempotent: asking
// again returns the state of the same refund. What Alipay answers does not name the
// refund; the query does, so that it decides.
func (a *Alipay) Refund(ctx context.Context, p order.Payment, amount order.Fen) (order.RefundStatus, error) {
	asked, refusal := a.ask(ctx, "refund", alipay.TradeRefund{
		OutTradeNo: p.TradeNo, OutRequestNo: p.RefundNo, RefundAmount: amount.Yuan(), RefundReason: atMost(256, p.RefundReason),
	})
	if errors.Is(refusal, order.Unavailable) {
		return "", refusal
	}
	r, err := a.ask(ctx, "refund_query", alipay.TradeFastPayRefundQuery{OutTradeNo: p.TradeNo, OutRequestNo: p.RefundNo})
	switch {
	case codeOf(err) == "TRADE_NOT_EXIST":
		return "", refundRefused(cmp.Or(refusal, err))
	case err != nil:
		return "", err
	case r.RefundStatus == "REFUND_SUCCESS":
		if back, err := fen(r.RefundAmount); err != nil || back != amount || r.TradeNo != p.TradeNo || r.RefundNo != p.RefundNo {
			return "", unavailable("alipay refund_query", errors.New("reply is about another refund"))
		}
		return order.RefundDone, nil
	case refusal == nil:
		return order.RefundProcessing, nil
	case asked.Code == string(alipay.CodeBusinessFailed):
		return "", refundRefused(refusal)
	}
	return "", refusal
}

// ask makes one call. The SDK returns a signed refusal as a success; it is an
// [Error] here.
func (a *Alipay) ask(ctx context.Context, op string, param alipay.Param) (r alipayReply, err error) {
	err = observe(a.cfg.Latency, op, func() error {
		if err := a.client.Request(ctx, param, &r); err != nil {
			return unavailable("alipay "+op, alipayFault(err))
		}
		if r.Code == string(alipay.CodeSuccess) {
			return nil
		}
		refusal := &Error{Status: http.StatusOK, Code: cmp.Or(strings.TrimPrefix(strings.TrimPrefix(r.SubCode, "aop."), "ACQ."), r.Code, "UNKNOWN")}
		switch {
		case r.Code == string(alipay.CodeUnknowError), r.Code == string(alipay.CodeCallLimited),
			refusal.Code == "SYSTEM_ERROR":
			return unavailable("alipay "+op, refusal)
		case refusal.Code == "SELLER_BALANCE_NOT_ENOUGH":
			return order.BalanceLow(fmt.Errorf("calling alipay %s: %w", op, refusal))
		}
		return fmt.Errorf("calling alipay %s: %w", op, refusal)
	})
	return r, err
}

// alipayFault says what went wrong below HTTP or with the signature of a reply, in
// words of our own.
func alipayFault(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return outbound.WithoutURL(e)
	}
	if _, ok := errors.AsType[*alipay.Error](err); ok { // it may be nil: an unsigned null
		return errBadSignature
	}
	return errBadReply
}
