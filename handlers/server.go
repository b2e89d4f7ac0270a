package handlers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/handlers/picture"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/font"
)

// orderService is the writer of orders; *order.Service.
type orderService interface {
	// CorrectTracking corrects the number of an order's parcel and of others with it.
	CorrectTracking(ctx context.Context, id order.ID, with []order.ID, c order.Command) error
	Apply(ctx context.Context, id order.ID, c order.Command) (order.Order, error)
	Edit(ctx context.Context, id order.ID, by order.Actor) (order.Order, error)
	Delete(ctx context.Context, id order.ID, by order.Actor, draftToken string) (order.Order, error)
	RecordUpload(ctx context.Context, id order.ID, object, original string) error
	PayChannels(on order.Channel) []order.PayChannel
	OpenPayment(ctx context.Context, id order.ID, by order.Actor, channel order.PayChannel) (order.Payment, error)
	OpenMiniPayment(ctx context.Context, id order.ID, by order.Actor, payer string) (order.Payment, error)
	AskedOf(ctx context.Context, mobile identity.Mobile, before string, limit int) ([]order.Asked, error)
	AuthorizationByLink(ctx context.Context, token string) (order.Authorization, order.Order, error)
	Authorize(ctx context.Context, id string, c order.AuthorizationCommand) (order.Authorization, error)
	RevokeMandate(ctx context.Context, id string, by order.Actor) error
	ResendAuthorization(ctx context.Context, id order.ID, by order.Actor) (order.Order, error)
	ChangeLegalMobile(ctx context.Context, id order.ID, by order.Actor, mobile identity.Mobile) (order.Order, error)
	AuthorizeOnPaper(ctx context.Context, id order.ID, by order.Actor, letter, email string) (order.Order, error)
	ResendsLeft(ctx context.Context, id order.ID) (int, error)
	invoiceService
	receiptService
	dataService
	Catalogue() order.Catalogue
	Offer(order.Order) (order.Order, error)
	Correct(ctx context.Context, id order.ID, by order.Actor, form order.Form) (order.Correction, error)
	Earlier(ctx context.Context, a order.About) (order.Order, error)
	RemindAfterBid(ctx context.Context, id order.ID, by order.Actor) error
	RetryPartRefund(ctx context.Context, id order.ID, refundNo string, by order.Actor) error
	SettlePartRefund(ctx context.Context, id order.ID, refundNo, note string, by order.Actor) error
	RetryLateRefund(ctx context.Context, tradeNo string, by order.Actor) error
	RetryFulfilment(ctx context.Context, id order.ID, by order.Actor) error
	SettleFulfilment(ctx context.Context, id order.ID, by order.Actor) error
	SettleLateRefund(ctx context.Context, tradeNo, note string, by order.Actor) error
	TickChecks(ctx context.Context, id order.ID, by order.Actor, snapshot string, ticks []order.Tick) error
	punctuality
}

// punctuality tells how promises are kept.
type punctuality interface {
	Punctuality(ctx context.Context) (order.Punctuality, error)
	PostedBy(t time.Time) time.Time
}

// reader is what pages read; *store.DB.
type reader interface {
	Order(ctx context.Context, id order.ID) (order.Order, error)
	// Mark is whose an order is, and what changes whenever the order does.
	Mark(ctx context.Context, id order.ID) (m order.Mark, personID string, err error)
	Orders(ctx context.Context, f order.Filter) (order.Page, error)
	Items(ctx context.Context, of ...order.ID) ([]order.Item, error)
	Shipments(ctx context.Context, id order.ID) ([]order.Shipment, error)
	Proposal(ctx context.Context, id order.ID) (order.Proposal, error)
	Events(ctx context.Context, id order.ID) ([]order.EventRecord, error)
	Payment(ctx context.Context, tradeNo string) (order.Payment, error)
	invoiceReader
	receiptReader
	Person(ctx context.Context, id string) (order.Person, error)
	PersonByWeChat(ctx context.Context, appID, openID string) (order.Person, error)
	PersonByUnionID(ctx context.Context, unionID string) (order.Person, error)
	WeChats(ctx context.Context, personID string) ([]order.WeChatIdentity, error)
	Messages(ctx context.Context, f order.MessageFilter) ([]order.Notification, error)
	Authorization(ctx context.Context, id string) (order.Authorization, error)
	Authorizations(ctx context.Context, id order.ID) ([]order.Authorization, error)
	Staff(ctx context.Context, id string) (order.Staff, error)
	StaffByPerson(ctx context.Context, personID string) (order.Staff, error)
	Certificate(ctx context.Context, serial string) (certificate.Certificate, error)
	Looks(ctx context.Context, id order.ID, after order.Cursor, limit int) (order.LookPage, error)
	Originals(ctx context.Context, id order.ID) (map[string]string, error)
	Fees(ctx context.Context, personID string, after order.Cursor, limit int) (order.FeePage, error)
	InTx(ctx context.Context, fn func(tx order.Tx) error) error
}

// reminderService knows what was and will be said about a certificate;
// *certificate.Reminders.
type reminderService interface {
	Of(ctx context.Context, c certificate.Certificate) (certificate.Evidence, error)
	OptedOut(ctx context.Context, personID string) (bool, error)
	SetOptOut(ctx context.Context, by order.Actor, out bool) error
	Contacts(ctx context.Context, personID, uscc string) ([]certificate.Contact, error)
	SetContact(ctx context.Context, by order.Actor, c certificate.Certificate, role order.Audience, mobile identity.Mobile) error
}

// certificateService freezes and revokes; *certificate.Service.
type certificateService interface {
	Own(ctx context.Context, serial, personID string) (certificate.Certificate, error)
	HeldBy(ctx context.Context, personID string) ([]certificate.Certificate, error)
	Named(ctx context.Context, tokenSerial, uscc string) (certificate.Certificate, error)
	Untold(ctx context.Context, certs []certificate.Certificate) (map[string]bool, error)
	Guide(ctx context.Context, o order.Order) (order.Guidance, error)
	Guides(ctx context.Context, orders []order.Order) ([]order.Guidance, error)
	Rebind(ctx context.Context, serial string, by order.Actor, to string) error
	Apply(ctx context.Context, serial string, c certificate.Command) (certificate.Certificate, error)
	RemindAfterBid(ctx context.Context, serial string, opening time.Time, by order.Actor) error
	Openings(ctx context.Context, serial string) ([]certificate.Opening, error)
	OpeningsOf(ctx context.Context, personID string) ([]certificate.Opening, error)
	KeptOpeningsOf(ctx context.Context, personID string) ([]certificate.Opening, error)
	AddOpening(ctx context.Context, serial, project string, at time.Time, by order.Actor) error
	DropOpening(ctx context.Context, serial, id string, by order.Actor) error
	cabinetService
}

type sessions interface {
	Create(ctx context.Context, sess session.Session) (session.Session, error)
	Rotate(ctx context.Context, old session.Session) (session.Session, error)
	Get(ctx context.Context, kind session.Kind, id string) (session.Session, error)
	Delete(ctx context.Context, kind session.Kind, id string) error
}

type codes interface {
	Issue(ctx context.Context, ch session.Challenge) (string, error)
	Verify(ctx context.Context, ch session.Challenge, code string) error
}

type tickets interface {
	Put(ctx context.Context, purpose string, value []byte, ttl time.Duration) (string, error)
	Peek(ctx context.Context, purpose, token string) ([]byte, error)
	Take(ctx context.Context, purpose, token string) ([]byte, error)
}

// objects keeps uploaded pictures, sealed; *objects.Store.
type objects interface {
	Put(ctx context.Context, id string, content []byte) error
	Get(ctx context.Context, id string) ([]byte, error)
	Delete(ctx context.Context, id string) error
}

// CodeSender sends a code to a mobile; purpose is the challenge's.
type CodeSender func(ctx context.Context, to identity.Mobile, purpose, code string) error

// IdentityCheck asks the configured provider whether a name, a document and a
// mobile belong to one person.
type IdentityCheck func(ctx context.Context, name identity.PersonName, doc identity.DocType, no identity.DocNo, mobile identity.Mobile) (order.Identity, error)

// FaceCheck lets the configured provider look whether somebody is who he says;
// *realname.Tencent.
type FaceCheck interface {
	// StartFace returns the token of a check and the address of its page. about comes
	// back with the result; back is where the browser goes.
	StartFace(ctx context.Context, about string, name identity.PersonName, no identity.DocNo, back string) (token, page string, err error)
	FaceResult(ctx context.Context, token, about string, name identity.PersonName, no identity.DocNo) (order.Identity, error)
}

// MiniProgram is the mini-program as the API needs it; *wechat.MiniProgram and
// *pay.WeChat do the work.
type MiniProgram struct {
	AppID string
	// User exchanges a code of wx.login; Unauthenticated when it is void.
	User func(ctx context.Context, code string) (openID, unionID string, err error)
	// Mobile exchanges a code of the phone-number button.
	Mobile func(ctx context.Context, code string) (identity.Mobile, error)
	// RequestPayment signs the call of wx.requestPayment for an open trade.
	RequestPayment func(prepayID string) (PaymentJSON, error)
	// Subscriptions are the template ids of its subscription messages, by our names.
	Subscriptions map[string]string
	// Consents keeps what its users allow; *store.DB.
	Consents consents
}

// consents remembers which subscription messages people allow.
type consents interface {
	RecordConsents(ctx context.Context, consents []order.WeChatConsent) error
}

// Deps is what the web stands on. All are required but TrustedProxies and Checks.
type Deps struct {
	Orders    orderService
	Store     reader
	Sessions  sessions
	Codes     codes
	Tickets   tickets
	Scans     *session.Scans
	Mini      MiniProgram
	Objects   objects
	SendCode  CodeSender
	Identify  IdentityCheck
	Face      FaceCheck // nil: not offered
	Status    certificateService
	Unlocks   unlockService
	Reminders reminderService
	Runs      runService
	// Enquiries keeps who wants to be called back; by when follows from Workdays.
	Enquiries order.Enquiries
	Workdays  order.Workdays
	// Attempts bounds guesses of what only insiders know.
	Attempts  once
	Places    *identity.Places
	Font      *font.Font
	Metrics   *prometheus.Registry
	Checks    []Check
	Log       *slog.Logger
	Now       func() time.Time
	NewID     func() string // a fresh ULID
	Key       []byte        // 32 secret bytes, the same in every process
	PublicURL *url.URL
	CA        string // name of the certification authority, on the letter
	// Sealer is the seal key, wherever the issuer runs; id names what it seals.
	Sealer func(ctx context.Context, id string) (evidence.Sealer, error)
	// HelperURL is where the key helper listens on the subscriber's own PC.
	HelperURL string
	// InitialPINs tells the initial PINs of USBKEYs.
	InitialPINs initialPINs
	// MaxDrafts is how many applications a browser without a login may begin; three
	// times as many an address in an hour. 0 is no limit.
	MaxDrafts int
	// TrustedProxies may say in X-Real-IP who asked; nobody else may.
	TrustedProxies []string
}

// Server is the web of the product: portal, API and, mounted by main, the
// callbacks of other rooms. App listens.
type Server struct {
	Deps
	embedded
	App *fiber.App

	matrix   []route
	requests *prometheus.HistogramVec
	drawing  chan struct{} // see draw
	closing  chan struct{}
	locks    [64]sync.Mutex // of drafts, see alone
	behind   sync.WaitGroup // what goes on after its answer, see unlockSMS
	answers  answers
}

// Limits of a request. A body larger than a picture with its form is refused
// before it is read (reliability.md #13).
const (
	bodyLimit    = picture.MaxBytes + 64<<10
	headerLimit  = 16 << 10
	readTimeout  = 90 * time.Second // 8 MiB over a slow telephone
	answerTime   = 45 * time.Second // of a handler: a database that is silent does not hold him for ever
	writeTimeout = 60 * time.Second
	idleTimeout  = 75 * time.Second
)

// New returns a Server with every route of this room.
func New(d Deps) (*Server, error) {
	s := &Server{Deps: d, answers: newAnswers(), drawing: make(chan struct{}, 2), closing: make(chan struct{})}
	var err error
	if s.embedded, err = loadEmbedded(); err != nil {
		return nil, err
	}
	if s.requests, err = newRequestHistogram(d.Metrics); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	s.App = fiber.New(fiber.Config{
		AppName:                 "yuncaidun",
		Immutable:               true, // strings outlive the request
		Views:                   s.views,
		ErrorHandler:            s.failed,
		BodyLimit:               bodyLimit,
		ReadBufferSize:          headerLimit,
		ReadTimeout:             readTimeout,
		WriteTimeout:            writeTimeout,
		IdleTimeout:             idleTimeout,
		DisableStartupMessage:   true,
		EnableTrustedProxyCheck: true,
		EnableIPValidation:      true, // a proxy that says nothing counts as the visitor
		TrustedProxies:          d.TrustedProxies,
		ProxyHeader:             "X-Real-IP",
	})
	s.App.Use(s.observe, recovered, s.harden, oneLength)
	s.alive()
	s.get("/static/*", Plain, s.assets.serve)
	s.homeRoutes()
	s.loginRoutes()
	s.draftRoutes()
	s.uploadRoutes()
	s.paymentRoutes()
	s.orderRoutes()
	s.accountRoutes()
	s.dataRoutes()
	s.invoiceRoutes()
	s.receiptRoutes()
	s.restoreRoutes()
	s.runRoutes()
	s.rebindRoutes()
	s.handoverRoutes()
	s.deliveryRoutes()
	s.certificateRoutes()
	s.messageRoutes()
	s.unlockRoutes()
	s.authorizationRoutes()
	s.authorizationOrderRoutes()
	s.reminderRoutes()
	s.textRoutes()
	s.apiRoutes()
	return s, nil
}

// Shutdown ends live streams, then waits for running requests and what goes on after
// them, no longer than ctx allows.
func (s *Server) Shutdown(ctx context.Context) error {
	close(s.closing)
	err := s.App.ShutdownWithContext(ctx)
	done := make(chan struct{})
	go func() {
		s.behind.Wait()
		close(done)
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("waiting for what goes on after its answer: %w", ctx.Err()))
	}
}

func (s *Server) secure() bool { return s.PublicURL.Scheme == "https" }

// absolute is the public address of a path, for QR codes.
func (s *Server) absolute(path string) string { return s.PublicURL.JoinPath(path).String() }

// ownOrder is the order of the path, if it is the visitor's. Somebody else's
// answers exactly like one that does not exist (F23).
func (s *Server) ownOrder(c *fiber.Ctx) (order.Order, error) {
	o, err := s.Store.Order(c.UserContext(), order.ID(c.Params("id")))
	v := visitorOf(c)
	switch {
	case err == nil && o.OwnedBy(v.PersonID(), v.DraftToken()):
		return o, nil
	case err != nil && statusOf[kindOf(err)] != http.StatusNotFound:
		return order.Order{}, err
	case v.PersonID() == "": // perhaps his login has ended
		return order.Order{}, order.Errorf(order.NotFound, "order_not_found", "没有找到该订单，如果是您的订单，请登录后查看")
	default:
		return order.Order{}, order.Errorf(order.NotFound, "order_not_found", "没有找到该订单，请在「我的订单」中查看")
	}
}

// alone waits until no other request of this process writes the same draft, and
// returns what lets the next one in. A form saves itself while pictures arrive,
// and a save writes the whole form.
func (s *Server) alone(id order.ID) (done func()) {
	var last byte // of a ULID, which is random
	if id != "" {
		last = id[len(id)-1]
	}
	m := &s.locks[int(last)%len(s.locks)]
	m.Lock()
	return m.Unlock
}

func kindOf(err error) order.Kind {
	if e, ok := order.AsError(err); ok {
		return e.Kind
	}
	return ""
}
