package sim

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/apiv3"
)

// The mini-program: what WeChat's servers answer about a code, and what the phone does that hands out the codes. The
// H5 build, which has no WeChat around it, asks the control endpoints in the place of wx.login, getPhoneNumber and
// wx.requestPayment.

// miniCode is a one-time code of wx.login or of the phone-number button.
type miniCode struct {
	kind   string
	openID string // of the persona, in the official account
	until  time.Time
	used   bool
}

const (
	loginKind = "login"
	phoneKind = "phone"
)

// MiniOpenID is what the mini-program knows a persona by: every account of WeChat has OpenIDs of its own.
func MiniOpenID(p Persona) string { return "m" + strings.TrimPrefix(p.OpenID, "o") }

func (s *Server) routeMini(api string) {
	s.mux.HandleFunc("GET "+api+"/sns/jscode2session", s.wechat("mini", false, s.codeToSession))
	s.mux.HandleFunc("POST "+api+"/wxa/business/getuserphonenumber", s.wechat("mini", false, s.phoneNumber))
	s.mux.HandleFunc("POST "+api+"/wxa/generate_urllink", s.wechat("mini", false, s.urlLink))
	s.mux.HandleFunc("POST "+api+"/cgi-bin/message/subscribe/send", s.wechat("subscribe", false, s.sendSubscription(s.miniProgram())))
	s.mux.HandleFunc("GET /playground/wxaurl.cn/{id}", s.openLink)
	for _, kind := range []string{loginKind, phoneKind} {
		post(s, "mini/"+kind, func(_ context.Context, q struct{ Persona string }) (any, error) {
			return s.newMiniCode(kind, q.Persona)
		})
	}
	post(s, "mini/pay", s.requestPayment)
}

func (s *Server) newMiniCode(kind, who string) (any, error) {
	p, err := s.persona(who)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for value, c := range s.miniCodes {
		if !s.now().Before(c.until) {
			delete(s.miniCodes, value)
		}
	}
	code := token(16)
	s.miniCodes[code] = miniCode{kind: kind, openID: p.OpenID, until: s.now().Add(codeLife)}
	return map[string]string{"code": code}, nil
}

// useMiniCode spends a code; the caller holds the lock.
func (s *Server) useMiniCode(kind, value string) (Persona, wxError) {
	c, known := s.miniCodes[value]
	switch {
	case value == "":
		return Persona{}, wxError{41008, "missing code"}
	case !known || c.kind != kind || !s.now().Before(c.until):
		return Persona{}, wxError{40029, "invalid code"}
	case c.used:
		return Persona{}, wxError{40163, "code been used"}
	}
	c.used = true
	s.miniCodes[value] = c
	p, err := s.persona(c.openID)
	if err != nil {
		return p, wxError{40029, "invalid code"}
	}
	return p, wxError{}
}

func (s *Server) codeToSession(c wxCall) any {
	if e := s.checkSecret(c.query.Get("appid"), c.query.Get("secret"), c.query.Get("grant_type"), "authorization_code"); e.Code != 0 {
		return e
	}
	if c.query.Get("appid") != s.cfg.MiniProgram.AppID {
		return wxError{40013, "invalid appid"}
	}
	p, e := s.useMiniCode(loginKind, c.query.Get("js_code"))
	if e.Code != 0 {
		return e
	}
	return map[string]any{"openid": MiniOpenID(p), "session_key": base64.StdEncoding.EncodeToString([]byte(token(8))), "unionid": p.UnionID}
}

func (s *Server) phoneNumber(c wxCall) any {
	if s.cfg.MiniProgram.AppID == "" {
		return wxError{40001, "invalid credential, access_token is invalid or not latest"}
	}
	if e := s.checkToken(s.cfg.MiniProgram.AppID, c.query.Get("access_token")); e.Code != 0 {
		return e
	}
	var q struct {
		Code string `json:"code"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	p, e := s.useMiniCode(phoneKind, q.Code)
	if e.Code != 0 {
		return e
	}
	return map[string]any{
		"errcode": 0, "errmsg": "ok",
		"phone_info": map[string]any{
			"phoneNumber": p.Mobile, "purePhoneNumber": p.Mobile, "countryCode": "86",
			"watermark": map[string]any{"timestamp": s.now().Unix(), "appid": s.cfg.MiniProgram.AppID},
		},
	}
}

func (s *Server) jsapiPrepay(c payCall) (any, *payError) {
	t, refusal := s.prepay(c, "JSAPI", s.cfg.MiniProgram.AppID, func(t *Trade, q prepayOrder) *payError {
		for _, p := range s.cfg.Personas {
			if q.Payer.OpenID == MiniOpenID(p) {
				t.PrepayID, t.For = "wx"+token(17), q.Payer.OpenID
				return nil
			}
		}
		return &payError{http.StatusBadRequest, "PARAM_ERROR", "payer.openid 与 appid 不匹配"}
	})
	if refusal != nil {
		return nil, refusal
	}
	return map[string]string{"prepay_id": t.PrepayID}, nil
}

// miniPayment is what wx.requestPayment is called with, by whom, and what he does then: pay, fail or cancel.
type miniPayment struct {
	Persona   string `json:"persona"`
	How       string `json:"how"`
	TimeStamp string `json:"timeStamp"`
	NonceStr  string `json:"nonceStr"`
	Package   string `json:"package"`
	SignType  string `json:"signType"`
	PaySign   string `json:"paySign"`
}

// requestPayment does what the WeChat app does with wx.requestPayment: it checks the merchant's signature and the
// payer, asks for the password and pays. Whatever it answers, the merchant believes only the notification.
func (s *Server) requestPayment(ctx context.Context, q miniPayment) (any, error) {
	p, err := s.persona(q.Persona)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	t, err := s.payable(p, q)
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("requestPayment:fail %w", err)
	}
	if q.How == "cancel" {
		return nil, fmt.Errorf("requestPayment:fail cancel")
	}
	if _, err := s.operate(ctx, payRequest{OutTradeNo: t.OutTradeNo, How: q.How, Persona: p.OpenID}); err != nil {
		return nil, fmt.Errorf("requestPayment:fail %w", err)
	}
	if q.How != "pay" {
		return nil, fmt.Errorf("requestPayment:fail")
	}
	return map[string]string{"errMsg": "requestPayment:ok"}, nil
}

// payable is the trade of a payment request. The caller holds the lock.
func (s *Server) payable(p Persona, q miniPayment) (Trade, error) {
	if s.cfg.Pay.MchID == "" || q.SignType != "RSA" || apiv3.VerifyText(s.cfg.Pay.MerchantKey, q.PaySign, s.cfg.MiniProgram.AppID, q.TimeStamp, q.NonceStr, q.Package) != nil {
		return Trade{}, fmt.Errorf("支付验证签名失败")
	}
	id, ok := strings.CutPrefix(q.Package, "prepay_id=")
	found := s.trades.find(func(t Trade) bool { return ok && t.PrepayID != "" && t.PrepayID == id })
	switch {
	case len(found) == 0:
		return Trade{}, fmt.Errorf("支付场景非法")
	case found[0].For != MiniOpenID(p):
		return Trade{}, fmt.Errorf("支付者与下单用户不一致")
	}
	t, _ := s.trade(found[0].OutTradeNo)
	return t, nil
}

// miniLink is what a URL Link opens.
type miniLink struct {
	Path  string    `json:"path"`
	Query string    `json:"query"`
	Until time.Time `json:"until"`
}

// urlLink makes a link that anybody may open, for at most thirty days.
func (s *Server) urlLink(c wxCall) any {
	var q struct {
		Path           string `json:"path"`
		Query          string `json:"query"`
		IsExpire       bool   `json:"is_expire"`
		ExpireType     int    `json:"expire_type"`
		ExpireInterval int    `json:"expire_interval"`
	}
	if refusal := s.checkToken(s.cfg.MiniProgram.AppID, c.query.Get("access_token")); refusal.Code != 0 {
		return refusal
	}
	switch {
	case !c.decode(&q):
		return wxBadJSON
	case !slices.Contains(s.cfg.MiniProgram.Pages, q.Path):
		return wxError{40165, "invalid weapp pagepath"}
	case len(q.Query) > 1024:
		return wxError{40212, "invalid query"}
	case q.ExpireType != 1 || q.ExpireInterval < 1 || q.ExpireInterval > 30:
		return wxError{85401, "time limit between 1min and 1year"}
	}
	id := token(8)
	s.keepSetting("urllink:"+id, miniLink{q.Path, q.Query, s.now().Add(time.Duration(q.ExpireInterval) * 24 * time.Hour)})
	return struct {
		wxError
		Link string `json:"url_link"`
	}{wxOK, s.cfg.PublicURL + "/playground/wxaurl.cn/" + id}
}

// openLink is what WeChat does with a link: it opens the page of the mini-program, on
// the phone of whoever opened the SMS in the playground.
func (s *Server) openLink(w http.ResponseWriter, r *http.Request) {
	var l miniLink
	s.mu.Lock()
	known, now := s.setting("urllink:"+r.PathValue("id"), &l), s.now()
	s.mu.Unlock()
	q, err := url.ParseQuery(l.Query)
	if !known || !now.Before(l.Until) || err != nil {
		http.Error(w, "链接已失效", http.StatusGone)
		return
	}
	phone := ""
	if who := tapped(r); who != "" {
		phone = "?persona=" + url.QueryEscape(who)
	}
	http.Redirect(w, r, s.cfg.PublicURL+"/playground/mp/"+phone+"#/"+l.Path+"?"+q.Encode(), http.StatusFound)
}
