package main

import (
	"context"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// job is one ticket in the hands of this helper. The ephemeral key lives as long
// as it does: the server answers to no other.
type job struct {
	*client
	key    *token.Ephemeral
	errand errand
	opened bool
}

func newJob(server, ticket string) (*job, error) {
	c, err := newClient(server, ticket)
	if err != nil {
		return nil, err
	}
	key, err := token.NewEphemeral()
	if err != nil {
		return nil, err
	}
	return &job{client: c, key: key}, nil
}

// begin shows the ticket, once, and checks what it is for.
func (j *job) begin(ctx context.Context, purpose string) error {
	if j.opened {
		return nil
	}
	e, err := j.open(ctx, j.key)
	if err != nil {
		return err
	}
	if e.Purpose != purpose {
		return usageError{fmt.Errorf("这个办理凭证不是用来%s的", map[string]string{"unlock": "解锁"}[purpose])}
	}
	j.errand, j.opened = e, true
	return nil
}

// errCorrectable marks an error that changed nothing and spent nothing: the same
// ticket works when it is put right.
type errCorrectable struct{ error }

func (e errCorrectable) Unwrap() error { return e.error }

// checkPIN refuses a PIN that the rules or the USBKEY would refuse.
func checkPIN(p plugged, pin token.PIN) error {
	least, most := p.PINLength()
	if n := len(pin); token.CheckUserPIN(pin) != nil || n < least || n > most {
		return errCorrectable{&problem{Detail: fmt.Sprintf("这把 UKEY 的口令须为 %d 至 %d 位数字，请重新输入。", least, most)}}
	}
	return nil
}

// unlock sets the PIN of the ticket's USBKEY: the server hands over what is
// needed, sealed to our key; the USBKEY is changed and proves that it works; the
// proof is reported. The PIN goes nowhere but into the USBKEY.
func (j *job) unlock(ctx context.Context, p plugged, pin token.PIN) (orderNo string, err error) {
	if err := checkPIN(p, pin); err != nil {
		return "", err
	}
	signature, err := j.change(ctx, p, pin)
	if err != nil {
		j.fail(ctx, err)
		return "", err
	}
	return j.report(ctx, "/helper/v1/unlock/report", map[string]any{"signature": signature})
}

// unlocked is told of each step on the USBKEY; tests end the helper there.
func unlocked(s token.UnlockStep) error {
	failpoint("unlock-" + string(s))
	return nil
}

// change is the part of an unlock that touches the USBKEY.
func (j *job) change(ctx context.Context, p plugged, pin token.PIN) (signature []byte, err error) {
	var answer struct {
		Sealed []byte `json:"sealed"`
	}
	if err := j.call(ctx, "/helper/v1/unlock/secret", map[string]any{}, &answer); err != nil {
		return nil, err
	}
	secret, err := j.key.OpenUnlock(j.errand.ID, p.Name, answer.Sealed)
	if err != nil {
		return nil, err
	}
	failpoint("unlock-secret")
	told := make(chan struct{})
	go func() { defer close(told); j.step(ctx, "write") }() // the page need not delay the USBKEY
	defer func() { <-told }()
	err = p.use(ctx, func(t *token.Token) (err error) {
		signature, err = t.Unlock(secret, pin, j.errand.Certificate, token.ChallengeDigest(p.Name, j.errand.Challenge), unlocked)
		return err
	})
	return signature, err
}
