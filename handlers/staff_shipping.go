package handlers

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// shippingRoutes are the shipper's, who sees the address and which keys go there. An
// admin finds a parcel, too, to correct its number.
func (k *console) shippingRoutes() {
	k.get("/staff/shipping", OfStaff, k.shipping, order.Shipper, order.Admin)
	k.get("/staff/shipping/:id", OfStaff, k.parcel, order.Shipper, order.Admin)
	k.post("/staff/shipping/:id/reveal", OfStaff, k.revealParcel, order.Shipper)
	k.post("/staff/shipping/:id/ship", OfStaff, k.ship, order.Shipper)
	k.post("/staff/shipping/:id/correct", OfStaff, k.correctTracking, order.Shipper, order.Admin)
	k.post("/staff/shipping/:id/pick-up", OfStaff, k.pickUp, order.Shipper)
	k.post("/staff/shipping/:id/returned", OfStaff, k.parcelReturned, order.Shipper)
	k.post("/staff/shipping/:id/lost", OfStaff, k.parcelLost, order.Shipper)
}

type shippingView struct {
	Tabs     []tabView
	Tracking string // that was looked for
	// Corrected are the orders that had it by mistake, when none has it.
	Corrected []correctedRow
	Sent      bool // what has left: how far it has come, not by when it must go
	Rows      []shippingRow
	Next      string
}

// shippingLists are the shippers' lists, in the order of their tabs.
var shippingLists = []struct {
	key, label string
	filter     order.Filter
}{
	{string(order.ToPost), order.ToPost.Label(), order.Filter{Status: order.ToShip, Stage: order.ToPost, Sort: order.DueFirst}},
	{string(order.ToPickUp), order.ToPickUp.Label(), order.Filter{Status: order.ToShip, Stage: order.ToPickUp, Sort: order.DueFirst}},
	{"back", "退回", order.Filter{Status: order.Completed, Sort: order.OldestFirst, Parcels: []order.ParcelState{order.ParcelReturning, order.ParcelSentBack}}},
	{"sent", "在途", order.Filter{Status: order.Completed, Sort: order.OldestFirst, Parcels: []order.ParcelState{order.ParcelPosted, order.ParcelPickedUp, order.ParcelInTransit, order.ParcelTroubled, order.ParcelDelivering}}},
	{"lost", "丢失或损坏", order.Filter{Status: order.Completed, Sort: order.OldestFirst, Parcels: []order.ParcelState{order.ParcelLost}}},
}

type shippingRow struct {
	ID               order.ID
	No, Tail         string
	Recipient, Place string // masked
	PickUp           bool
	Quantity         int
	Due              time.Time
	Overdue          bool
	Refund, Express  string
	Parcel           string // how far it has come
	Sent             time.Time
	// Correctable: its wrong number may be corrected; Mate: it is of the same customer as
	// the order that is looked at.
	Correctable, Mate bool
}

// keysOf are an order's keys that belong into its parcel.
func keysOf(items []order.Item) []order.Item {
	return slices.DeleteFunc(items, func(i order.Item) bool { return i.Stage != order.ItemVerified })
}

// trackingNo is a tracking number as it is typed: in groups, in either width.
func trackingNo(typed string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.Join(strings.Fields(identity.HalfWidth(typed)), ""), "-", ""))
}

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
		filter = order.Filter{Tracking: tracking, Sort: order.OldestFirst}
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
	if tracking != "" && len(page.Orders) == 0 {
		if v.Corrected, err = k.correctedFrom(c.UserContext(), tracking); err != nil {
			return err
		}
	}
	for _, o := range page.Orders {
		row := k.shippingRow(o)
		row.Quantity = len(keysOf(items[o.ID]))
		v.Rows = append(v.Rows, row)
	}
	v.Next = link("/staff/shipping?stage="+stage+"&tracking="+url.QueryEscape(tracking)+"&after=", page.Next)
	return k.show(c, "shipping", "发货", v, nil)
}

// correctedFrom are the orders whose parcel had a tracking number by mistake.
func (k *console) correctedFrom(ctx context.Context, tracking string) ([]correctedRow, error) {
	page, err := k.Records.Orders(ctx, order.Filter{Corrected: tracking})
	var rows []correctedRow
	for _, o := range page.Orders {
		rows = append(rows, correctedRow{o.ID, order.TailOf(o.No), o.CarrierName(), o.TrackingNo})
	}
	return rows, err
}

// correctedRow is an order with the number that its parcel has now.
type correctedRow struct {
	ID                    order.ID
	Tail, Carrier, Number string
}

func (k *console) shippingRow(o order.Order) shippingRow {
	row := shippingRow{
		ID: o.ID, No: o.No, Tail: order.TailOf(o.No),
		PickUp: o.Stage == order.ToPickUp, Quantity: o.Quantity() - o.GivenUp, Due: o.DueAt, Overdue: !o.DueAt.IsZero() && k.Now().After(o.DueAt), Refund: o.Refund.Label(), Express: o.Express.Label(),
		Parcel: o.Parcel.Label(), Sent: o.ShippedAt, Correctable: o.TrackingCorrectable(order.Shipper, k.Now()),
	}
	if !o.EraseAskedAt.IsZero() {
		row.Recipient = "收件资料已按申请人要求停止查看"
		return row
	}
	get := o.Form.Masked
	row.Recipient = get(order.ShipName) + " " + get(order.ShipMobile)
	row.Place = strings.Join([]string{get(order.ShipProvince), get(order.ShipCity), get(order.ShipDistrict)}, " ")
	return row
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
	Open     bool      // still to be handed over
	Changed  time.Time // when the address changed after it was shown for the label
	State    string
	Carriers []choice
	Carrier  string
	Tracking string
	Shared   []shippingRow // the other orders with that tracking number
	Right    string        // the right number, as it was typed
	Rightful string        // its carrier
	Signed   bool          // says the courier
	Why      string
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
	if err := o.MayBeSeen(); err != nil {
		return err
	}
	items, err := k.Records.Items(ctx, o.ID)
	if err != nil {
		return err
	}
	ships := staffOf(c).Has(order.Shipper)
	v := parcelView{
		shippingRow: k.shippingRow(o), Masked: !inClear, Open: ships && o.Status == order.ToShip && o.Refund == order.NoRefund, State: o.State.Label(),
		Carrier: o.Carrier, Tracking: o.TrackingNo,
	}
	get := order.Form.Masked
	if inClear {
		get = order.Form.Get
	}
	v.Facts = shipFacts(o, get)
	v.Keys = keysOf(items)
	v.Correctable = o.TrackingCorrectable(corrects(c), k.Now())
	v.Signed = o.Parcel == order.ParcelSigned
	v.CanBack = ships && o.Status == order.Completed && o.TrackingNo != "" && o.Refund == order.NoRefund && len(v.Keys) > 0
	shipments, err := k.Records.Shipments(ctx, o.ID)
	if err != nil {
		return err
	}
	v.Parcels = shipmentViews(shipments)
	if v.Open {
		v.Tracking = c.Query("tracking") // as it is typed
		if v.Changed, err = order.StaleLabel(ctx, k.Records, o.ID); err != nil {
			return err
		}
	}
	if refusal != nil {
		v.Counted, v.Claim, v.Note = c.FormValue("keys"), c.FormValue("claim"), c.FormValue("note")
		if v.Open {
			v.Carrier, v.Tracking = c.FormValue("carrier"), c.FormValue("tracking")
		}
		v.Right, v.Rightful, v.Why = c.FormValue("right"), c.FormValue("rightful"), c.FormValue("why")
	}
	for _, code := range carrierCodes {
		v.Carriers = append(v.Carriers, choice{code, order.Carriers[code].Name, code == v.Carrier})
	}
	if v.Shared, err = k.sharedWith(ctx, o, trackingNo(v.Tracking)); err != nil {
		return err
	}
	return k.show(c, "parcel", "发货 "+v.Tail, v, refusal)
}

// sharedWith are the other orders whose parcel has a tracking number: those of one
// customer travel in one, others are a slip.
func (k *console) sharedWith(ctx context.Context, with order.Order, tracking string) (rows []shippingRow, err error) {
	if tracking == "" {
		return nil, nil
	}
	page, err := k.Records.Orders(ctx, order.Filter{Tracking: tracking})
	if err != nil {
		return nil, err
	}
	for _, o := range page.Orders {
		if o.ID != with.ID {
			row := k.shippingRow(o)
			row.Mate = o.PersonID == with.PersonID
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// carrierCodes is the order in which couriers are offered.
var carrierCodes = []string{"sf", "ems", "jd"}

// revealParcel shows the address in the clear for the label, and records it.
func (k *console) revealParcel(c *fiber.Ctx) error {
	if err := k.reveal(c, order.Shipper, order.ActionLabel); err != nil {
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

// corrects is the role in which whoever looks at a parcel corrects its number.
func corrects(c *fiber.Ctx) order.Role {
	if staffOf(c).Has(order.Admin) {
		return order.Admin
	}
	return order.Shipper
}

// correctTracking gives a parcel its right number, and the other orders in it that were
// ticked. The same again, as by a double click, is done already.
func (k *console) correctTracking(c *fiber.Ctx) error {
	var with []order.ID
	for _, id := range c.Request().PostArgs().PeekMulti("with") {
		with = append(with, order.ID(id))
	}
	id := order.ID(c.Params("id"))
	cmd := order.Command{By: actor(c, corrects(c)), Why: strings.TrimSpace(c.FormValue("why")), Carrier: c.FormValue("rightful"), TrackingNo: trackingNo(c.FormValue("right")), WrongNo: c.FormValue("wrong")}
	if err := k.Orders.CorrectTracking(c.UserContext(), id, with, cmd); err != nil {
		o, readErr := k.Records.Order(c.UserContext(), id)
		same := readErr == nil && o.TrackingNo != cmd.WrongNo && o.TrackingNo == cmd.TrackingNo && o.Carrier == cmd.Carrier
		if !same {
			return k.again(c, err)
		}
	}
	return c.Redirect("/staff/shipping/"+string(id), http.StatusSeeOther)
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
	return k.handOver(c, order.Command{On: order.PickUp, PickUpCode: strings.TrimSpace(identity.HalfWidth(c.FormValue("code")))})
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
