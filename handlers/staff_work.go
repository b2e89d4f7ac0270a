package handlers

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// makingRoutes are the issuer's. He sees the subject of the certificate and the
// keys, and nothing of the applicant (rules.md §3.2, 8).
func (k *console) makingRoutes() {
	k.get("/staff/making", OfStaff, k.making, order.Issuer)
	k.post("/staff/making/:id/:item/start", OfStaff, k.startKey, order.Issuer)
	k.post("/staff/making/:id/:item/retry", OfStaff, k.retryKey, order.Issuer)
}

type makingView struct {
	Auto   bool
	Remote bool
	Rows   []makingRow
	Next   string
}

// makingRow is an order as the issuer sees it.
type makingRow struct {
	ID                           order.ID
	Tail, Company, USCC, Product string
	Algorithm                    string
	Term                         int
	Stage, Refund                string
	Due                          time.Time
	Items                        []itemRow
	Labels                       bool // there are keys to be labelled
}

var algorithmLabels = map[order.Algorithm]string{order.P256: "ECC P-256", order.RSA2048: "RSA 2048"}

type itemRow struct {
	order.Item
	CanStart, CanRetry bool
}

func (k *console) making(c *fiber.Ctx) error { return k.showMaking(c, nil) }

func (k *console) showMaking(c *fiber.Ctx, refusal error) error {
	f, err := listPage(c, order.Filter{Status: order.ToIssue})
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	items, err := k.itemsOf(c.UserContext(), page.Orders)
	if err != nil {
		return err
	}
	v := makingView{Auto: k.StationAuto && !k.StationRemote, Remote: k.StationRemote}
	for _, o := range page.Orders {
		row := makingRow{
			ID: o.ID, Tail: order.TailOf(o.No), Company: o.Company, USCC: o.USCC, Product: o.Product.Name, Algorithm: algorithmLabels[o.Product.Algorithm],
			Term: o.Product.Term, Stage: o.Stage.Label(), Refund: o.Refund.Label(), Due: o.DueAt,
		}
		free := o.Refund == order.NoRefund
		for _, i := range items[o.ID] {
			row.Labels = row.Labels || i.Stage == order.ItemVerified
			row.Items = append(row.Items, itemRow{i, free && i.Stage == order.ItemWaiting && !k.StationAuto && !k.StationRemote, free && i.Stage == order.ItemFailed})
		}
		v.Rows = append(v.Rows, row)
	}
	if next := nextPage(page); next != "" {
		v.Next = "/staff/making?after=" + next
	}
	return k.show(c, "making", "制证", v, refusal)
}

// itemsOf reads the items of a list of orders.
func (k *console) itemsOf(ctx context.Context, orders []order.Order) (map[order.ID][]order.Item, error) {
	ids := make([]order.ID, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	items, err := k.Records.Items(ctx, ids...)
	of := map[order.ID][]order.Item{}
	for _, i := range items {
		of[i.OrderID] = append(of[i.OrderID], i)
	}
	return of, err
}

func (k *console) startKey(c *fiber.Ctx) error { return k.moveKey(c, order.MakeKey) }
func (k *console) retryKey(c *fiber.Ctx) error { return k.moveKey(c, order.RetryKey) }

func (k *console) moveKey(c *fiber.Ctx, on order.Event) error {
	_, err := k.act(c, order.Issuer, order.Command{On: on, Item: c.Params("item")})
	if err != nil {
		return k.orNotice(c, err, k.showMaking)
	}
	return c.Redirect("/staff/making", http.StatusSeeOther)
}

// orNotice shows a list again with the refusal on top; other errors go on.
func (k *console) orNotice(c *fiber.Ctx, err error, show func(*fiber.Ctx, error) error) error {
	if e, ok := order.AsError(err); !ok || e.Kind == order.NotFound {
		return err
	}
	return show(c, err)
}

// shippingRoutes are the shipper's. He sees the address and which keys go there.
func (k *console) shippingRoutes() {
	k.get("/staff/shipping", OfStaff, k.shipping, order.Shipper)
	k.get("/staff/shipping/:id", OfStaff, k.parcel, order.Shipper)
	k.post("/staff/shipping/:id/reveal", OfStaff, k.revealParcel, order.Shipper)
	k.post("/staff/shipping/:id/ship", OfStaff, k.ship, order.Shipper)
	k.post("/staff/shipping/:id/pick-up", OfStaff, k.pickUp, order.Shipper)
	k.post("/staff/shipping/:id/returned", OfStaff, k.parcelReturned, order.Shipper)
	k.post("/staff/shipping/:id/lost", OfStaff, k.parcelLost, order.Shipper)
}

type shippingView struct {
	Tabs     []tabView
	Tracking string // that was looked for
	Sent     bool   // what has left: how far it has come, not by when it must go
	Rows     []shippingRow
	Next     string
}

// shippingLists are the shippers' lists, in the order of their tabs.
var shippingLists = []struct {
	key, label string
	filter     order.Filter
}{
	{string(order.ToPost), order.ToPost.Label(), order.Filter{Status: order.ToShip, Stage: order.ToPost}},
	{string(order.ToPickUp), order.ToPickUp.Label(), order.Filter{Status: order.ToShip, Stage: order.ToPickUp}},
	{"back", "退回", order.Filter{Status: order.Completed, Parcels: []order.ParcelState{order.ParcelReturning, order.ParcelSentBack}}},
	{"sent", "在途", order.Filter{Status: order.Completed, Parcels: []order.ParcelState{order.ParcelPosted, order.ParcelPickedUp, order.ParcelInTransit, order.ParcelTroubled, order.ParcelDelivering}}},
	{"lost", "丢失或损坏", order.Filter{Status: order.Completed, Parcels: []order.ParcelState{order.ParcelLost}}},
}

type shippingRow struct {
	ID               order.ID
	No, Tail         string
	Recipient, Place string // masked
	PickUp           bool
	Quantity         int
	Due              time.Time
	Overdue          bool
	Refund           string
	Parcel           string // how far it has come
	Sent             time.Time
}

// keysOf are an order's keys that belong into its parcel.
func keysOf(items []order.Item) []order.Item {
	return slices.DeleteFunc(items, func(i order.Item) bool { return i.Stage != order.ItemVerified })
}

// trackingNo is a tracking number as it is typed.
func trackingNo(typed string) string { return strings.ToUpper(strings.Join(strings.Fields(typed), "")) }

func (k *console) shipping(c *fiber.Ctx) error {
	stage, tracking := c.Query("stage", string(order.ToPost)), trackingNo(c.Query("tracking"))
	at := -1
	v := shippingView{Tracking: tracking}
	for i, l := range shippingLists {
		if l.key == stage {
			at = i
		}
		v.Tabs = append(v.Tabs, tabView{l.label, "/staff/shipping?stage=" + l.key, l.key == stage && tracking == ""})
	}
	if at < 0 {
		return order.Errorf(order.Invalid, "stage_unknown", "没有该任务分类，请重新选择")
	}
	filter := shippingLists[at].filter
	if tracking != "" {
		filter = order.Filter{Tracking: tracking}
	}
	v.Sent = filter.Status != order.ToShip
	f, err := listPage(c, filter)
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	items, err := k.itemsOf(c.UserContext(), page.Orders)
	if err != nil {
		return err
	}
	for _, o := range page.Orders {
		row := k.shippingRow(o)
		row.Quantity = len(keysOf(items[o.ID]))
		v.Rows = append(v.Rows, row)
	}
	if next := nextPage(page); next != "" {
		v.Next = "/staff/shipping?stage=" + stage + "&tracking=" + queryEscape(tracking) + "&after=" + next
	}
	return k.show(c, "shipping", "发货", v, nil)
}

func (k *console) shippingRow(o order.Order) shippingRow {
	get := o.Form.Masked
	return shippingRow{
		ID: o.ID, No: o.No, Tail: order.TailOf(o.No), Recipient: get(order.ShipName) + " " + get(order.ShipMobile),
		Place:  strings.Join([]string{get(order.ShipProvince), get(order.ShipCity), get(order.ShipDistrict)}, " "),
		PickUp: o.Stage == order.ToPickUp, Quantity: o.Quantity() - o.GivenUp, Due: o.DueAt, Overdue: !o.DueAt.IsZero() && k.Now().After(o.DueAt), Refund: o.Refund.Label(),
		Parcel: o.Parcel.Label(), Sent: o.ShippedAt,
	}
}

type parcelView struct {
	shippingRow
	Facts    []factView
	Masked   bool
	Keys     []order.Item     // to put into the parcel, or in it
	Parcels  []order.Shipment // what the courier writes about them names people: it is the owner's
	CanBack  bool             // it has left and may come back, or be lost
	Counted  string
	Claim    string
	Note     string
	Open     bool // still to be handed over
	State    string
	Carriers []choice
	Carrier  string
	Tracking string
}

func (k *console) parcel(c *fiber.Ctx) error { return k.showParcel(c, false, nil) }

func (k *console) showParcel(c *fiber.Ctx, inClear bool, refusal error) error {
	ctx := c.UserContext()
	o, err := k.Records.Order(ctx, order.ID(c.Params("id")))
	if err != nil {
		return err
	}
	if o.Status != order.ToShip && o.Status != order.Completed {
		return order.Errorf(order.NotFound, "order_not_found", "没有找到该发货任务，可能还没有制作完成")
	}
	items, err := k.Records.Items(ctx, o.ID)
	if err != nil {
		return err
	}
	v := parcelView{
		shippingRow: k.shippingRow(o), Masked: !inClear, Open: o.Status == order.ToShip && o.Refund == order.NoRefund, State: o.State.Label(),
		Carrier: o.Carrier, Tracking: o.TrackingNo,
	}
	get := order.Form.Masked
	if inClear {
		get = order.Form.Get
	}
	v.Facts = shipFacts(o, get)
	v.Keys = keysOf(items)
	v.CanBack = o.Status == order.Completed && o.TrackingNo != "" && o.Refund == order.NoRefund && len(v.Keys) > 0
	shipments, err := k.Records.Shipments(ctx, o.ID)
	if err != nil {
		return err
	}
	v.Parcels = shipmentViews(shipments)
	if refusal != nil {
		v.Counted, v.Claim, v.Note = c.FormValue("keys"), c.FormValue("claim"), c.FormValue("note")
		if v.Open {
			v.Carrier, v.Tracking = c.FormValue("carrier"), c.FormValue("tracking")
		}
	}
	for _, code := range carrierCodes {
		v.Carriers = append(v.Carriers, choice{code, order.Carriers[code].Name, code == v.Carrier})
	}
	return k.show(c, "parcel", "发货 "+v.Tail, v, refusal)
}

// carrierCodes is the order in which couriers are offered.
var carrierCodes = []string{"sf", "ems", "jd"}

// revealParcel shows the address in the clear for the label, and records it.
func (k *console) revealParcel(c *fiber.Ctx) error {
	if err := k.reveal(c, order.Shipper, "unmask:label"); err != nil {
		return k.again(c, err)
	}
	return k.showParcel(c, true, nil)
}

// again shows the parcel with a refusal on top.
func (k *console) again(c *fiber.Ctx, err error) error {
	return k.orNotice(c, err, func(c *fiber.Ctx, err error) error { return k.showParcel(c, false, err) })
}

func (k *console) ship(c *fiber.Ctx) error {
	return k.handOver(c, order.Command{On: order.Ship, Carrier: c.FormValue("carrier"), TrackingNo: trackingNo(c.FormValue("tracking"))})
}

// Tries at a pick-up code: six digits must not be guessable at the counter.
const (
	pickUpTries   = 5
	pickUpTriesIn = 15 * time.Minute
)

func (k *console) pickUp(c *fiber.Ctx) error {
	if err := allow(c.UserContext(), k.Once, "pick-up:"+c.Params("id"), pickUpTries, pickUpTriesIn, "取件码错误次数过多，请 15 分钟后再试"); err != nil {
		return k.again(c, err)
	}
	return k.handOver(c, order.Command{On: order.PickUp, PickUpCode: strings.TrimSpace(c.FormValue("code"))})
}

// parcelReturned takes back a parcel whose keys were counted (row 49).
func (k *console) parcelReturned(c *fiber.Ctx) error {
	n, err := strconv.Atoi(strings.TrimSpace(c.FormValue("keys")))
	if err != nil {
		return k.again(c, order.Errorf(order.Invalid, "keys_invalid", "请填写清点到的 UKEY 数量"))
	}
	return k.settleParcel(c, order.Command{On: order.ParcelReturned, Keys: n})
}

// parcelLost records what the courier lost or damaged (row 50).
func (k *console) parcelLost(c *fiber.Ctx) error {
	if c.FormValue("sure") != "yes" {
		return k.again(c, order.Errorf(order.Invalid, "sure_required", "请勾选确认：证书会立即吊销，不能撤销"))
	}
	var items []string
	for _, i := range c.Request().PostArgs().PeekMulti("item") {
		items = append(items, string(i))
	}
	note := strings.TrimSpace(c.FormValue("note"))
	return k.settleParcel(c, order.Command{On: order.ParcelMissed, Items: items, Claim: strings.TrimSpace(c.FormValue("claim")), Note: note})
}

func (k *console) settleParcel(c *fiber.Ctx, cmd order.Command) error {
	_, err := k.act(c, order.Shipper, cmd)
	if err != nil {
		o, readErr := k.Records.Order(c.UserContext(), order.ID(c.Params("id")))
		if same := readErr == nil && cmd.On == order.ParcelReturned && o.Parcel == order.ParcelReceived; !same {
			return k.again(c, err)
		}
	}
	return c.Redirect("/staff/shipping/"+c.Params("id"), http.StatusSeeOther)
}

// handOver ends the shipper's part. The same again, as by a double click, is done
// already.
func (k *console) handOver(c *fiber.Ctx, cmd order.Command) error {
	_, err := k.act(c, order.Shipper, cmd)
	if err != nil {
		o, readErr := k.Records.Order(c.UserContext(), order.ID(c.Params("id")))
		same := readErr == nil && o.Status == order.Completed && (cmd.On == order.PickUp || o.Carrier == cmd.Carrier && o.TrackingNo == cmd.TrackingNo)
		if !same {
			return k.again(c, err)
		}
	}
	return c.Redirect("/staff/shipping/"+c.Params("id"), http.StatusSeeOther)
}

// financeRoutes are for money on its way back.
func (k *console) financeRoutes() {
	k.get("/staff/finance", OfStaff, k.finance, order.Finance)
	k.get("/staff/finance/:id", OfStaff, k.account, order.Finance)
	k.post("/staff/finance/:id/refund", OfStaff, k.refund, order.Finance)
	k.post("/staff/finance/:id/propose", OfStaff, k.proposeRefund, order.Finance)
	k.post("/staff/finance/:id/confirm", OfStaff, k.confirmRefund, order.Finance)
	k.post("/staff/finance/:id/drop", OfStaff, k.dropProposal, order.Finance)
	k.post("/staff/finance/:id/give-up", OfStaff, k.giveUpKeys, order.Finance)
	k.post("/staff/finance/:id/parts/:part/retry", OfStaff, k.retryPart, order.Finance)
	k.post("/staff/finance/:id/retry", OfStaff, k.retryRefund, order.Finance)
	k.post("/staff/finance/:id/by-hand", OfStaff, k.refundByHand, order.Finance)
}

type moneyRow struct {
	ID                                  order.ID
	No, Tail, Company, Business, Refund string
	State                               string
	Amount                              order.Fen
	Updated                             time.Time
}

func moneyRowOf(o order.Order) moneyRow {
	return moneyRow{o.ID, o.No, order.TailOf(o.No), o.Company, o.Business.Label(), o.Refund.Label(), o.State.Label(), o.Amount, o.UpdatedAt}
}

type financeView struct {
	Tabs  []tabView
	Rows  []moneyRow
	Parts []moneyRow // whose price of keys could not be returned
	Next  string
}

// proposals is the list of what waits for somebody's consent.
const proposals = "proposals"

// maxProposals bounds a list that is short by its nature.
const maxProposals = 100

// moneyRows are the orders with these ids; one that is gone is left out.
func (k *console) moneyRows(ctx context.Context, ids []order.ID) ([]moneyRow, error) {
	var rows []moneyRow
	for _, id := range ids {
		o, err := k.Records.Order(ctx, id)
		if errors.Is(err, order.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, moneyRowOf(o))
	}
	return rows, nil
}

// waitingProposals are the orders about which something was proposed.
func (k *console) waitingProposals(ctx context.Context) ([]moneyRow, error) {
	all, err := k.Records.Proposals(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, p := range all {
		ids = append(ids, p.OrderID)
	}
	return k.moneyRows(ctx, ids)
}

// failedParts are the orders whose price of keys could not be returned.
func (k *console) failedParts(ctx context.Context) ([]moneyRow, error) {
	all, err := k.Records.FailedKeysRefunds(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, r := range all {
		ids = append(ids, r.OrderID)
	}
	return k.moneyRows(ctx, ids)
}

func (k *console) finance(c *fiber.Ctx) error {
	states := []order.RefundState{order.RefundFailed, order.Refunding, proposals}
	state := order.RefundState(c.Query("refund", string(order.RefundFailed)))
	if !slices.Contains(states, state) {
		return order.Errorf(order.Invalid, "refund_unknown", "没有该退款分类，请重新选择")
	}
	var v financeView
	for _, s := range states {
		v.Tabs = append(v.Tabs, tabView{cmp.Or(s.Label(), "待确认"), "/staff/finance?refund=" + string(s), s == state})
	}
	var err error
	if v.Parts, err = k.failedParts(c.UserContext()); err != nil {
		return err
	}
	if state == proposals {
		if v.Rows, err = k.waitingProposals(c.UserContext()); err != nil {
			return err
		}
		return k.show(c, "finance", "退款", v, nil)
	}
	f, err := listPage(c, order.Filter{Refund: state})
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	for _, o := range page.Orders {
		v.Rows = append(v.Rows, moneyRowOf(o))
	}
	if next := nextPage(page); next != "" {
		v.Next = "/staff/finance?refund=" + string(state) + "&after=" + next
	}
	return k.show(c, "finance", "退款", v, nil)
}

type accountView struct {
	moneyRow
	Payments            []paymentRow
	CanRefund, CanRetry bool
	Rest                order.Fen // of the payment: what a refund would return
	// CanPropose: a key has been begun, so that two people have to agree. Away: keys
	// have left, and what became of them has to be said.
	CanPropose, Away bool
	Ends             []choice
	Proposal         *proposalView
	CanGiveUp        int // how many keys could be done without
	Unit             order.Fen
	Parts            []partRow
	Note             string
}

// proposalView is what waits for somebody's consent.
type proposalView struct {
	order.Proposal
	Refund bool
	By     string
	Mine   bool // who looks has proposed it, and cannot confirm it
	Price  order.Fen
}

// partRow is the price of keys on its way back.
type partRow struct {
	order.KeysRefund
	Label string
	Retry bool
}

type paymentRow struct {
	TradeNo, State, Reason, Channel string
	Amount                          order.Fen
	CreatedAt, PaidAt               time.Time
}

var paymentLabels = map[order.PaymentState]string{
	order.PaymentPending: "待支付", order.PaymentClosed: "已关闭", order.PaymentPaid: "已支付", order.PaymentRefundDue: "待退款",
	order.PaymentRefunding: "退款中", order.PaymentRefundFailed: "退款失败", order.PaymentRefunded: "已退款",
}

func (k *console) account(c *fiber.Ctx) error { return k.showAccount(c, nil) }

func (k *console) showAccount(c *fiber.Ctx, refusal error) error {
	ctx := c.UserContext()
	o, err := k.Records.Order(ctx, order.ID(c.Params("id")))
	if err != nil {
		return err
	}
	payments, err := k.Records.Payments(ctx, o.ID)
	if err != nil {
		return err
	}
	items, err := k.Records.Items(ctx, o.ID)
	if err != nil {
		return err
	}
	v := accountView{moneyRow: moneyRowOf(o), CanRetry: o.Refund == order.RefundFailed}
	touched := slices.ContainsFunc(items, func(i order.Item) bool { return i.Attempt > 0 })
	late := touched && o.Status == order.ToIssue || o.Status == order.ToShip || o.Status == order.Completed
	for _, p := range payments {
		v.Payments = append(v.Payments, paymentRow{p.TradeNo, paymentLabels[p.State], p.RefundReason, p.Channel.Label(), p.Amount, p.CreatedAt, p.PaidAt})
		if o.Refund == order.NoRefund && p.TradeNo == o.TradeNo && p.State == order.PaymentPaid {
			v.CanRefund, v.CanPropose = !late, late
			v.Rest = p.Amount - p.Returned
		}
	}
	v.Away = o.Status == order.Completed && o.Shipped()
	for _, e := range order.KeysEnds {
		v.Ends = append(v.Ends, choice{string(e), e.Label(), refusal != nil && c.FormValue("end") == string(e)})
	}
	if o.Status == order.ToIssue && o.Business == order.Initial && o.Refund == order.NoRefund && o.Amount > 0 {
		open := 0
		for _, i := range items {
			if i.Stage == order.ItemWaiting || i.Stage == order.ItemFailed {
				open++
			}
		}
		v.CanGiveUp = min(open, o.Quantity()-o.GivenUp-1)
		v.Unit = order.Proposal{Keys: 1}.Price(o)
	}
	if v.Proposal, err = k.proposalOf(c, o); err != nil {
		return err
	}
	parts, err := k.Records.KeysRefunds(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, p := range parts {
		v.Parts = append(v.Parts, partRow{p, paymentLabels[p.State], p.State == order.PaymentRefundFailed})
	}
	if refusal != nil {
		v.Note = c.FormValue("note")
	}
	return k.show(c, "account", "退款 "+v.Tail, v, refusal)
}

func (k *console) refund(c *fiber.Ctx) error {
	return k.moveMoney(c, order.Command{On: order.RefundStart, Note: strings.TrimSpace(c.FormValue("note"))})
}

// proposalOf is what was proposed about an order, as who looks may answer it.
func (k *console) proposalOf(c *fiber.Ctx, o order.Order) (*proposalView, error) {
	p, err := k.Records.Proposal(c.UserContext(), o.ID)
	if errors.Is(err, order.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &proposalView{p, p.Kind == order.ProposeRefund, k.staffName(c.UserContext(), p.StaffID), p.StaffID == staffOf(c).ID, p.Price(o)}, nil
}

// proposeRefund is one person's half of a refund after a serial was reserved (row 65).
func (k *console) proposeRefund(c *fiber.Ctx) error {
	return k.moveMoney(c, order.Command{On: order.RefundProposed, Note: strings.TrimSpace(c.FormValue("note")), End: order.KeysEnd(c.FormValue("end"))})
}

// confirmRefund is the other's.
func (k *console) confirmRefund(c *fiber.Ctx) error {
	if c.FormValue("sure") != "yes" {
		return k.orNotice(c, order.Errorf(order.Invalid, "sure_required", "请勾选确认：证书会立即吊销，不能撤销"), k.showAccount)
	}
	return k.moveMoney(c, order.Command{On: order.RefundStart})
}

func (k *console) dropProposal(c *fiber.Ctx) error {
	return k.moveMoney(c, order.Command{On: order.ProposalDropped})
}

// giveUpKeys asks the applicant to do without some keys, or records that he agreed
// (row 40).
func (k *console) giveUpKeys(c *fiber.Ctx) error {
	n, err := strconv.Atoi(strings.TrimSpace(c.FormValue("keys")))
	if err != nil {
		return k.orNotice(c, order.Errorf(order.Invalid, "keys_invalid", "请填写要取消的 UKEY 数量"), k.showAccount)
	}
	on := order.GiveUpProposed
	if c.FormValue("do") == "agreed" {
		on = order.GiveUpKeys
	}
	return k.moveMoney(c, order.Command{On: on, Keys: n, Note: strings.TrimSpace(c.FormValue("note"))})
}

// retryPart asks again for the price of keys back.
func (k *console) retryPart(c *fiber.Ctx) error {
	if err := k.Orders.RetryKeysRefund(c.UserContext(), order.ID(c.Params("id")), c.Params("part"), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

func (k *console) retryRefund(c *fiber.Ctx) error {
	return k.moveMoney(c, order.Command{On: order.RefundRetry})
}

func (k *console) refundByHand(c *fiber.Ctx) error {
	return k.moveMoney(c, order.Command{On: order.RefundByHand, Note: strings.TrimSpace(c.FormValue("note"))})
}

func (k *console) moveMoney(c *fiber.Ctx, cmd order.Command) error {
	if _, err := k.act(c, order.Finance, cmd); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

// searchers may look up any order. What they get is public or about the order,
// never about a person.
var searchers = []order.Role{order.Reviewer, order.Issuer, order.Finance}

func (k *console) searchRoutes() { k.get("/staff/orders", OfStaff, k.search, searchers...) }

type searchView struct {
	No, Company string
	Asked       bool
	Rows        []foundRow
	Next        string
}

type foundRow struct {
	moneyRow
	Placed time.Time
	Links  []actionView
}

func (k *console) search(c *fiber.Ctx) error {
	v := searchView{No: order.PrintedNo(c.Query("no")), Company: order.PrintedName(c.Query("company"))}
	v.Asked = v.No != "" || v.Company != ""
	if !v.Asked {
		return k.show(c, "search", "查订单", v, nil)
	}
	after, err := parseCursor(c.Query("after"))
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), order.Filter{No: v.No, Company: v.Company, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	m := staffOf(c)
	for _, o := range page.Orders {
		if o.No == "" {
			continue // a draft is its applicant's own business
		}
		v.Rows = append(v.Rows, foundRow{moneyRowOf(o), o.PlacedAt, searchLinks(m, o)})
	}
	if next := nextPage(page); next != "" {
		v.Next = "/staff/orders?no=" + queryEscape(v.No) + "&company=" + queryEscape(v.Company) + "&after=" + next
	}
	return k.show(c, "search", "查订单", v, nil)
}

// searchLinks lead to the pages that this member of staff may open.
func searchLinks(m order.Staff, o order.Order) []actionView {
	var out []actionView
	if m.Has(order.Reviewer) && submitted(o) {
		out = append(out, actionView{Label: "审核页", URL: "/staff/review/" + string(o.ID)})
	}
	if m.Has(order.Finance) && o.Amount > 0 {
		out = append(out, actionView{Label: "款项", URL: "/staff/finance/" + string(o.ID)})
	}
	return out
}
