package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

type checkCmd struct{ atToken }

// Run rehearses an opening of bids: it asks for the PIN once, and tries every certificate
// of the USBKEY.
func (c checkCmd) Run(ctx context.Context, global *cli) error {
	return c.with(global, func(_ *keyring, p plugged) error {
		pin, err := newTerminal(os.Stdin, os.Stdout).secretly(ctx, "UKEY "+p.Name+" 的口令：")
		if err != nil {
			return err
		}
		findings, err := p.rehearse(ctx, token.PIN(pin), time.Now())
		if err != nil {
			return err
		}
		if !report(os.Stdout, findings) {
			return errSaid
		}
		return nil
	})
}

// rehearse has every certificate of a USBKEY used once. A wrong PIN is an error, and
// nothing was tried.
func (p plugged) rehearse(ctx context.Context, pin token.PIN, now time.Time) (out []finding, err error) {
	err = p.use(ctx, func(t *token.Token) error {
		certs, err := t.Certificates()
		if err != nil {
			return err
		}
		if err := t.Login(pin); err != nil {
			return err
		}
		out = append(out, finding{ok: true, what: "口令正确"})
		for _, cert := range certs {
			out = append(out, tried(t, cert, now))
		}
		if len(certs) == 0 {
			out = append(out, finding{false, "UKEY 中没有证书", "请致电 400-666-3999。"})
		}
		return nil
	})
	return out, err
}

// tried is how one certificate does.
func tried(t *token.Token, cert *x509.Certificate, now time.Time) finding {
	name := fmt.Sprintf("%s（有效至 %s）", cert.Subject.CommonName, cert.NotAfter.Local().Format(time.DateOnly))
	opens, err := t.Rehearse(cert)
	switch {
	case err != nil:
		return finding{false, name + "：" + plain(err), "拔下 UKEY，等几秒后重新插入再试；仍不行请立即致电 400-666-3999。"}
	case now.After(cert.NotAfter): // what was encrypted for it can be opened still
		return finding{ok: true, what: name + "：密钥正常，证书已到期，请用更新后的证书投标"}
	case opens:
		return finding{ok: true, what: name + "：签名正常，加密后能解密"}
	default:
		return finding{ok: true, what: name + "：签名正常"}
	}
}
