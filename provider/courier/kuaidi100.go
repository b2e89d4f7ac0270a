// Package courier follows parcels through 快递100, which speaks with every courier:
// a subscription per parcel (订阅推送, https://poll.kuaidi100.com/poll), then pushes of
// its track to our callback. What is followed is "快递信息推送服务" of its API
// documentation: form fields schema and param in the request, sign and param in
// the push, sign being MD5(param + salt) in hex, upper case, with the salt that we
// gave when subscribing.
//
// A push carries no time of its own and may be repeated by whoever has seen it;
// order.Shipment takes nothing from a repeat.
package courier

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // the provider's protocol
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Config is the enterprise account at 快递100.
type Config struct {
	Key         string // 授权码
	Salt        string // signs the pushes
	CallbackURL string
	BaseURL     string // default https://poll.kuaidi100.com
	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

const (
	timeout  = 5 * time.Second
	maxReply = 1 << 16
)

// Kuaidi100 is one account. It is safe for concurrent use.
type Kuaidi100 struct {
	cfg  Config
	http *http.Client
}

var _ order.CourierDesk = (*Kuaidi100)(nil)

// NewKuaidi100 checks the configuration and returns the account's client.
func NewKuaidi100(cfg Config) (*Kuaidi100, error) {
	cfg.BaseURL = cmp.Or(cfg.BaseURL, "https://poll.kuaidi100.com")
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("courier: base URL %q is not absolute", cfg.BaseURL)
	}
	if cfg.Key == "" || cfg.Salt == "" {
		return nil, errors.New("courier: no key or salt")
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	return &Kuaidi100{cfg: cfg, http: &http.Client{Timeout: timeout, CheckRedirect: stay}}, nil
}

// stay refuses redirects: what is asked holds the account's key.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// companies are 快递100's codes of our couriers.
var companies = map[string]string{"sf": "shunfeng", "ems": "ems", "jd": "jd"}

// Error is a refusal by 快递100; its message may quote the parcel and is left out.
type Error struct{ Code string }

func (e *Error) Error() string { return "kuaidi100 returned code " + e.Code }

// alreadyFollowed is 重复订阅.
const alreadyFollowed = "501"

// Follow implements [order.CourierDesk].
func (k *Kuaidi100) Follow(ctx context.Context, carrier, trackingNo, phoneTail string) (err error) {
	done := outbound.Timed(k.cfg.Latency, "follow")
	defer func() { done(outcome(err)) }()
	company, ok := companies[carrier]
	if !ok {
		return fmt.Errorf("courier: no company code for carrier %q", carrier)
	}
	param, err := json.Marshal(map[string]any{
		"company": company, "number": trackingNo, "key": k.cfg.Key,
		"parameters": map[string]string{"callbackurl": k.cfg.CallbackURL, "salt": k.cfg.Salt, "phone": phoneTail},
	})
	if err != nil {
		return fmt.Errorf("encoding a subscription: %w", err)
	}
	var reply struct {
		Result     bool   `json:"result"`
		ReturnCode string `json:"returnCode"`
	}
	if err := k.post(ctx, url.Values{"schema": {"json"}, "param": {string(param)}}, &reply); err != nil {
		return unavailable(err)
	}
	switch code := reply.ReturnCode; {
	case reply.Result, code == alreadyFollowed:
		return nil
	case code == "500", code == "":
		return unavailable(&Error{code})
	default: // the account, or a parcel that it cannot follow: a person has to look
		return &order.Error{Kind: order.Invalid, Code: "parcel_not_followed", Detail: "快递公司没有受理该单号的物流跟踪", Err: &Error{code}}
	}
}

// post sends a form. Errors never quote the request: it holds the account's key.
func (k *Kuaidi100) post(ctx context.Context, form url.Values, out any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, k.cfg.BaseURL+"/poll", strings.NewReader(form.Encode()))
	if err != nil {
		return errors.New("preparing the request")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := k.http.Do(req)
	if err != nil {
		return outbound.WithoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("HTTP status %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return err
	}
	if json.Unmarshal(body, out) != nil {
		return errors.New("the reply is not JSON")
	}
	return nil
}

func unavailable(cause error) error {
	return &order.Error{
		Kind: order.Unavailable, Code: "courier_unavailable", Detail: "物流查询暂时不可用，请稍后再试",
		RetryAfter: time.Minute, Err: fmt.Errorf("asking kuaidi100 to follow a parcel: %w", cause),
	}
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e.Code
	}
	return "error"
}

// states are 快递100's, by what they mean for us. Those of customs clearance and of
// handing over to another courier are ways of being on the way.
var states = map[string]order.ParcelState{
	"0": order.ParcelInTransit, "1": order.ParcelPickedUp, "2": order.ParcelTroubled, "3": order.ParcelSigned, "4": order.ParcelSentBack,
	"5": order.ParcelDelivering, "6": order.ParcelReturning, "7": order.ParcelInTransit, "8": order.ParcelInTransit,
	"10": order.ParcelInTransit, "11": order.ParcelInTransit, "12": order.ParcelInTransit, "13": order.ParcelTroubled, "14": order.ParcelTroubled,
}

// ParsePush verifies a push and reads the parcel's track. Forbidden: it is not
// 快递100's word to us. Conflict: it is, but says nothing about where the parcel is.
func (k *Kuaidi100) ParsePush(body []byte) (order.CourierReport, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form["param"]) != 1 || len(form["sign"]) != 1 {
		return order.CourierReport{}, forbidden("param and sign once each")
	}
	param := form.Get("param")
	if subtle.ConstantTimeCompare([]byte(sign(param, k.cfg.Salt)), []byte(form.Get("sign"))) != 1 {
		return order.CourierReport{}, forbidden("a wrong sign")
	}
	var push struct {
		LastResult struct {
			Nu    string `json:"nu"`
			State string `json:"state"`
			Data  []struct {
				Context string `json:"context"`
				Ftime   string `json:"ftime"`
				Time    string `json:"time"`
			} `json:"data"`
		} `json:"lastResult"`
	}
	if json.Unmarshal([]byte(param), &push) != nil {
		return order.CourierReport{}, order.Errorf(order.Invalid, "courier_push_invalid", "物流推送无法识别")
	}
	last := push.LastResult
	state, known := states[last.State]
	if last.Nu == "" || !known || len(last.Data) == 0 {
		return order.CourierReport{}, order.Errorf(order.Conflict, "courier_push_empty", "物流推送没有轨迹")
	}
	r := order.CourierReport{TrackingNo: last.Nu, State: state}
	for _, d := range last.Data {
		at, err := time.ParseInLocation(time.DateTime, cmp.Or(d.Ftime, d.Time), order.Shanghai)
		if err != nil {
			return order.CourierReport{}, order.Errorf(order.Invalid, "courier_push_invalid", "物流推送的时间无法识别")
		}
		r.Track = append(r.Track, order.TrackLine{At: at.UTC(), Text: d.Context})
	}
	return r, nil
}

// sign is what 快递100 puts beside a push.
func sign(param, salt string) string {
	sum := md5.Sum([]byte(param + salt)) //nolint:gosec // the provider's protocol
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func forbidden(why string) error {
	return &order.Error{Kind: order.Forbidden, Code: "courier_push_refused", Detail: "物流推送签名不正确", Err: errors.New(why)}
}
