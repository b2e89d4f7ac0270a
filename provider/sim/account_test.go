package sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/silenceper/wechat/v2"
	"github.com/silenceper/wechat/v2/cache"
	"github.com/silenceper/wechat/v2/officialaccount"
	"github.com/silenceper/wechat/v2/officialaccount/basic"
	offConfig "github.com/silenceper/wechat/v2/officialaccount/config"
	"github.com/silenceper/wechat/v2/officialaccount/menu"
	"github.com/silenceper/wechat/v2/officialaccount/message"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// account is the published SDK talking to the simulator.
func (w *world) account() *officialaccount.OfficialAccount {
	wc := wechat.NewWechat()
	wc.SetHTTPClient(w.client())
	return wc.GetOfficialAccount(&offConfig.Config{
		AppID: w.cfg.WeChat.AppID, AppSecret: w.cfg.WeChat.AppSecret, Token: w.cfg.WeChat.Token, EncodingAESKey: aesKey,
		Cache: cache.NewMemory(), UseStableAK: true,
	})
}

func reviewCard(to, clientID string) *message.TemplateMessage {
	return &message.TemplateMessage{
		ToUser: to, TemplateID: cardTemplate, URL: "http://product.test:8080/staff/review/1", ClientMsgID: clientID,
		Data: map[string]*message.TemplateDataItem{
			"character_string1": {Value: "尾号0152"}, "phrase2": {Value: "待审核"}, "thing3": {Value: "虚构科技有限公司"},
		},
	}
}

func TestTemplateMessage(t *testing.T) {
	w := newWorld(t)
	send := w.account().GetTemplate()
	first, err := send.Send(reviewCard("oReviewer", "notice-1"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := send.Send(reviewCard("oReviewer", "notice-1"))
	if err != nil || again != first {
		t.Errorf("the same client_msg_id gave %d after %d, %v", again, first, err)
	}
	inbox := get[[]sim.TemplateMessage](w, "templates?persona=reviewer")
	if len(inbox) != 1 || inbox[0].Card.Title != "待审核提醒" || inbox[0].Card.Lines[0] != (sim.CardLine{Label: "单号", Value: "尾号0152"}) {
		t.Fatalf("inbox %+v", inbox)
	}
	if inbox[0].Card.URL != "http://product.test:8080/staff/review/1" {
		t.Errorf("link %q", inbox[0].Card.URL)
	}

	post[struct{}](w, "settle", nil) // the job-finished events are over
	post[sim.Exchange](w, "unfollow", map[string]any{"persona": "applicant"})
	long := reviewCard("oReviewer", "")
	long.Data["phrase2"] = &message.TemplateDataItem{Value: "六个汉字太长"}
	wrong := reviewCard("oReviewer", "")
	wrong.TemplateID = "tpl-unknown"
	for name, c := range map[string]struct {
		message *message.TemplateMessage
		code    int
	}{
		"not a follower":   {reviewCard("oApplicant", ""), 43004},
		"unknown template": {wrong, 40037},
		"unknown user":     {reviewCard("oNobody", ""), 40003},
		"field too long":   {long, 47003},
	} {
		if _, err := send.Send(c.message); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("errcode=%d", c.code)) {
			t.Errorf("%s: %v, want %d", name, err, c.code)
		}
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	send := func(token string) string {
		resp, err := c.Get("https://api.weixin.qq.com/cgi-bin/getcallbackip?access_token=" + token)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	stable, err := w.account().GetAccessToken()
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.account().GetAccessToken()
	if err != nil || second != stable {
		t.Errorf("stable token changed: %v", err)
	}
	if got := send(stable); !strings.Contains(got, "ip_list") {
		t.Error(got)
	}
	if got := send("stale"); !strings.Contains(got, "40001") {
		t.Error(got)
	}
	post[sim.Clock](w, "advance", map[string]any{"advance": "2h"})
	if got := send(stable); !strings.Contains(got, "42001") {
		t.Error(got)
	}
}

func TestCustomerServiceWindow(t *testing.T) {
	w := newWorld(t)
	send := func() string {
		if err := w.account().GetCustomerMessageManager().Send(message.NewCustomerTextMessage("oApplicant", "客服在此")); err != nil {
			return err.Error()
		}
		return "ok"
	}
	want := func(step, code string) {
		t.Helper()
		if got := send(); !strings.Contains(got, code) {
			t.Errorf("%s: %s, want %s", step, got, code)
		}
	}
	want("before any interaction", "45015")
	post[sim.Exchange](w, "chat", map[string]any{"persona": "applicant", "text": "在吗"})
	for range 5 {
		want("within the quota", "ok")
	}
	want("sixth message", "45047")
	post[sim.Exchange](w, "click", map[string]any{"persona": "applicant", "key": "MY_ORDERS"})
	want("after a menu click", "ok")
	post[sim.Clock](w, "advance", map[string]any{"advance": "48h"})
	want("two days later", "45015")
}

func TestMenuQRAndUser(t *testing.T) {
	w := newWorld(t)
	oa := w.account()
	click := menu.NewClickButton("我的订单", "MY_ORDERS")
	if err := oa.GetMenu().SetMenu([]*menu.Button{menu.NewSubButton("查进度", []*menu.Button{click})}); err != nil {
		t.Fatal(err)
	}
	if err := oa.GetMenu().SetMenu([]*menu.Button{click, click, click, click}); err == nil || !strings.Contains(err.Error(), "40016") {
		t.Errorf("four buttons: %v", err)
	}
	if got := get[[]sim.PersonaView](w, "personas")[0].Menu.Buttons; len(got) != 1 || got[0].Children[0].Key != "MY_ORDERS" {
		t.Errorf("menu %+v", got)
	}

	ticket, err := oa.GetBasic().GetQRTicket(basic.NewTmpQrRequest(600_000_000_000, "bind-1"))
	if err != nil || ticket.URL == "" {
		t.Fatalf("ticket %+v, %v", ticket, err)
	}
	show, err := w.client().Get("https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket=" + url.QueryEscape(ticket.Ticket))
	if err != nil || show.StatusCode != http.StatusOK {
		t.Fatalf("showqrcode: %v", err)
	}
	show.Body.Close()
	scanned := make(chan string, 1)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		scanned <- openPush(t, w, r)
		_, _ = io.WriteString(rw, "success")
	})
	post[sim.Exchange](w, "scan", map[string]any{"persona": "applicant", "url": ticket.URL})
	if got := <-scanned; !strings.Contains(got, "<Event><![CDATA[SCAN]]></Event><EventKey><![CDATA[bind-1]]>") {
		t.Errorf("event %s", got)
	}

	info, err := oa.GetUser().GetUserInfo("oApplicant")
	if err != nil || info.UnionID != "uApplicant" || info.Subscribe != 1 {
		t.Errorf("user %+v, %v", info, err)
	}
}

func TestOAuth(t *testing.T) {
	w := newWorld(t)
	o := w.account().GetOauth()
	login, err := o.GetRedirectURL("http://product.test:8080/staff/login/callback", "snsapi_userinfo", "state-1")
	if err != nil {
		t.Fatal(err)
	}
	noFollow := w.client()
	noFollow.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	open := func(link string) (status int, location, page string) {
		resp, err := noFollow.Get(link)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Location"), string(body)
	}
	if status, _, page := open(login); status != http.StatusOK || !strings.Contains(page, "沈合规") || !strings.Contains(page, "persona=oReviewer") {
		t.Errorf("chooser %d: %s", status, page)
	}
	chosen := strings.Replace(login, "#wechat_redirect", "&persona=reviewer", 1)
	_, location, _ := open(chosen)
	back, err := url.Parse(location)
	if err != nil || back.Host != "product.test:8080" || back.Query().Get("state") != "state-1" {
		t.Fatalf("redirect %q, %v", location, err)
	}
	code := back.Query().Get("code")
	got, err := o.GetUserAccessToken(code)
	if err != nil || got.OpenID != "oReviewer" || got.UnionID != "uReviewer" {
		t.Fatalf("token %+v, %v", got, err)
	}
	if info, err := o.GetUserInfo(got.AccessToken, got.OpenID, ""); err != nil || info.Nickname != "沈合规" {
		t.Errorf("user %+v, %v", info, err)
	}
	if _, err := o.GetUserAccessToken(code); err == nil || !strings.Contains(err.Error(), "40163") {
		t.Errorf("a used code: %v", err)
	}
	if _, err := o.GetUserAccessToken("guess"); err == nil || !strings.Contains(err.Error(), "40029") {
		t.Errorf("a guessed code: %v", err)
	}
	foreign, _ := o.GetRedirectURL("http://evil.test/", "snsapi_base", "s")
	if status, _, page := open(strings.Replace(foreign, "#", "&persona=reviewer#", 1)); status != http.StatusBadRequest || !strings.Contains(page, "10003") {
		t.Errorf("a foreign redirect_uri: %d", status)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// Staff with a tag see the menu of their tag; others see the common one; deleting it takes both away.
func TestConditionalMenu(t *testing.T) {
	w := newWorld(t)
	oa := w.account()
	if err := oa.GetMenu().SetMenu([]*menu.Button{menu.NewClickButton("我的订单", "MY_ORDERS")}); err != nil {
		t.Fatal(err)
	}
	staff, err := oa.GetUser().CreateTag("staff")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oa.GetUser().CreateTag("staff"); err == nil || !strings.Contains(err.Error(), "45157") {
		t.Errorf("the same tag again: %v", err)
	}
	if err := oa.GetUser().BatchTag([]string{"oReviewer"}, staff.ID); err != nil {
		t.Fatal(err)
	}
	special := fmt.Sprintf(`{"button":[{"type":"click","name":"待办列表","key":"QUEUE"}],"matchrule":{"tag_id":"%d"}}`, staff.ID)
	if err := oa.GetMenu().AddConditionalByJSON(special); err != nil {
		t.Fatal(err)
	}
	seen := func() string {
		keys := []string{}
		for _, p := range get[[]sim.PersonaView](w, "personas") {
			for _, b := range p.Menu.Buttons {
				keys = append(keys, p.OpenID+"="+b.Key)
			}
		}
		return strings.Join(keys, " ")
	}
	if got := seen(); got != "oApplicant=MY_ORDERS oReviewer=QUEUE" {
		t.Errorf("menus %s", got)
	}
	if tags, err := oa.GetUser().UserTidList("oReviewer"); err != nil || len(tags) != 1 || tags[0] != staff.ID {
		t.Errorf("tags %v, %v", tags, err)
	}
	all, err := oa.GetMenu().GetMenu()
	if err != nil || len(all.Menu.Button) != 1 || len(all.Conditionalmenu) != 1 {
		t.Fatalf("menu %+v, %v", all, err)
	}
	if err := oa.GetMenu().DeleteConditional(all.Conditionalmenu[0].MenuID); err != nil {
		t.Fatal(err)
	}
	if got := seen(); got != "oApplicant=MY_ORDERS oReviewer=MY_ORDERS" {
		t.Errorf("after deleting the special menu: %s", got)
	}
	if err := oa.GetUser().BatchUntag([]string{"oReviewer"}, staff.ID); err != nil {
		t.Fatal(err)
	}
	if err := oa.GetMenu().DeleteMenu(); err != nil {
		t.Fatal(err)
	}
	if _, err := oa.GetMenu().GetMenu(); err == nil || !strings.Contains(err.Error(), "46003") {
		t.Errorf("after deleting the menu: %v", err)
	}
}

func TestMenuLimits(t *testing.T) {
	w := newWorld(t)
	for want, buttons := range map[string]string{
		"40016": `[]`,
		"40018": `[{"name":"六个汉字太长","type":"click","key":"K"}]`,
		"40019": `[{"name":"无键","type":"click"}]`,
		"40020": `[{"name":"无址","type":"view"}]`,
		"40017": `[{"name":"怪","type":"dance","key":"K"}]`,
		"40023": `[{"name":"父","sub_button":[` + strings.TrimSuffix(strings.Repeat(`{"name":"子","type":"click","key":"K"},`, 6), ",") + `]}]`,
	} {
		if err := w.account().GetMenu().SetMenuByJSON(`{"button":` + buttons + `}`); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", buttons, err, want)
		}
	}
}

// The plain token and the stable one do not invalidate each other; a newer plain one lets the older live five minutes.
func TestPlainToken(t *testing.T) {
	w := newWorld(t)
	c := w.client()
	read := func(link string) string {
		resp, err := c.Get("https://api.weixin.qq.com" + link)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	const ask = "/cgi-bin/token?grant_type=client_credential&appid=wx1234567890abcdef&secret="
	plain := func() string {
		_, rest, _ := strings.Cut(read(ask+"app-secret"), `"access_token":"`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	use := func(token string) string { return read("/cgi-bin/user/get?access_token=" + token) }
	stable, err := w.account().GetAccessToken()
	if err != nil {
		t.Fatal(err)
	}
	older, newer := plain(), plain()
	if !strings.Contains(use(older), `"total":2`) {
		t.Errorf("the older token: %s", use(older))
	}
	post[sim.Clock](w, "advance", map[string]any{"advance": "5m"})
	for name, c := range map[string]struct{ token, want string }{
		"older": {older, "42001"}, "newer": {newer, `"total":2`}, "stable": {stable, `"total":2`}, "none": {"", "41001"},
	} {
		if got := use(c.token); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if got := read(ask + "wrong"); !strings.Contains(got, "40125") {
		t.Errorf("a wrong secret: %s", got)
	}
}

// Following again sends subscribe and opens the window; an unknown persona of the wire is refused.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	var events []string
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		events = append(events, openPush(t, w, r))
		_, _ = io.WriteString(rw, "success")
	})
	post[sim.Exchange](w, "unfollow", map[string]any{"persona": "applicant"})
	if status, _ := w.call(http.MethodPost, "chat", map[string]any{"persona": "applicant", "text": "在吗"}); status != http.StatusConflict {
		t.Errorf("who does not follow chats: %d", status)
	}
	post[sim.Exchange](w, "follow", map[string]any{"persona": "applicant", "scene": "promo"})
	if len(events) != 2 || !strings.Contains(events[0], "[unsubscribe]") || !strings.Contains(events[1], "[subscribe]") || !strings.Contains(events[1], "qrscene_promo") {
		t.Errorf("events %q", events)
	}
	manager := w.account().GetCustomerMessageManager()
	if err := manager.Send(message.NewCustomerTextMessage("oApplicant", "欢迎关注")); err != nil {
		t.Error(err)
	}
	if err := manager.Send(message.NewCustomerTextMessage("oNobody", "?")); err == nil || !strings.Contains(err.Error(), "40003") {
		t.Errorf("an unknown OpenID: %v", err)
	}
	if chat := get[[]sim.ChatMessage](w, "chat?persona=applicant"); chat[len(chat)-1].Text != "欢迎关注" {
		t.Errorf("chat %+v", chat)
	}
}
