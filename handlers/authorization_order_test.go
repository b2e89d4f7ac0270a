package handlers

import (
	"bytes"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

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
