package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// follower is one user's relation to the official account.
type follower struct {
	OpenID    string    `json:"openid"`
	Since     time.Time `json:"since"`
	Scene     string    `json:"scene"`
	QRScene   string    `json:"qr_scene,omitempty"`
	Following bool      `json:"following"`
	Tags      []int     `json:"tags,omitempty"`
}

// wxError is WeChat's errcode answer; code 0 is "ok".
type wxError struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

var wxOK = wxError{0, "ok"}

// wxCall is one API call after its access token was accepted. It runs under the lock and returns the answer's JSON.
type wxCall struct {
	query url.Values
	body  []byte
}

func (c wxCall) decode(v any) bool { return json.Unmarshal(c.body, v) == nil }

var wxBadJSON = wxError{47001, "data format error"}

// wechat serves one API: fault, token, call.
func (s *Server) wechat(family string, needsToken bool, call func(wxCall) any) http.HandlerFunc {
	return s.faulty(family, refuseWeChat, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			writeJSON(w, http.StatusOK, wxError{45009, "body too large"})
			return
		}
		s.mu.Lock()
		var answer any
		if refusal := s.checkToken(s.cfg.WeChat.AppID, r.URL.Query().Get("access_token")); needsToken && refusal.Code != 0 {
			answer = refusal
		} else {
			answer = call(wxCall{query: r.URL.Query(), body: body})
		}
		s.mu.Unlock()
		writeJSON(w, http.StatusOK, answer)
	})
}

func refuseWeChat(w http.ResponseWriter, status int, code string) {
	if n, err := strconv.Atoi(code); err == nil {
		writeJSON(w, http.StatusOK, wxError{n, "injected fault"})
		return
	}
	http.Error(w, http.StatusText(status), status)
}

func (s *Server) routeAccount(api string) {
	handle := func(pattern, path, family string, call func(wxCall) any) {
		s.mux.HandleFunc(pattern+" "+api+path, s.wechat(family, true, call))
	}
	s.mux.HandleFunc("POST "+api+"/cgi-bin/stable_token", s.wechat("token", false, s.stableToken))
	s.mux.HandleFunc("GET "+api+"/cgi-bin/token", s.wechat("token", false, s.plainToken))
	handle("POST", "/cgi-bin/message/template/send", "template", s.sendTemplate)
	handle("POST", "/cgi-bin/message/subscribe/bizsend", "subscribe", s.sendSubscription(s.account()))
	handle("GET", "/cgi-bin/template/get_all_private_template", "account", s.listTemplates)
	handle("POST", "/cgi-bin/message/custom/send", "custom", s.sendCustom)
	handle("POST", "/cgi-bin/message/custom/typing", "custom", s.typing)
	handle("POST", "/cgi-bin/qrcode/create", "account", s.createQR)
	handle("POST", "/cgi-bin/menu/create", "account", s.createMenu)
	handle("GET", "/cgi-bin/menu/get", "account", s.getMenu)
	handle("GET", "/cgi-bin/menu/delete", "account", s.deleteMenu)
	handle("POST", "/cgi-bin/menu/addconditional", "account", s.addConditionalMenu)
	handle("POST", "/cgi-bin/menu/delconditional", "account", s.deleteConditionalMenu)
	handle("POST", "/cgi-bin/tags/create", "account", s.createTag)
	handle("GET", "/cgi-bin/tags/get", "account", s.listTags)
	handle("POST", "/cgi-bin/tags/members/batchtagging", "account", s.tagging(true))
	handle("POST", "/cgi-bin/tags/members/batchuntagging", "account", s.tagging(false))
	handle("POST", "/cgi-bin/tags/getidlist", "account", s.tagsOf)
	handle("POST", "/cgi-bin/user/tag/get", "account", s.taggedWith)
	handle("GET", "/cgi-bin/user/info", "account", s.userInfo)
	handle("GET", "/cgi-bin/user/get", "account", s.userList)
	handle("GET", "/cgi-bin/getcallbackip", "account", func(wxCall) any {
		return map[string]any{"ip_list": []string{"127.0.0.1"}}
	})
	s.mux.HandleFunc("GET /playground/mp.weixin.qq.com/cgi-bin/showqrcode", s.showQR)
}

// tokens are one account's access tokens; stable_token and token do not invalidate each other.
type tokens struct {
	stable issued
	valid  map[string]time.Time // value to its end
}

type issued struct {
	value string
	until time.Time
}

const tokenLife = 2 * time.Hour

func (s *Server) newToken(of *tokens) issued {
	t := issued{token(64), s.now().Add(tokenLife)}
	if of.valid == nil {
		of.valid = map[string]time.Time{}
	}
	of.valid[t.value] = t.until
	return t
}

func (s *Server) checkToken(appID, value string) wxError {
	until, known := s.tokens[appID].valid[value]
	switch {
	case value == "":
		return wxError{41001, "access_token missing"}
	case !known:
		return wxError{40001, "invalid credential, access_token is invalid or not latest"}
	case !s.now().Before(until):
		return wxError{42001, "access_token expired"}
	}
	return wxError{}
}

func (s *Server) checkSecret(appID, secret, grant, wantGrant string) wxError {
	switch {
	case grant != wantGrant:
		return wxError{40002, "invalid grant_type"}
	case appID == "" || s.tokens[appID] == nil:
		return wxError{40013, "invalid appid"}
	case secret != s.secretOf(appID):
		return wxError{40125, "invalid appsecret"}
	}
	return wxError{}
}

// secretOf is the secret of the official account or the mini-program.
func (s *Server) secretOf(appID string) string {
	if appID == s.cfg.MiniProgram.AppID {
		return s.cfg.MiniProgram.AppSecret
	}
	return s.cfg.WeChat.AppSecret
}

func (s *Server) tokenAnswer(t issued) any {
	return map[string]any{"access_token": t.value, "expires_in": int(t.until.Sub(s.now()).Seconds())}
}

// stableToken returns the same token until five minutes before its end, or a new one that ends the old when forced.
func (s *Server) stableToken(c wxCall) any {
	var q struct {
		Grant  string `json:"grant_type"`
		AppID  string `json:"appid"`
		Secret string `json:"secret"`
		Force  bool   `json:"force_refresh"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	if e := s.checkSecret(q.AppID, q.Secret, q.Grant, "client_credential"); e.Code != 0 {
		return e
	}
	of := s.tokens[q.AppID]
	if q.Force {
		delete(of.valid, of.stable.value)
	}
	if q.Force || of.stable.until.Sub(s.now()) < 5*time.Minute {
		of.stable = s.newToken(of)
	}
	return s.tokenAnswer(of.stable)
}

// plainToken issues a new token; those before it, except the stable one, live five minutes more.
func (s *Server) plainToken(c wxCall) any {
	if e := s.checkSecret(c.query.Get("appid"), c.query.Get("secret"), c.query.Get("grant_type"), "client_credential"); e.Code != 0 {
		return e
	}
	soon := s.now().Add(5 * time.Minute)
	of := s.tokens[c.query.Get("appid")]
	for value, until := range of.valid {
		if value != of.stable.value && until.After(soon) {
			of.valid[value] = soon
		}
	}
	return s.tokenAnswer(s.newToken(of))
}

func (s *Server) userInfo(c wxCall) any {
	p, err := s.persona(c.query.Get("openid"))
	f, _ := s.followers.get(c.query.Get("openid"))
	if err != nil || p.OpenID != c.query.Get("openid") {
		return wxError{40003, "invalid openid"}
	}
	if !f.Following {
		return map[string]any{"subscribe": 0, "openid": p.OpenID, "unionid": p.UnionID}
	}
	return map[string]any{
		"subscribe": 1, "openid": p.OpenID, "unionid": p.UnionID, "nickname": "", "sex": 0, "language": "zh_CN",
		"city": "", "province": "", "country": "", "headimgurl": "", "subscribe_time": f.Since.Unix(), "remark": "",
		"groupid": 0, "tagid_list": nonNil(f.Tags), "subscribe_scene": f.Scene, "qr_scene": 0, "qr_scene_str": f.QRScene,
	}
}

func (s *Server) userList(wxCall) any {
	ids := []string{}
	for _, f := range s.followers.find(func(f follower) bool { return f.Following }) {
		ids = append(ids, f.OpenID)
	}
	return map[string]any{"total": len(ids), "count": len(ids), "data": map[string]any{"openid": ids}, "next_openid": ""}
}

// following reports whether the persona with this OpenID follows the account.
func (s *Server) following(openID string) bool {
	f, ok := s.followers.get(openID)
	return ok && f.Following
}

// isUser reports whether WeChat knows this OpenID.
func (s *Server) isUser(openID string) bool {
	for _, p := range s.cfg.Personas {
		if p.OpenID == openID {
			return true
		}
	}
	return false
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// setting reads one of the account's settings into v.
func (s *Server) setting(key string, v any) bool {
	raw, ok := s.settings.get(key)
	return ok && string(raw) != "null" && json.Unmarshal(raw, v) == nil
}

func (s *Server) keepSetting(key string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sim: setting %s: %v", key, err)) // only plain values are kept
	}
	s.settings.put(key, raw)
	s.changed()
}
