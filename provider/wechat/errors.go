package wechat

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Error is a refusal by WeChat: its return code, and its words, which name a
// request id for WeChat's support but no personal data.
type Error struct {
	Code    int
	Message string
}

// ProviderCode is the code as the record of a delivery keeps it.
func (e *Error) ProviderCode() string { return "wechat " + strconv.Itoa(e.Code) }

func (e *Error) Error() string { return fmt.Sprintf("errcode %d: %s", e.Code, e.Message) }

// staleToken are the codes of an access token that has to be replaced.
var staleToken = map[int]bool{40001: true, 40014: true, 42001: true}

// refusals say what becomes of a call by its return code (developers.weixin.qq.com,
// "全局返回码"). A code that is not here is a fault of ours.
var refusals = map[int]func(op string, refusal *Error) error{
	-1:    busy,
	40001: busy, // a fresh token was not accepted either
	40014: busy,
	42001: busy,
	50002: busy,

	45009: quota(time.Hour), // the day's calls are used up; it starts anew at midnight
	45011: quota(time.Minute),

	40003: unreachable, // no such follower
	43004: unreachable, // does not follow any more
	43101: unreachable, // has not consented to this message
	43116: unreachable, // has blocked it
	45015: unreachable, // has been silent for 48 hours
	45047: unreachable, // has been told enough since then

	40037: unusable, // no such template
	41030: unusable, // no such page
	47003: unusable, // the template has other fields, or a value is too long

	44990: quota(time.Minute),

	10060001: unknownYet, // WeChat's index of payments lags behind them
	10060012: busy,
	10060019: busy,
	10060002: shippedBefore,
	10060003: shippedBefore, // what WeChat knows now has to be asked

	40029: voidCode, 40163: voidCode, 41008: voidCode, 42003: voidCode,
}

// classify gives an SDK error its kind. NotFound means that this person cannot
// be reached through WeChat now, Invalid that this message never can be: use
// another channel instead of trying again.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	refusal, ok := parse(err)
	if !ok {
		return unavailable(op, withoutSecrets(err))
	}
	if say, known := refusals[refusal.Code]; known {
		return say(op, refusal)
	}
	return calling(op, refusal)
}

func calling(op string, cause error) error { return fmt.Errorf("calling wechat %s: %w", op, cause) }

func busy(op string, refusal *Error) error { return unavailable(op, refusal) }

func quota(wait time.Duration) func(string, *Error) error {
	return func(op string, refusal *Error) error {
		return &order.Error{Kind: order.RateLimited, Code: "wechat_quota", Detail: "微信接口调用过于频繁，请稍后再试", RetryAfter: wait, Err: calling(op, refusal)}
	}
}

func unreachable(op string, refusal *Error) error {
	return &order.Error{Kind: order.NotFound, Code: "wechat_unreachable", Detail: "无法通过微信联系到该用户", Err: calling(op, refusal)}
}

func unusable(op string, refusal *Error) error {
	return &order.Error{Kind: order.Invalid, Code: "wechat_message", Detail: "微信消息模板不可用，请联系管理员检查配置", Err: calling(op, refusal)}
}

func unknownYet(op string, refusal *Error) error {
	return &order.Error{Kind: order.Unavailable, Code: "wechat_payment_unknown", Detail: "微信「发货信息管理」里没有找到这笔支付", RetryAfter: 30 * time.Second, Err: calling(op, refusal)}
}

func shippedBefore(op string, refusal *Error) error {
	return &order.Error{Kind: order.Conflict, Code: "wechat_shipped_before", Detail: "微信里这笔支付已录入过发货信息，不能再改", Err: calling(op, refusal)}
}

func voidCode(op string, refusal *Error) error { return loginAgain(calling(op, refusal)) }

func unavailable(op string, cause error) error {
	return &order.Error{
		Kind: order.Unavailable, Code: "wechat_unavailable", Detail: "微信服务暂时不可用，请稍后再试",
		RetryAfter: 30 * time.Second, Err: fmt.Errorf("calling wechat %s: %w", op, cause),
	}
}

func loginAgain(cause error) error {
	return &order.Error{Kind: order.Unauthenticated, Code: "wechat_code", Detail: "微信登录已失效，请重新登录", Err: cause}
}

// The SDK reports most refusals as plain text.
var refusalText = regexp.MustCompile(`errcode=(-?\d{1,9})\s*,\s*(?:errmsg|errormsg)=(.*)`)

func parse(err error) (*Error, bool) {
	if err == nil {
		return nil, false
	}
	m := refusalText.FindStringSubmatch(err.Error())
	if m == nil {
		return nil, false
	}
	code, _ := strconv.Atoi(m[1]) // digits, few enough
	return &Error{Code: code, Message: secrets.ReplaceAllString(m[2], "$1=***")}, true
}

func codeOf(err error) int {
	if e, ok := parse(err); ok {
		return e.Code
	}
	return 0
}

var secrets = regexp.MustCompile(`\b(secret|access_token|refresh_token|js_code|code|ticket)=[^&\s"]*`)

// withoutSecrets keeps the reason of a failed call and drops the address, whose
// query holds the token or the app secret.
func withoutSecrets(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return outbound.WithoutURL(e)
	}
	return errors.New(secrets.ReplaceAllString(err.Error(), "$1=***"))
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return strconv.Itoa(e.Code)
	}
	return "error"
}
