package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

type pinCmd struct{ atToken }

// Run has the person at the keyboard change the PIN of a USBKEY, without any server.
func (c pinCmd) Run(ctx context.Context, global *cli) error {
	return c.with(global, func(k *keyring, p plugged) error {
		if err := newTerminal(os.Stdin, os.Stderr).changePIN(ctx, k, p); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "口令修改成功，新口令已生效，请牢记。")
		return nil
	})
}

// changePIN asks for the old PIN once, so that nobody locks his USBKEY by repeating himself.
func (t *terminal) changePIN(ctx context.Context, k *keyring, p plugged) error {
	t.say("UKEY 序列号：%s\n完成之前请不要拔出 UKEY。", p.Name)
	old, err := t.secretly(ctx, "原口令（第一次使用时是初始口令）：")
	if err != nil {
		return err
	}
	pin, err := t.newPIN(ctx, p)
	if err != nil {
		return err
	}
	return k.changePIN(ctx, p, token.PIN(old), pin)
}

// changePIN changes the PIN of a USBKEY under its old one. What is correctable can be tried
// again with the same old PIN; a wrong one cannot, lest a page locks the USBKEY.
func (k *keyring) changePIN(ctx context.Context, p plugged, old, pin token.PIN) error {
	if err := checkPIN(p, pin); err != nil {
		return err
	}
	if old == pin {
		return errCorrectable{&problem{Detail: "新口令不能与原口令相同，请换一个。"}}
	}
	err := p.use(ctx, func(t *token.Token) error { return t.ChangeUserPIN(old, pin) })
	switch {
	case errors.Is(err, token.PINIncorrect), errors.Is(err, token.PINLength): // the new one's length is right
		if now, findErr := k.find(p.Name); findErr == nil {
			p = now
		}
		if p.UserPINLocked {
			return errLocked
		}
		return &problem{Detail: p.wrongPIN()}
	case errors.Is(err, token.PINLocked):
		return errLocked
	case errors.Is(err, token.Pulled), errors.Is(err, token.Unreachable):
		return errCorrectable{&problem{Detail: "UKEY 在修改时被拔出或没有响应。请插好后再试一次；提示原口令不正确的，说明新口令已经生效。"}}
	default:
		return err
	}
}

var errLocked = &problem{Detail: "口令已锁定，没有修改。请在网站打开「解锁」，用绑定手机验证后设置新口令。"}

// wrongPIN says what the USBKEY tells about the tries that are left; none tells their number.
func (p plugged) wrongPIN() string {
	const wrong = "原口令不正确，口令没有改变。"
	if p.UserPINLast {
		return wrong + "再输错一次就会锁定：想不起来请不要再试，在网站打开「解锁」设置新口令。"
	}
	return wrong + "请核对后重试，连续输错会锁定 UKEY；想不起来请在网站打开「解锁」设置新口令。"
}

// change is the PIN of the USBKEY that a page names, changed under the old one. No server is
// asked or told.
func (s *service) change(ctx context.Context, _ string, in order) (any, error) {
	if in.Token == "" {
		return nil, &problem{Detail: "页面已过期，请刷新后重试。"}
	}
	p, err := s.find(in.Token)
	if err != nil {
		return nil, err
	}
	if err := s.keys.changePIN(ctx, p, token.PIN(in.Old), token.PIN(in.PIN)); err != nil {
		return nil, err
	}
	return map[string]any{"token": p.Name}, nil
}
