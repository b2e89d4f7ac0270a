package main

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// issuerRequests is what web and jobs may ask of the issuer: one executor per
// kind. Package request says how to add one.
func (a *app) issuerRequests() map[request.Kind]request.Executor {
	return map[request.Kind]request.Executor{
		request.SealChain:    a.sealChain,
		request.SealDigest:   a.sealDigest,
		request.UnlockSecret: refusing(a.unlockSecret),
		request.UnlockDone:   refusing(a.unlockDone),
		request.UnlockCode:   refusing(a.unlockCode),
		request.IssueForCSR:  refusing(a.issueForCSR),
		request.InitialPIN:   a.tellPIN,
		request.MakeKey:      refusing(a.makeKey),
		request.ScrapIssue:   refusing(a.scrapIssue),

		request.StationTake:    refusing(a.stationTake),
		request.StationCertify: refusing(a.stationCertify),
		request.StationFinish:  refusing(a.stationFinish),
	}
}

// refusing turns a refusal of the CA into the answer of a request.
func refusing(do request.Executor) request.Executor {
	return func(ctx context.Context, r request.Request) ([]byte, error) {
		answer, err := do(ctx, r)
		return answer, refusalOf(err)
	}
}

// refusalOf is what the CA will not do, as an error of the domain.
func refusalOf(err error) error {
	if r, ok := errors.AsType[*issuance.Refusal](err); ok {
		return &order.Error{Kind: order.Conflict, Code: r.Code, Detail: r.Detail, Err: err}
	}
	return err
}

// decode reads the body of a request.
func decode[T any](body []byte) (in T, err error) {
	if json.Unmarshal(body, &in) != nil {
		err = order.Errorf(order.Invalid, "request_malformed", "请求内容有误，请重新开始")
	}
	return in, err
}

func (a *app) unlockSecret(ctx context.Context, r request.Request) ([]byte, error) {
	in, err := decode[request.SecretBody](r.Body)
	if err != nil {
		return nil, err
	}
	return a.pipeline.UnlockSecret(ctx, r.Subject, in.Ticket, in.PublicKey)
}

func (a *app) unlockDone(ctx context.Context, r request.Request) ([]byte, error) {
	return nil, a.pipeline.ConfirmUnlock(ctx, r.Subject, string(r.Body))
}

func (a *app) unlockCode(ctx context.Context, r request.Request) ([]byte, error) {
	in, err := decode[request.CodeBody](r.Body)
	if err != nil {
		return nil, err
	}
	return a.pipeline.AnswerCode(ctx, r.Subject, in.Challenge, in.PublicKey)
}

// makeKey makes what an order item needs, from where it was left.
func (a *app) makeKey(ctx context.Context, r request.Request) ([]byte, error) {
	asked, err := decode[issuance.Request](r.Body)
	if err != nil {
		return nil, err
	}
	is, err := a.pipeline.Make(ctx, asked)
	if err != nil {
		return nil, faultOf(err)
	}
	return json.Marshal(request.Made{TokenSerial: is.TokenSerial, CertSerial: is.Serial})
}

// faultOf is what was wrong with a USBKEY this time, as an error of the domain; what
// the CA refuses for good stays as it is.
func faultOf(err error) error {
	if detail, ok := token.Detail(err); ok {
		return &order.Error{Kind: order.Unavailable, Code: "usbkey_failed", Detail: detail, Err: err}
	}
	return err
}

func (a *app) scrapIssue(ctx context.Context, r request.Request) ([]byte, error) {
	_, err := a.pipeline.Scrap(ctx, r.Subject, string(r.Body))
	if errors.Is(err, issuance.ErrUnknownIssue) {
		err = nil
	}
	return nil, err
}

// unlocks wires the unlocking of USBKEYs; it works in any process that can ask an issuer.
func (a *app) unlocks(certificates *certificate.Service) *certificate.Unlocks {
	return certificate.NewUnlocks(certificate.UnlockDeps{
		Certificates: certificates, Orders: a.orders, Issuer: a.desk, DER: a.der, Verify: issuance.VerifyChallenge, Code: a.askCode,
	})
}

func (a *app) der(ctx context.Context, serial string) ([]byte, error) {
	is, err := a.db.CertificateBySerial(ctx, serial)
	return is.Certificate, err
}

// askCode has the issuer answer a challenge, sealed to a key that lives as long as
// this call.
func (a *app) askCode(ctx context.Context, id, tokenSerial, challenge string) (string, error) {
	e, err := token.NewEphemeral()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(request.CodeBody{Challenge: challenge, PublicKey: e.Public()})
	if err != nil {
		return "", err
	}
	sealed, err := a.desk.Ask(ctx, id, request.UnlockCode, tokenSerial, body)
	if err != nil {
		return "", err
	}
	return issuance.OpenCode(e, tokenSerial, challenge, sealed)
}
