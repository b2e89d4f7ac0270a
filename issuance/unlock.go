package issuance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// soPINs are the SO PINs that a USBKEY may have. A PIN leaves the list only when a
// later one was proven, so that whatever a crash leaves behind can be opened.
type soPINs struct {
	// Known are those it may have, the most likely first.
	Known []soPIN `json:"known"`
	// Next has been handed to a key helper, and nobody has reported yet.
	Next *soPIN `json:"next,omitempty"`
	// Codes are the challenges answered at the generations of Known.
	Codes []soCode `json:"codes,omitempty"`
}

type soPIN struct {
	Generation int    `json:"generation"`
	PIN        string `json:"pin"`
	// Asked is how often it was the answer to a challenge.
	Asked int `json:"asked,omitempty"`
	// Ticket is the last one that it was handed out for as the next SO PIN.
	Ticket string `json:"ticket,omitempty"`
}

// soCode is a challenge and the SO PIN that was the answer to it.
type soCode struct {
	Challenge string `json:"challenge"`
	PIN       string `json:"pin"`
}

// knownSOPINs bounds the list: a helper tries a few, because a USBKEY locks for
// ever when too many were wrong.
const knownSOPINs = 3

const sealedSOPINs = "so_pins"

func (s *soPINs) seal(keys tink.AEAD, serial string) ([]byte, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("sealing SO PINs of token %s: %w", serial, err)
	}
	return keys.Encrypt(text, sealContext(serial, sealedSOPINs))
}

func (p *Pipeline) openSOPINs(rec TokenRecord, sealed []byte) (soPINs, tokenSecrets, error) {
	secrets, err := openToken(p.ca.keyset, rec)
	if err != nil || sealed == nil {
		return soPINs{Known: []soPIN{{PIN: string(secrets.soPIN)}}}, secrets, err
	}
	text, err := p.ca.keyset.Decrypt(sealed, sealContext(rec.Serial, sealedSOPINs))
	if err != nil {
		return soPINs{}, secrets, fmt.Errorf("opening SO PINs of token %s: %w", rec.Serial, err)
	}
	var s soPINs
	if json.Unmarshal(text, &s) != nil { // its error would quote the text
		return soPINs{}, secrets, errors.New("opening SO PINs of token " + rec.Serial + ": not in their form")
	}
	return s, secrets, nil
}

// changeSOPINs reads the SO PINs of a USBKEY, has fn change them, and writes them
// before anybody learns one. When somebody else wrote meanwhile it begins again.
func (p *Pipeline) changeSOPINs(ctx context.Context, serial string, fn func(*soPINs, tokenSecrets) error) error {
	rec, err := p.ledger.Token(ctx, serial)
	switch {
	case errors.Is(err, ErrUnknownToken), err == nil && rec.State != TokenPersonalized:
		return refuse("token_unknown", "没有找到该 UKEY，或它还不能使用。", "token %s", serial)
	case err != nil:
		return err
	}
	for range attempts {
		sealed, rev, err := p.ledger.SOPINs(ctx, serial)
		if err != nil {
			return err
		}
		s, secrets, err := p.openSOPINs(rec, sealed)
		if err != nil {
			return err
		}
		if err := fn(&s, secrets); err != nil {
			return err
		}
		if sealed, err = s.seal(p.ca.keyset, serial); err != nil {
			return err
		}
		if err = p.ledger.PutSOPINs(ctx, serial, sealed, rev); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("changing SO PINs of token %s: %w", serial, ErrStale)
}

// UnlockSecret seals to a helper's ephemeral key what it needs to unlock one
// USBKEY, for one ticket. Asked again, for this or a later ticket, it hands out
// the same next SO PIN until [Pipeline.ConfirmUnlock] has heard that it is set.
func (p *Pipeline) UnlockSecret(ctx context.Context, tokenSerial, ticket string, publicKey []byte) (sealed []byte, err error) {
	var u token.UnlockSecret
	err = p.changeSOPINs(ctx, tokenSerial, func(s *soPINs, _ tokenSecrets) error {
		if s.Next == nil {
			s.Next = &soPIN{Generation: s.last() + 1, PIN: string(token.NewSOPIN())}
		}
		s.Next.Ticket = ticket
		u = token.UnlockSecret{Next: token.SOCandidate{Generation: s.Next.Generation, PIN: token.PIN(s.Next.PIN)}}
		for _, k := range s.Known {
			u.Candidates = append(u.Candidates, token.SOCandidate{Generation: k.Generation, PIN: token.PIN(k.PIN)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if sealed, err = token.SealUnlock(publicKey, ticket, tokenSerial, u); err != nil {
		return nil, refuse("helper_key", "助手的密钥无效，请更新证书助手后重试。", "sealing to the helper's key")
	}
	return sealed, nil
}

// last is the highest generation in use.
func (s *soPINs) last() int {
	n := 0
	for _, k := range s.Known {
		n = max(n, k.Generation)
	}
	return n
}

// ConfirmUnlock records that a USBKEY has the SO PIN that was handed out for a
// ticket: its key has proven that the unlock went through. Confirming twice, or a
// ticket after a later one was handed the same, is harmless.
func (p *Pipeline) ConfirmUnlock(ctx context.Context, tokenSerial, ticket string) error {
	return p.changeSOPINs(ctx, tokenSerial, func(s *soPINs, _ tokenSecrets) error {
		s.confirm(ticket)
		return nil
	})
}

func (s *soPINs) confirm(ticket string) {
	all := s.Known
	if s.Next != nil {
		all = append(slices.Clone(all), *s.Next)
	}
	i := slices.IndexFunc(all, func(k soPIN) bool { return k.Ticket == ticket })
	if i < 0 {
		return
	}
	proven := all[i]
	if s.Next != nil && s.Next.Ticket == ticket {
		s.Next = nil
	}
	later := slices.DeleteFunc(slices.Clone(s.Known), func(k soPIN) bool { return k.Generation <= proven.Generation })
	s.Known = append(later, proven)
	s.forgetCodes()
}

// forgetCodes drops the challenges whose SO PIN the USBKEY cannot have any more.
func (s *soPINs) forgetCodes() {
	s.Codes = slices.DeleteFunc(s.Codes, func(c soCode) bool {
		return !slices.ContainsFunc(s.Known, func(k soPIN) bool { return k.PIN == c.PIN })
	})
}

// codeContext binds a sealed response to what it is for.
func codeContext(challenge, serial string) string {
	return "yuncaidun code v1\x00" + challenge + "\x00" + serial
}

// AnswerCode answers the challenge that a USBKEY shows on a PC without a network,
// sealed to an ephemeral key of whoever asks. The same challenge has the same
// response. What follows from it joins the SO PINs that the USBKEY may have.
func (p *Pipeline) AnswerCode(ctx context.Context, tokenSerial, challenge string, publicKey []byte) (sealed []byte, err error) {
	challenge, err = token.ParseChallenge(challenge)
	if err != nil {
		return nil, refuse("challenge_invalid", "挑战码有误，请核对助手上显示的 8 位字符。", "not a challenge")
	}
	var response string
	err = p.changeSOPINs(ctx, tokenSerial, func(s *soPINs, secrets tokenSecrets) error {
		pin, err := s.answer(challenge)
		if err != nil {
			return err
		}
		response, err = token.Respond(token.PIN(pin), secrets.secret, challenge, tokenSerial)
		return err
	})
	if err != nil {
		return nil, err
	}
	if sealed, err = token.SealTo(publicKey, codeContext(challenge, tokenSerial), []byte(response)); err != nil {
		return nil, fmt.Errorf("sealing a response: %w", err)
	}
	return sealed, nil
}

// OpenCode opens what AnswerCode sealed.
func OpenCode(e *token.Ephemeral, tokenSerial, challenge string, sealed []byte) (response string, err error) {
	challenge, err = token.ParseChallenge(challenge)
	if err != nil {
		return "", err
	}
	plain, err := e.Open(codeContext(challenge, tokenSerial), sealed)
	return string(plain), err
}

// answer chooses the SO PIN that a challenge asks for and adds the one that will
// follow. Of several of that generation it is the one that was the answer least
// often: a USBKEY whose SO PIN was not the last answer asks anew.
func (s *soPINs) answer(challenge string) (pin string, err error) {
	for _, c := range s.Codes {
		if c.Challenge == challenge {
			return c.PIN, nil
		}
	}
	if s.Next != nil { // perhaps it was set, and the report was lost
		s.Known, s.Next = append(s.Known, *s.Next), nil
	}
	digit := int(challenge[0] - '0')
	best := -1
	for i, k := range s.Known {
		if k.Generation%10 == digit && (best < 0 || k.Asked < s.Known[best].Asked) {
			best = i
		}
	}
	if best < 0 {
		return "", refuse("challenge_unknown", "挑战码与该 UKEY 不符，请核对 UKEY 序列号；仍不成功请使用审批解锁。", "no SO PIN of generation %d", digit)
	}
	s.Known[best].Asked++
	current := s.Known[best]
	next, err := token.NextSOPIN(token.PIN(current.PIN), challenge)
	if err != nil {
		return "", err
	}
	// The token is at this generation, or at the one that follows: never before.
	s.Known = slices.DeleteFunc(s.Known, func(k soPIN) bool { return k.Generation < current.Generation })
	s.forgetCodes()
	s.Codes = append(s.Codes, soCode{challenge, current.PIN})
	s.Known = s.bounded(soPIN{Generation: current.Generation + 1, PIN: string(next)})
	return current.PIN, nil
}

// bounded puts a new SO PIN before the others and keeps of each generation as many
// as a helper would try.
func (s *soPINs) bounded(newest soPIN) []soPIN {
	out := []soPIN{newest}
	count := map[int]int{newest.Generation: 1}
	for _, k := range s.Known {
		if count[k.Generation] < knownSOPINs {
			count[k.Generation]++
			out = append(out, k)
		}
	}
	return out
}
