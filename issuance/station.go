package issuance

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// A station may be another PC, with the blanks plugged in and no HSM. The issuer
// hands a [Task] out, with the key's PINs sealed to the station; the station makes
// the key pair in the USBKEY, has its request certified, writes the certificate,
// reads it back and proves that the key answers. The stages are those of a key made
// beside the issuer, recorded by the issuer at the same moments; a task that is asked
// for again, by the station that holds the key, goes on where it stands.

// Task is one USBKEY to be made.
type Task struct {
	Issue       string `json:"issue"`
	TokenSerial string `json:"token_serial"`
	Profile     string `json:"profile"`
	Company     string `json:"company"`
	USCC        string `json:"uscc"`
	// Sealed holds the taskSecrets, for the station's key only.
	Sealed []byte `json:"sealed"`
}

type taskSecrets struct {
	SOPIN   string `json:"so_pin"`
	UserPIN string `json:"user_pin"`
	Secret  []byte `json:"secret"`
}

func (t Task) context() string { return "yuncaidun station v1\x00" + t.Issue + "\x00" + t.TokenSerial }

// HandOut opens an issue, unless it is open, and gives its USBKEY a serial number:
// one of plugged, when the station's blanks have serial numbers of their own.
func (p *Pipeline) HandOut(ctx context.Context, r Request, plugged []string, public []byte) (Task, error) {
	remote := *p
	remote.blanks = func() ([]string, error) { return plugged, nil }
	is, err := remote.Open(ctx, r)
	if err != nil {
		return Task{}, err
	}
	if is, err = remote.runTo(ctx, is, StageTokenChosen); err != nil {
		return Task{}, err
	}
	rec, err := p.ledger.Token(ctx, is.TokenSerial)
	if err != nil {
		return Task{}, err
	}
	secrets, err := openToken(p.ca.keyset, rec)
	if err != nil {
		return Task{}, err
	}
	t := Task{Issue: is.ID, TokenSerial: is.TokenSerial, Profile: is.Profile, Company: is.Company, USCC: is.USCC}
	plain, err := json.Marshal(taskSecrets{secrets.soPIN.Reveal(), secrets.userPIN.Reveal(), secrets.secret}) //nolint:gosec // sealed in the next line but one
	if err != nil {
		return Task{}, err
	}
	t.Sealed, err = token.SealTo(public, t.context(), plain)
	return t, err
}

// CertifyTask certifies the key pair that a station made and returns the
// certificate; for another key pair than before it is refused.
func (p *Pipeline) CertifyTask(ctx context.Context, issueID string, request []byte) ([]byte, error) {
	is, err := p.ledger.Issue(ctx, issueID)
	if err != nil {
		return nil, err
	}
	profile, err := LookupProfile(is.Profile)
	if err != nil {
		return nil, err
	}
	csr, err := CheckCSR(request, profile, Subject{Company: is.Company, USCC: is.USCC})
	if err != nil {
		return nil, err
	}
	if is.Stage == StageTokenChosen {
		is, err = p.advance(ctx, "make-key", is, func(_ *Pipeline, _ context.Context, is *Issue) (*TokenRecord, error) {
			is.CSR, is.KeyHash = request, keyHash(csr)
			return nil, nil
		}, StageKeyMade)
		if errors.Is(err, ErrStale) { // another was quicker: whose key it is says the next line
			is, err = p.ledger.Issue(ctx, issueID)
		}
		if err != nil {
			return nil, err
		}
	}
	if is.KeyHash != keyHash(csr) {
		return nil, refuse("station_other_key", "该 UKEY 中的密钥与登记的不一致，请更换 UKEY 重新制作。", "another key than the recorded one")
	}
	if is, err = p.runTo(ctx, is, StageStored); err != nil {
		return nil, err
	}
	return is.Certificate, nil
}

// readBackChallenge is what the station's key signs: that this very certificate was
// read from the USBKEY.
func readBackChallenge(certificate []byte) []byte {
	sum := sha256.Sum256(append([]byte("yuncaidun read back v1\x00"), certificate...))
	return sum[:]
}

// FinishTask ends an issue when the USBKEY's key signed what was read back.
func (p *Pipeline) FinishTask(ctx context.Context, issueID string, signature []byte) (Issue, error) {
	is, err := p.ledger.Issue(ctx, issueID)
	if err != nil || is.Stage == StageDone {
		return is, err
	}
	if is.Stage != StageStored && is.Stage != StageWritten {
		return is, refuse("station_early", "证书尚未签发，请重新制作。", "issue %s is %s", is.ID, is.Stage)
	}
	if err := VerifyChallenge(is.Certificate, is.TokenSerial, readBackChallenge(is.Certificate), signature); err != nil {
		return is, refuse("station_read_back", "UKEY 回读验证未通过，请更换 UKEY 重新制作。", "%v", err)
	}
	rec, err := p.ledger.Token(ctx, is.TokenSerial)
	if err != nil {
		return is, err
	}
	done, err := p.advance(ctx, "verify", is, func(p *Pipeline, _ context.Context, _ *Issue) (*TokenRecord, error) {
		rec.State, rec.UpdatedAt = TokenPersonalized, p.instant()
		return &rec, nil
	}, StageDone)
	if errors.Is(err, ErrStale) { // reported twice at once, or scrapped meanwhile
		return p.FinishTask(ctx, issueID, signature)
	}
	return done, err
}

// runTo runs the steps up to a stage; an issue that is further stays as it is.
func (p *Pipeline) runTo(ctx context.Context, is Issue, stage Stage) (Issue, error) {
	return p.runUntil(ctx, is, func(is Issue) bool { return !is.Stage.before(stage) })
}

// before reports whether the steps lead from s to stage.
func (s Stage) before(stage Stage) bool {
	for {
		step, ok := steps[s]
		switch {
		case !ok || s == stage:
			return false
		case step.next == stage:
			return true
		}
		s = step.next
	}
}

// Office is the issuer as a station reaches it.
type Office interface {
	Certify(ctx context.Context, issue string, request []byte) (certificate []byte, err error)
	Finish(ctx context.Context, issue string, signature []byte) error
}

// MakeTask makes a USBKEY in a station's own module. It may be repeated: what the
// key holds already is kept.
func MakeTask(ctx context.Context, tokens *token.Module, key *token.Ephemeral, t Task, office Office) error {
	profile, err := LookupProfile(t.Profile)
	if err != nil {
		return err
	}
	plain, err := key.Open(t.context(), t.Sealed)
	if err != nil {
		return err
	}
	var s taskSecrets
	if err := json.Unmarshal(plain, &s); err != nil {
		return fmt.Errorf("reading the task's secrets: %w", err)
	}
	if err := tokens.Ensure(ctx, t.TokenSerial, token.PIN(s.SOPIN), token.PIN(s.UserPIN)); err != nil {
		return err
	}
	loggedIn := func(fn func(*token.Token) error) error {
		return tokens.Exclusive(ctx, t.TokenSerial, func(tk *token.Token) error {
			if err := tk.Login(token.PIN(s.UserPIN)); err != nil {
				return err
			}
			return fn(tk)
		})
	}
	var request []byte
	err = loggedIn(func(tk *token.Token) error {
		if err := tk.PutSecret(s.Secret); err != nil {
			return err
		}
		made, err := tk.EnsureKey(containerID(t.Issue), profile.Algorithm)
		if err != nil {
			return err
		}
		request, err = makeCSR(made, profile, Subject{Company: t.Company, USCC: t.USCC})
		return err
	})
	if err != nil {
		return err
	}
	certificate, err := office.Certify(ctx, t.Issue, request)
	if err != nil {
		return err
	}
	var signature []byte
	err = loggedIn(func(tk *token.Token) error {
		if err := tk.PutCertificate(containerID(t.Issue), certificate); err != nil {
			return err
		}
		written, err := tk.Certificate(containerID(t.Issue))
		if err != nil {
			return err
		}
		secret, err := tk.Secret()
		if err != nil {
			return err
		}
		if !bytes.Equal(secret, s.Secret) {
			return &token.Error{Kind: token.Mismatch, Op: "reading back token " + t.TokenSerial}
		}
		signature, err = answer(tk, TokenRecord{Serial: t.TokenSerial, IssueID: t.Issue}, readBackChallenge(written))
		return err
	})
	if err != nil {
		return err
	}
	return office.Finish(ctx, t.Issue, signature)
}
