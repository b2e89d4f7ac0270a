package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/provider/sim/tc3"
)

// tencent serves one Tencent Cloud API 3.0 service: signature, version, fault, action.
func (s *Server) tencent(service, version string, action func(name string, body []byte) (family string, call func() (map[string]any, error))) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			refuseTencent(w, 0, "RequestSizeLimitExceeded")
			return
		}
		secretID, secretKey := s.cfg.SMS.SecretID, s.cfg.SMS.SecretKey
		if service == "faceid" {
			secretID, secretKey = s.cfg.FaceID.SecretID, s.cfg.FaceID.SecretKey
		}
		if err := tc3.Verify(r, body, service, secretID, secretKey, s.Now()); err != nil {
			writeTencentError(w, err)
			return
		}
		if r.Header.Get("X-TC-Version") != version {
			writeTencentError(w, &tc3.Error{Code: "NoSuchVersion", Message: "The API version does not exist."})
			return
		}
		family, call := action(r.Header.Get("X-TC-Action"), body)
		if call == nil {
			writeTencentError(w, &tc3.Error{Code: "InvalidAction", Message: "The action does not exist."})
			return
		}
		s.faulty(family, refuseTencent, func(w http.ResponseWriter, _ *http.Request) {
			s.mu.Lock()
			answer, err := call()
			s.mu.Unlock()
			if err != nil {
				writeTencentError(w, err)
				return
			}
			answer["RequestId"] = token(16)
			writeJSON(w, http.StatusOK, map[string]any{"Response": answer})
		})(w, r)
	}
}

func refuseTencent(w http.ResponseWriter, status int, code string) {
	if code == "" {
		http.Error(w, http.StatusText(status), status)
		return
	}
	writeTencentError(w, &tc3.Error{Code: code, Message: "injected fault"})
}

func writeTencentError(w http.ResponseWriter, err error) {
	code, message := "InternalError", err.Error()
	if refusal := new(tc3.Error); errors.As(err, &refusal) {
		code, message = refusal.Code, refusal.Message
	}
	writeJSON(w, http.StatusOK, map[string]any{"Response": map[string]any{
		"Error": map[string]string{"Code": code, "Message": message}, "RequestId": token(16),
	}})
}

// SMSMessage is one text that reached a phone.
type SMSMessage struct {
	SerialNo       string    `json:"serial_no"`
	Mobile         string    `json:"mobile"` // eleven digits
	TemplateID     string    `json:"template_id"`
	Params         []string  `json:"params"`
	Text           string    `json:"text"`
	SessionContext string    `json:"session_context,omitempty"`
	At             time.Time `json:"at"`
}

func (s *Server) smsAction(name string, body []byte) (string, func() (map[string]any, error)) {
	switch name {
	case "SendSms":
		return "sms.send", func() (map[string]any, error) { return s.sendSMS(body) }
	case "PullSmsSendStatusByPhoneNumber":
		return "sms.status", func() (map[string]any, error) { return s.smsStatus(body) }
	}
	return "", nil
}

var (
	mobile    = regexp.MustCompile(`^(?:\+?86)?(1[3-9]\d{9})$`)
	smsParam  = regexp.MustCompile(`\{(\d+)\}`)
	errNoBody = &tc3.Error{Code: "InvalidParameter", Message: "The request body is not valid JSON."}
)

// sendSMS answers per number; a fault of the request itself refuses all of it.
func (s *Server) sendSMS(body []byte) (map[string]any, error) {
	var q struct {
		PhoneNumberSet   []string
		SmsSdkAppID      string `json:"SmsSdkAppId"`
		TemplateID       string `json:"TemplateId"`
		SignName         string
		TemplateParamSet []string
		SessionContext   string
	}
	if json.Unmarshal(body, &q) != nil {
		return nil, errNoBody
	}
	switch {
	case len(q.PhoneNumberSet) == 0 || len(q.PhoneNumberSet) > 200:
		return nil, &tc3.Error{Code: "InvalidParameterValue.ContentLengthLimit", Message: "PhoneNumberSet must hold 1 to 200 numbers."}
	case len(q.SessionContext) > 512:
		return nil, &tc3.Error{Code: "InvalidParameterValue.ContentLengthLimit", Message: "SessionContext is too long."}
	}
	text, refusal := s.smsText(q.SmsSdkAppID, q.SignName, q.TemplateID, q.TemplateParamSet)
	set := []map[string]any{}
	for _, number := range q.PhoneNumberSet {
		row := map[string]any{
			"SerialNo": "", "PhoneNumber": number, "Fee": 0, "SessionContext": q.SessionContext,
			"Code": "Ok", "Message": "send success", "IsoCode": "CN",
		}
		m := mobile.FindStringSubmatch(number)
		switch {
		case refusal != "":
			row["Code"], row["Message"] = refusal, refusal
		case m == nil:
			row["Code"], row["Message"] = "InvalidParameterValue.IncorrectPhoneNumber", "incorrect phone number"
		default:
			sms := SMSMessage{
				SerialNo: "5000:" + strconv.FormatInt(s.nextID(), 10), Mobile: m[1], TemplateID: q.TemplateID, Params: nonNil(q.TemplateParamSet),
				Text: text, SessionContext: q.SessionContext, At: s.now(),
			}
			s.texts.put(sms.SerialNo, sms)
			s.note("sms", fmt.Sprintf("%s 收到短信", s.ownerOf(sms.Mobile)))
			row["SerialNo"], row["Fee"] = sms.SerialNo, 1+(utf8.RuneCountInString(text)-1)/67
		}
		set = append(set, row)
	}
	return map[string]any{"SendStatusSet": set}, nil
}

// smsText renders the template, or names the fault as SendStatusSet does.
func (s *Server) smsText(sdkAppID, sign, templateID string, params []string) (text, refusal string) {
	template, known := s.cfg.SMS.Templates[templateID]
	want := 0
	for _, m := range smsParam.FindAllStringSubmatch(template, -1) {
		n, _ := strconv.Atoi(m[1])
		want = max(want, n)
	}
	switch {
	case sdkAppID != s.cfg.SMS.SdkAppID:
		return "", "UnauthorizedOperation.SmsSdkAppIdVerifyFail"
	case sign == "" || s.cfg.SMS.SignName != "" && sign != s.cfg.SMS.SignName:
		return "", "FailedOperation.SignatureIncorrectOrUnapproved"
	case !known:
		return "", "FailedOperation.TemplateIncorrectOrUnapproved"
	case want != len(params):
		return "", "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
	}
	body := smsParam.ReplaceAllStringFunc(template, func(p string) string {
		n, _ := strconv.Atoi(strings.Trim(p, "{}"))
		if n < 1 {
			return p
		}
		return params[n-1]
	})
	return "【" + sign + "】" + body, ""
}

// smsStatus lists the reports of one number in a period, oldest first.
func (s *Server) smsStatus(body []byte) (map[string]any, error) {
	var q struct {
		BeginTime   int64
		EndTime     int64
		Limit       int
		PhoneNumber string
		SmsSdkAppID string `json:"SmsSdkAppId"`
	}
	if json.Unmarshal(body, &q) != nil {
		return nil, errNoBody
	}
	m := mobile.FindStringSubmatch(q.PhoneNumber)
	switch {
	case q.SmsSdkAppID != s.cfg.SMS.SdkAppID:
		return nil, &tc3.Error{Code: "UnauthorizedOperation.SmsSdkAppIdVerifyFail", Message: "SmsSdkAppId is not yours."}
	case m == nil:
		return nil, &tc3.Error{Code: "InvalidParameterValue.IncorrectPhoneNumber", Message: "incorrect phone number"}
	case q.Limit < 1 || q.Limit > 100:
		return nil, &tc3.Error{Code: "InvalidParameterValue.LimitOutOfRange", Message: "Limit must be 1 to 100."}
	case s.now().Unix()-q.BeginTime > 7*24*3600:
		return nil, &tc3.Error{Code: "InvalidParameterValue.BeginTimeVerifyFail", Message: "BeginTime is more than seven days ago."}
	}
	set := []map[string]any{}
	for _, sms := range s.texts.find(func(sms SMSMessage) bool {
		return sms.Mobile == m[1] && sms.At.Unix() >= q.BeginTime && (q.EndTime == 0 || sms.At.Unix() <= q.EndTime)
	}) {
		if len(set) == q.Limit {
			break
		}
		set = append(set, map[string]any{
			"UserReceiveTime": sms.At.Unix(), "CountryCode": "86", "SubscriberNumber": sms.Mobile, "PhoneNumber": "+86" + sms.Mobile,
			"SerialNo": sms.SerialNo, "ReportStatus": "SUCCESS", "Description": "DELIVRD", "SessionContext": sms.SessionContext,
		})
	}
	return map[string]any{"PullSmsSendStatusSet": set}, nil
}

// ownerOf names whose phone it is, or shows the number masked.
func (s *Server) ownerOf(number string) string {
	for _, p := range s.cfg.Personas {
		if p.Mobile == number {
			return p.Name
		}
	}
	return number[:3] + "****" + number[7:]
}

func (s *Server) faceidAction(name string, body []byte) (string, func() (map[string]any, error)) {
	switch name {
	case "PhoneVerification":
		return "faceid", func() (map[string]any, error) { return s.verifyPhone(body) }
	case "DetectAuth":
		return "faceid", func() (map[string]any, error) { return s.startFace(body) }
	case "GetDetectInfoEnhanced":
		return "faceid", func() (map[string]any, error) { return s.faceResult(body) }
	}
	return "", nil
}

var idNumber = regexp.MustCompile(`^[1-9]\d{16}[\dX]$`)

// verifyPhone compares name, identity number and mobile with the carrier's customers, the personas.
func (s *Server) verifyPhone(body []byte) (map[string]any, error) {
	var q struct {
		IDCard                  string `json:"IdCard"`
		Name, Phone, VerifyMode string
	}
	if json.Unmarshal(body, &q) != nil {
		return nil, errNoBody
	}
	if q.IDCard == "" || q.Name == "" || q.Phone == "" {
		return nil, &tc3.Error{Code: "InvalidParameter", Message: "IdCard, Name and Phone are required."}
	}
	result, description, detail := s.compare(strings.ToUpper(q.IDCard), q.Name, q.Phone)
	s.note("faceid", fmt.Sprintf("三要素核验 %s：%s", maskName(q.Name), description))
	answer := map[string]any{"Result": result, "Description": description, "Isp": "", "ResultDetail": ""}
	if result == "0" || result == "-4" {
		answer["Isp"] = "移动"
	}
	if q.VerifyMode == "1" {
		answer["ResultDetail"] = detail
	}
	return answer, nil
}

func (s *Server) compare(id, name, phone string) (result, description, detail string) {
	switch {
	case mobile.FindString(phone) == "" || len(phone) != 11:
		return "-6", "手机号码不合法", ""
	case !idNumber.MatchString(id):
		return "-7", "身份证号码有误", ""
	case utf8.RuneCountInString(name) < 2:
		return "-8", "姓名校验不通过", ""
	}
	for _, p := range s.cfg.Personas {
		if p.Mobile != phone || p.IDNumber == "" {
			continue
		}
		switch {
		case p.Name == name && p.IDNumber == id:
			return "0", "认证通过", ""
		case p.Name == name:
			return "-4", "三要素信息不一致", "PhoneIdCardMismatch"
		case p.IDNumber == id:
			return "-4", "三要素信息不一致", "PhoneNameMismatch"
		}
		return "-4", "三要素信息不一致", "PhoneNameIdCardMismatch"
	}
	return "-9", "没有记录", ""
}

func maskName(name string) string {
	r := []rune(name)
	return string(r[:1]) + strings.Repeat("*", len(r)-1)
}
