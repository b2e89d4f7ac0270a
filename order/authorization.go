package order

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
)

// AuthorizationState is where one request to the legal representative stands (F44).
type AuthorizationState string

// The states of an authorisation. An order may have many authorisations, of
// which at most one is not at its end; the database sees to that.
const (
	AtCreated          AuthorizationState = "created"
	AtSent             AuthorizationState = "sms_sent"
	AtOpened           AuthorizationState = "opened"
	AtPhoneVerified    AuthorizationState = "phone_verified"
	AtIdentityVerified AuthorizationState = "identity_verified"
	AtSigned           AuthorizationState = "signed"
	AtReturned         AuthorizationState = "returned"
	AtDeclined         AuthorizationState = "declined"
	AtExpired          AuthorizationState = "expired"
	AtWithdrawn        AuthorizationState = "withdrawn"
)

var authorizationLabels = map[AuthorizationState]string{
	AtCreated: "未发送", AtSent: "已发送", AtOpened: "已打开", AtPhoneVerified: "已验证手机", AtIdentityVerified: "已核对本人",
	AtSigned: "已授权", AtReturned: "已退回", AtDeclined: "已拒绝", AtExpired: "已失效", AtWithdrawn: "已撤回",
}

// Label is the state as people read it.
func (s AuthorizationState) Label() string { return authorizationLabels[s] }

// AuthorizationEvent is something that happens to an authorisation.
type AuthorizationEvent string

// The events of an authorisation.
const (
	LetterSent       AuthorizationEvent = "sent"
	LetterOpened     AuthorizationEvent = "opened"
	PhoneVerified    AuthorizationEvent = "phone_verified"
	GuessedWrong     AuthorizationEvent = "guessed_wrong"
	IdentityVerified AuthorizationEvent = "identity_verified"
	LetterShown      AuthorizationEvent = "letter_shown"
	LetterSigned     AuthorizationEvent = "signed"
	LetterReturned   AuthorizationEvent = "returned"
	LetterDeclined   AuthorizationEvent = "declined"
	LetterVoided     AuthorizationEvent = "voided"
	LetterWithdrawn  AuthorizationEvent = "withdrawn"
	LetterForgotten  AuthorizationEvent = "forgotten" // its signer has declined a later one
)

// authorizationLifecycle is the whole life of an authorisation: one row says who
// may do what to it in which state and where it goes, what must be true, and
// which event of its order is part of the same transaction. Anything not in a
// row is refused. docs/lifecycle.md draws it.
var authorizationLifecycle = []authorizationStep{
	{From: at(AtCreated), On: LetterSent, To: AtSent, By: roles(System), Do: sent},
	{From: at(AtSent, AtOpened, AtPhoneVerified, AtIdentityVerified), On: LetterSent, By: roles(System), Do: sent},
	{From: at(AtCreated, AtSent), On: LetterOpened, To: AtOpened, By: roles(LegalRep), Do: opened},
	{From: at(AtOpened), On: PhoneVerified, To: AtPhoneVerified, By: roles(LegalRep), If: requires(codeProven), Do: phoneVerified},
	{From: at(AtPhoneVerified, AtIdentityVerified), On: PhoneVerified, By: roles(LegalRep), If: requires(codeProven), Do: phoneVerified},
	{From: at(AtPhoneVerified), On: GuessedWrong, By: roles(LegalRep), Do: func(a *Authorization, _ AuthorizationCommand) { a.Guesses++ }},
	{From: at(AtPhoneVerified), On: IdentityVerified, To: AtIdentityVerified, By: roles(LegalRep), If: requires(guessesLeft, identityHolds), Do: identified},
	{From: at(AtIdentityVerified), On: LetterShown, By: roles(LegalRep), Do: shownLetter},
	{From: at(AtIdentityVerified), On: LetterSigned, To: AtSigned, By: roles(LegalRep), If: requires(sameContent, letterRead, consentGiven, signatureDrawn, codeProven), Do: signedLetter, Order: AuthSigned},
	{From: at(AtPhoneVerified, AtIdentityVerified), On: LetterReturned, To: AtReturned, By: roles(LegalRep), If: requires(noteGiven, noteNamesNoNumber), Do: ended, Order: AuthReturned},
	{From: at(AtOpened, AtPhoneVerified, AtIdentityVerified), On: LetterDeclined, To: AtDeclined, By: roles(LegalRep), Do: refused, Order: AuthDeclined},
	{From: at(AtCreated, AtSent, AtOpened, AtPhoneVerified, AtIdentityVerified, AtSigned), On: LetterVoided, To: AtExpired, By: roles(System), Do: voided},
	{From: at(AtSigned), On: LetterWithdrawn, To: AtWithdrawn, By: roles(LegalRep), Do: ended, Order: AuthWithdrawn},
	{From: at(AtReturned, AtDeclined, AtExpired, AtWithdrawn), On: LetterForgotten, By: roles(System), Do: forgotten},
}

// Open authorisations wait for the legal representative.
var openAuthorization = at(AtCreated, AtSent, AtOpened, AtPhoneVerified, AtIdentityVerified)

// An authorizationStep is one row of the table. To is empty where the state
// stays as it is.
type authorizationStep struct {
	From []AuthorizationState
	On   AuthorizationEvent
	To   AuthorizationState
	By   []Role
	// If must hold; the first that does not is the refusal people read.
	If []requirement
	Do func(*Authorization, AuthorizationCommand)
	// Order is what happens to the order in the same transaction.
	Order Event
}

func (t authorizationStep) to(s AuthorizationState) AuthorizationState {
	if t.To == "" {
		return s
	}
	return t.To
}

func at(s ...AuthorizationState) []AuthorizationState { return s }
func requires(r ...requirement) []requirement         { return r }

// How often the legal representative may be wrong about the last digits of his
// own document, and how long the letter must have been in front of him.
const (
	maxGuesses = 5
	// MinReading is how long the letter must have been in front of him.
	MinReading    = 5 * time.Second
	resendsPerDay = 3
	// AuthorizationLife is how long the legal representative has (row 16).
	AuthorizationLife = 7 * day
	// MaxMandate is the longest time for which one authorisation can cover
	// further applications.
	MaxMandate = 366 * day
)

// A requirement is something that must be true of an authorisation and a command.
type requirement struct {
	holds   func(Authorization, AuthorizationCommand) bool
	refusal *Error
}

var (
	codeProven  = requirement{func(_ Authorization, c AuthorizationCommand) bool { return c.CodeProven }, Errorf(Invalid, "mobile_proven_required", "请先通过短信验证")}
	guessesLeft = requirement{func(a Authorization, _ AuthorizationCommand) bool { return a.Guesses < maxGuesses }, Errorf(RateLimited, "identity_locked", "证件号码核对错误次数过多，请联系经办人重新发送授权短信后再试")}

	identityHolds = requirement{func(_ Authorization, c AuthorizationCommand) bool {
		return c.Identity.Result == RealNameMatch || c.Identity.Result == RealNameManual && c.Identity.Object != ""
	}, Errorf(Invalid, "identity_refused", "姓名、证件号码与手机号核验不一致。请联系经办人核对填写内容，或改用纸质授权书")}
	sameContent = requirement{func(a Authorization, c AuthorizationCommand) bool {
		return a.Content == c.order.signedHash(c.order.Form) && a.Snapshot == c.order.Snapshot && c.order.Snapshot == c.order.Hash()
	}, Errorf(Conflict, "authorization_changed", "申请内容已变化，请刷新页面重新核对")}
	letterRead = requirement{func(a Authorization, c AuthorizationCommand) bool {
		return c.Read && !a.ShownAt.IsZero() && c.at.Sub(a.ShownAt) >= MinReading
	}, Errorf(Invalid, "letter_unread", "请阅读授权书全文后再签署")}
	consentGiven   = requirement{func(_ Authorization, c AuthorizationCommand) bool { return c.Consent.Hash != "" }, Errorf(Invalid, "sensitive_consent_required", "请勾选同意处理签名和证件信息")}
	signatureDrawn = requirement{func(_ Authorization, c AuthorizationCommand) bool {
		return c.Signature.Object != "" && c.Signature.SHA256 != ""
	}, Errorf(Invalid, "signature_missing", "请在签名框内手写签名")}
	noteGiven = requirement{func(_ Authorization, c AuthorizationCommand) bool {
		n := utf8.RuneCountInString(c.Note)
		return n > 0 && n <= 100
	}, Errorf(Invalid, "has_note_required", "请写明哪里有误，不超过 100 字")}
	noteNamesNoNumber = requirement{func(_ Authorization, c AuthorizationCommand) bool {
		return !identity.HasPersonalNumber(c.Note)
	}, Errorf(Invalid, "names_no_number_required", "说明里有证件号、手机号或银行卡号，对方会看到，请删去或只写末四位后再提交")}
)

// LegalSigner is who is asked to sign. It is personal data and is sealed.
type LegalSigner struct {
	Name   string           `json:"name"`
	Type   identity.DocType `json:"type"`
	No     string           `json:"no"`
	Mobile string           `json:"mobile"`
}

// same reports whether two requests are to one person, as far as document or mobile tell.
func (l LegalSigner) same(m LegalSigner) bool {
	return l.No != "" && l.Type == m.Type && l.No == m.No || l.Mobile != "" && l.Mobile == m.Mobile
}

// String redacts.
func (LegalSigner) String() string { return "legal signer" }

// GoString redacts like String.
func (LegalSigner) GoString() string { return "legal signer" }

// Identity is what an identity check said (flows.md 4.5, screen 3).
type Identity struct {
	Result   RealNameResult `json:"result"`
	Provider string         `json:"provider"`
	// ID is the provider's id of the check.
	ID string    `json:"id,omitempty"`
	At time.Time `json:"at"`
	// Object is the picture of a document that only people can judge.
	Object string `json:"object,omitempty"`
}

// LegalDocument is the object that a photographed document of an authorisation
// becomes: one per authorisation, so that it can be found to be erased.
func LegalDocument(authorization string) string { return authorization + "-document" }

// LegalSignature is the object of the handwritten signature.
func LegalSignature(authorization string) string { return authorization + "-signature" }

// LegalLetter is the object of the sealed letter, which is made after the signature.
func LegalLetter(authorization string) string { return authorization + "-letter" }

// LegalEvidence is the object of its evidence pack.
func LegalEvidence(authorization string) string { return authorization + "-evidence" }

// Signature is the handwritten signature: a picture in the object store.
type Signature struct {
	Object string `json:"object"`
	SHA256 string `json:"sha256"` // hex, of the picture
}

// Device is from where the legal representative did something.
type Device struct {
	Channel Channel   `json:"channel"`
	OpenID  string    `json:"openid,omitempty"`
	IP      string    `json:"ip"`
	Agent   string    `json:"agent,omitempty"` // of the browser, as it says itself
	At      time.Time `json:"at"`
}

// Mandate is how far an authorisation goes beyond its order (idea 4): until Until
// it covers every application of the same company by the same 经办人.
type Mandate struct {
	Until     time.Time
	RevokedAt time.Time
}

// Covers reports whether further applications are covered now.
func (m Mandate) Covers(now time.Time) bool { return m.RevokedAt.IsZero() && now.Before(m.Until) }

// Proof is what an authorisation can show for itself; it is sealed.
type Proof struct {
	SMS       []SentLetter `json:"sms,omitempty"`
	Opened    Device       `json:"opened,omitzero"`
	Phone     Device       `json:"phone,omitzero"`
	Identity  Identity     `json:"identity,omitzero"`
	Shown     Device       `json:"shown,omitzero"`
	Signed    Device       `json:"signed,omitzero"`
	Signature Signature    `json:"signature,omitzero"`
	Consent   Consent      `json:"consent,omitzero"`
	// Text is the version and SHA-256 (hex) of the letter's words.
	TextVersion string `json:"text_version,omitempty"`
	TextSHA256  string `json:"text_sha256,omitempty"`
	Receipt     string `json:"receipt,omitempty"`
}

// SentLetter is one SMS to the legal representative.
type SentLetter struct {
	ID         string    `json:"id"`                    // ours
	ProviderID string    `json:"provider_id,omitempty"` // of the SMS provider
	At         time.Time `json:"at"`
}

// Authorization is one request to the legal representative to let the 经办人 act,
// from the SMS to the signature.
type Authorization struct {
	ID      string
	OrderID ID
	State   AuthorizationState
	Rev     int64
	Signer  LegalSigner
	// Content is the hash of the signed fields it is about, Snapshot the order's.
	Content  string
	Snapshot string
	// LinkHash is the SHA-256 (hex) of the token in the newest SMS that is no mere
	// reminder; older ones are dead.
	LinkHash string
	Guesses  int
	// Why says, in a code, what ended it: declined, returned, expired, replaced, …
	Why     string
	Mandate Mandate
	// ReuseOf is the authorisation whose mandate this one stands on.
	ReuseOf string
	Proof   Proof
	// Letter and Evidence are the signed PDF and the evidence pack in the object
	// store, once they are made.
	Letter   string
	Evidence string

	CreatedAt time.Time
	UpdatedAt time.Time
	ShownAt   time.Time
	SignedAt  time.Time
	EndedAt   time.Time
	ExpiresAt time.Time
}

// Open reports whether it waits for the legal representative.
func (a Authorization) Open() bool { return slices.Contains(openAuthorization, a.State) }

// Forgotten reports whether nothing is kept any more of who was asked.
func (a Authorization) Forgotten() bool { return a.Signer == LegalSigner{} }

// Lapsed reports whether it does not count for its order any more, but beyond it.
func (a Authorization) Lapsed(now time.Time) bool {
	return a.State == AtExpired && a.Mandate.Covers(now)
}

// Active reports whether it is the one of its order that counts.
func (a Authorization) Active() bool { return a.Open() || a.State == AtSigned }

// idTail is how many last characters of the document's number he types himself.
const idTail = 6

// Locked reports whether he was wrong too often; a new SMS starts anew.
func (a Authorization) Locked() bool { return a.Guesses >= maxGuesses }

// Unwithdrawable says why the legal representative cannot take his authorisation back
// any more (rows 17 to 19), as far as the order itself tells; empty when he can.
func (o Order) Unwithdrawable() string {
	switch {
	case o.Status == Refunded:
		return "该申请已退款，授权不会再用于制作证书。"
	case o.Stage == Closed:
		return "该申请已关闭，授权不会再用于制作证书。"
	case o.Refund != NoRefund:
		return "该申请正在退款，授权不会再用于制作证书。"
	case o.MadeAlready():
		return "证书已制作，如需停用请办理吊销。"
	default:
		return ""
	}
}

// MadeAlready reports whether the certificate is being made or is made (rows 18 and 19),
// as far as the order itself tells.
func (o Order) MadeAlready() bool {
	return o.Verified > 0 || slices.Contains([]Status{ToShip, Completed}, o.Status) || o.Stage == Running
}

// KnowsTail reports whether typed is the end of the document's number, however
// it was typed.
func (a Authorization) KnowsTail(typed string) bool {
	no := []rune(a.Signer.No)
	return len(no) >= idTail && tailOf(typed) == string(no[len(no)-idTail:])
}

// IsTail reports whether typed can be the end of any number. What cannot is a slip, and
// no guess.
func IsTail(typed string) bool { return len([]rune(tailOf(typed))) == idTail }

func tailOf(typed string) string {
	return strings.ToUpper(strings.Join(strings.Fields(identity.HalfWidth(typed)), ""))
}

// AuthorizationCommand is one thing that happens to an authorisation.
type AuthorizationCommand struct {
	On AuthorizationEvent
	By Actor
	// Device says from where; a command of the legal representative has one.
	Device Device

	CodeProven bool
	Identity   Identity
	Read       bool // scrolled to the end of the letter
	Consent    Consent
	Signature  Signature
	// TextVersion and TextSHA256 name the words that were on the screen.
	TextVersion, TextSHA256 string
	Mandate                 Mandate
	Note                    string
	Why                     string
	Sent                    SentLetter

	at    time.Time
	order Order
}

func nextAuthorization(a Authorization, c AuthorizationCommand) (authorizationStep, error) {
	i := slices.IndexFunc(authorizationLifecycle, func(t authorizationStep) bool { return t.On == c.On && slices.Contains(t.From, a.State) })
	if i < 0 {
		return authorizationStep{}, Errorf(Conflict, "authorization_not_ready", "该授权当前为「%s」，不能执行该操作，请刷新页面", a.State.Label())
	}
	t := authorizationLifecycle[i]
	if !slices.Contains(t.By, c.By.Role) {
		return t, Errorf(Forbidden, "role_not_allowed", "您没有执行该操作的权限")
	}
	for _, r := range t.If {
		if !r.holds(a, c) {
			return t, r.refusal
		}
	}
	return t, nil
}

func sent(a *Authorization, c AuthorizationCommand) {
	for i, s := range a.Proof.SMS {
		if s.ID == c.Sent.ID {
			a.Proof.SMS[i] = c.Sent
			return
		}
	}
	a.Proof.SMS = append(a.Proof.SMS, c.Sent)
}

func opened(a *Authorization, c AuthorizationCommand)     { a.Proof.Opened = c.Device }
func identified(a *Authorization, c AuthorizationCommand) { a.Proof.Identity = c.Identity }

// phoneVerified keeps the first proof, on which the later steps stand.
func phoneVerified(a *Authorization, c AuthorizationCommand) {
	if a.Proof.Phone.At.IsZero() {
		a.Proof.Phone = c.Device
	}
}

// shownLetter starts the reading time; showing the letter again does not start it anew.
func shownLetter(a *Authorization, c AuthorizationCommand) {
	if a.ShownAt.IsZero() {
		a.ShownAt, a.Proof.Shown = c.at, c.Device
	}
}

func signedLetter(a *Authorization, c AuthorizationCommand) {
	a.SignedAt = c.at
	a.Mandate = c.Mandate
	p := &a.Proof
	p.Signed, p.Signature, p.Consent, p.TextVersion, p.TextSHA256 = c.Device, c.Signature, c.Consent, c.TextVersion, c.TextSHA256
	p.Receipt = receiptNo(a.ID, c.at)
}

// receiptNo is the number of 完成, for people: the day and the random end of the id.
func receiptNo(id string, at time.Time) string {
	return "SQ" + at.In(Shanghai).Format("20060102") + id[max(0, len(id)-8):]
}

// voided ends what was signed for the order. What it covers beyond that nobody has taken back.
func voided(a *Authorization, c AuthorizationCommand) { a.EndedAt, a.Why = c.at, c.Why }

func ended(a *Authorization, c AuthorizationCommand) {
	voided(a, c)
	a.Mandate.RevokedAt = c.at
}

// refused keeps of a legal representative who declines nothing but that he did.
func refused(a *Authorization, c AuthorizationCommand) {
	ended(a, c)
	forgotten(a, c)
}

// forgotten keeps of a request nothing but what became of it and when SMS went out.
func forgotten(a *Authorization, _ AuthorizationCommand) {
	a.Signer, a.Letter, a.Evidence = LegalSigner{}, "", ""
	a.Proof = Proof{SMS: a.Proof.SMS}
}

// signedHash is the SHA-256 (hex) of what an authorisation covers: when one of
// these fields changes, it is void (row 33).
func (o Order) signedHash(f Form) string {
	content := struct {
		Business Business
		Product  string
		Term     int
		Lines    []Line
		Fields   [][2]string
	}{o.Business, o.Product.Code, o.Product.Term, o.Lines, nil}
	for _, s := range Fields {
		if s.Signed && s.IsAsked(o.Product, f) {
			content.Fields = append(content.Fields, [2]string{string(s.Name), f.Get(s.Name)})
		}
	}
	b, err := json.Marshal(content)
	if err != nil {
		panic(err) // strings and integers always marshal
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// covers reports whether the authorisation stands for an order with this form.
func (a Authorization) covers(o Order, f Form) bool {
	return a.State == AtSigned && a.Content == o.signedHash(f)
}

// MandateKey is what a mandate covers: the applications of one company by one
// 经办人, signed by one legal representative.
type MandateKey struct{ USCC, Agent, Signer string }

// MandateKeyOf is what a mandate for an application like this one covers.
func MandateKeyOf(f Form) MandateKey {
	return MandateKey{f.Get(OrgUSCC), f.Get(IDType) + ":" + f.Get(IDNo), f.Get(LegalIDType) + ":" + f.Get(LegalIDNo)}
}
