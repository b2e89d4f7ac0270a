package issuance

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// usbkey is a USBKEY that the pipeline has made, in the hands of its subscriber.
type usbkey struct {
	f  *fixture
	p  *Pipeline
	is Issue
}

func newUSBKey(t *testing.T) usbkey {
	t.Helper()
	f := newFixture(t)
	p := f.mustPipeline(t)
	if _, err := p.Open(t.Context(), request("u-1", "item", CompanyP256)); err != nil {
		t.Fatal(err)
	}
	is, err := p.Run(t.Context(), "u-1")
	if err != nil {
		t.Fatal(err)
	}
	return usbkey{f, p, is}
}

// helper plays the key helper with one ticket; tell may cut it short.
func (u usbkey) helper(t *testing.T, ticket string, pin token.PIN, tell func(token.UnlockStep) error) error {
	t.Helper()
	e, err := token.NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := u.p.UnlockSecret(t.Context(), u.is.TokenSerial, ticket, e.Public())
	if err != nil {
		return err
	}
	secret, err := e.OpenUnlock(ticket, u.is.TokenSerial, sealed)
	if err != nil {
		return err
	}
	challenge := []byte("challenge of " + ticket)
	return u.f.hsm.Exclusive(t.Context(), u.is.TokenSerial, func(tk *token.Token) error {
		sig, err := tk.Unlock(secret, pin, u.is.Certificate, token.ChallengeDigest(u.is.TokenSerial, challenge), tell)
		if err != nil {
			return err
		}
		return VerifyChallenge(u.is.Certificate, u.is.TokenSerial, challenge, sig)
	})
}

// code plays the offline way: the helper shows a challenge, the phone the response.
func (u usbkey) code(t *testing.T, pin token.PIN, tell func(token.UnlockStep) error) error {
	t.Helper()
	return u.f.hsm.Exclusive(t.Context(), u.is.TokenSerial, func(tk *token.Token) error {
		challenge, err := tk.Challenge()
		if err != nil {
			return err
		}
		response, err := u.response(t.Context(), challenge)
		if err != nil {
			return err
		}
		return tk.UnlockWithCode(u.is.TokenSerial, response, pin, u.is.Certificate, tell)
	})
}

func (u usbkey) response(ctx context.Context, challenge string) (string, error) {
	e, err := token.NewEphemeral()
	if err != nil {
		return "", err
	}
	sealed, err := u.p.AnswerCode(ctx, u.is.TokenSerial, token.GroupCode(challenge), e.Public())
	if err != nil {
		return "", err
	}
	return OpenCode(e, u.is.TokenSerial, challenge, sealed)
}

func quiet(token.UnlockStep) error { return nil }

// cut ends an unlock at a step.
func cut(at token.UnlockStep) func(token.UnlockStep) error {
	return func(s token.UnlockStep) error {
		if s == at {
			return errCrash
		}
		return nil
	}
}

// However unlocks of both ways follow each other, are cut short, reported or not:
// the server can open the USBKEY the next time.
func TestServerKeepsUp(t *testing.T) {
	type play struct {
		name string
		do   func(t *testing.T, u usbkey) error
	}
	ticket := func(name string, at token.UnlockStep, confirm bool) play {
		return play{"ticket " + name, func(t *testing.T, u usbkey) error {
			tell := quiet
			if at != "" {
				tell = cut(at)
			}
			err := u.helper(t, name, "2468", tell)
			if at != "" && errors.Is(err, errCrash) {
				err = nil
			}
			if err == nil && confirm {
				err = u.p.ConfirmUnlock(t.Context(), u.is.TokenSerial, name)
			}
			return err
		}}
	}
	code := func(at token.UnlockStep) play {
		return play{"code", func(t *testing.T, u usbkey) error {
			tell := quiet
			if at != "" {
				tell = cut(at)
			}
			err := errors.New("not tried")
			for try := 0; try < 3 && err != nil; try++ {
				if err = u.code(t, "1357", tell); at != "" && errors.Is(err, errCrash) {
					return nil
				}
			}
			return err
		}}
	}
	unused := play{"code never typed", func(t *testing.T, u usbkey) error {
		_, err := u.response(t.Context(), "0ABCDEFG")
		return err
	}}
	for name, plays := range map[string][]play{
		"tickets":                        {ticket("a", "", true), ticket("b", "", true)},
		"report lost":                    {ticket("a", "", false), ticket("b", "", true), code("")},
		"cut after the rotation":         {ticket("a", token.UnlockRotated, false), code(""), ticket("b", "", true)},
		"cut before the rotation":        {ticket("a", token.UnlockMarked, false), code(""), ticket("b", "", true)},
		"codes":                          {code(""), code(""), ticket("a", "", true), code("")},
		"code cut after the rotation":    {code(token.UnlockRotated), code(""), ticket("a", "", true)},
		"code cut, then a ticket":        {code(token.UnlockRotated), ticket("a", "", true), code("")},
		"code cut before the rotation":   {code(token.UnlockPINSet), ticket("a", "", true), code("")},
		"responses that were never used": {unused, unused, ticket("a", "", true), code("")},
		"a response for a typing error":  {unused, code(""), code(""), ticket("a", "", true)},
		"report after a code":            {ticket("a", "", false), code(""), ticket("a2", "", true)},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUSBKey(t)
			for i, p := range plays {
				if err := p.do(t, u); err != nil {
					t.Fatalf("%d, %s: %v", i+1, p.name, err)
				}
			}
		})
	}
}

// What is handed out twice is the same; nothing is handed out that is not kept,
// and what is kept shows no PIN.
func TestUnlockSecretIsKept(t *testing.T) {
	u := newUSBKey(t)
	e, err := token.NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	var got []token.UnlockSecret
	for _, ticket := range []string{"a", "b"} {
		sealed, err := u.p.UnlockSecret(t.Context(), u.is.TokenSerial, ticket, e.Public())
		if err != nil {
			t.Fatal(err)
		}
		s, err := e.OpenUnlock(ticket, u.is.TokenSerial, sealed)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if got[0].Next != got[1].Next || !slices.Equal(got[0].Candidates, got[1].Candidates) {
		t.Error("a second ticket got another next SO PIN")
	}
	sealed, _, err := u.f.ledger.SOPINs(t.Context(), u.is.TokenSerial)
	if err != nil || sealed == nil || bytes.Contains(sealed, []byte(got[0].Next.PIN)) {
		t.Errorf("kept %d bytes, %v", len(sealed), err)
	}
	if err := u.p.ConfirmUnlock(t.Context(), u.is.TokenSerial, "a"); err != nil { // b was handed the same since
		t.Fatal(err)
	}
	again, err := u.p.UnlockSecret(t.Context(), u.is.TokenSerial, "c", e.Public())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := e.OpenUnlock("c", u.is.TokenSerial, again); err != nil || s.Next != got[0].Next {
		t.Errorf("a late report of an earlier ticket dropped the next SO PIN: %v", err)
	}
	for name, err := range map[string]error{
		"unknown token": func() error {
			_, err := u.p.UnlockSecret(t.Context(), "TW99999999999999", "x", e.Public())
			return err
		}(),
		"no key":           func() error { _, err := u.p.UnlockSecret(t.Context(), u.is.TokenSerial, "x", nil); return err }(),
		"no challenge":     func() error { _, err := u.response(t.Context(), "ABCDEFGH"); return err }(),
		"wrong generation": func() error { _, err := u.response(t.Context(), "7ABCDEFG"); return err }(),
	} {
		if _, refused := errors.AsType[*Refusal](err); !refused {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
}
