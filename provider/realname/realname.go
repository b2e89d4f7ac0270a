// Package realname asks the mobile carriers, through Tencent Cloud, whether a
// name, an identity number and a mobile belong to one person (F24).
package realname

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/tencent"
)

// Config is the Tencent Cloud account that may call faceid.
type Config struct {
	SecretID, SecretKey string
	FaceRuleID          string // the business process of the face check; empty: there is none
	BaseURL             string // default https://faceid.tencentcloudapi.com
	Now                 func() time.Time
	Latency             prometheus.ObserverVec // by "op" and "outcome"; may be nil
}

// Tencent is the three-element check, and the face check. It is safe for concurrent use.
type Tencent struct {
	api      *tencent.Client
	faceRule string
	now      func() time.Time
}

// NewTencent returns the check.
func NewTencent(cfg Config) (*Tencent, error) {
	api, err := tencent.NewClient(tencent.Config{
		Service: "faceid", Version: "2018-03-01", BaseURL: cfg.BaseURL,
		SecretID: cfg.SecretID, SecretKey: cfg.SecretKey, Now: cfg.Now, Latency: cfg.Latency,
	})
	if err != nil {
		return nil, err
	}
	return &Tencent{api, cfg.FaceRuleID, cfg.Now}, nil
}

const action = "PhoneVerification"

// verdicts reads the result codes of PhoneVerification. What the carriers cannot
// tell is left to the reviewer.
var verdicts = map[string]order.RealNameResult{
	"0":   order.RealNameMatch,
	"-4":  order.RealNameMismatch,
	"-5":  order.RealNameMismatch, // the number is not registered in anybody's name
	"-6":  order.RealNameMismatch, // no such mobile
	"-7":  order.RealNameMismatch, // no such identity number
	"-8":  order.RealNameMismatch, // not a name
	"-9":  order.RealNameManual,   // no record
	"-10": order.RealNameMismatch,
	"-13": order.RealNameManual, // carrier not covered
}

// faults are result codes that mean "ask again", as the codes of API 3.0 that
// say the same.
var faults = map[string]string{
	"-11": "InternalError.Busy",
	"-12": "LimitExceeded.Daily",
}

// Provider names this check in evidence.
const Provider = "tencent faceid PhoneVerification"

// Check is Identify without the proof.
func (t *Tencent) Check(ctx context.Context, name identity.PersonName, doc identity.DocType, no identity.DocNo, mobile identity.Mobile) (order.RealNameResult, error) {
	id, err := t.Identify(ctx, name, doc, no, mobile)
	return id.Result, err
}

// Identify asks once. The carriers know only holders of a resident identity card:
// every other document is for the reviewer to compare.
func (t *Tencent) Identify(ctx context.Context, name identity.PersonName, doc identity.DocType, no identity.DocNo, mobile identity.Mobile) (order.Identity, error) {
	if doc != identity.ResidentID {
		return order.Identity{Result: order.RealNameManual}, nil
	}
	in := struct {
		IDCard string `json:"IdCard"`
		Name   string
		Phone  string
	}{no.Reveal(), name.Reveal(), mobile.Reveal()}
	var out struct {
		Result    string
		RequestID string `json:"RequestId"`
	}
	if err := t.api.Call(ctx, action, in, &out); err != nil {
		return order.Identity{}, err
	}
	if verdict, ok := verdicts[out.Result]; ok {
		return order.Identity{Result: verdict, Provider: Provider, ID: out.RequestID, At: t.now()}, nil
	}
	code := cmp.Or(faults[out.Result], fmt.Sprintf("InternalError.Result%s", out.Result))
	return order.Identity{}, t.api.Refused(action, code, out.RequestID)
}
