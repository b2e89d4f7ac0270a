package main

import (
	"context"
	"errors"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// initialPINs tells holders the initial PINs of their USBKEYs, once each (G25). The
// PIN comes from the issuer sealed to a key that lives only as long as the question.
type initialPINs struct{ a *app }

// Untold reports whether there is a PIN to tell.
func (p initialPINs) Untold(ctx context.Context, cert certificate.Certificate) (bool, error) {
	return p.a.db.PINUntold(ctx, cert.TokenSerial)
}

// Tell asks the issuer. It is on record before the issuer is asked, who answers once: a line
// that cannot be written costs nobody his PIN, and no PIN is read without one.
func (p initialPINs) Tell(ctx context.Context, cert certificate.Certificate, by order.Actor) (string, error) {
	key, err := request.NewPINKey()
	if err != nil {
		return "", err
	}
	line := by.Did(cert.OrderID, "certificate:initial-pin:"+cert.Serial, p.a.clock.Now())
	if err := p.record(ctx, line); err != nil {
		return "", err
	}
	id := newID(p.a.clock.Now)()
	answer, err := p.a.desk.AskOnce(ctx, id, request.InitialPIN, cert.TokenSerial, key.Public())
	if err == nil {
		return key.Open(cert.TokenSerial, answer)
	}
	ctx, cancel := order.RecordingContext(ctx)
	defer cancel()
	outcome := "failed"
	if e, ok := order.AsError(err); ok {
		outcome = e.Code
	}
	// Nobody waits any more: what is told now would be lost.
	return "", errors.Join(err, p.a.desk.Forget(ctx, id), p.record(ctx, line.Ending(outcome)))
}

func (p initialPINs) record(ctx context.Context, line order.AuditRecord) error {
	return p.a.db.InTx(ctx, func(tx order.Tx) error { return tx.AppendAudit(ctx, line) })
}

// tellPIN is the issuer's side.
func (a *app) tellPIN(ctx context.Context, r request.Request) ([]byte, error) {
	pin, err := a.pipeline.TellPIN(ctx, r.Subject, r.ID)
	if errors.Is(err, issuance.ErrPINTold) || errors.Is(err, issuance.ErrUnknownToken) {
		return nil, order.Errorf(order.Conflict, "initial_pin_told", "该 UKEY 的初始口令已经显示过，不能再次查看")
	}
	if err != nil {
		return nil, err
	}
	return request.SealPIN(r.Body, r.Subject, pin.Reveal())
}
