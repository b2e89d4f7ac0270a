// Package pay takes and returns money through WeChat Pay (APIv3, public key mode), by
// QR code (Native) and inside the mini-program (JSAPI), and through Alipay (RSA2, public
// key mode), by QR code (当面付).
//
// What counts as true is only what the gateway signed: notifications and replies,
// whose merchant, account, currency and trade number are compared with ours. An
// error reply of WeChat Pay is unsigned and decides nothing but whether to try
// again; where it claims something about a trade, the trade is queried. Amounts are
// compared by the domain, which knows what the order costs.
package pay

import (
	"cmp"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/validators"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/jsapi"
	"github.com/wechatpay-apiv3/wechatpay-go/services/payments/native"
	"github.com/wechatpay-apiv3/wechatpay-go/services/refunddomestic"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// WeChatConfig is the merchant's agreement with WeChat Pay.
type WeChatConfig struct {
	AppID       string // the official account's
	MiniAppID   string // the mini-program's; empty: nobody pays there
	MchID       string
	CertSerial  string // serial of the merchant's API certificate
	PrivateKey  string // its key, PKCS#8 PEM
	PublicKeyID string // PUB_KEY_ID_…
	PublicKey   string // WeChat Pay's key, PKIX PEM
	APIv3Key    string // 32 bytes

	NotifyURL string // where WeChat Pay reports; no query
	BaseURL   string // default https://api.mch.weixin.qq.com

	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

const (
	apiHost = "api.mch.weixin.qq.com"

	timeout  = 5 * time.Second
	maxReply = 1 << 20
	currency = "CNY"
)

var (
	_ order.PaymentGateway = (*WeChat)(nil)
	_ order.MiniGateway    = (*WeChat)(nil)
)

// WeChat is one merchant. It is safe for concurrent use.
type WeChat struct {
	cfg     WeChatConfig
	private *rsa.PrivateKey
	native  native.NativeApiService
	jsapi   jsapi.JsapiApiService
	refunds refunddomestic.RefundsApiService
	files   *core.Client // what it gets is not signed
	notices *notify.Handler
}

// NewWeChat checks the keys and returns the merchant's client.
func NewWeChat(cfg WeChatConfig) (*WeChat, error) {
	base, err := url.Parse(cmp.Or(cfg.BaseURL, "https://"+apiHost))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("wechat pay: base URL %q is not absolute", cfg.BaseURL)
	}
	private, err := utils.LoadPrivateKey(cfg.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("wechat pay: merchant's private key: %w", err)
	}
	public, err := utils.LoadPublicKey(cfg.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("wechat pay: platform's public key: %w", err)
	}
	if cfg.AppID == "" || cfg.MchID == "" || cfg.CertSerial == "" || cfg.PublicKeyID == "" {
		return nil, errors.New("wechat pay: app ID, merchant, certificate serial or public key ID is missing")
	}
	if u, err := url.Parse(cfg.NotifyURL); err != nil || u.Host == "" || u.RawQuery != "" {
		return nil, fmt.Errorf("wechat pay: notify URL %q is not absolute or has a query", cfg.NotifyURL)
	}
	if len(cfg.APIv3Key) != 32 {
		return nil, fmt.Errorf("wechat pay: APIv3 key has %d bytes, not 32", len(cfg.APIv3Key))
	}
	notices, err := notify.NewRSANotifyHandler(cfg.APIv3Key, verifiers.NewSHA256WithRSAPubkeyVerifier(cfg.PublicKeyID, *public))
	if err != nil {
		return nil, fmt.Errorf("wechat pay: notification cipher: %w", err)
	}
	open := func(wait time.Duration, size int64) (*core.Client, error) {
		return core.NewClient(context.Background(),
			option.WithWechatPayPublicKeyAuthCipher(cfg.MchID, cfg.CertSerial, private, cfg.PublicKeyID, public),
			option.WithHTTPClient(&http.Client{Timeout: wait, Transport: outbound.Only(apiHost, base, size)}),
		)
	}
	client, err := open(timeout, maxReply)
	if err != nil {
		return nil, fmt.Errorf("wechat pay: %w", err)
	}
	files, err := open(billTimeout, maxBill)
	if err != nil {
		return nil, fmt.Errorf("wechat pay: %w", err)
	}
	return &WeChat{
		cfg:     cfg,
		private: private,
		native:  native.NativeApiService{Client: client},
		jsapi:   jsapi.JsapiApiService{Client: client},
		refunds: refunddomestic.RefundsApiService{Client: client},
		files:   core.NewClientWithValidator(files, &validators.NullValidator{}),
		notices: notices,
	}, nil
}

// Prepay opens a trade and returns what its QR code says (weixin://…). Asking
// again for the same unpaid trade returns a QR code of the same trade.
// order.Conflict: this trade was paid ("trade_paid") or closed ("trade_closed").
func (w *WeChat) Prepay(ctx context.Context, p order.Payment, description string) (string, error) {
	expires := p.ExpiresAt.In(order.Shanghai).Truncate(time.Second)
	var resp *native.PrepayResponse
	err := w.call("prepay", func() (err error) {
		resp, _, err = w.native.Prepay(ctx, native.PrepayRequest{
			Appid:       &w.cfg.AppID,
			Mchid:       &w.cfg.MchID,
			Description: core.String(atMost(127, description)),
			OutTradeNo:  &p.TradeNo,
			TimeExpire:  &expires,
			NotifyUrl:   &w.cfg.NotifyURL,
			Attach:      core.String(string(p.OrderID)),
			Amount:      &native.Amount{Total: core.Int64(int64(p.Amount)), Currency: core.String(currency)},
		})
		return err
	})
	switch {
	case spent[codeOf(err)]:
		return "", w.whySpent(ctx, p.TradeNo, err)
	case err != nil:
		return "", err
	case resp.CodeUrl == nil || !strings.HasPrefix(*resp.CodeUrl, "weixin://"):
		return "", unavailable("wechat pay prepay", errors.New("reply has no usable code_url"))
	}
	return *resp.CodeUrl, nil
}

// whySpent asks what became of a trade that WeChat Pay refuses to open.
func (w *WeChat) whySpent(ctx context.Context, tradeNo string, refusal error) error {
	status, _, err := w.Query(ctx, tradeNo)
	switch {
	case err != nil:
		return err
	case status == order.TradePaid:
		return tradePaid(refusal)
	case status == order.TradeShut:
		return tradeClosed(refusal)
	}
	return refusal
}

// Query asks what became of a trade; the receipt is set when it is paid.
func (w *WeChat) Query(ctx context.Context, tradeNo string) (order.TradeStatus, order.Receipt, error) {
	var tx *payments.Transaction
	err := w.call("query", func() (err error) {
		tx, _, err = w.native.QueryOrderByOutTradeNo(ctx, native.QueryOrderByOutTradeNoRequest{OutTradeNo: &tradeNo, Mchid: &w.cfg.MchID})
		return err
	})
	if codeOf(err) == notExist {
		return order.TradeUnknown, order.Receipt{}, nil
	}
	if err != nil {
		return "", order.Receipt{}, err
	}
	status, receipt, err := w.read(tx)
	if err == nil && deref(tx.OutTradeNo) != tradeNo {
		err = errors.New("reply is about another trade")
	}
	if err != nil {
		return "", order.Receipt{}, unavailable("wechat pay query", err)
	}
	return status, receipt, nil
}

// Close makes sure that nobody can pay a trade any more. It asks how the trade
// ended instead of believing the reply, since somebody may have been typing his
// password. order.Conflict "trade_paid": he was faster. A trade that WeChat Pay
// does not know counts as closed: nobody can have seen its QR code.
func (w *WeChat) Close(ctx context.Context, tradeNo string) error {
	refusal := w.call("close", func() error {
		_, err := w.native.CloseOrder(ctx, native.CloseOrderRequest{OutTradeNo: &tradeNo, Mchid: &w.cfg.MchID})
		return err
	})
	status, _, err := w.Query(ctx, tradeNo)
	return closed("wechat pay close", refusal, status, err)
}

// Refund returns an amount of a trade under p.RefundNo. It is idempotent: asking
// again returns the state of the same refund.
func (w *WeChat) Refund(ctx context.Context, p order.Payment, amount order.Fen) (order.RefundStatus, error) {
	req := refunddomestic.CreateRequest{
		OutRefundNo: &p.RefundNo,
		OutTradeNo:  &p.TradeNo,
		Amount: &refunddomestic.AmountReq{
			Refund: core.Int64(int64(amount)), Total: core.Int64(int64(p.Amount)), Currency: core.String(currency),
		},
	}
	if p.RefundReason != "" {
		req.Reason = core.String(atMost(80, p.RefundReason))
	}
	var r *refunddomestic.Refund
	err := w.call("refund", func() (err error) {
		r, _, err = w.refunds.Create(ctx, req)
		return err
	})
	switch {
	case err == nil:
		return refundStatus("wechat pay refund", p, amount, r)
	case errors.Is(err, order.Unavailable):
		return "", err
	}
	// Refused, perhaps because it has happened already: what is signed decides.
	status, queryErr := w.queryRefund(ctx, p, amount)
	if codeOf(queryErr) == notExist {
		return "", refundRefused(err)
	}
	return status, queryErr
}

func (w *WeChat) queryRefund(ctx context.Context, p order.Payment, amount order.Fen) (order.RefundStatus, error) {
	var r *refunddomestic.Refund
	err := w.call("refund_query", func() (err error) {
		r, _, err = w.refunds.QueryByOutRefundNo(ctx, refunddomestic.QueryByOutRefundNoRequest{OutRefundNo: &p.RefundNo})
		return err
	})
	if err != nil {
		return "", err
	}
	return refundStatus("wechat pay refund_query", p, amount, r)
}

// call runs one SDK call and gives its error a kind.
func (w *WeChat) call(op string, f func() error) error {
	return observe(w.cfg.Latency, op, func() error { return classify("wechat pay "+op, f()) })
}

// atMost cuts s to n bytes without splitting a character.
func atMost(n int, s string) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
