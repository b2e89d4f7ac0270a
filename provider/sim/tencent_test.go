package sim_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/provider/sim/tc3"
)

// tencent makes a signed Tencent Cloud call and returns its Response.
func (w *world) tencent(service, version, action string, params any, edit ...func(*http.Request)) map[string]any {
	w.t.Helper()
	secretID, secretKey := "AKIDsms", "sms-secret"
	if service == "faceid" {
		secretID, secretKey = "AKIDface", "face-secret"
	}
	body, err := json.Marshal(params)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, w.url+"/playground/"+service+".tencentcloudapi.com/", bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	now := w.sim.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-TC-Action", action)
	req.Header.Set("X-TC-Version", version)
	req.Header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix(), 10))
	canonical := "POST\n/\n\ncontent-type:application/json\nhost:" + req.URL.Host + "\n\ncontent-type;host\n" + sha256Hex(body)
	req.Header.Set("Authorization", "TC3-HMAC-SHA256 Credential="+secretID+"/"+now.UTC().Format(time.DateOnly)+"/"+service+
		"/tc3_request, SignedHeaders=content-type;host, Signature="+tc3.Signature(secretKey, service, now.Unix(), canonical))
	for _, e := range edit {
		e(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Response map[string]any }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		w.t.Fatal(err)
	}
	return answer.Response
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func errorCode(response map[string]any) string {
	e, _ := response["Error"].(map[string]any)
	code, _ := e["Code"].(string)
	return code
}

func sms(edit func(map[string]any)) map[string]any {
	q := map[string]any{
		"PhoneNumberSet": []string{"+8613800000001"}, "SmsSdkAppId": "1400006666", "TemplateId": "1001", "SignName": "云采盾",
		"TemplateParamSet": []string{"012345", "5"}, "SessionContext": "notice-7",
	}
	if edit != nil {
		edit(q)
	}
	return q
}

func TestSendSMS(t *testing.T) {
	w := newWorld(t)
	send := func(q map[string]any) map[string]any {
		set := w.tencent("sms", "2021-01-11", "SendSms", q)["SendStatusSet"].([]any)
		return set[0].(map[string]any)
	}
	if got := send(sms(nil)); got["Code"] != "Ok" || got["SessionContext"] != "notice-7" || got["SerialNo"] == "" {
		t.Fatalf("status %+v", got)
	}
	inbox := get[[]sim.SMSMessage](w, "sms?mobile=13800000001")
	if len(inbox) != 1 || inbox[0].Text != "【云采盾】您的验证码是012345，5分钟内有效。" {
		t.Errorf("inbox %+v", inbox)
	}
	for want, edit := range map[string]func(map[string]any){
		"InvalidParameterValue.IncorrectPhoneNumber":               func(q map[string]any) { q["PhoneNumberSet"] = []string{"+8612800000001"} },
		"FailedOperation.TemplateIncorrectOrUnapproved":            func(q map[string]any) { q["TemplateId"] = "9" },
		"FailedOperation.TemplateParamSetNotMatchApprovedTemplate": func(q map[string]any) { q["TemplateParamSet"] = []string{"1"} },
		"FailedOperation.SignatureIncorrectOrUnapproved":           func(q map[string]any) { q["SignName"] = "别人" },
		"UnauthorizedOperation.SmsSdkAppIdVerifyFail":              func(q map[string]any) { q["SmsSdkAppId"] = "1" },
	} {
		if got := send(sms(edit)); got["Code"] != want {
			t.Errorf("got %v, want %s", got["Code"], want)
		}
	}

	status := w.tencent("sms", "2021-01-11", "PullSmsSendStatusByPhoneNumber", map[string]any{
		"PhoneNumber": "+8613800000001", "SmsSdkAppId": "1400006666", "BeginTime": w.sim.Now().Add(-time.Hour).Unix(), "Offset": 0, "Limit": 100,
	})
	reports := status["PullSmsSendStatusSet"].([]any)
	if len(reports) != 1 || reports[0].(map[string]any)["SessionContext"] != "notice-7" || reports[0].(map[string]any)["ReportStatus"] != "SUCCESS" {
		t.Errorf("reports %+v", status)
	}
}

func TestTencentRefusals(t *testing.T) {
	w := newWorld(t)
	for want, edit := range map[string]func(*http.Request){
		"AuthFailure.SignatureFailure": func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Signature=", "Signature=0", 1))
		},
		"AuthFailure.SignatureExpire":      func(r *http.Request) { r.Header.Set("X-TC-Timestamp", "1551113065") },
		"AuthFailure.InvalidAuthorization": func(r *http.Request) { r.Header.Del("Authorization") },
		"NoSuchVersion":                    func(r *http.Request) { r.Header.Set("X-TC-Version", "2019-07-11") },
		"InvalidAction":                    func(r *http.Request) { r.Header.Set("X-TC-Action", "DeleteEverything") },
	} {
		if got := errorCode(w.tencent("sms", "2021-01-11", "SendSms", sms(nil), edit)); got != want {
			t.Errorf("got %q, want %s", got, want)
		}
	}
	if got := get[[]sim.SMSMessage](w, "sms"); len(got) != 0 {
		t.Errorf("refused calls sent %+v", got)
	}
	post[[]sim.Fault](w, "faults", sim.Fault{Family: "sms.send", Code: "LimitExceeded.PhoneNumberThirtySecondLimit"})
	if got := errorCode(w.tencent("sms", "2021-01-11", "SendSms", sms(nil))); got != "LimitExceeded.PhoneNumberThirtySecondLimit" {
		t.Errorf("injected: %q", got)
	}
}

func TestPhoneVerification(t *testing.T) {
	w := newWorld(t)
	cases := []struct{ name, person, id, phone, result, detail string }{
		{"all agree", "申小采", "110101199003070016", "13800000001", "0", ""},
		{"another name", "王大锤", "110101199003070016", "13800000001", "-4", "PhoneNameMismatch"},
		{"another number", "申小采", "110101199003070024", "13800000001", "-4", "PhoneIdCardMismatch"},
		{"another person", "王大锤", "110101199003070024", "13800000001", "-4", "PhoneNameIdCardMismatch"},
		{"unknown phone", "申小采", "110101199003070016", "13900000009", "-9", ""},
		{"persona without a number", "沈合规", "110101199003070016", "13800000002", "-9", ""},
		{"not a phone", "申小采", "110101199003070016", "02988888888", "-6", ""},
		{"not an identity number", "申小采", "123", "13800000001", "-7", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := w.tencent("faceid", "2018-03-01", "PhoneVerification", map[string]any{
				"IdCard": c.id, "Name": c.person, "Phone": c.phone, "VerifyMode": "1",
			})
			if got["Result"] != c.result || got["ResultDetail"] != c.detail {
				t.Errorf("got %+v", got)
			}
		})
	}
}
