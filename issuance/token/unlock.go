package token

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/miekg/pkcs11"
)

// SOCandidate is an SO PIN that a token has at a generation.
type SOCandidate struct {
	Generation int
	PIN        PIN
}

// UnlockSecret is all that is needed to unlock one token: the SO PINs that it may
// have, the most likely first, and the one it shall have afterwards. A crash may
// leave the token with any of them, Next included.
type UnlockSecret struct {
	Candidates []SOCandidate
	Next       SOCandidate
}

// wireSecret is an UnlockSecret as it is sealed; a PIN hides itself in JSON.
type wireSecret struct {
	Candidates []wireCandidate `json:"candidates"`
	Next       wireCandidate   `json:"next"`
}

type wireCandidate struct {
	Generation int    `json:"generation"`
	PIN        string `json:"pin"`
}

func unlockContext(ticket, serial string) string {
	return "yuncaidun unlock v1\x00" + ticket + "\x00" + serial
}

// SealUnlock seals the secret to a helper's ephemeral key, for one ticket and one token.
func SealUnlock(publicKey []byte, ticket, serial string, s UnlockSecret) ([]byte, error) {
	w := wireSecret{Next: wireCandidate{s.Next.Generation, string(s.Next.PIN)}}
	for _, c := range s.Candidates {
		w.Candidates = append(w.Candidates, wireCandidate{c.Generation, string(c.PIN)})
	}
	text, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("sealing an unlock secret: %w", err)
	}
	return SealTo(publicKey, unlockContext(ticket, serial), text)
}

// OpenUnlock opens what SealUnlock sealed.
func (e *Ephemeral) OpenUnlock(ticket, serial string, sealed []byte) (UnlockSecret, error) {
	text, err := e.Open(unlockContext(ticket, serial), sealed)
	if err != nil {
		return UnlockSecret{}, err
	}
	var w wireSecret
	if json.Unmarshal(text, &w) != nil { // its error would quote the text
		return UnlockSecret{}, errors.New("opening an unlock secret: not in its form")
	}
	out := UnlockSecret{Next: SOCandidate{w.Next.Generation, PIN(w.Next.PIN)}}
	for _, c := range w.Candidates {
		out.Candidates = append(out.Candidates, SOCandidate{c.Generation, PIN(c.PIN)})
	}
	return out, nil
}

// UnlockStep is a point of an unlock at which it may be cut short; the token can
// be opened with the same secret after each.
type UnlockStep string

// The steps, in order.
const (
	UnlockStarted UnlockStep = "started"    // nothing has changed
	UnlockPINSet  UnlockStep = "pin-set"    // the user PIN is the new one
	UnlockMarked  UnlockStep = "marked"     // the token says that its SO PIN is about to change
	UnlockRotated UnlockStep = "so-rotated" // the SO PIN is Next
	UnlockNoted   UnlockStep = "noted"      // the token says so
	UnlockProven  UnlockStep = "proven"     // the subscriber's key has answered
)

// soTries bounds how many SO PINs are tried: tokens lock for ever when too many were wrong.
const soTries = 4

// Unlock sets the user PIN under the SO PIN, rotates the SO PIN, and has the key
// of the certificate (DER) sign the digest under the new PIN. The key pair and the
// certificate stay as they are (F87). tell is called at each step; an error of it
// ends the unlock there. A token that does not hold the certificate's key is left alone.
func (t *Token) Unlock(u UnlockSecret, pin PIN, certificate, digest []byte, tell func(UnlockStep) error) (signature []byte, err error) {
	return t.unlock(u, "", pin, certificate, digest, tell)
}

// unlock is Unlock by a challenge, or by none.
func (t *Token) unlock(u UnlockSecret, challenge string, pin PIN, certificate, digest []byte, tell func(UnlockStep) error) (signature []byte, err error) {
	if err := checkLength(pin, t.info); err != nil {
		return nil, err
	}
	id, err := t.containerOf(certificate)
	if err != nil {
		return nil, err
	}
	if err := tell(UnlockStarted); err != nil {
		return nil, err
	}
	if err := t.underSO(u, challenge, pin, tell); err != nil {
		return nil, err
	}
	if err := t.Login(pin); err != nil {
		return nil, err
	}
	key, err := t.Key(id)
	if err != nil {
		return nil, err
	}
	if signature, err = key.Sign(nil, digest, crypto.SHA256); err != nil {
		return nil, err
	}
	if !Verify(key.Public(), crypto.SHA256, digest, signature) {
		return nil, &Error{Kind: Mismatch, Op: "proving the unlock: the signature does not verify"}
	}
	return signature, tell(UnlockProven)
}

// underSO is the part of an unlock that the SO does.
func (t *Token) underSO(u UnlockSecret, challenge string, pin PIN, tell func(UnlockStep) error) (err error) {
	mark, err := t.mark()
	if err != nil {
		return err
	}
	used, err := t.loginSO(mark, u)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fail("logging out", t.p.Logout(t.sh))) }()
	if err := t.p.InitPIN(t.sh, pin.Reveal()); err != nil {
		return fail("setting user PIN", err)
	}
	if err := tell(UnlockPINSet); err != nil {
		return err
	}
	if used.PIN != u.Next.PIN {
		mark.Target, mark.Pending = u.Next.Generation, challenge
		if err := errors.Join(t.putMark(&mark), tell(UnlockMarked)); err != nil {
			return err
		}
		if err := t.p.SetPIN(t.sh, used.PIN.Reveal(), u.Next.PIN.Reveal()); err != nil {
			return fail("rotating SO PIN", err)
		}
		if err := tell(UnlockRotated); err != nil {
			return err
		}
	}
	// A copy from before has the PINs of before, which a next ticket still opens.
	if err := t.m.preserve(trim(t.info.SerialNumber)); err != nil {
		return err
	}
	noted := markAt(mark, u.Next.Generation)
	return errors.Join(t.putMark(&noted), tell(UnlockNoted))
}

// loginSO logs in as SO with the first candidate that is right. Those of the
// generation that the token says it has come first.
func (t *Token) loginSO(m mark, u UnlockSecret) (SOCandidate, error) {
	candidates := append(slices.Clone(u.Candidates), u.Next)
	slices.SortStableFunc(candidates, func(a, b SOCandidate) int { return m.distance(a) - m.distance(b) })
	var err error
	for _, c := range candidates[:min(len(candidates), soTries)] {
		if err = checkLength(c.PIN, t.info); err == nil {
			err = fail("logging in as SO", t.p.Login(t.sh, pkcs11.CKU_SO, c.PIN.Reveal()))
		}
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, PINIncorrect) {
			return c, soError(err)
		}
	}
	// None is right: what was asked is void. Where an unlock by a server was cut
	// short, the SO PIN is the one it was about to set.
	generation := m.Generation
	if m.Target != 0 && m.Pending == "" {
		generation = m.Target
	}
	again := markAt(m, generation)
	if putErr := t.putMark(&again); putErr != nil {
		return SOCandidate{}, errors.Join(soError(err), putErr)
	}
	return SOCandidate{}, soError(err)
}

// soError tells a wrong or locked SO PIN from the subscriber's own.
func soError(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	out := *e
	switch e.Kind {
	case PINIncorrect:
		out.Kind = SOPINIncorrect
	case PINLocked:
		out.Kind = SOPINLocked
	default:
	}
	return &out
}

// containerOf returns the CKA_ID under which the token holds this certificate.
func (t *Token) containerOf(der []byte) ([]byte, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("finding a certificate: %w", err)
	}
	handles, err := find(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_CERTIFICATE), attr(pkcs11.CKA_SUBJECT, cert.RawSubject))
	if err != nil {
		return nil, err
	}
	for _, h := range handles {
		if value, err := t.value(h, "reading certificate"); err != nil || !bytes.Equal(value, der) {
			continue
		}
		a, err := t.p.GetAttributeValue(t.sh, h, []*pkcs11.Attribute{attr(pkcs11.CKA_ID, nil)})
		if err != nil {
			return nil, fail("reading certificate", err)
		}
		return a[0].Value, nil
	}
	return nil, &Error{Kind: WrongToken, Op: "finding the certificate on the token"}
}

// mark is what the token itself says about its SO PIN, readable by whoever holds
// it: not secret, only what a crash would make us forget.
type mark struct {
	Sequence   int    `json:"n"` // the highest one counts, after a crash between two
	Generation int    `json:"g"`
	Challenge  string `json:"c,omitempty"` // shown, and not used up
	Target     int    `json:"t,omitempty"` // the SO PIN is perhaps that of this generation already,
	Pending    string `json:"p,omitempty"` // by this challenge; by none when a server gave it
}

// distance sorts candidates by what the mark says.
func (m mark) distance(c SOCandidate) int {
	switch c.Generation {
	case m.Generation:
		return 0
	case m.Target:
		return 1
	default:
		return 2
	}
}

// markAt is the mark of a token that has settled at a generation.
func markAt(m mark, generation int) mark { return mark{Sequence: m.Sequence, Generation: generation} }

const markLabel = "ycd-generation"

func (t *Token) marks() ([]pkcs11.ObjectHandle, error) {
	return find(t.p, t.sh, attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), attr(pkcs11.CKA_LABEL, markLabel))
}

func (t *Token) mark() (out mark, err error) {
	handles, err := t.marks()
	if err != nil {
		return mark{}, err
	}
	for _, h := range handles {
		value, err := t.value(h, "reading generation")
		if err != nil {
			return mark{}, err
		}
		var m mark
		if json.Unmarshal(value, &m) == nil && m.Sequence > out.Sequence {
			out = m
		}
	}
	return out, nil
}

// putMark writes the mark beside the old one, then removes that.
func (t *Token) putMark(m *mark) error {
	old, err := t.marks()
	if err != nil {
		return err
	}
	m.Sequence++
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing generation: %w", err)
	}
	_, err = t.p.CreateObject(t.sh, []*pkcs11.Attribute{
		attr(pkcs11.CKA_CLASS, pkcs11.CKO_DATA),
		attr(pkcs11.CKA_LABEL, markLabel),
		attr(pkcs11.CKA_TOKEN, true),
		attr(pkcs11.CKA_PRIVATE, false),
		attr(pkcs11.CKA_VALUE, text),
	})
	if err != nil {
		return fail("writing generation", err)
	}
	for _, h := range old {
		if err := t.p.DestroyObject(t.sh, h); err != nil {
			return fail("removing the old generation", err)
		}
	}
	return nil
}

// Challenge is the code that the token asks: the one it asked before, until that
// was used up.
func (t *Token) Challenge() (string, error) {
	m, err := t.mark()
	if err != nil || m.Challenge != "" {
		return m.Challenge, err
	}
	m.Challenge = newChallenge(m.Generation)
	return m.Challenge, t.putMark(&m)
}

// UnlockWithCode unlocks with the response to the token's challenge, as people
// type it. A response that is wrong changes nothing.
func (t *Token) UnlockWithCode(serial, response string, pin PIN, certificate []byte, tell func(UnlockStep) error) error {
	m, err := t.mark()
	if err != nil {
		return err
	}
	if m.Challenge == "" {
		return &Error{Kind: CodeInvalid, Op: "reading a response: the token has asked nothing"}
	}
	secret, err := t.Secret()
	if err != nil {
		return err
	}
	current, err := OpenResponse(response, secret, m.Challenge, serial)
	if err != nil {
		return err
	}
	next, err := NextSOPIN(current, m.Challenge)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(m.Challenge))
	_, err = t.unlock(UnlockSecret{
		Candidates: []SOCandidate{{m.Generation, current}}, Next: SOCandidate{m.Generation + 1, next},
	}, m.Challenge, pin, certificate, digest[:], tell)
	return err
}
