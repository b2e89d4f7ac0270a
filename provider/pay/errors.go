package pay

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/consts"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Error is a refusal by a gateway. WeChat Pay does not sign it: it is a reason to
// look, never a fact. The message is left out, WeChat Pay's request id is what its
// support asks for.
type Error struct {
	Status    int
	Code      string
	RequestID string
}

func (e *Error) Error() string {
	return fmt.Sprintf("HTTP %d %s (request %s)", e.Status, e.Code, e.RequestID)
}

// notExist is the normalised code of everything WeChat Pay does not know.
const notExist = "NOT_EXIST"

// spent are the refusals to open a trade whose number was used before.
var spent = map[string]bool{"ORDERPAID": true, "ORDER_CLOSED": true, "ORDERCLOSED": true, "OUT_TRADE_NO_USED": true}

// classify gives an SDK error its kind. The SDK's own text quotes headers and
// bodies and stops here.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	api, ok := errors.AsType[*core.APIError](err)
	if !ok {
		return unavailable(op, transportFault(err))
	}
	refusal := &Error{Status: api.StatusCode, Code: normal(api.Code), RequestID: api.Header.Get(consts.RequestID)}
	switch {
	case api.StatusCode >= http.StatusInternalServerError, api.StatusCode == http.StatusTooManyRequests,
		refusal.Code == "SYSTEM_ERROR", refusal.Code == "FREQUENCY_LIMITED":
		return unavailable(op, refusal)
	case refusal.Code == "NOT_ENOUGH":
		return order.BalanceLow(fmt.Errorf("calling %s: %w", op, refusal))
	}
	return fmt.Errorf("calling %s: %w", op, refusal)
}

// normal folds the spellings WeChat Pay has used for one thing.
func normal(code string) string {
	switch code {
	case "ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS", "REFUNDNOTEXIST", "REFUND_NOT_EXIST":
		return notExist
	case "SYSTEMERROR":
		return "SYSTEM_ERROR"
	case "FREQUENCY_LIMIT_EXCEED", "RATELIMIT_EXCEEDED", "RATELIMIT_EXCEED":
		return "FREQUENCY_LIMITED"
	case "":
		return "UNKNOWN"
	}
	return code
}

// transportFault says what went wrong below HTTP or with the signature of a
// reply, in words of our own.
func transportFault(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return outbound.WithoutURL(e)
	}
	if strings.Contains(err.Error(), "validate verify fail") {
		return errBadSignature
	}
	return errBadReply
}

var (
	errBadSignature = errors.New("reply is not signed by the gateway")
	errBadReply     = errors.New("reply is not usable")
)

// unavailable is an error after which asking again may help; op begins with the
// gateway's name.
func unavailable(op string, cause error) error {
	return &order.Error{
		Kind: order.Unavailable, Code: "payment_unavailable", Detail: "支付服务暂时不可用，请稍后再试",
		RetryAfter: 30 * time.Second, Err: fmt.Errorf("calling %s: %w", op, cause),
	}
}

// closed judges an attempt to close a trade by what became of the trade.
func closed(op string, refusal error, status order.TradeStatus, err error) error {
	switch {
	case err != nil:
		return err
	case status == order.TradePaid:
		return tradePaid(refusal)
	case status == order.TradeShut, status == order.TradeUnknown:
		return nil
	}
	return unavailable(op, cmp.Or(refusal, fmt.Errorf("trade is still %s", status)))
}

func tradePaid(cause error) error {
	return &order.Error{Kind: order.Conflict, Code: "trade_paid", Detail: "该订单已支付成功", Err: cause}
}

func tradeClosed(cause error) error {
	return &order.Error{Kind: order.Conflict, Code: "trade_closed", Detail: "该支付单已关闭，请重新发起支付", Err: cause}
}

// codeOf is the gateway's code of a refusal.
func codeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// observe runs one call to a gateway and keeps how long it took.
func observe(latency prometheus.ObserverVec, op string, call func() error) (err error) {
	done := outbound.Timed(latency, op)
	defer func() { done(outcome(err)) }()
	return call()
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if code := codeOf(err); code != "" {
		return code
	}
	return "error"
}

// refusals say why a gateway returns no money, by its code.
var refusals = map[string]string{
	"USER_ACCOUNT_ABNORMAL":      "付款人的账户异常或已注销",
	"BUYER_ERROR":                "付款人的账户异常或已注销",
	"TRADE_HAS_FINISHED":         "已超过平台的可退款期限",
	"TRADE_NOT_ALLOW_REFUND":     "该笔支付不允许退款",
	"REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额与平台的可退金额不符",
	"TRADE_NOT_EXIST":            "平台没有这笔支付",
	notExist:                     "平台没有这笔支付",
	"NO_AUTH":                    "商户号没有退款权限",
}

// refundRefused judges a refusal to return money. One of our signature is ours to
// repair, and says nothing of the money.
func refundRefused(refusal error) error {
	e, ok := errors.AsType[*Error](refusal)
	if !ok || e.Status == http.StatusUnauthorized {
		return refusal
	}
	return order.RefundRefused(cmp.Or(refusals[e.Code], "平台拒绝退款")+"（"+e.Code+"）", refusal)
}
