package order

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Store is the database as the service needs it.
type Store interface {
	// InTx runs fn in one write transaction: committed when fn returns nil,
	// rolled back otherwise. fn must touch nothing but tx.
	InTx(ctx context.Context, fn func(tx Tx) error) error
	Queries
}

// Queries are the reads, available in and out of a transaction. A row that does
// not exist is NotFound.
type Queries interface {
	Order(ctx context.Context, id ID) (Order, error)
	// DueKept returns up to limit orders to look at whether their data may go, the
	// longest overdue first; DuePeople the same of people.
	DueKept(ctx context.Context, now time.Time, limit int) ([]ID, error)
	DuePeople(ctx context.Context, now time.Time, limit int) ([]string, error)
	// Kept returns an order, deleted or not, with what decides how long it is kept.
	Kept(ctx context.Context, id ID) (Kept, error)
	KeptPerson(ctx context.Context, id string) (KeptPerson, error)
	// Lapses is how the certificates of some orders end; orders without any are missing.
	Lapses(ctx context.Context, of ...ID) (map[ID]Lapse, error)
	// Looks lists who of our staff has seen personal data of an order, newest first, by
	// keyset.
	Looks(ctx context.Context, id ID, after Cursor, limit int) (LookPage, error)
	// ChatsBefore reports whether words of a chat are kept from before a moment.
	ChatsBefore(ctx context.Context, before time.Time) (bool, error)
	// CountUploads counts what was uploaded for an order since a moment.
	CountUploads(ctx context.Context, id ID, since time.Time) (int, error)
	// CountDrafts counts the drafts of a person, or of a browser without one.
	CountDrafts(ctx context.Context, personID, draftToken string) (int, error)
	// NotificationByProvider finds a message by the provider's id of it.
	NotificationByProvider(ctx context.Context, m Medium, providerID string) (Notification, error)
	// Orders lists orders, newest first, by keyset.
	Orders(ctx context.Context, f Filter) (Page, error)
	// Fees lists what a person paid, newest first, by keyset.
	Fees(ctx context.Context, personID string, after Cursor, limit int) (FeePage, error)
	// Items lists the items of orders, those of each together.
	Items(ctx context.Context, of ...ID) ([]Item, error)
	Item(ctx context.Context, itemID string) (Item, error)
	Events(ctx context.Context, id ID) ([]EventRecord, error)
	// Shipments are an order's parcels, oldest first; OrdersInParcel are the orders with
	// one of a tracking number that was posted since a time.
	Shipments(ctx context.Context, id ID) ([]Shipment, error)
	OrdersInParcel(ctx context.Context, trackingNo string, since time.Time) ([]ID, error)
	// Proposal is what waits about an order for somebody's consent; Proposals are up
	// to limit of all, oldest first.
	Proposal(ctx context.Context, id ID) (Proposal, error)
	Proposals(ctx context.Context, limit int) ([]Proposal, error)
	PartRefund(ctx context.Context, refundNo string) (PartRefund, error)
	// PartRefunds are an order's, oldest first; FailedPartRefunds up to limit of all
	// that somebody has to look after.
	PartRefunds(ctx context.Context, id ID) ([]PartRefund, error)
	FailedPartRefunds(ctx context.Context, limit int) ([]PartRefund, error)
	// DuePartRefunds returns up to limit to ask the gateway about.
	DuePartRefunds(ctx context.Context, now time.Time, limit int) ([]PartRefund, error)
	// FailedLateRefunds are up to limit payments that went back for no order (row 10) and
	// did not arrive, the longest waiting first.
	FailedLateRefunds(ctx context.Context, limit int) ([]Payment, error)
	// HeldRefunds are up to limit of all that wait for the merchant's balance, the oldest
	// orders first.
	HeldRefunds(ctx context.Context, limit int) ([]HeldRefund, error)
	Payment(ctx context.Context, tradeNo string) (Payment, error)
	// Fulfilment is what WeChat has to know of a trade; RefusedFulfilments are up to limit
	// of all that wait for a person, the longest waiting first.
	Fulfilment(ctx context.Context, tradeNo string) (Fulfilment, error)
	RefusedFulfilments(ctx context.Context, limit int) ([]Fulfilment, error)
	Payments(ctx context.Context, id ID) ([]Payment, error)
	Notification(ctx context.Context, id string) (Notification, error)
	Notifications(ctx context.Context, id ID) ([]Notification, error)
	// Messages lists what was sent to a member of staff or to a person about his
	// own orders and certificates, newest first, by keyset.
	Messages(ctx context.Context, f MessageFilter) ([]Notification, error)
	// Attempts are all states in which the attempts to deliver a message have been.
	Attempts(ctx context.Context, notificationID string) ([]Attempt, error)
	// HeldNotifications returns up to limit messages whose quiet hours are over.
	HeldNotifications(ctx context.Context, now time.Time, limit int) ([]Notification, error)
	// Unread counts the messages a member of staff has not seen, up to limit.
	Unread(ctx context.Context, staffID string, limit int) (int, error)
	Approvals(ctx context.Context, id ID) ([]Approval, error)
	// ReviewChecks is what a member of staff has ticked about an order; zero when
	// nothing.
	ReviewChecks(ctx context.Context, id ID, staffID string) (Checks, error)
	// ReviewStats counts what was decided between two instants and what waits.
	ReviewStats(ctx context.Context, from, to, now time.Time) (ReviewStats, error)
	// ExpressPromises counts the express promises that ran out, or would have, between two
	// instants, by how they ended.
	ExpressPromises(ctx context.Context, from, to time.Time) (kept, missed int, err error)
	// Postings lists when orders were posted between two instants under a promise, in no
	// order.
	Postings(ctx context.Context, from, to time.Time) ([]Posting, error)
	// CompanyKnown reports whether an earlier order of the unit was completed.
	CompanyKnown(ctx context.Context, uscc string) (bool, error)
	Person(ctx context.Context, id string) (Person, error)
	// WeChatOf is what a person is in one app.
	WeChatOf(ctx context.Context, appID, personID string) (WeChatIdentity, error)
	// WeChats is what a person is in every app, bound last first.
	WeChats(ctx context.Context, personID string) ([]WeChatIdentity, error)
	PersonByWeChat(ctx context.Context, appID, openID string) (Person, error)
	// PersonByUnionID returns whom any account of ours knows by a union id.
	PersonByUnionID(ctx context.Context, unionID string) (Person, error)
	Staff(ctx context.Context, id string) (Staff, error)
	StaffByPerson(ctx context.Context, personID string) (Staff, error)
	StaffWithRole(ctx context.Context, r Role) ([]Staff, error)
	// SettingVersions are the newest versions of what admins have set up.
	SettingVersions(ctx context.Context) (map[SettingName]int, error)
	Setting(ctx context.Context, name SettingName, version int) (Setting, error)
	// SettingHistory lists the versions of a setting, the newest first, without bodies.
	SettingHistory(ctx context.Context, name SettingName, limit int) ([]Setting, error)
	// Colleagues lists accounts, open and closed, the longest serving first.
	Colleagues(ctx context.Context, after Cursor, limit int) (ColleaguePage, error)
	Authorization(ctx context.Context, id string) (Authorization, error)
	// ActiveAuthorization is the order's authorisation that is open or signed.
	ActiveAuthorization(ctx context.Context, id ID) (Authorization, error)
	// Authorizations are all of an order's, oldest first.
	Authorizations(ctx context.Context, id ID) ([]Authorization, error)
	// AuthorizationsFor are those, open or signed or with a mandate at now, of the legal
	// representative with this mobile, newest first; before is the id of the last one of
	// the page before.
	AuthorizationsFor(ctx context.Context, mobile identity.Mobile, now time.Time, before string, limit int) ([]Authorization, error)
	// SendingByLink finds the SMS whose link has that token, by its hash.
	SendingByLink(ctx context.Context, linkHash string) (Sending, error)
	// CountSendings counts an order's SMS of a kind since a moment.
	CountSendings(ctx context.Context, id ID, kind string, since time.Time) (int, error)
	// MandateFor returns the id of an authorisation that was signed and whose mandate covers
	// key at now, although it may not count for its own order any more.
	MandateFor(ctx context.Context, key MandateKey, now time.Time) (string, error)
	// MandateUsed reports whether an authorisation of another order stands on the mandate of a.
	MandateUsed(ctx context.Context, a Authorization) (bool, error)
	Invoice(ctx context.Context, id string) (Invoice, error)
	// InvoiceOf is the order's invoice that is not reversed, else the last one.
	InvoiceOf(ctx context.Context, id ID) (Invoice, error)
	// Invoices lists invoices, newest first, by keyset.
	Invoices(ctx context.Context, f InvoiceFilter) (InvoicePage, error)
	// DueInvoices returns up to limit invoices to ask the platform about.
	DueInvoices(ctx context.Context, now time.Time, limit int) ([]Invoice, error)
	// Receipts are the progress receipts of an order, newest first; Receipt is one of them.
	Receipts(ctx context.Context, id ID) ([]ProgressReceipt, error)
	Receipt(ctx context.Context, id ID, receipt string) (ProgressReceipt, error)
	ReceiptByCode(ctx context.Context, codeHash string) (ProgressReceipt, error)
	// Booked is what was paid by a trade and has not gone back.
	Booked(ctx context.Context, tradeNo string) (Fen, error)
	// Bill is one day's of a channel, NewestBill the newest of a channel.
	Bill(ctx context.Context, channel PayChannel, day string) (Bill, error)
	NewestBill(ctx context.Context, channel PayChannel) (Bill, error)
	// DueBills returns up to limit bills to fetch, oldest first.
	DueBills(ctx context.Context, now time.Time, limit int) ([]Bill, error)
	// Bills lists up to limit bills, newest first, those before a day; "" begins there.
	Bills(ctx context.Context, before string, limit int) ([]Bill, error)
	// Movements are those of a channel that have one of these numbers.
	Movements(ctx context.Context, channel PayChannel, numbers []string) ([]Movement, error)
	// Unbilled lists what we booked and no bill names.
	Unbilled(ctx context.Context, f UnbilledFilter) ([]Movement, error)
	Difference(ctx context.Context, id string) (Difference, error)
	Differences(ctx context.Context, f DifferenceFilter) (DifferencePage, error)
	// CountFound counts what the comparison of a bill found, OpenDifferences what waits
	// for finance.
	CountFound(ctx context.Context, b Bill) (int, error)
	OpenDifferences(ctx context.Context) (int, error)
	// DueTimers returns up to limit timers whose time has come, oldest first.
	DueTimers(ctx context.Context, now time.Time, limit int) ([]Timer, error)
	// DueQueries returns up to limit payments to ask the gateway about.
	DueQueries(ctx context.Context, now time.Time, limit int) ([]Payment, error)
}

// Tx is the database inside one transaction; on PostgreSQL the rows it reads
// with Order and Payment stay locked.
type Tx interface {
	Queries
	InsertOrder(ctx context.Context, o Order) error
	// UpdateOrder writes o, whose Rev is one more than was.Rev, only when the row
	// still has was's state and Rev; otherwise Conflict with code "order_changed".
	UpdateOrder(ctx context.Context, o Order, was Order) error
	// DeleteOrder hides the order from every query; its personal data is erased
	// by the purge job.
	DeleteOrder(ctx context.Context, was Order, at time.Time) error
	// PurgeOrder erases the personal data of an order that was deleted or is at its
	// end, once; KeepOrder has it looked at again later.
	PurgeOrder(ctx context.Context, id ID) (purged bool, err error)
	KeepOrder(ctx context.Context, id ID, until time.Time) error
	// AskErasure records when an order's person asked for its erasure, and until when it
	// is kept.
	AskErasure(ctx context.Context, was Order, at, until time.Time) error
	// PurgePerson erases a person's mobile and WeChat, once.
	PurgePerson(ctx context.Context, id string) (purged bool, err error)
	KeepPerson(ctx context.Context, id string, until time.Time) error
	// PurgeChats erases up to limit words of chats from before a moment, oldest first.
	PurgeChats(ctx context.Context, before time.Time, limit int) error
	// InsertUpload records that an object belongs to an order, and the hash of the file that
	// it was made of; twice is once.
	InsertUpload(ctx context.Context, id ID, object, original string, at time.Time) error
	AppendEvent(ctx context.Context, e EventRecord) error
	AppendAudit(ctx context.Context, a AuditRecord) error
	// NextOrderSeq asks for a number that no other order of a day has (yyyymmdd,
	// Asia/Shanghai), from 1 and nearly without gaps. seq is the answer: who asks
	// before he needs it need not wait for it.
	NextOrderSeq(ctx context.Context, day string) (seq func() (int, error), err error)
	// InsertItems gives an order its first items.
	InsertItems(ctx context.Context, id ID, items []Item) error
	// ReplaceItems makes items the items of an order; only waiting ones may be replaced.
	ReplaceItems(ctx context.Context, id ID, items []Item) error
	// UpdateItem writes an item only when its stage is still was; else Conflict.
	UpdateItem(ctx context.Context, i Item, was ItemStage) error
	// AbandonIssue has the CA give up what it has begun for an item without a USBKEY of
	// ours and nobody has proven: a serial number that was reserved is revoked.
	AbandonIssue(ctx context.Context, item string, at time.Time) error
	InsertPayment(ctx context.Context, p Payment) error
	// UpdatePayment writes a payment only when its state is still was; else Conflict.
	UpdatePayment(ctx context.Context, p Payment, was PaymentState) error
	// AppendLedger books money once per (trade, kind); a repeat is ignored.
	AppendLedger(ctx context.Context, e LedgerEntry) error
	// SaveProposal replaces what was proposed about the order before.
	SaveProposal(ctx context.Context, p Proposal) error
	DropProposal(ctx context.Context, id ID) error
	InsertPartRefund(ctx context.Context, r PartRefund) error
	// UpdatePartRefund writes one only when its state, and the number under which the gateway
	// knows this try, are still those of was; else Conflict.
	UpdatePartRefund(ctx context.Context, r, was PartRefund) error
	// SaveFulfilment writes one as long as nobody else has since it was read, which its Rev
	// is one more than; else Conflict.
	SaveFulfilment(ctx context.Context, f Fulfilment) error
	InsertShipment(ctx context.Context, s Shipment) error
	// UpdateShipment writes what has become of a parcel and its number, as long as nobody else has
	// since s was read; else Conflict.
	UpdateShipment(ctx context.Context, s Shipment) error
	// InsertInvoice adds one; Conflict when the order has one that is not reversed.
	InsertInvoice(ctx context.Context, i Invoice) error
	// UpdateInvoice writes i only when the row still has was's state and Rev; else Conflict.
	UpdateInvoice(ctx context.Context, i Invoice, was Invoice) error
	InsertReceipt(ctx context.Context, r ProgressReceipt) error
	// WithdrawReceipt ends one; twice is once.
	WithdrawReceipt(ctx context.Context, receipt string, at time.Time) error
	// InsertBill adds one; the same day of a channel twice is one.
	InsertBill(ctx context.Context, b Bill) error
	// UpdateBill writes a bill that is not compared yet, only when it still has so many
	// tries; else Conflict.
	UpdateBill(ctx context.Context, b Bill, tries int) error
	// InsertBillLines keeps what a bill names, without anything about people; twice is once.
	InsertBillLines(ctx context.Context, b Bill, lines []BillLine) error
	// InsertDifference adds one; the same kind about the same movement twice is one.
	InsertDifference(ctx context.Context, d Difference) error
	// ResolveDifference writes how an open one was explained; else Conflict.
	ResolveDifference(ctx context.Context, d Difference) error
	// FoundLater resolves the open differences of the kind UnknownThere about numbers that
	// a later bill names.
	FoundLater(ctx context.Context, channel PayChannel, numbers []string, at time.Time, note string) error
	InsertApproval(ctx context.Context, a Approval) error
	// SaveReviewChecks replaces what a member of staff has ticked about an order.
	SaveReviewChecks(ctx context.Context, id ID, staffID string, c Checks) error
	// InsertNotification adds a message to deliver; the same (order, seq, notice,
	// medium, audience, staff) twice is one, and not added again.
	InsertNotification(ctx context.Context, n Notification) (added bool, err error)
	UpdateNotification(ctx context.Context, n Notification, was DeliveryState) error
	// SpendConsent takes one of the consents left for c's template; NotFound when
	// there is none.
	SpendConsent(ctx context.Context, c WeChatConsent) error
	// ReturnConsent gives back one that was spent on nothing.
	ReturnConsent(ctx context.Context, c WeChatConsent) error
	// VoidConsents forgets those left: WeChat knows of none.
	VoidConsents(ctx context.Context, c WeChatConsent) error
	// ReadMessages marks everything sent to a member of staff so far as seen.
	ReadMessages(ctx context.Context, staffID string, at time.Time) error
	// InsertAuthorization adds one; Conflict when the order has an active one.
	InsertAuthorization(ctx context.Context, a Authorization) error
	// UpdateAuthorization writes a only when the row still has was's state and Rev; else Conflict.
	UpdateAuthorization(ctx context.Context, a Authorization, was Authorization) error
	InsertSending(ctx context.Context, s Sending) error
	SetTimers(ctx context.Context, ts ...Timer) error
	// DropTimers removes all timers of an order.
	DropTimers(ctx context.Context, id ID) error
	DropTimer(ctx context.Context, t Timer) error
	// PostponeTimer writes At and Tries of a timer that is still there.
	PostponeTimer(ctx context.Context, t Timer) error
	// Enqueue adds a job that runs when the transaction has committed.
	Enqueue(ctx context.Context, j Job) error
	// PersonByMobile returns the person with that verified mobile, creating the
	// row when there is none (id is the new person's id).
	PersonByMobile(ctx context.Context, p Person) (Person, error)
	LinkWeChat(ctx context.Context, w WeChatIdentity) error
	// EndWeChats removes what may not be beside w (see BindWeChat), and returns whose it was.
	EndWeChats(ctx context.Context, w WeChatIdentity) (personIDs []string, err error)
	// UnlinkWeChats removes all that a person is in WeChat.
	UnlinkWeChats(ctx context.Context, personID string) error
	// InsertSetting adds a version; Conflict when there is one of that number.
	InsertSetting(ctx context.Context, s Setting) error
	// HoldStaff returns accounts by their ids, those that there are; nobody else changes
	// them until the transaction ends.
	HoldStaff(ctx context.Context, ids ...string) (map[string]Staff, error)
	SaveStaff(ctx context.Context, s Staff) error
}

// LedgerEntry books one movement of money.
type LedgerEntry struct {
	TradeNo string
	OrderID ID
	Kind    string // "paid", "refunded" or "by hand"; behind these the number of a part
	Amount  Fen    // positive in, negative out
	At      time.Time
}

// Filter chooses orders for a list; zero values do not filter.
type Filter struct {
	PersonID string
	// WeChat chooses the orders of whoever its openid is bound to.
	WeChat WeChatIdentity
	// DraftToken chooses the anonymous drafts of a browser.
	DraftToken string
	// Certificate is the serial that the orders are about.
	Certificate string
	Business    Business
	// Open leaves out orders that nothing will happen to any more.
	Open     bool
	Status   Status
	Stage    Stage
	Refund   RefundState
	Parcels  []ParcelState // one of these
	Tracking string        // whole tracking number of the present parcel
	// Corrected is a whole tracking number that their parcel had by mistake.
	Corrected string
	No        string // whole or tail
	Company   string // substring
	USCC      string // whole
	Product   string // substring of the product name
	From, To  time.Time
	// ReviewDueBefore chooses the reviews that should have ended before.
	ReviewDueBefore time.Time
	// Express chooses the orders whose express promise stands so.
	Express ExpressState
	// DueBefore chooses the orders whose promise of F63 ran out before.
	DueBefore time.Time
	// OpensFrom and OpensUntil choose the orders about certificates for which bids are
	// opened between the two, as their holders have registered.
	OpensFrom, OpensUntil time.Time
	// After continues behind the last order of the page before.
	After Cursor
	// Sort is the order of the list.
	Sort  Sort
	Limit int // default 20, at most 100
}

// Sort is the order of a list.
type Sort int

// The sorts. DueFirst is that of work queues: what is promised for the earliest moment comes
// first; of what is promised for none its creation counts.
const (
	NewestFirst Sort = iota
	OldestFirst
	DueFirst
)

// Cursor is the place of the order in a list.
func (o Order) Cursor(s Sort) Cursor {
	if s == DueFirst && !o.DueAt.IsZero() {
		return Cursor{At: o.DueAt, ID: o.ID}
	}
	return Cursor{At: o.CreatedAt, ID: o.ID}
}

// Cursor is the place of an order in a list: the time that it is sorted by, and its id.
type Cursor struct {
	At time.Time
	ID ID
}

// Page is one page of a list; Next is zero on the last one.
type Page struct {
	Orders []Order
	Next   Cursor
}
