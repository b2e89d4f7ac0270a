package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// runErrand is what a ticket for a renewal or a download is for.
type runErrand struct {
	ID          string `json:"id"`
	Purpose     string `json:"purpose"`
	TokenSerial string `json:"token_serial"`
	Holder      string `json:"holder"`
	Old         []byte `json:"old"` // certificate to renew, DER
	Algorithm   string `json:"algorithm"`
	Subject     []byte `json:"subject"`
	Container   []byte `json:"container"` // empty: keep the key pair of Old
	Challenge   []byte `json:"challenge"`
}

// writing is one ticket for a renewal or a download.
type writing struct {
	*client
	key    *token.Ephemeral
	errand runErrand
	opened bool
}

func newRun(server, ticket string) (*writing, error) {
	c, err := newClient(server, ticket)
	if err != nil {
		return nil, err
	}
	key, err := token.NewEphemeral()
	return &writing{client: c, key: key}, err
}

// begin shows the ticket, once.
func (r *writing) begin(ctx context.Context) error {
	if r.opened {
		return nil
	}
	if err := r.call(ctx, "/helper/v1/run/open", map[string]any{"public_key": r.key.Public()}, &r.errand); err != nil {
		return err
	}
	r.opened = true
	return nil
}

// runAlgorithms are the server's names of key algorithms.
var runAlgorithms = map[string]token.Algorithm{"p256": token.P256, "rsa2048": token.RSA2048}

// write makes the new key pair on the USBKEY, or takes the old one where it is kept,
// has the CA certify it, writes the certificate, reads it back and reports the
// proof. The old certificate stays on the USBKEY. Cut short anywhere, the next run
// goes on with the same key pair and the same serial number.
func (r *writing) write(ctx context.Context, p plugged, pin token.PIN) (orderNo string, err error) {
	signature, err := r.change(ctx, p, pin)
	if _, again := errors.AsType[errCorrectable](err); again {
		return "", err
	}
	if err != nil {
		r.giveUp(ctx, err)
		return "", err
	}
	return r.report(ctx, "/helper/v1/run/report", map[string]any{"token_serial": p.Name, "signature": signature})
}

// ran is told of each step on the USBKEY; tests end the helper there.
func ran(s token.RunStep) error {
	failpoint("write-" + string(s))
	return nil
}

// change is the part that touches the USBKEY; its one owner keeps it throughout.
func (r *writing) change(ctx context.Context, p plugged, pin token.PIN) (signature []byte, err error) {
	alg, ok := runAlgorithms[r.errand.Algorithm]
	if !ok {
		return nil, &problem{Code: "answer", Detail: "网站要求的密钥类型不认识，请更新证书助手"}
	}
	digest := token.ChallengeDigest(p.Name, r.errand.Challenge)
	err = p.use(ctx, func(t *token.Token) error {
		if err := t.Login(pin); err != nil {
			if e, ok := errors.AsType[*token.Error](err); ok && e.Kind == token.PINIncorrect {
				return errCorrectable{err} // nothing has happened yet
			}
			return err
		}
		csr, proof, err := t.Propose(r.errand.Old, digest, token.Fresh{Container: r.errand.Container, Algorithm: alg, Subject: r.errand.Subject}, ran)
		if err != nil {
			return err
		}
		var made struct {
			Certificate []byte `json:"certificate"`
		}
		if err := r.call(ctx, "/helper/v1/run/issue", map[string]any{"token_serial": p.Name, "proof": proof, "csr": csr}, &made); err != nil {
			return err
		}
		failpoint("write-certified")
		signature, err = t.Adopt(r.errand.Old, r.errand.Container, made.Certificate, digest, ran)
		return err
	})
	return signature, err
}

// giveUp tells the server that this ticket ends here; the order can be gone on with.
func (r *writing) giveUp(ctx context.Context, cause error) {
	r.failAt(ctx, "/helper/v1/run/fail", cause)
}

type runCmd struct {
	Server string `help:"网站地址。" placeholder:"URL" required:""`
	Ticket string `help:"网页上显示的办理凭证。" placeholder:"T" required:""`
	Token  string `help:"UKEY 序列号；只插一个时不用写。" placeholder:"TW…"`
}

// Run writes a certificate from the command line.
func (c runCmd) Run(ctx context.Context, all *cli) error {
	k, err := openKeyring(all.Module)
	if err != nil {
		return err
	}
	defer k.close()
	t := newTerminal(os.Stdin, os.Stderr)
	r, err := newRun(c.Server, c.Ticket)
	if err != nil {
		return err
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	serial := r.errand.TokenSerial
	if serial == "" {
		serial = c.Token
	}
	p, err := waitFor(ctx, k, t, serial)
	if err != nil {
		r.giveUp(ctx, err)
		return err
	}
	t.say("证书使用者：%s\nUKEY 序列号：%s\n完成之前请不要拔出 UKEY。", r.errand.Holder, p.Name)
	for range pinTries {
		pin, err := t.secretly(ctx, "请输入 UKEY 口令：")
		if err != nil {
			r.giveUp(ctx, &token.Error{Kind: "cancelled"})
			return err
		}
		no, err := r.write(ctx, p, token.PIN(pin))
		if _, again := errors.AsType[errCorrectable](err); again {
			t.say("%s", plain(err))
			continue
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "新证书已写入并通过验证。订单号："+no)
		return nil
	}
	err = &token.Error{Kind: token.PINIncorrect}
	r.giveUp(ctx, err)
	return err
}

// write is what the portal's page asks for.
func (s *service) write(ctx context.Context, server string, in order) (any, error) {
	id := server + " " + in.Ticket
	r, err := kept(s.runs, id, func() (*writing, error) { return newRun(server, in.Ticket) })
	if err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	p, err := s.find(r.errand.TokenSerial)
	if err != nil {
		return nil, err
	}
	no, err := r.write(ctx, p, token.PIN(in.PIN))
	if err != nil {
		return nil, err
	}
	delete(s.runs, id)
	return map[string]any{"order_no": no}, nil
}
