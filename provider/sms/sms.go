// Package sms sends text messages through Tencent Cloud SMS. A message is an
// approved template and its parameters: there is no free text.
//
// SendSms has no idempotency key. The id of our message travels as its
// SessionContext instead, and after a crash in between, Sent looks whether a
// message with that id went out.
package sms

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/tencent"
)

// Config is the SMS application at Tencent Cloud.
type Config struct {
	SecretID, SecretKey string
	SdkAppID            string
	SignName            string // the approved signature, without 【】
	// Template is the approved template id of one of our template names, "" without one.
	Template func(name string) string
	Region   string // default ap-guangzhou
	BaseURL  string // default https://sms.tencentcloudapi.com
	Now      func() time.Time
	Latency  prometheus.ObserverVec // by "op" and "outcome"; may be nil
}

// Tencent is one SMS application. It is safe for concurrent use.
type Tencent struct {
	cfg Config
	api *tencent.Client
}

// NewTencent returns the application's client.
func NewTencent(cfg Config) (*Tencent, error) {
	if cfg.SdkAppID == "" || cfg.SignName == "" {
		return nil, errors.New("sms: no application ID or signature")
	}
	api, err := tencent.NewClient(tencent.Config{
		Service: "sms", Version: "2021-01-11", Region: cmp.Or(cfg.Region, "ap-guangzhou"), BaseURL: cfg.BaseURL,
		SecretID: cfg.SecretID, SecretKey: cfg.SecretKey, Now: cfg.Now, Latency: cfg.Latency,
	})
	if err != nil {
		return nil, err
	}
	return &Tencent{cfg: cfg, api: api}, nil
}

// Send hands a message over and returns the provider's serial number. id is ours
// and comes back in delivery reports; template is a name that Config.Template knows and
// params are its {1}, {2} ….
//
// RateLimited: the number or the account has had its share. Invalid: the number
// cannot be reached by SMS. Unavailable: nobody knows whether it went out; ask
// Sent before sending again.
func (t *Tencent) Send(ctx context.Context, id string, to identity.Mobile, template string, params []string) (string, error) {
	templateID := t.cfg.Template(template)
	if templateID == "" {
		return "", fmt.Errorf("sms: template %q is not configured", template)
	}
	in := struct {
		PhoneNumberSet   []string
		SmsSdkAppID      string `json:"SmsSdkAppId"`
		SignName         string
		TemplateID       string `json:"TemplateId"`
		TemplateParamSet []string
		SessionContext   string
	}{[]string{e164(to)}, t.cfg.SdkAppID, t.cfg.SignName, templateID, params, id}
	var out struct {
		SendStatusSet []struct{ SerialNo, Code string }
		RequestID     string `json:"RequestId"`
	}
	if err := t.api.Call(ctx, "SendSms", in, &out); err != nil {
		return "", withKind(err)
	}
	if len(out.SendStatusSet) != 1 {
		return "", t.api.Refused("SendSms", "InternalError.NoStatus", out.RequestID)
	}
	status := out.SendStatusSet[0]
	if status.Code != "Ok" {
		return "", withKind(t.api.Refused("SendSms", status.Code, out.RequestID))
	}
	return status.SerialNo, nil
}

// lookBack is how far Sent looks: no number gets a hundred messages, the most
// that one answer holds, in this time.
const lookBack = 48 * time.Hour

// Sent reports whether the message with that id went out to that number. The
// carriers report a message some seconds after it left: no is only final for
// one that was handed over minutes ago.
func (t *Tencent) Sent(ctx context.Context, id string, to identity.Mobile) (bool, error) {
	now := t.cfg.Now()
	in := struct {
		BeginTime, EndTime int64
		Offset, Limit      int
		PhoneNumber        string
		SmsSdkAppID        string `json:"SmsSdkAppId"`
	}{now.Add(-lookBack).Unix(), now.Unix(), 0, 100, e164(to), t.cfg.SdkAppID}
	var out struct {
		PullSmsSendStatusSet []struct{ SessionContext string }
	}
	if err := t.api.Call(ctx, "PullSmsSendStatusByPhoneNumber", in, &out); err != nil {
		return false, withKind(err)
	}
	return slices.ContainsFunc(out.PullSmsSendStatusSet, func(s struct{ SessionContext string }) bool { return s.SessionContext == id }), nil
}

func e164(m identity.Mobile) string { return "+86" + m.Reveal() }

// pauses says how long a limit of the provider lasts.
var pauses = map[string]time.Duration{
	"LimitExceeded.PhoneNumberThirtySecondLimit": 30 * time.Second,
	"LimitExceeded.PhoneNumberOneHourLimit":      time.Hour,
	"LimitExceeded.PhoneNumberDailyLimit":        24 * time.Hour,
	"LimitExceeded.AppDailyLimit":                time.Hour, // an operator may raise it
}

// withKind refines what package tencent knows by the codes of SendSms.
func withKind(err error) error {
	refused, ok := errors.AsType[*tencent.Error](err)
	if !ok {
		return err
	}
	switch code := refused.Code; {
	case pauses[code] > 0:
		return &order.Error{Kind: order.RateLimited, Code: "sms_limit", Detail: "短信发送过于频繁，请稍后再试", RetryAfter: pauses[code], Err: err}
	case code == "InvalidParameterValue.IncorrectPhoneNumber", code == "FailedOperation.PhoneNumberInBlacklist",
		strings.HasPrefix(code, "UnsupportedOperation."):
		return &order.Error{Kind: order.Invalid, Code: "sms_unreachable", Detail: "该手机号无法接收短信", Err: err}
	case code == "FailedOperation.InsufficientBalanceInSmsPackage", code == "UnauthorizedOperation.SerivceSuspendDueToArrears":
		return &order.Error{Kind: order.Unavailable, Code: "sms_unpaid", Detail: "短信服务暂时不可用，请稍后再试", RetryAfter: 10 * time.Minute, Err: err}
	}
	return err
}
