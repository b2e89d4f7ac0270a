package bot

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// Talks keeps what was said, and the answer to each callback, so that WeChat's
// retries of one message (three attempts, 5 s apart) get the same answer and its
// effect happens once. Answers are kept for [AnswerTTL], what a conversation
// remembers for [MemoryTTL]. Keys carry no personal data.
type Talks interface {
	// Begin claims a message, first for exactly one caller, and recalls what the
	// conversation with the person remembers.
	Begin(ctx context.Context, message, person string) (first bool, memory []byte, err error)
	// End keeps the answer to a claimed message, of which an empty one is one, and
	// what the conversation remembers from now on, unless memory is nil.
	End(ctx context.Context, message, person string, answer, memory []byte) error
	// Answer returns the answer to a message; false while the first attempt is
	// still being answered.
	Answer(ctx context.Context, message string) ([]byte, bool, error)
}

// Memory keeps what a challenge needs for a minute, and what WeChat has told about a
// person for a few. It holds no clear personal data. Losing it costs a repeated
// question.
type Memory interface {
	// Recall returns the remembered state, nil when there is none.
	Recall(ctx context.Context, key string) ([]byte, error)
	// Remember replaces the state; an empty state forgets.
	Remember(ctx context.Context, key string, state []byte, ttl time.Duration) error
}

// Store is the database as the bot needs it; order.Store has all of it.
type Store interface {
	PersonByWeChat(ctx context.Context, appID, openID string) (order.Person, error)
	PersonByUnionID(ctx context.Context, unionID string) (order.Person, error)
	WeChatOf(ctx context.Context, appID, personID string) (order.WeChatIdentity, error)
	StaffByPerson(ctx context.Context, personID string) (order.Staff, error)
	Order(ctx context.Context, id order.ID) (order.Order, error)
	Orders(ctx context.Context, f order.Filter) (order.Page, error)
	Events(ctx context.Context, id order.ID) ([]order.EventRecord, error)
	Shipments(ctx context.Context, id order.ID) ([]order.Shipment, error)
	Staff(ctx context.Context, id string) (order.Staff, error)
	StaffWithRole(ctx context.Context, r order.Role) ([]order.Staff, error)
	ReviewChecks(ctx context.Context, id order.ID, staffID string) (order.Checks, error)
	ReviewStats(ctx context.Context, from, to, now time.Time) (order.ReviewStats, error)
	InvoiceOf(ctx context.Context, id order.ID) (order.Invoice, error)
	Authorizations(ctx context.Context, id order.ID) ([]order.Authorization, error)
	// AuthorizationsFor are those of the legal representative with a mobile.
	AuthorizationsFor(ctx context.Context, mobile identity.Mobile, now time.Time, before string, limit int) ([]order.Authorization, error)
	NotificationByProvider(ctx context.Context, m order.Medium, providerID string) (order.Notification, error)
	InTx(ctx context.Context, fn func(tx order.Tx) error) error
}

// Reviews moves orders for reviewers; *order.Service does.
type Reviews interface {
	Apply(ctx context.Context, id order.ID, c order.Command) (order.Order, error)
}

// Staffing changes what a member of staff decides about himself; *order.Staffing does.
type Staffing interface {
	SetQuiet(ctx context.Context, by order.Actor, q order.Quiet) error
}

// Deliveries records how far a WeChat message has come; *order.Service does.
type Deliveries interface {
	RecordDelivery(ctx context.Context, n order.Notification, was order.DeliveryState) error
	FallBack(ctx context.Context, n order.Notification) error
	// GoOn lets a subscription notice that did not arrive go out by the next way.
	GoOn(ctx context.Context, n order.Notification, why string) error
}

// Codes issues and checks SMS codes; *session.Codes.
type Codes interface {
	Issue(ctx context.Context, ch session.Challenge) (string, error)
	Verify(ctx context.Context, ch session.Challenge, code string) error
}

// CodeSender sends a code to a mobile; purpose is the challenge's.
type CodeSender func(ctx context.Context, to identity.Mobile, purpose, code string) error

// UnionID asks WeChat what an openid is called in all accounts of the operator;
// empty when it is not told.
type UnionID func(ctx context.Context, openID string) (string, error)

// Vault seals the mobile of a pending challenge while it waits in Memory; every
// tink.AEAD does.
type Vault interface {
	Encrypt(plaintext, associatedData []byte) ([]byte, error)
	Decrypt(ciphertext, associatedData []byte) ([]byte, error)
}

// Payments asks the gateway what became of a payment; *order.Service does.
type Payments interface {
	CheckPayment(ctx context.Context, tradeNo string) error
}

// Punctual tells how the promised days are kept; *order.Service does.
type Punctual interface {
	Punctuality(ctx context.Context) (order.Punctuality, error)
}

// Enquiries takes down who wants to be called back; *store.DB does.
type Enquiries interface {
	Enquire(ctx context.Context, e order.Enquiry) (order.Enquiry, error)
}

// Consents remembers which notices followers allow; *store.DB does.
type Consents interface {
	RecordConsents(ctx context.Context, consents []order.WeChatConsent) error
}

// Certificates are those that are bound to people; *certificate.Service has them.
type Certificates interface {
	// Own is a certificate that is bound to a person; NotFound otherwise.
	Own(ctx context.Context, serial, personID string) (certificate.Certificate, error)
	HeldBy(ctx context.Context, personID string) ([]certificate.Certificate, error)
	// Guide says where an order stands and what comes next, its initial PINs included.
	Guide(ctx context.Context, o order.Order) (order.Guidance, error)
	// Cabinet is what a person looks after, and who has what of it.
	Cabinet(ctx context.Context, personID string) (certificate.Cabinet, error)
	// Openings are what its holder has registered and is ahead, the next first.
	Openings(ctx context.Context, serial string) ([]certificate.Opening, error)
	Apply(ctx context.Context, serial string, c certificate.Command) (certificate.Certificate, error)
}
