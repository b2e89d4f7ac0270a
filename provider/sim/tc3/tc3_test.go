package tc3_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/tc3"
)

// The worked example of Tencent Cloud's signature documentation.
const (
	secretID  = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE"
	secretKey = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
	body      = `{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`
	signature = "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
	unix      = 1551113065
)

func request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://cvm.tencentcloudapi.com/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("X-TC-Timestamp", "1551113065")
	r.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+secretID+"/2019-02-25/cvm/tc3_request, "+
		"SignedHeaders=content-type;host, Signature="+signature)
	return r
}

func TestDocumentedExample(t *testing.T) {
	if err := tc3.Verify(request(), []byte(body), "cvm", secretID, secretKey, time.Unix(unix, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	cases := []struct {
		name string
		edit func(*http.Request)
		body string
		late time.Duration
		want string
	}{
		{name: "other body", body: "{}", want: "AuthFailure.SignatureFailure"},
		{name: "other host", edit: func(r *http.Request) { r.Host = "evil.example" }, want: "AuthFailure.SignatureFailure"},
		{name: "too late", late: 6 * time.Minute, want: "AuthFailure.SignatureExpire"},
		{name: "too early", late: -6 * time.Minute, want: "AuthFailure.SignatureExpire"},
		{name: "no header", edit: func(r *http.Request) { r.Header.Del("Authorization") }, want: "AuthFailure.InvalidAuthorization"},
		{name: "unknown id", edit: swap("AKID", "AKIX"), want: "AuthFailure.SecretIdNotFound"},
		{name: "other service", edit: swap("/cvm/", "/sms/"), want: "AuthFailure.InvalidAuthorization"},
		{name: "host unsigned", edit: swap("content-type;host", "content-type"), want: "AuthFailure.InvalidAuthorization"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := request()
			if c.edit != nil {
				c.edit(r)
			}
			sent := c.body
			if sent == "" {
				sent = body
			}
			err := tc3.Verify(r, []byte(sent), "cvm", secretID, secretKey, time.Unix(unix, 0).Add(c.late))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func swap(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), from, to, 1))
	}
}
