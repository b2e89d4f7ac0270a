package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// codeTries is how many responses may be wrong before the approved way is the
// only one (flows 4.6).
const codeTries = 3

// unlockOffline unlocks by challenge code: the USBKEY asks, the phone page answers
// after an SMS code, and the answer is typed here.
func unlockOffline(ctx context.Context, k *keyring, t *terminal, serial string) error {
	p, err := k.find(serial)
	if err != nil {
		return err
	}
	certificate, err := newest(ctx, p)
	if err != nil {
		return err
	}
	t.say("UKEY 序列号：%s\n请用手机打开网站的「解锁」，选择“用挑战码解锁”，填写序列号和挑战码。\n完成之前请不要拔出 UKEY。", p.Name)
	var pin token.PIN
	for range codeTries {
		var challenge string
		if err := p.use(ctx, func(tk *token.Token) (err error) { challenge, err = tk.Challenge(); return err }); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "挑战码：%s\n", token.GroupCode(challenge))
		response, err := t.ask(ctx, "响应码：")
		if err != nil {
			return err
		}
		if pin == "" {
			if pin, err = t.newPIN(ctx, p); err != nil {
				return err
			}
		}
		err = p.use(ctx, func(tk *token.Token) error {
			return tk.UnlockWithCode(p.Name, response, pin, certificate, func(token.UnlockStep) error { return nil })
		})
		switch {
		case err == nil:
			fmt.Fprintln(os.Stdout, "解锁成功，新口令已生效。")
			return nil
		case errors.Is(err, token.CodeInvalid):
			t.say("响应码不对，口令没有改变。请核对是不是这个挑战码的响应码。")
		case errors.Is(err, token.SOPINIncorrect):
			t.say("响应码已失效，口令没有改变。请用下面新的挑战码重新取得响应码。")
		default:
			return err
		}
	}
	t.say("响应码 %d 次不正确，请在网站改办「审批解锁」，或致电 400-666-3999。", codeTries)
	return errSaid
}

// newest is the certificate whose key shall prove that the USBKEY works.
func newest(ctx context.Context, p plugged) (der []byte, err error) {
	err = p.use(ctx, func(tk *token.Token) error {
		certs, err := tk.Certificates()
		if err == nil && len(certs) == 0 {
			err = &token.Error{Kind: token.NoObject, Op: "finding a certificate"}
		}
		if err == nil {
			der = certs[0].Raw
		}
		return err
	})
	return der, err
}
