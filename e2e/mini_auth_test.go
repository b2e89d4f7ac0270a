package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/yuncaidun/yuncaidun/e2e/story"
	"github.com/yuncaidun/yuncaidun/miniprogram"
)

const (
	legalRepOpenID = "oDevLegalRep0000000000000001"
	legalRepAt     = "/playground/mp/?persona=" + legalRepOpenID
	legalRepMobile = "13800000021"
)

// applicant is the mini-program of the applicant as a program: what happens before
// the legal representative is asked is another test's.
type applicant struct {
	t     *testing.T
	url   string
	world story.Playground
	token string
}

// call sends a request to the API; nil is a GET.
func (a *applicant) call(path string, in, out any) {
	a.t.Helper()
	method, body := http.MethodGet, []byte(nil)
	if in != nil {
		method = http.MethodPost
		var err error
		if body, err = json.Marshal(in); err != nil {
			a.t.Fatal(err)
		}
	}
	a.send(method, path, "application/json", bytes.NewReader(body), out)
}

func (a *applicant) send(method, path, kind string, body io.Reader, out any) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+"/api/v1"+path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	if a.token != "" {
		req.Header.Set("Authorization", "Bearer "+a.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		a.t.Fatalf("%s %s: %d %s, %v", method, path, resp.StatusCode, said, err)
	}
	if out != nil {
		if err := json.Unmarshal(said, out); err != nil {
			a.t.Fatal(err)
		}
	}
}

func (a *applicant) photo(path string, picture []byte) {
	a.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "photo.jpg")
	if err == nil {
		_, err = part.Write(picture)
	}
	if err != nil || form.Close() != nil {
		a.t.Fatal(err)
	}
	a.send(http.MethodPost, path, form.FormDataContentType(), &body, nil)
}

// code is a one-time code that WeChat hands out.
func (a *applicant) code(kind string) string {
	a.t.Helper()
	var out struct{ Code string }
	if err := a.world.Call(a.t.Context(), http.MethodPost, "control/mini/"+kind, map[string]string{"persona": "applicant"}, &out); err != nil {
		a.t.Fatal(err)
	}
	return out.Code
}

// fills fills in an application; the legal representative is to be asked at that
// mobile. It returns the order's path in the API.
func (a *applicant) fills(mobile string, change map[string]string) (order string, fields map[string]string) {
	a.t.Helper()
	var login struct{ Token, Bind string }
	a.call("/login", map[string]string{"code": a.code("login")}, &login)
	if a.token = login.Token; a.token == "" {
		a.call("/login/phone", map[string]string{"bind": login.Bind, "code": a.code("phone")}, &login)
		a.token = login.Token
	}
	var form struct {
		Order    struct{ ID string }
		Complete bool
		Groups   json.RawMessage
	}
	a.call("/orders", map[string]string{"product": "yd-initial"}, &form)
	order = "/orders/" + form.Order.ID
	for n, field := range []string{"id.front", "id.back", "license"} {
		a.photo(order+"/pictures/"+field, story.Photo(n+1))
	}
	fields = story.Application()
	maps.Copy(fields, map[string]string{"org.industry": "C", "auth.way": "miniprogram", "legal.id_type": "resident_id", "legal.id_no": "11010519491231002X", "legal.mobile": mobile})
	maps.Copy(fields, change)
	if a.call(order+"/form", map[string]any{"fields": fields, "check": true}, &form); !form.Complete {
		a.t.Fatalf("not complete: %s", form.Groups)
	}
	return order, fields
}

// asks applies for a certificate and pays.
func (a *applicant) asks(mobile string, change map[string]string) (order string) {
	a.t.Helper()
	order, fields := a.fills(mobile, change)
	var texts struct{ Hash string }
	a.call("/agreements", nil, &texts)
	var summary struct{ Offer string }
	a.call(order+"/summary", nil, &summary)
	a.call(order+"/code", map[string]any{}, nil)
	sms, err := a.world.Code(a.t.Context(), fields["agent.mobile"], "提交订单")
	if err != nil {
		a.t.Fatal(err)
	}
	a.call(order+"/confirm", map[string]string{"code": sms.Params[0], "agreements": texts.Hash, "offer": summary.Offer}, nil)
	var paying struct{ Request map[string]string }
	a.call(order+"/pay", map[string]any{}, &paying)
	request := map[string]string{"persona": "applicant", "how": "pay"}
	maps.Copy(request, paying.Request)
	if err := a.world.Call(a.t.Context(), http.MethodPost, "control/mini/pay", request, nil); err != nil {
		a.t.Fatal(err)
	}
	return order
}

var weChatLink = regexp.MustCompile(`/playground/wxaurl\.cn/\w+`)

// linkTo waits for the SMS with the link that opens the mini-program.
func (a *applicant) linkTo(mobile string) (link string) {
	a.t.Helper()
	err := story.Poll(a.t.Context(), 20*time.Second, func(ctx context.Context) (bool, error) {
		all, err := a.world.SMS(ctx)
		for _, m := range all {
			if m.Mobile == mobile && link == "" {
				link = weChatLink.FindString(m.Text)
			}
		}
		return link != "", err
	})
	if err != nil {
		a.t.Fatal("no link in an SMS:", err)
	}
	return link
}

// state is how the order stands.
func (a *applicant) state(order string) (label string, events []string) {
	a.t.Helper()
	var o struct {
		Label    string
		Timeline []struct{ Event string }
	}
	a.call(order, nil, &o)
	for _, m := range o.Timeline {
		events = append(events, m.Event)
	}
	return o.Label, events
}

// tap opens the link of an SMS on the legal representative's phone.
func (m mini) tap(link string) {
	m.t.Helper()
	m.js(`document.cookie = "sim_persona=` + legalRepOpenID + `; path=/playground/"`)
	m.open(link)
	m.page("auth", top(".go"))
}

// menu goes from the home page to what waits for the legal representative.
func (m mini) menu() {
	m.t.Helper()
	m.open(legalRepAt)
	m.press(".entry:nth-child(4)")
}

// told waits for what a dialog says and reads it away.
func (m mini) told(says string) string {
	m.t.Helper()
	m.until("it says "+says, fmt.Sprintf(`document.querySelector(".uni-modal__btn_primary")?.offsetParent && document.querySelector(".uni-modal").innerText.includes(%q)`, says))
	said := m.js(`document.querySelector(".uni-modal").innerText`)
	m.js(`document.querySelector(".uni-modal__btn_primary").click()`)
	m.until("the dialog is gone", `!document.querySelector(".uni-modal__btn_primary")?.offsetParent`)
	return said
}

// quiet fails when the page complained about something but refusals.
func (m mini) quiet() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.complaints {
		if !strings.Contains(c, "the server responded with a status of 4") {
			m.t.Errorf("the console reports: %s", c)
		}
	}
}

// asked is the product, the legal representative's phone, and an application that waits
// for whoever has that mobile.
func asked(t *testing.T, mobile string, change map[string]string) (m mini, a *applicant, order string) {
	t.Helper()
	if _, ok := miniprogram.H5(); !ok {
		t.Fatal("the H5 build is missing: make miniprogram")
	}
	i, world := product(t)
	a = &applicant{t: t, url: i.URL, world: world}
	return mini{chromium(t, i.URL, 375, 812)}, a, a.asks(mobile, change)
}

// The legal representative does everything on his phone, native: he finds what waits
// for him, opens the link of the SMS, proves mobile and person, reads to the end, signs
// by hand, gets receipt and letter, and takes it back (flows 4.5).
func TestLegalRepSignsInTheMiniProgram(t *testing.T) {
	m, a, order := asked(t, legalRepMobile, nil)
	link := a.linkTo(legalRepMobile)
	m.menu()
	m.signIn(".asked")
	m.fits()
	m.picture("mini-auth-list")
	m.tap(link)
	m.picture("mini-auth-welcome")
	if said := m.js(top(".page") + ".innerText"); strings.Contains(said, "王小琪") || strings.Contains(said, legalRepMobile) || !strings.Contains(said, "您的手机号来源") {
		t.Errorf("the first screen says %s", said)
	}
	m.press(".go")
	m.picture("mini-auth-phone")
	m.press(".phone-login")
	m.enter(".tail", "000000")
	m.press(".next")
	m.told("不一致")
	m.enter(".tail", "31002x")
	m.fits()
	m.picture("mini-auth-identity")
	m.press(".next")
	m.until("the application is shown", fmt.Sprintf(`(%s)?.offsetParent && (%s).innerText.includes("王小琪")`, top(".right"), top(".page")))
	m.fits()
	m.picture("mini-auth-application")
	m.press(".right")

	m.until("the letter is shown", top(".letter .end"))
	disabled := `(%s)?.classList.contains("is-disabled")`
	if m.js(fmt.Sprintf(disabled, top(".to-sign"))) != "true" {
		t.Error("the letter can be signed unread")
	}
	m.fits()
	m.picture("mini-auth-letter")
	m.press(".scope:nth-of-type(3)")
	m.until("three months are chosen", fmt.Sprintf(`(%s)?.innerText.includes("三个月")`, top(".scope.on")))
	m.js(top(".letter .end") + `.scrollIntoView({block: "center", behavior: "instant"})`)
	m.until("it is read", "!"+fmt.Sprintf(disabled, top(".to-sign")))
	m.picture("mini-auth-letter-end")
	m.press(".to-sign")

	m.until("the pad is there", top(".pad uni-canvas"))
	m.press(".sign")
	m.until("it says what is missing", `document.querySelector("uni-toast")?.innerText.includes("手写签名")`)
	m.js(fmt.Sprintf(`(p => { const r = p.getBoundingClientRect(); const at = (n, x, y) => p.dispatchEvent(new MouseEvent(n, {clientX: r.left + x, clientY: r.top + y, buttons: 1, bubbles: true}));
		for (let s = 0; s < 3; s++) { at("mousedown", 40 + s * 90, 40); for (let i = 0; i < 60; i++) at("mousemove", 41 + s * 90 + i, 41 + (i * (s + 2)) %% 130); at("mouseup", 0, 0); } })(%s)`, top(".pad uni-canvas canvas")))
	m.until("the hint is gone", "!"+top(".pad-hint"))
	m.press(".tickbox")
	m.code(a.world, legalRepMobile, "签署授权书")
	m.fits()
	m.js("window.scrollTo(0, 0)")
	m.picture("mini-auth-sign")
	m.press(".sign")
	m.until("it is signed", top(".signed"))
	m.until("the letter is sealed", top(".letter-pdf"))
	m.fits()
	m.js("window.scrollTo(0, 0)")
	m.picture("mini-auth-done")
	if said := m.js(top(".page") + ".innerText"); !strings.Contains(said, "SQ") || !strings.Contains(said, "长期授权至") {
		t.Errorf("the receipt says %s", said)
	}
	if label, events := a.state(order); label != "待审核" || events[len(events)-1] != "auth_signed" {
		t.Errorf("the order is %s after %v", label, events)
	}

	// Half an hour of use is kept: whoever comes back is where he was.
	m.menu()
	m.signIn(".asked")
	m.press(".asked")
	m.until("the receipt again", top(".withdraw"))
	m.press(".withdraw")
	m.told("确定撤回吗")
	m.until("it is taken back", fmt.Sprintf(`(%s)?.innerText.includes("已撤回")`, top(".ended .why")))
	if label, events := a.state(order); label != "审核拒绝" || events[len(events)-1] != "auth_withdrawn" {
		t.Errorf("the order is %s after %v", label, events)
	}
	m.quiet()
}

// Whose mobile is registered in another name shows his face: the provider's page opens,
// comes back to a page of ours, and only what the provider says of it counts; somebody
// else in front of the camera is refused.
func TestLegalRepShowsHisFaceInTheMiniProgram(t *testing.T) {
	m, a, _ := asked(t, legalRepMobile, nil)
	link := a.linkTo(legalRepMobile)
	m.open(legalRepAt)
	m.tap(link)
	m.press(".go")
	m.press(".phone-login")
	m.enter(".tail", "31002x")
	m.picture("mini-auth-face-offered")
	camera := func(button string) {
		t.Helper()
		m.press(".face")
		m.until("the way to the camera is shown", top(".face-page")+"?.offsetParent")
		m.fits()
		m.picture("mini-auth-face")
		phone := chromium(t, "", 375, 812)
		phone.open(m.js(top(".face-page") + ".dataset.page"))
		phone.press(fmt.Sprintf(`button[value="%s"]`, button))
		phone.arrive("/face/end")
		phone.until("the end says where to go on", `document.body.innerText.includes("返回小程序")`)
		phone.fits()
		phone.picture("mini-auth-face-end")
	}
	camera("1004") // somebody else
	m.press(".face-result")
	m.told("人脸核验没有通过")
	m.until("the number can be entered again", top(".tail")+"?.offsetParent")
	camera("0")
	m.press(".face-result")
	m.until("the application is shown", fmt.Sprintf(`(%s)?.offsetParent`, top(".right")))
	m.quiet()
}

// A passport is photographed for people to look at; what is wrong with the application
// goes back with a note, and the applicant sees it.
func TestLegalRepReturnsInTheMiniProgram(t *testing.T) {
	m, a, order := asked(t, legalRepMobile, map[string]string{"legal.id_type": "passport", "legal.id_no": "E12345678"})
	photos := photographs(t)
	link := a.linkTo(legalRepMobile)
	m.open(legalRepAt)
	m.tap(link)
	m.press(".go")
	m.press(".phone-login")
	m.enter(".tail", "345678")
	m.fits()
	m.picture("mini-auth-document")
	m.press(".camera")
	m.until("a file can be chosen", `document.querySelector("body > input[type=file]")`)
	if m.js(`[...document.querySelectorAll("uni-toast")].some(e => e.offsetHeight && getComputedStyle(e).display !== "none")`) == "true" {
		t.Error("something lies over the page while the album is open; who closes it would be left with that")
	}
	m.do(chromedp.SetUploadFiles("body > input[type=file]", []string{photos["id-front"]}))
	m.until("the photo is shown", top(".photo div")+`?.style.backgroundImage.includes("blob:")`)
	m.fits()
	m.picture("mini-auth-document-taken")
	m.press(".next")
	m.press(".return")
	m.until("the note can be written", top(".note-input textarea"))
	m.js(fmt.Sprintf(`(e => { e.focus(); e.value = "数量应为 2 个"; e.dispatchEvent(new Event("input", {bubbles: true})); })(%s)`, top(".note-input textarea")))
	m.js(top(".return-now") + `.scrollIntoView({block: "end", behavior: "instant"})`)
	m.fits()
	m.picture("mini-auth-return")
	m.press(".return-now")
	m.until("it is sent back", fmt.Sprintf(`(%s)?.innerText.includes("退回")`, top(".ended .why")))
	if label, events := a.state(order); label != "审核拒绝" || events[len(events)-1] != "auth_returned" {
		t.Errorf("the order is %s after %v", label, events)
	}
	m.quiet()
}

// A phone with another number is told so and not which one it would be; declining needs
// no proof, and afterwards nothing is left to do.
func TestLegalRepDeclinesInTheMiniProgram(t *testing.T) {
	const wrong = "13800000029"
	m, a, order := asked(t, wrong, nil)
	link := a.linkTo(wrong)
	m.menu()
	m.signIn(".nothing")
	m.fits()
	m.picture("mini-auth-none")
	m.tap(link)
	m.press(".go")
	m.press(".phone-login")
	if said := m.told("不一致"); strings.Contains(said, wrong) || !strings.Contains(said, "联系经办人更换手机号") {
		t.Errorf("another number is told %s", said)
	}
	m.press(".by-sms")
	m.enter(".mobile-input", legalRepMobile)
	m.press(".send-code")
	m.until("no code is sent to it", fmt.Sprintf(`(%s)?.innerText.includes("不一致")`, top(".fault")))
	m.picture("mini-auth-other-number")
	if _, err := a.world.Code(m.ctx, legalRepMobile, "法定代表人验证手机号"); err == nil {
		t.Error("a code went to another number")
	}
	m.press(".back")
	m.press(".decline")
	m.press(".choice")
	m.picture("mini-auth-decline")
	m.press(".decline-now")
	m.told("确定拒绝吗")
	m.until("it is declined", fmt.Sprintf(`(%s)?.innerText.includes("已拒绝")`, top(".ended .why")))
	m.fits()
	m.picture("mini-auth-ended")
	if label, events := a.state(order); label != "审核拒绝" || events[len(events)-1] != "auth_declined" {
		t.Errorf("the order is %s after %v", label, events)
	}
	m.quiet()
}
