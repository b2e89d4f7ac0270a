package wechat

import (
	"context"
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/credential"
	"github.com/silenceper/wechat/v2/miniprogram/auth"
	"github.com/silenceper/wechat/v2/miniprogram/config"
	sdk "github.com/silenceper/wechat/v2/miniprogram/context"
	shipping "github.com/silenceper/wechat/v2/miniprogram/order"
	"github.com/silenceper/wechat/v2/miniprogram/subscribe"
	"github.com/silenceper/wechat/v2/miniprogram/urllink"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// MiniConfig says which mini-program to act as, and where WeChat is.
type MiniConfig struct {
	AppID, AppSecret string

	BaseURL string // default https://api.weixin.qq.com; the same as the official account's

	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

// MiniProgram is one mini-program. It is safe for concurrent use.
type MiniProgram struct {
	appID    string
	caller   caller
	account  *sdk.Context
	auth     *auth.Auth
	links    *urllink.URLLink
	notify   *subscribe.Subscribe
	shipping *shipping.Shipping
}

// NewMiniProgram returns the mini-program; tokens as in [NewOfficialAccount].
func NewMiniProgram(cfg MiniConfig, tokens cache.Cache) (*MiniProgram, error) {
	if cfg.AppID == "" || cfg.AppSecret == "" {
		return nil, errors.New("wechat: no app ID or secret of the mini-program")
	}
	if err := dial(cfg.BaseURL); err != nil {
		return nil, err
	}
	known := &config.Config{AppID: cfg.AppID, AppSecret: cfg.AppSecret, Cache: tokens, UseStableAK: true}
	token := credential.NewStableAccessToken(cfg.AppID, cfg.AppSecret, credential.CacheKeyMiniProgramPrefix, tokens)
	account := &sdk.Context{Config: known, AccessTokenContextHandle: token}
	return &MiniProgram{
		account:  account,
		links:    urllink.NewURLLink(account),
		notify:   subscribe.NewSubscribe(account),
		shipping: shipping.NewShipping(account),
		appID:    cfg.AppID,
		caller:   caller{tokens, credential.CacheKeyMiniProgramPrefix + "_stable_access_token_" + cfg.AppID, cfg.Latency},
		auth:     auth.NewAuth(account),
	}, nil
}

// User tells whose phone handed out this one-time code of wx.login. The union id
// is empty unless the mini-program is bound to an open-platform account.
// order.Unauthenticated: no such code, or used before; ask wx.login again. The
// session key stays here: nothing of ours is encrypted with it.
func (m *MiniProgram) User(ctx context.Context, code string) (openID, unionID string, err error) {
	if !validCode.MatchString(code) {
		return "", "", loginAgain(nil)
	}
	var session auth.ResCode2Session
	err = m.caller.call(ctx, "mini.login", func() (err error) {
		session, err = m.auth.Code2SessionContext(ctx, code)
		return err
	})
	switch {
	case err != nil:
		return "", "", err
	case session.OpenID == "":
		return "", "", unavailable("mini.login", errors.New("reply has no openid"))
	}
	return session.OpenID, session.UnionID, nil
}

// SendSubscription sends a subscription message for a consent of whoever gets it
// and returns WeChat's message id. page is the page of the mini-program that a tap
// opens. A repeat is a second message.
func (m *MiniProgram) SendSubscription(ctx context.Context, openID, templateID, page string, data map[string]string) (string, error) {
	items := make(map[string]*subscribe.DataItem, len(data))
	for key, value := range data {
		items[key] = &subscribe.DataItem{Value: value}
	}
	var id int64
	err := m.caller.call(ctx, "mini.subscribe", func() (err error) {
		id, err = m.notify.SendGetMsgID(&subscribe.Message{
			ToUser: openID, TemplateID: templateID, Page: page, Data: items, MiniprogramState: "formal", Lang: "zh_CN", // the SDK sends them even when empty
		})
		return err
	})
	return msgID(id), err
}

// Mobile returns the mobile that WeChat has verified for whoever tapped the
// phone-number button. order.Unauthenticated: no such code, or used before;
// order.Invalid: not a mobile of the mainland.
func (m *MiniProgram) Mobile(ctx context.Context, code string) (identity.Mobile, error) {
	if !validCode.MatchString(code) {
		return identity.Mobile{}, loginAgain(nil)
	}
	var phone *auth.GetPhoneNumberResponse
	err := m.caller.call(ctx, "mini.phone", func() (err error) {
		phone, err = m.auth.GetPhoneNumberContext(ctx, code)
		return err
	})
	switch {
	case err != nil:
		return identity.Mobile{}, err
	case phone.PhoneInfo.WaterMark.AppID != m.appID:
		return identity.Mobile{}, unavailable("mini.phone", errors.New("reply is for another mini-program"))
	}
	mobile, err := identity.ParseMobile(phone.PhoneInfo.PurePhoneNumber)
	if n, _ := strconv.Atoi(phone.PhoneInfo.CountryCode); err != nil || n != 86 {
		return identity.Mobile{}, order.Errorf(order.Invalid, "mobile_foreign", "微信绑定的不是中国大陆手机号，请改用短信验证码")
	}
	return mobile, nil
}

// Link makes a URL Link for an SMS: it opens a page of the mini-program for
// anybody who has it, for so many days (at most 30).
func (m *MiniProgram) Link(ctx context.Context, page, query string, days int) (link string, err error) {
	err = m.caller.call(ctx, "mini.urllink", func() (err error) {
		link, err = m.links.Generate(&urllink.ULParams{Path: page, Query: query, IsExpire: true, ExpireType: urllink.ExpireTypeInterval, ExpireInterval: days})
		return err
	})
	if err == nil && link == "" {
		err = unavailable("mini.urllink", errors.New("reply has no link"))
	}
	return link, err
}
