package issuance

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// Request is what the registration authority asks for: one attempt at one
// certificate for approved data.
type Request struct {
	ID           string // of this attempt
	Item         string // what it is for; at most one attempt of an item is alive
	SnapshotHash []byte // SHA-256 of the approved snapshot
	Profile      string
	Subject      Subject
	Years        int
	// Continues is the end of the certificate that this one renews or replaces.
	// What is left of it is added to Years, which may be 0 for a replacement.
	Continues time.Time
	// CSR is the PKCS#10 request (DER) of a key pair that the subscriber already
	// has; without one, a USBKEY is made.
	CSR []byte
	// Renews is the serial of the certificate whose key pair the CSR is for, when the
	// profile keeps it in a renewal; empty for a key pair that was never certified.
	Renews string
}

// Pipeline makes certificates, one durable step after another.
type Pipeline struct {
	ca     *CA
	tokens *token.Module
	ledger Ledger
	now    func() time.Time
	blanks func() ([]string, error) // serial numbers of the plugged blanks that have one
}

// NewPipeline returns a Pipeline that signs with ca, makes USBKEYs in tokens and
// remembers in ledger.
func NewPipeline(ca *CA, tokens *token.Module, ledger Ledger, now func() time.Time) *Pipeline {
	return &Pipeline{ca: ca, tokens: tokens, ledger: ledger, now: now, blanks: tokens.Blanks}
}

// Open records a request. Opening it again changes nothing; opening it with other
// data is refused.
func (p *Pipeline) Open(ctx context.Context, r Request) (Issue, error) {
	profile, err := LookupProfile(r.Profile)
	if err != nil {
		return Issue{}, err
	}
	if r.Renews != "" {
		if err := p.mayKeep(ctx, r, profile); err != nil {
			return Issue{}, err
		}
	}
	if len(r.SnapshotHash) != sha256.Size {
		return Issue{}, refuse("snapshot_hash", "缺少审核资料的摘要。", "snapshot hash of %d bytes", len(r.SnapshotHash))
	}
	at := p.instant()
	is := Issue{
		ID: r.ID, Item: r.Item, SnapshotHash: r.SnapshotHash, Profile: r.Profile,
		Company: r.Subject.Company, USCC: r.Subject.USCC, Years: r.Years, Continues: r.Continues.UTC().Truncate(time.Millisecond),
		Renews: r.Renews, Stage: StageRequested, CreatedAt: at, UpdatedAt: at,
	}
	stored, err := p.open(ctx, is, r.CSR)
	if err != nil {
		return Issue{}, fmt.Errorf("opening issue %s: %w", r.ID, err)
	}
	if stored.Item != is.Item || !bytes.Equal(stored.SnapshotHash, is.SnapshotHash) || stored.Profile != is.Profile ||
		stored.Company != is.Company || stored.USCC != is.USCC || stored.Years != is.Years || !stored.Continues.Equal(is.Continues) || stored.Renews != is.Renews {
		return stored, refuse("snapshot_changed", "制证资料与审核通过的资料不一致。", "issue %s was opened with other data", r.ID)
	}
	return stored, nil
}

// mayKeep reports whether the profile lets a request have the key pair of the
// certificate that it renews.
func (p *Pipeline) mayKeep(ctx context.Context, r Request, profile Profile) error {
	if profile.KeyYears == 0 || r.CSR == nil {
		return refuse("new_key_required", "该类证书更新时须使用新密钥。", "profile %s renews %s", r.Profile, r.Renews)
	}
	since, ends, err := p.ledger.KeyOf(ctx, r.Renews)
	if errors.Is(err, ErrUnknownIssue) {
		return otherKey(err)
	}
	if err != nil {
		return fmt.Errorf("reading the key of %s: %w", r.Renews, err)
	}
	if !ends.Before(KeyUntil(r.Profile, since)) {
		return refuse("key_too_old", fmt.Sprintf("密钥使用已满 %d 年，更新时须使用新密钥。", profile.KeyYears), "the key of %s is certified since %s", r.Renews, since.Format(time.DateOnly))
	}
	return nil
}

func otherKey(err error) error {
	return refuse("key_not_kept", "UKEY 上的密钥与原证书不一致，不能沿用，请致电 400-666-3999 处理。", "%v", err)
}

// open records is. When the subscriber brings a request there is nothing to wait
// for: the certificate is planned, and recorded together with what it is for.
func (p *Pipeline) open(ctx context.Context, is Issue, request []byte) (Issue, error) {
	if request == nil {
		return p.ledger.OpenIssue(ctx, is)
	}
	is.CSR = request
	for failures := 0; ; {
		planned, err := p.ca.plan(is, p.now())
		if err != nil {
			return Issue{}, err
		}
		planned.Stage = StageSigning
		stored, err := p.ledger.OpenIssue(ctx, planned)
		if errors.Is(err, ErrOtherKey) {
			return Issue{}, otherKey(err)
		}
		if failures++; !errors.Is(err, ErrSerialTaken) || failures == attempts {
			return stored, err
		}
	}
}

// Make is Open and Run.
func (p *Pipeline) Make(ctx context.Context, r Request) (Issue, error) {
	is, err := p.Open(ctx, r)
	if err != nil {
		return is, err
	}
	return p.run(ctx, is)
}

// steps is the pipeline: what is done at each stage, and the stage that is
// committed when it is done. Each step can be repeated after a crash: what it did
// to a token or in the HSM before is found there and kept.
var steps = map[Stage]struct {
	name string
	do   func(*Pipeline, context.Context, *Issue) (*TokenRecord, error)
	next Stage
}{
	StageRequested:   {"choose-token", (*Pipeline).chooseToken, StageTokenChosen},
	StageTokenChosen: {"make-key", (*Pipeline).makeKey, StageKeyMade},
	StageKeyMade:     {"reserve-serial", (*Pipeline).reserveSerial, StageSigning},
	StageSigning:     {"sign", (*Pipeline).sign, StageStored},
	StageStored:      {"write", (*Pipeline).write, StageWritten},
	StageWritten:     {"verify", (*Pipeline).verify, StageDone},
}

// attempts bounds how often one step is repeated for a serial number that was
// taken or a row that somebody else changed.
const attempts = 3

// Run takes an issue from where it stands to its end: StageDone, or StageStored
// when the subscriber brought the CSR and writes the certificate. It may be called
// again after any error or crash, and by several at once: the stages are guarded,
// so there is one serial and one stored certificate.
func (p *Pipeline) Run(ctx context.Context, id string) (Issue, error) {
	is, err := p.ledger.Issue(ctx, id)
	if err != nil {
		return is, fmt.Errorf("reading issue %s: %w", id, err)
	}
	return p.run(ctx, is)
}

func (p *Pipeline) run(ctx context.Context, is Issue) (Issue, error) {
	return p.runUntil(ctx, is, func(is Issue) bool {
		_, unfinished := steps[is.Stage]
		return !unfinished || is.Stage == StageStored && is.TokenSerial == ""
	})
}

// runUntil runs step after step, and goes on from where another worker has brought the
// issue meanwhile.
func (p *Pipeline) runUntil(ctx context.Context, is Issue, done func(Issue) bool) (Issue, error) {
	for failures := 0; ; {
		if is.Stage == StageFailed {
			return is, refuse("issue_failed", "本次制证已作废，请重新制证。", "issue %s failed: %s", is.ID, is.Failure)
		}
		if done(is) {
			return is, nil
		}
		step := steps[is.Stage]
		next, err := p.advance(ctx, step.name, is, step.do, step.next)
		if errors.Is(err, ErrSerialTaken) || errors.Is(err, ErrStale) {
			if failures++; failures < attempts {
				next, err = p.ledger.Issue(ctx, is.ID)
			}
		}
		if err != nil {
			return is, fmt.Errorf("issue %s: %s: %w", is.ID, is.Stage, err)
		}
		if next.Stage != is.Stage {
			failures = 0 // it moved, whoever moved it
		}
		is = next
	}
}

// advance does one step and commits the stage it leads to.
func (p *Pipeline) advance(ctx context.Context, name string, is Issue, do func(*Pipeline, context.Context, *Issue) (*TokenRecord, error), to Stage) (Issue, error) {
	if err := ctx.Err(); err != nil {
		return is, err
	}
	failpoint("before-" + name)
	from := is.Stage
	rec, err := do(p, ctx, &is)
	if err != nil {
		return is, err
	}
	failpoint("after-" + name)
	if err := ctx.Err(); err != nil {
		return is, err
	}
	is.Stage, is.UpdatedAt = to, p.instant()
	if err := p.ledger.AdvanceIssue(ctx, from, is, rec); err != nil {
		return is, err
	}
	failpoint("committed-" + name)
	return is, nil
}

// chooseToken gives the USBKEY its serial number and secrets. They are recorded,
// sealed, before the token is touched, so that no token is ever made that cannot
// be opened again.
func (p *Pipeline) chooseToken(ctx context.Context, is *Issue) (*TokenRecord, error) {
	serial, err := p.blank(ctx, is.ID)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	at := p.instant()
	rec := &TokenRecord{Serial: serial, State: TokenBlank, IssueID: is.ID, CreatedAt: at, UpdatedAt: at}
	is.TokenSerial = serial
	return rec, sealToken(p.ca.keyset, rec, tokenSecrets{token.NewSOPIN(), token.NewUserPIN(), secret})
}

// blank names the USBKEY for an issue: one of the stock, when keys with serial
// numbers of their own are plugged in one of these; a new number only for tokens
// that have none, such as SoftHSM's.
func (p *Pipeline) blank(ctx context.Context, issueID string) (string, error) {
	plugged, err := p.blanks()
	if err != nil {
		return "", err
	}
	serial, err := p.ledger.TakeBlank(ctx, issueID, plugged, p.instant())
	if err != nil || serial != "" {
		return serial, err
	}
	if len(plugged) > 0 {
		return "", &token.Error{Kind: token.NoBlank, Op: "the plugged blanks are not in stock"}
	}
	n, err := p.ledger.NextTokenNumber(ctx)
	if err != nil {
		return "", err
	}
	return token.Serial(n)
}

// makeKey initialises the blank and makes the key pair in it.
func (p *Pipeline) makeKey(ctx context.Context, is *Issue) (*TokenRecord, error) {
	profile, err := LookupProfile(is.Profile)
	if err != nil {
		return nil, err
	}
	rec, err := p.ledger.Token(ctx, is.TokenSerial)
	if err != nil {
		return nil, err
	}
	secrets, err := openToken(p.ca.keyset, rec)
	if err != nil {
		return nil, err
	}
	if err := p.tokens.Ensure(ctx, rec.Serial, secrets.soPIN, secrets.userPIN); err != nil {
		return nil, err
	}
	subject := Subject{Company: is.Company, USCC: is.USCC}
	err = p.withToken(ctx, rec, func(t *token.Token, secrets tokenSecrets) error {
		if err := t.PutSecret(secrets.secret); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		key, err := t.EnsureKey(containerID(is.ID), profile.Algorithm)
		if err != nil {
			return err
		}
		failpoint("key-made")
		is.CSR, err = makeCSR(key, profile, subject)
		return err
	})
	if err != nil {
		return nil, err
	}
	csr, err := CheckCSR(is.CSR, profile, subject)
	if err != nil {
		return nil, err
	}
	is.KeyHash = keyHash(csr)
	return nil, nil
}

// reserveSerial plans the certificate. Its serial number and TBS are committed
// together, before the CA's key is used: nothing is ever signed that the ledger
// does not know.
func (p *Pipeline) reserveSerial(_ context.Context, is *Issue) (*TokenRecord, error) {
	planned, err := p.ca.plan(*is, p.now())
	if err == nil {
		*is = planned
	}
	return nil, err
}

// sign has the HSM sign what was recorded. After a crash the same bytes are signed
// again, under the same serial: only what the ledger then stores is the certificate.
func (p *Pipeline) sign(ctx context.Context, is *Issue) (_ *TokenRecord, err error) {
	is.Certificate, err = p.ca.sign(ctx, *is)
	return nil, err
}

// write puts the stored certificate on the token whose key it is for.
func (p *Pipeline) write(ctx context.Context, is *Issue) (*TokenRecord, error) {
	rec, err := p.ledger.Token(ctx, is.TokenSerial)
	if err != nil {
		return nil, err
	}
	return nil, p.withToken(ctx, rec, func(t *token.Token, _ tokenSecrets) error {
		return t.PutCertificate(containerID(is.ID), is.Certificate)
	})
}

// verify reads the token back and has its key answer a challenge.
func (p *Pipeline) verify(ctx context.Context, is *Issue) (*TokenRecord, error) {
	rec, err := p.ledger.Token(ctx, is.TokenSerial)
	if err != nil {
		return nil, err
	}
	err = p.withToken(ctx, rec, func(t *token.Token, secrets tokenSecrets) error {
		written, err := t.Certificate(containerID(is.ID))
		if err != nil {
			return err
		}
		secret, err := t.Secret()
		if err != nil {
			return err
		}
		if !bytes.Equal(written, is.Certificate) || !bytes.Equal(secret, secrets.secret) {
			return &token.Error{Kind: token.Mismatch, Op: "reading back token " + rec.Serial}
		}
		challenge := make([]byte, 32)
		rand.Read(challenge)
		signature, err := answer(t, rec, challenge)
		if err != nil {
			return err
		}
		return VerifyChallenge(is.Certificate, rec.Serial, challenge, signature)
	})
	if err != nil {
		return nil, err
	}
	rec.State, rec.UpdatedAt = TokenPersonalized, p.instant()
	return &rec, nil
}

// Scrap gives an unfinished issue up, for instance because its blank died: the
// token is scrapped, and a serial number that was reserved is revoked, whether or
// not it was signed. The item may then be opened again, under another ID.
func (p *Pipeline) Scrap(ctx context.Context, id, failure string) (Issue, error) {
	for range attempts {
		is, err := p.ledger.Issue(ctx, id)
		if err != nil {
			return is, fmt.Errorf("scrapping issue %s: %w", id, err)
		}
		switch is.Stage {
		case StageFailed:
			return is, nil
		case StageDone:
			return is, refuse("issue_done", "证书已制作完成，不能作废。", "issue %s is done", id)
		default: // unfinished
		}
		var rec *TokenRecord
		at := p.instant()
		if is.TokenSerial != "" {
			t, err := p.ledger.Token(ctx, is.TokenSerial)
			if err != nil {
				return is, fmt.Errorf("scrapping issue %s: %w", id, err)
			}
			t.State, t.UpdatedAt = TokenScrapped, at
			rec = &t
		}
		from := is.Stage
		is.Stage, is.Failure, is.UpdatedAt = StageFailed, failure, at
		if is.Serial != "" {
			is.RevokedAt, is.RevocationReason = at, reasonSuperseded
		}
		if err := p.ledger.AdvanceIssue(ctx, from, is, rec); !errors.Is(err, ErrStale) {
			return is, err
		}
	}
	return Issue{}, fmt.Errorf("scrapping issue %s: %w", id, ErrStale)
}

// withToken lends a USBKEY of ours to fn, with its user logged in.
func (p *Pipeline) withToken(ctx context.Context, rec TokenRecord, fn func(*token.Token, tokenSecrets) error) error {
	secrets, err := openToken(p.ca.keyset, rec)
	if err != nil {
		return err
	}
	return p.tokens.Exclusive(ctx, rec.Serial, func(t *token.Token) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.Login(secrets.userPIN); err != nil {
			return err
		}
		return fn(t, secrets)
	})
}

// instant is now as the ledger keeps it.
func (p *Pipeline) instant() time.Time { return p.now().UTC().Truncate(time.Millisecond) }

// ContainerID is the CKA_ID of an issue's key pair and certificate, for a key pair
// that the subscriber makes on his own token.
func ContainerID(issueID string) []byte { return containerID(issueID) }

// RawSubject is the DER of the name that a profile's certificates carry.
func RawSubject(profile string, s Subject) ([]byte, error) {
	p, err := LookupProfile(profile)
	if err != nil {
		return nil, err
	}
	return p.rawSubject(s)
}

// SameKey reports whether a certificate request is for the key of an issue.
func (is Issue) SameKey(csr []byte) bool {
	r, err := x509.ParseCertificateRequest(csr)
	return err == nil && keyHash(r) == is.KeyHash
}

// containerID is the CKA_ID of an issue's key pair and certificate on its token.
func containerID(issueID string) []byte {
	sum := sha256.Sum256([]byte(issueID))
	return sum[:20]
}
