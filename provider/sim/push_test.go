package sim_test

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/silenceper/wechat/v2/util"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// openPush checks a callback with the published SDK's functions and returns its plain XML.
func openPush(t *testing.T, w *world, r *http.Request) string {
	t.Helper()
	var sealed struct{ Encrypt string }
	body, err := io.ReadAll(r.Body)
	if err != nil || xml.Unmarshal(body, &sealed) != nil {
		t.Errorf("push %q: %v", body, err)
	}
	q := r.URL.Query()
	token := w.cfg.WeChat.Token
	if got := util.Signature(token, q.Get("timestamp"), q.Get("nonce")); got != q.Get("signature") {
		t.Errorf("signature %s, want %s", q.Get("signature"), got)
	}
	if got := util.Signature(token, q.Get("timestamp"), q.Get("nonce"), sealed.Encrypt); got != q.Get("msg_signature") {
		return "" // for the test of forgeries
	}
	_, plain, err := util.DecryptMsg(w.cfg.WeChat.AppID, sealed.Encrypt, aesKey)
	if err != nil {
		t.Error(err)
	}
	return string(plain)
}

// sealReply answers as the product does, sealed by the published SDK.
func sealReply(t *testing.T, w *world, to, content string) string {
	t.Helper()
	plain := fmt.Sprintf("<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName>"+
		"<CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content></xml>", to, w.cfg.WeChat.OriginalID, content)
	sealed, err := util.EncryptMsg([]byte("0123456789abcdef"), []byte(plain), w.cfg.WeChat.AppID, aesKey)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("<xml><Encrypt><![CDATA[%s]]></Encrypt><MsgSignature>%s</MsgSignature><TimeStamp>1</TimeStamp><Nonce><![CDATA[n]]></Nonce></xml>",
		sealed, util.Signature(w.cfg.WeChat.Token, "1", "n", string(sealed)))
}

func say(w *world, text string) sim.Exchange {
	w.t.Helper()
	return post[sim.Exchange](w, "chat", map[string]any{"persona": "applicant", "text": text})
}

func TestChatShowsTheEncryptedReply(t *testing.T) {
	w := newWorld(t)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		var m struct{ Content, FromUserName, MsgType string }
		if err := xml.Unmarshal([]byte(openPush(t, w, r)), &m); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(rw, sealReply(t, w, m.FromUserName, "收到:"+m.Content))
	})
	for _, text := range []string{"我的订单到哪一步了", "😀<xml>", "a&b"} {
		if got := say(w, text); len(got.Replies) != 1 || got.Replies[0].Text != "收到:"+text {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if chat := get[[]sim.ChatMessage](w, "chat?persona=applicant"); chat[0].From != "user" || chat[1].From != "account" {
		t.Errorf("chat %+v", chat)
	}
}

// A text that contains the end of a CDATA section arrives whole.
func TestChatSplitsCDATA(t *testing.T) {
	w := newWorld(t)
	heard := make(chan string, 1)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		var m struct{ Content string }
		if err := xml.Unmarshal([]byte(openPush(t, w, r)), &m); err != nil {
			t.Error(err)
		}
		heard <- m.Content
		_, _ = io.WriteString(rw, "success")
	})
	say(w, "a]]>b]]")
	if got := <-heard; got != "a]]>b]]" {
		t.Errorf("heard %q", got)
	}
}

// WeChat repeats a push that is not answered, with the same MsgId, and shows a notice in the end.
func TestPushIsRetried(t *testing.T) {
	w := newWorld(t, func(c *sim.Config) { c.CallbackTimeout = 50 * time.Millisecond })
	var mu sync.Mutex
	var bodies []string
	answers := []func(http.ResponseWriter, *http.Request){
		func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) },
		func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, "success") },
	}
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		body := openPush(t, w, r)
		mu.Lock()
		bodies = append(bodies, body)
		n := min(len(bodies), len(answers))
		mu.Unlock()
		answers[n-1](rw, r)
	})
	got := say(w, "在吗")
	if len(got.Attempts) != 3 || got.Attempts[1].Status != 500 || len(got.Replies) != 0 {
		t.Errorf("attempts %+v, replies %+v", got.Attempts, got.Replies)
	}
	if bodies[0] != bodies[1] || bodies[1] != bodies[2] {
		t.Errorf("the message changed between attempts: %q", bodies)
	}

	for name, answer := range map[string]string{"plain reply": "<xml><MsgType>text</MsgType></xml>", "empty text": sealReply(t, w, "oApplicant", "")} {
		w.answer(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, answer) })
		if got := say(w, name); len(got.Replies) != 1 || got.Replies[0].From != "system" || !strings.Contains(got.Replies[0].Text, "服务出现故障") {
			t.Errorf("%s: %+v", name, got.Replies)
		}
	}
	w.answer(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
	if got := say(w, "x"); len(got.Attempts) != 4 || got.Replies[0].Kind != "notice" {
		t.Errorf("four refusals: %+v", got)
	}
}

// Hostile pushes differ from an honest one in exactly what the product must notice.
func TestHostilePushes(t *testing.T) {
	w := newWorld(t)
	say(w, "查询")
	now := w.sim.Now().Unix()
	for mode, check := range map[string]func(r *http.Request) bool{
		"forged": func(r *http.Request) bool { return openPush(t, w, r) == "" },
		"stale": func(r *http.Request) bool {
			return r.URL.Query().Get("timestamp") == fmt.Sprint(now-600) && openPush(t, w, r) != ""
		},
		"plain": func(r *http.Request) bool {
			body, _ := io.ReadAll(r.Body)
			return r.URL.Query().Get("encrypt_type") == "" && strings.Contains(string(body), "查询")
		},
		"replay": func(r *http.Request) bool { return strings.Contains(openPush(t, w, r), "查询") },
	} {
		w.answer(func(rw http.ResponseWriter, r *http.Request) {
			if !check(r) {
				t.Errorf("%s: not as announced", mode)
			}
			rw.WriteHeader(http.StatusForbidden)
		})
		if got := post[sim.Exchange](w, "push", map[string]any{"persona": "applicant", "mode": mode}); got.Attempts[0].Status != http.StatusForbidden {
			t.Errorf("%s: %+v", mode, got)
		}
	}
}

func TestCallbackRepeats(t *testing.T) {
	w := newWorld(t)
	post[[]sim.Fault](w, "faults", sim.Fault{Family: "callback", Repeat: 2, DelayMS: 1})
	if got := say(w, "三次"); len(got.Attempts) != 3 {
		t.Errorf("attempts %+v", got.Attempts)
	}
}

// After a template message its job-finished event follows with the same id.
func TestTemplateJobFinishes(t *testing.T) {
	w := newWorld(t)
	events := make(chan string, 1)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		events <- openPush(t, w, r)
		_, _ = io.WriteString(rw, "success")
	})
	id, err := w.account().GetTemplate().Send(reviewCard("oReviewer", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := <-events; !strings.Contains(got, "TEMPLATESENDJOBFINISH") || !strings.Contains(got, fmt.Sprintf("<MsgID>%d</MsgID>", id)) {
		t.Errorf("event %s", got)
	}
}

// Saving the server settings in WeChat's console asks the callback to echo a text.
func TestVerifyURL(t *testing.T) {
	w := newWorld(t)
	w.answer(func(rw http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.Method == http.MethodGet && util.Signature(w.cfg.WeChat.Token, q.Get("timestamp"), q.Get("nonce")) == q.Get("signature") {
			_, _ = io.WriteString(rw, q.Get("echostr"))
		}
	})
	post[sim.Attempt](w, "verify", nil)
	w.answer(func(http.ResponseWriter, *http.Request) {})
	if status, _ := w.call(http.MethodPost, "verify", nil); status != http.StatusConflict {
		t.Errorf("a silent callback passed: %d", status)
	}
}
