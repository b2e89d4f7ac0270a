package handlers

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// Row 12: who has used up the SMS of a day reads so on the order, before and after he tries.
func TestResendsUsedUp(t *testing.T) {
	w := newWeb(t)
	o, _ := w.asked(nil)
	b := w.browser()
	b.login(agentMobile)
	path, says := "/orders/"+string(o.ID), "今天的授权短信次数已用完"
	for range 3 {
		if a := b.get(path); strings.Contains(a.Body, says) || !strings.Contains(a.Body, "更换并发送") {
			t.Fatalf("some are left: %s", a.Body)
		}
		if a := b.post(path+"/authorization/resend", nil); a.location() != path {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
	}
	for name, a := range map[string]answer{
		"before":         b.get(path),
		"again":          b.post(path+"/authorization/resend", nil),
		"another number": b.post(path+"/authorization/mobile", url.Values{"mobile": {"13900139000"}}),
	} {
		if !strings.Contains(a.Body, says) || !strings.Contains(a.Body, ` disabled>重发授权短信`) || strings.Contains(a.Body, "更换并发送") || strings.Contains(a.Body, `role="alert">今天`) != (a.Status == http.StatusTooManyRequests) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

// Keys that are made in one go are one line of the history, with when the last was.
func TestHistoryFoldsKeys(t *testing.T) {
	var events []order.EventRecord
	for i, e := range []order.Event{
		order.Approve, order.MakeKey, order.KeyVerified, order.MakeKey, order.MakeKey, order.KeyVerified, order.KeyFailed, order.RetryKey, order.KeyVerified, order.Ship,
	} {
		events = append(events, order.EventRecord{Event: e, At: time.Unix(int64(i), 0)})
	}
	var got []string
	for _, m := range timeline(events) {
		got = append(got, fmt.Sprint(m.At.Unix(), " ", m.Text))
	}
	if want := []string{"9 已寄出", "8 UKEY 制作完成并验证", "7 重新制作", "6 UKEY 制作失败", "5 2 个 UKEY 制作完成并验证", "4 3 个 UKEY 开始制证", "0 审核通过"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// What is wrong with another mobile or with a paper letter stands beside its field, and
// what was typed stays (F44).
func TestAuthorizationFaultsStandBesideTheirFields(t *testing.T) {
	w := newWeb(t)
	o, _ := w.asked(nil)
	b := w.browser()
	b.login(agentMobile)
	path := "/orders/" + string(o.ID)
	paper := func(email, file string) answer {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		must(t, m.WriteField(csrfField, b.csrf))
		must(t, m.WriteField("email", email))
		part, err := m.CreateFormFile("file", "letter.jpg")
		must(t, err)
		_, err = part.Write([]byte(file))
		must(t, err)
		must(t, m.Close())
		return b.do(http.MethodPost, path+"/authorization/paper", m.FormDataContentType(), &body)
	}
	for name, tt := range map[string]struct {
		a     answer
		fault string
		typed string
	}{
		"mobile":           {b.post(path+"/authorization/mobile", url.Values{"mobile": {"1390013900"}}), `id="legal-mobile-fault" role="alert">手机号应为11位数字`, `value="1390013900"`},
		"e-mail":           {paper("wang@", string(photo(t))), `id="paper-email-fault" role="alert">纸质授权书需要`, `value="wang@"`},
		"photo":            {paper("wang@example.com", "no picture"), `id="paper-file-fault" role="alert">只支持 jpg`, `value="wang@example.com"`},
		"letter to be had": {b.post(path+"/authorization/letter", url.Values{"email": {"wang"}}), `id="paper-email-fault"`, `value="wang"`},
	} {
		if tt.a.Status != http.StatusUnprocessableEntity || !strings.Contains(tt.a.Body, tt.fault) || !strings.Contains(tt.a.Body, tt.typed) || !strings.Contains(tt.a.Body, "<details open>") {
			t.Errorf("%s: %d %s", name, tt.a.Status, tt.a.Body)
		}
	}
}
