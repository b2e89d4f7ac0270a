package sim

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// oauthCode is a one-time code of the web authorization.
type oauthCode struct {
	openID, scope string
	until         time.Time
	used          bool
}

// webToken is a user's web access token or refresh token.
type webToken struct {
	openID, scope string
	until         time.Time
}

const (
	codeLife    = 5 * time.Minute
	refreshLife = 30 * 24 * time.Hour
)

func (s *Server) routeOAuth(api, open string) {
	s.mux.HandleFunc("GET "+open+"/connect/oauth2/authorize", s.authorize)
	s.mux.HandleFunc("GET "+open+"/connect/qrconnect", s.authorize)
	s.mux.HandleFunc("GET "+api+"/sns/oauth2/access_token", s.wechat("oauth", false, s.exchangeCode))
	s.mux.HandleFunc("GET "+api+"/sns/oauth2/refresh_token", s.wechat("oauth", false, s.refreshWebToken))
	s.mux.HandleFunc("GET "+api+"/sns/userinfo", s.wechat("oauth", false, s.webUserInfo))
	s.mux.HandleFunc("GET "+api+"/sns/auth", s.wechat("oauth", false, s.checkWebToken))
}

// authorize shows who may log in, or, with &persona=, redirects back as WeChat does after the tap.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := s.checkAuthorize(q)
	if err != nil {
		s.renderError(w, err.Error())
		return
	}
	who := q.Get("persona")
	if who == "" {
		s.renderChooser(w, r)
		return
	}
	p, err := s.persona(who)
	if err != nil {
		s.renderError(w, err.Error())
		return
	}
	s.mu.Lock()
	code := token(16)
	s.codes[code] = oauthCode{openID: p.OpenID, scope: q.Get("scope"), until: s.now().Add(codeLife)}
	s.note("oauth", fmt.Sprintf("%s 授权登录 %s", p.Name, back.Path))
	s.mu.Unlock()

	add := back.Query()
	add.Set("code", code)
	add.Set("state", q.Get("state"))
	back.RawQuery = add.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound) //nolint:gosec // checkAuthorize allows only the product's own host
}

func (s *Server) checkAuthorize(q url.Values) (*url.URL, error) {
	scopes := []string{"snsapi_base", "snsapi_userinfo", "snsapi_login"}
	back, err := url.Parse(q.Get("redirect_uri"))
	public, _ := url.Parse(s.cfg.PublicURL)
	switch {
	case q.Get("appid") != s.cfg.WeChat.AppID:
		return nil, fmt.Errorf("AppID 参数错误，错误码：10013")
	case err != nil || back.Host != public.Host || back.Scheme != public.Scheme:
		return nil, fmt.Errorf("redirect_uri 域名与后台配置不一致，错误码：10003")
	case q.Get("response_type") != "code":
		return nil, fmt.Errorf("response_type 参数错误，错误码：10014")
	case !slices.Contains(scopes, q.Get("scope")):
		return nil, fmt.Errorf("Scope 参数错误或没有 Scope 权限，错误码：10005")
	case len(q.Get("state")) > 128:
		return nil, fmt.Errorf("state 参数过长，错误码：10015")
	}
	return back, nil
}

func (s *Server) exchangeCode(c wxCall) any {
	if e := s.checkSecret(c.query.Get("appid"), c.query.Get("secret"), c.query.Get("grant_type"), "authorization_code"); e.Code != 0 {
		return e
	}
	if c.query.Get("appid") != s.cfg.WeChat.AppID {
		return wxError{40013, "invalid appid"}
	}
	value := c.query.Get("code")
	code, known := s.codes[value]
	switch {
	case value == "":
		return wxError{41008, "missing code"}
	case !known:
		return wxError{40029, "invalid code"}
	case code.used:
		return wxError{40163, "code been used"}
	case !s.now().Before(code.until):
		return wxError{42003, "code expired"}
	}
	code.used = true
	s.codes[value] = code
	return s.webTokenAnswer(code.openID, code.scope)
}

func (s *Server) webTokenAnswer(openID, scope string) any {
	access, refresh := token(40), token(40)
	s.webTokens[access] = webToken{openID, scope, s.now().Add(tokenLife)}
	s.webTokens["refresh:"+refresh] = webToken{openID, scope, s.now().Add(refreshLife)}
	answer := map[string]any{
		"access_token": access, "expires_in": int(tokenLife.Seconds()), "refresh_token": refresh,
		"openid": openID, "scope": scope,
	}
	if p, err := s.persona(openID); err == nil && scope != "snsapi_base" {
		answer["unionid"] = p.UnionID
	}
	return answer
}

func (s *Server) refreshWebToken(c wxCall) any {
	if c.query.Get("appid") != s.cfg.WeChat.AppID {
		return wxError{40013, "invalid appid"}
	}
	t, ok := s.webTokens["refresh:"+c.query.Get("refresh_token")]
	if !ok || !s.now().Before(t.until) {
		return wxError{40030, "invalid refresh_token"}
	}
	return s.webTokenAnswer(t.openID, t.scope)
}

// userOf checks a web access token against the OpenID it was issued for.
func (s *Server) userOf(c wxCall) (webToken, wxError) {
	value := c.query.Get("access_token")
	t, known := s.webTokens[value]
	switch {
	case !known || strings.HasPrefix(value, "refresh:"):
		return t, wxError{40001, "invalid credential, access_token is invalid or not latest"}
	case !s.now().Before(t.until):
		return t, wxError{42001, "access_token expired"}
	case t.openID != c.query.Get("openid"):
		return t, wxError{40003, "invalid openid"}
	}
	return t, wxError{}
}

func (s *Server) webUserInfo(c wxCall) any {
	t, e := s.userOf(c)
	switch {
	case e.Code != 0:
		return e
	case t.scope == "snsapi_base":
		return wxError{48001, "api unauthorized"}
	}
	p, err := s.persona(t.openID)
	if err != nil {
		return wxError{40003, "invalid openid"}
	}
	return map[string]any{
		"openid": p.OpenID, "nickname": p.Name, "sex": 0, "province": "", "city": "", "country": "",
		"headimgurl": "", "privilege": []string{}, "unionid": p.UnionID,
	}
}

func (s *Server) checkWebToken(c wxCall) any {
	if _, e := s.userOf(c); e.Code != 0 {
		return e
	}
	return wxOK
}
