// Package wechat makes the outbound calls of the official account: template and
// customer-service messages, web OAuth, QR codes and the menu. Inbound messages
// are package bot's.
//
// It wraps silenceper/wechat and takes care of what that SDK leaves open: a
// stale token is replaced once and the call repeated, every call has a time
// limit, only WeChat's API host is ever called, and errors carry WeChat's code
// but no token, secret or authorisation code (the SDK's own quote the full URL).
//
// Two properties of the SDK to know. Its HTTP client is a package variable, so a
// process has one OfficialAccount at a time, and tests that make their own may
// not run in parallel. And its root package switches global logging to standard
// output at debug level, messages included, when imported: we import only the
// packages below it, which do not log.
package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/credential"
	"github.com/silenceper/wechat/v2/officialaccount/basic"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	sdk "github.com/silenceper/wechat/v2/officialaccount/context"
	"github.com/silenceper/wechat/v2/officialaccount/menu"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/officialaccount/oauth"
	"github.com/silenceper/wechat/v2/officialaccount/user"
	"github.com/silenceper/wechat/v2/util"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Config says which official account to act as, and where WeChat is.
type Config struct {
	AppID, AppSecret string

	BaseURL string // default https://api.weixin.qq.com
	OpenURL string // default https://open.weixin.qq.com, opened by browsers
	MPURL   string // default https://mp.weixin.qq.com, opened by browsers

	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

// timeout limits each HTTP request. Most SDK calls take no context, so this is
// also how long a call may outlive its caller's.
const (
	// apiHost is the only host the SDK is allowed to call.
	apiHost = "api.weixin.qq.com"

	timeout  = 5 * time.Second
	maxReply = 1 << 20
)

// OfficialAccount is one official account. It is safe for concurrent use.
type OfficialAccount struct {
	appID          string
	openURL, mpURL string
	tokens         cache.Cache
	tokenKey       string
	latency        prometheus.ObserverVec

	// Made once: the SDK's own lazy getters race.
	template *message.Template
	customer *message.Manager
	oauth    *oauth.Oauth
	basic    *basic.Basic
	menu     *menu.Menu
	users    *user.User
	sdk      *sdk.Context
}

// NewOfficialAccount returns the account. The access token is WeChat's stable
// token, kept in tokens, which processes should share; its Get must return a
// string or nil.
func NewOfficialAccount(cfg Config, tokens cache.Cache) (*OfficialAccount, error) {
	if cfg.AppID == "" || cfg.AppSecret == "" {
		return nil, errors.New("wechat: no app ID or secret")
	}
	if err := dial(cfg.BaseURL); err != nil {
		return nil, err
	}
	ctx := &sdk.Context{
		Config:            &config.Config{AppID: cfg.AppID, AppSecret: cfg.AppSecret, Cache: tokens, UseStableAK: true},
		AccessTokenHandle: credential.NewStableAccessToken(cfg.AppID, cfg.AppSecret, credential.CacheKeyOfficialAccountPrefix, tokens),
	}
	return &OfficialAccount{
		appID:    cfg.AppID,
		openURL:  strings.TrimSuffix(cmp.Or(cfg.OpenURL, "https://open.weixin.qq.com"), "/"),
		mpURL:    strings.TrimSuffix(cmp.Or(cfg.MPURL, "https://mp.weixin.qq.com"), "/"),
		tokens:   tokens,
		tokenKey: credential.CacheKeyOfficialAccountPrefix + "_stable_access_token_" + cfg.AppID,
		latency:  cfg.Latency,
		template: message.NewTemplate(ctx),
		customer: message.NewMessageManager(ctx),
		oauth:    oauth.NewOauth(ctx),
		basic:    basic.NewBasic(ctx),
		menu:     menu.NewMenu(ctx),
		users:    user.NewUser(ctx),
		sdk:      ctx,
	}, nil
}

// SendTemplate sends a template message (task card or notice) and returns
// WeChat's message id. id makes a repeat harmless: WeChat sends one message per
// follower and id (client_msg_id, guaranteed for ten minutes). link is opened by
// a tap and may be empty; data maps a template key, such as "thing1", to its text.
func (a *OfficialAccount) SendTemplate(ctx context.Context, id, openID, templateID, link string, data map[string]string) (string, error) {
	items := make(map[string]*message.TemplateDataItem, len(data))
	for key, value := range data {
		items[key] = &message.TemplateDataItem{Value: value}
	}
	var msgID int64
	err := a.call(ctx, "template.send", func() (err error) {
		msgID, err = a.template.Send(&message.TemplateMessage{
			ToUser: openID, TemplateID: templateID, URL: link, Data: items, ClientMsgID: id,
		})
		return err
	})
	if err != nil {
		return "", err
	}
	return strconv.FormatInt(msgID, 10), nil
}

// SendSubscription sends a subscription notice for a consent of whoever gets it,
// follower or not, and returns WeChat's message id. A repeat is a second notice.
func (a *OfficialAccount) SendSubscription(ctx context.Context, openID, templateID, link string, data map[string]string) (string, error) {
	m := message.SubscribeMessage{ToUser: openID, TemplateID: templateID, Page: link, Data: make(map[string]*message.SubscribeDataItem, len(data))}
	for key, value := range data {
		m.Data[key] = &message.SubscribeDataItem{Value: value}
	}
	var sent struct {
		MsgID int64 `json:"msgid"`
	}
	if err := a.ask(ctx, "subscribe.bizsend", "/cgi-bin/message/subscribe/bizsend", m, &sent); err != nil { // the SDK's own call drops the id
		return "", err
	}
	return msgID(sent.MsgID), nil
}

// msgID is WeChat's id of a message as we keep it; not every answer has one.
func msgID(id int64) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(id, 10)
}

// SendText sends a customer-service text, which WeChat allows for 48 hours after
// the follower's last message.
func (a *OfficialAccount) SendText(ctx context.Context, openID, text string) error {
	return a.call(ctx, "custom.send", func() error {
		return a.customer.Send(message.NewCustomerTextMessage(openID, text))
	})
}

// AuthorizeURL is where to send a browser inside WeChat to learn who holds it.
// WeChat asks nothing and returns to redirect with code and state added.
// The order of the parameters is WeChat's requirement.
func (a *OfficialAccount) AuthorizeURL(redirect, state string) string {
	return a.openURL + "/connect/oauth2/authorize?appid=" + url.QueryEscape(a.appID) +
		"&redirect_uri=" + url.QueryEscape(redirect) +
		"&response_type=code&scope=snsapi_base&state=" + url.QueryEscape(state) + "#wechat_redirect"
}

// UnionID is what a follower is called in all accounts of the operator's
// open-platform account; empty without one, and for who does not follow.
func (a *OfficialAccount) UnionID(ctx context.Context, openID string) (string, error) {
	var info *user.Info
	err := a.call(ctx, "user.info", func() (err error) {
		info, err = a.users.GetUserInfo(openID)
		return err
	})
	if err != nil {
		return "", err
	}
	return info.UnionID, nil
}

// validCode keeps a hostile code from adding parameters: the SDK does not escape.
var validCode = regexp.MustCompile(`^[0-9A-Za-z_-]{1,128}$`)

// Follower tells who came back from AuthorizeURL with this one-time code. The
// union id is empty unless the account is bound to an open-platform account.
// order.Unauthenticated: no such code, or used before; send the browser to
// AuthorizeURL again.
func (a *OfficialAccount) Follower(ctx context.Context, code string) (openID, unionID string, err error) {
	if !validCode.MatchString(code) {
		return "", "", loginAgain(nil)
	}
	var token oauth.ResAccessToken
	err = a.call(ctx, "oauth.code", func() (err error) {
		token, err = a.oauth.GetUserAccessTokenContext(ctx, code)
		return err
	})
	switch {
	case err != nil:
		return "", "", err
	case token.IsSnapShotUser == 1:
		return "", "", order.Errorf(order.Forbidden, "wechat_snapshot_user", "当前为快照页面，请点击右下角“使用完整服务”后再登录")
	case token.OpenID == "":
		return "", "", unavailable("oauth.code", errors.New("reply has no openid"))
	}
	return token.OpenID, token.UnionID, nil
}

// QRCode is a temporary QR code whose scan arrives at the callback with its scene.
type QRCode struct {
	Content  string // what to encode
	ImageURL string // WeChat's own picture of it
	Lives    time.Duration
}

// QRCode makes a QR code for scene (1–64 characters) that lives at most 30 days.
func (a *OfficialAccount) QRCode(ctx context.Context, scene string, lives time.Duration) (QRCode, error) {
	var t *basic.Ticket
	err := a.call(ctx, "qrcode.create", func() (err error) {
		t, err = a.basic.GetQRTicket(basic.NewTmpQrRequest(lives, scene))
		if t != nil && t.ErrCode == 0 && t.Ticket != "" {
			return nil // the SDK takes errmsg "ok" for a failure
		}
		return err
	})
	if err != nil {
		return QRCode{}, err
	}
	return QRCode{
		Content:  t.URL,
		ImageURL: a.mpURL + "/cgi-bin/showqrcode?ticket=" + url.QueryEscape(t.Ticket),
		Lives:    time.Duration(t.ExpireSeconds) * time.Second,
	}, nil
}

// dial points the SDK's one HTTP client at WeChat, or at base instead.
func dial(base string) error {
	u, err := url.Parse(cmp.Or(base, "https://"+apiHost))
	if err != nil || u.Host == "" {
		return fmt.Errorf("wechat: base URL %q is not absolute", base)
	}
	util.DefaultHTTPClient = &http.Client{
		Timeout:   timeout,
		Transport: outbound.Only(apiHost, u, maxReply),
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // the API never redirects
		},
	}
	return nil
}

func (a *OfficialAccount) call(ctx context.Context, op string, f func() error) error {
	return a.caller().call(ctx, op, f)
}

func (a *OfficialAccount) caller() caller { return caller{a.tokens, a.tokenKey, a.latency} }

// caller makes the calls of one account.
type caller struct {
	tokens   cache.Cache
	tokenKey string
	latency  prometheus.ObserverVec
}

// call runs one SDK call. A token that WeChat no longer accepts is dropped and
// the call repeated once with a fresh one; nothing was done by the first.
func (a caller) call(ctx context.Context, op string, f func() error) (err error) {
	done := outbound.Timed(a.latency, op)
	defer func() { done(outcome(err)) }()
	if err := ctx.Err(); err != nil {
		return unavailable(op, err)
	}
	err = f()
	if staleToken[codeOf(err)] {
		if err := a.tokens.Delete(a.tokenKey); err != nil {
			return unavailable(op, fmt.Errorf("dropping the stale access token: %w", err))
		}
		err = f()
	}
	return classify(op, err)
}

// ask makes a call that the SDK does not have, or makes without looking at WeChat's
// return code; without a body it is a GET.
func (a caller) ask(ctx context.Context, op, path string, token func() (string, error), body, answer any) error {
	return a.call(ctx, op, func() error {
		value, err := token()
		if err != nil {
			return err
		}
		send := util.HTTPGet
		if body != nil {
			send = func(uri string) ([]byte, error) { return util.PostJSON(uri, body) }
		}
		raw, err := send("https://" + apiHost + path + "?access_token=" + value)
		if err != nil {
			return err
		}
		if err := util.DecodeWithCommonError(raw, op); err != nil {
			return err
		}
		return json.Unmarshal(raw, answer)
	})
}
