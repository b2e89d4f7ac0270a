package issuance

import (
	"context"
	"errors"
	"time"
)

// Stage is how far the making of one certificate has come. Each stage is
// committed to the [Ledger] before the work of the next one begins, so that a
// crash loses at most work that can be repeated.
type Stage string

// The stages, in order. An issue whose blank died ends in StageFailed instead
// of StageDone.
const (
	StageRequested   Stage = "requested"    // what to certify is known
	StageTokenChosen Stage = "token_chosen" // the USBKEY has a serial number, its secrets are sealed in its TokenRecord
	StageKeyMade     Stage = "key_made"     // the key pair exists (in the token), the CSR has been checked
	StageSigning     Stage = "signing"      // serial and TBS are recorded and linted; the CA key may be used from here on
	StageStored      Stage = "stored"       // the signed certificate is recorded
	StageWritten     Stage = "written"      // the certificate is on the token
	StageDone        Stage = "done"         // read back, and the token's key has answered a challenge
	StageFailed      Stage = "failed"       // given up: the blank is scrapped and a reserved serial is revoked
)

// Issue is one attempt to make one certificate: one row of the table "issues".
// Instants are UTC with whole milliseconds; a zero time and an empty slice or
// string are stored as NULL.
type Issue struct {
	// ID is the primary key, made by the caller (item and attempt).
	ID string `db:"id"`
	// Item is what the certificate is for, opaque here. A unique partial index
	// on item WHERE stage <> 'failed' keeps an item from ever having two live
	// serials.
	Item string `db:"item"`
	// SnapshotHash is the hash of the approved data (SHA-256, 32 bytes). NOT NULL.
	SnapshotHash []byte `db:"snapshot_hash"`
	// Profile names the certificate profile, e.g. "company-p256". NOT NULL.
	Profile string `db:"profile"`
	// Company is the subject's O and CN (public data). NOT NULL.
	Company string `db:"company"`
	// USCC is the subject's unified social credit code (public data). NOT NULL.
	USCC string `db:"uscc"`
	// Years is how long the certificate shall be valid. NOT NULL.
	Years int `db:"years"`
	// Continues is the end of the certificate whose validity this one continues;
	// NULL for the first of its kind. Years may be 0 then: the same end.
	Continues time.Time `db:"continues"`
	// Renews is the serial of the certificate that this one renews with the same key
	// pair; empty when the key pair is certified for the first time.
	Renews string `db:"renews"`
	// Stage is guarded: it only changes through AdvanceIssue. NOT NULL.
	Stage Stage `db:"stage"`

	// TokenSerial is the USBKEY, set from StageTokenChosen on. References
	// tokens(serial).
	TokenSerial string `db:"token_serial"`
	// CSR is the checked PKCS#10 request (DER), set from StageKeyMade on.
	CSR []byte `db:"csr"`
	// KeyHash is the lower-case hex SHA-256 of the SubjectPublicKeyInfo, set
	// with CSR. Unique over all issues that renew none, failed ones too;
	// one that renews has the key of the certificate that it names.
	KeyHash string `db:"key_hash"`

	// Serial is the certificate's serial number, exactly 40 upper-case hex
	// digits, set from StageSigning on. Unique over all issues, failed ones too.
	Serial string `db:"serial"`
	// Issuer is the label of the issuing CA's token, set with Serial.
	Issuer string `db:"issuer"`
	// TBS is the to-be-signed certificate (DER), set with Serial.
	TBS []byte `db:"tbs"`
	// TBSHash is SHA-256 of TBS (32 bytes), set with Serial.
	TBSHash []byte `db:"tbs_hash"`
	// NotBefore and NotAfter bound the validity, set with Serial.
	NotBefore time.Time `db:"not_before"`
	NotAfter  time.Time `db:"not_after"`

	// Certificate is the signed certificate (DER), set from StageStored on.
	Certificate []byte `db:"certificate"`

	// RevokedAt is when the serial was revoked, or zero. A failed issue with a
	// Serial is always revoked, signed or not.
	RevokedAt time.Time `db:"revoked_at"`
	// RevocationReason is the RFC 5280 §5.3.1 code beside RevokedAt
	// (6, certificateHold, is a frozen certificate). NOT NULL, default 0.
	RevocationReason int `db:"revocation_reason"`
	// Failure is the error code that ended a failed issue.
	Failure string `db:"failure"`

	// CreatedAt and UpdatedAt are set by the pipeline. NOT NULL.
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// TokenState is what has become of a USBKEY.
type TokenState string

// The states of a USBKEY.
const (
	TokenBlank        TokenState = "blank"        // reserved for an issue; secrets sealed, hardware perhaps untouched
	TokenPersonalized TokenState = "personalized" // its certificate was read back and its key answered
	TokenScrapped     TokenState = "scrapped"     // must not be used again
)

// TokenRecord is one USBKEY: one row of the table "tokens". The sealed columns
// are opaque bytes under the "token" keyset, which only the issuer can open.
type TokenRecord struct {
	// Serial is the TW serial number, 16 characters. Primary key.
	Serial string `db:"serial"`
	// State is NOT NULL.
	State TokenState `db:"state"`
	// IssueID is the issue the USBKEY was taken for. NOT NULL, unique.
	IssueID string `db:"issue_id"`
	// SealedSOPIN, SealedUserPIN (the initial one) and SealedSecret (the 32-byte
	// K for challenge codes) are NOT NULL.
	SealedSOPIN   []byte `db:"sealed_so_pin"`
	SealedUserPIN []byte `db:"sealed_user_pin"`
	SealedSecret  []byte `db:"sealed_secret"`
	// CreatedAt and UpdatedAt are set by the pipeline. NOT NULL.
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// Ledger is the durable memory of issuance. Every method is one short
// transaction of its own (no HSM call ever happens inside one) and is durable
// when it returns nil.
type Ledger interface {
	// OpenIssue inserts is (its Stage is StageRequested, or StageSigning when the
	// caller brings a CSR, which is checked and planned by then) and returns it as
	// stored. When a row of that ID exists already it is returned as it is and
	// nothing changes. ErrItemBusy when another issue of the same Item has not
	// failed; ErrSerialTaken and ErrKeyReused as in AdvanceIssue; ErrOtherKey when
	// the certificate that is renewed does not exist or has another key.
	OpenIssue(ctx context.Context, is Issue) (Issue, error)

	// Issue returns one issue; ErrUnknownIssue when there is none.
	Issue(ctx context.Context, id string) (Issue, error)

	// KeyOf returns when the first certificate for the key pair of a certificate
	// began, and when that certificate itself ends; ErrUnknownIssue when there is no
	// certificate of that serial.
	KeyOf(ctx context.Context, serial string) (since, ends time.Time, err error)

	// AdvanceIssue writes the columns of is (all but ID, Item, SnapshotHash,
	// Profile, Company, USCC, Years, Continues, Renews and CreatedAt, which never change) if and
	// only if the stored stage still is from; otherwise ErrStale and nothing is
	// written. When tok is not nil that row is inserted or, by its Serial,
	// replaced in the same transaction. The stage decides first: of two workers
	// that both chose a token for one issue, the later gets ErrStale, not the
	// breach of tokens.issue_id. A serial that exists in another row is
	// ErrSerialTaken, a key hash that does is ErrKeyReused.
	AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error

	// Token returns one USBKEY; ErrUnknownToken when there is none.
	Token(ctx context.Context, serial string) (TokenRecord, error)

	// TakeBlank takes a key out of the stock of blanks for an issue, the same one
	// when asked again, and returns its serial number; "" when there is none. When
	// plugged is not empty it must be one of these.
	TakeBlank(ctx context.Context, issueID string, plugged []string, at time.Time) (serial string, err error)

	// TellPIN records that a request is told the initial PIN of a personalized
	// USBKEY; ErrPINTold when another request was, or there is none to tell.
	TellPIN(ctx context.Context, serial, request string, at time.Time) error

	// NextTokenNumber returns a number that it has never returned before, for the
	// serial number of a blank that has none. Gaps are harmless.
	NextTokenNumber(ctx context.Context) (uint64, error)

	// SOPINs returns the SO PINs that a USBKEY may have, sealed; nil while it has
	// the one it was made with. rev counts their changes.
	SOPINs(ctx context.Context, serial string) (sealed []byte, rev int64, err error)

	// PutSOPINs writes them if nobody has changed them since rev; else ErrStale.
	PutSOPINs(ctx context.Context, serial string, sealed []byte, rev int64) error
}

// What a Ledger answers besides faults of its own. Implementations return these
// (wrapped if they like), so that errors.Is finds them.
var (
	ErrUnknownIssue = errors.New("issuance: no such issue")
	ErrUnknownToken = errors.New("issuance: no such token")
	ErrStale        = errors.New("issuance: the issue has moved on")
	ErrItemBusy     = errors.New("issuance: the item already has a live issue")
	ErrSerialTaken  = errors.New("issuance: serial number taken")
	ErrPINTold      = errors.New("issuance: the initial PIN was told before")
	ErrKeyReused    = errors.New("issuance: public key already certified")
	ErrOtherKey     = errors.New("issuance: the renewed certificate has another key")
)
