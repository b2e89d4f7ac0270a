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

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

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
	k.post("/staff/finance/:id/parts/:part/by-hand", OfStaff, k.partByHand, order.Finance)
	k.post("/staff/finance/late/:trade/retry", OfStaff, k.retryLate, order.Finance)
	k.post("/staff/finance/late/:trade/by-hand", OfStaff, k.lateByHand, order.Finance)
	k.post("/staff/finance/:id/fulfilment/retry", OfStaff, k.retryFulfilment, order.Finance)
	k.post("/staff/finance/:id/fulfilment/by-hand", OfStaff, k.fulfilmentByHand, order.Finance)
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
	Parts []moneyRow // of whose trade a part could not be returned
	Late  []lateRow
	Held  []heldRow
	Told  []moneyRow // of whose fulfilment WeChat has to be told by hand
	Next  string
}

// lateRow is a payment that belongs to no order any more and could not be returned.
type lateRow struct {
	paymentRow
	Open order.ID // the order it was once for; empty when that is gone
}

// lateRows are all of them.
func (k *console) lateRows(ctx context.Context) ([]lateRow, error) {
	all, err := k.Records.FailedLateRefunds(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var rows []lateRow
	for _, p := range all {
		row := lateRow{paymentRow: paymentRowOf(p)}
		if row.Open, err = k.stillThere(ctx, p.OrderID); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// stillThere returns the id of an order, empty when that is gone.
func (k *console) stillThere(ctx context.Context, id order.ID) (order.ID, error) {
	_, err := k.Records.Order(ctx, id)
	if errors.Is(err, order.NotFound) {
		return "", nil
	}
	return id, err
}

// heldRow is a refund that waits for the merchant's balance.
type heldRow struct {
	order.HeldRefund
	Open order.ID // empty when the order is gone
}

// heldRows are all of them.
func (k *console) heldRows(ctx context.Context) ([]heldRow, error) {
	all, err := k.Records.HeldRefunds(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var rows []heldRow
	for _, r := range all {
		row := heldRow{HeldRefund: r}
		if row.Open, err = k.stillThere(ctx, r.OrderID); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
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

// failedParts are the orders of whose trade a part could not be returned.
func (k *console) failedParts(ctx context.Context) ([]moneyRow, error) {
	all, err := k.Records.FailedPartRefunds(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, r := range all {
		ids = append(ids, r.OrderID)
	}
	return k.moneyRows(ctx, ids)
}

// refusedFulfilments are the orders of whose fulfilment WeChat has to be told by hand.
func (k *console) refusedFulfilments(ctx context.Context) ([]moneyRow, error) {
	all, err := k.Records.RefusedFulfilments(ctx, maxProposals)
	if err != nil {
		return nil, err
	}
	var ids []order.ID
	for _, f := range all {
		ids = append(ids, f.OrderID)
	}
	return k.moneyRows(ctx, ids)
}

func (k *console) finance(c *fiber.Ctx) error { return k.showFinance(c, nil) }

func (k *console) showFinance(c *fiber.Ctx, refusal error) error {
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
	if v.Late, err = k.lateRows(c.UserContext()); err != nil {
		return err
	}
	if v.Held, err = k.heldRows(c.UserContext()); err != nil {
		return err
	}
	if v.Told, err = k.refusedFulfilments(c.UserContext()); err != nil {
		return err
	}
	if state == proposals {
		if v.Rows, err = k.waitingProposals(c.UserContext()); err != nil {
			return err
		}
		return k.show(c, "finance", "退款", v, refusal)
	}
	f, err := listPage(c, order.Filter{Refund: state, Sort: order.OldestFirst})
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
	v.Next = link("/staff/finance?refund="+string(state)+"&after=", page.Next)
	return k.show(c, "finance", "退款", v, refusal)
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
	Refused          string // why the gateway did not return it
	Followed         bool   // somebody settles it at the platform, which is asked
	Left             string // what certificate the refund leaves to the applicant
	Fulfilment       *fulfilmentView
}

// fulfilmentView is what WeChat has to know of the order's payment in the mini-program.
type fulfilmentView struct {
	order.Fulfilment
	Label         string
	Refused       bool   // it waits for a person
	TransactionID string // what the mini-program's backend knows the payment by
}

// fulfilmentOf is it; nil of an order that was paid elsewhere.
func (k *console) fulfilmentOf(ctx context.Context, o order.Order, payments []order.Payment) (*fulfilmentView, error) {
	f, err := k.Records.Fulfilment(ctx, o.TradeNo)
	if errors.Is(err, order.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := fulfilmentView{Fulfilment: f, Label: f.State.Label(), Refused: f.State == order.FulfilmentRefused}
	for _, p := range payments {
		if p.TradeNo == f.TradeNo {
			v.TransactionID = p.TransactionID
		}
	}
	return &v, nil
}

// proposalView is what waits for somebody's consent.
type proposalView struct {
	order.Proposal
	Refund bool
	By     string
	Mine   bool // who looks has proposed it, and cannot confirm it
	Price  order.Fen
}

// partRow is a part of the trade on its way back.
type partRow struct {
	order.PartRefund
	Label string
	Retry bool
}

type paymentRow struct {
	TradeNo, State, Reason, Refused, Channel string
	Amount                                   order.Fen
	CreatedAt, PaidAt                        time.Time
}

func paymentRowOf(p order.Payment) paymentRow {
	return paymentRow{p.TradeNo, p.State.Label(), p.RefundReason, p.Refused, p.Channel.Label(), p.Amount, p.CreatedAt, p.PaidAt}
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
		v.Payments = append(v.Payments, paymentRowOf(p))
		if v.CanRetry && p.TradeNo == o.TradeNo {
			v.Refused, v.Followed = p.Refused, !p.NextQuery.IsZero()
		}
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
	if v.Fulfilment, err = k.fulfilmentOf(ctx, o, payments); err != nil {
		return err
	}
	parts, err := k.Records.PartRefunds(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, p := range parts {
		v.Parts = append(v.Parts, partRow{p, p.State.Label(), p.State == order.PaymentRefundFailed})
	}
	if refusal != nil {
		v.Note = c.FormValue("note")
	}
	if v.CanRefund || v.CanPropose {
		if v.Left, err = k.leftBy(ctx, o); err != nil {
			return err
		}
	}
	return k.show(c, "account", "退款 "+v.Tail, v, refusal)
}

// leftBy says what certificate the refund of an order leaves to its applicant, where that
// is not what he has now.
func (k *console) leftBy(ctx context.Context, o order.Order) (string, error) {
	if o.Business != order.Renewal && o.Business != order.Reissue {
		return "", nil
	}
	old, err := k.aboutOf(ctx, o)
	if err != nil || old == nil {
		return "", err
	}
	return leftOver(*old, k.Now()), nil
}

// leftOver says what a certificate is good for once what was to replace it is refunded.
func leftOver(old certificate.Certificate, now time.Time) string {
	name := "旧证书（UKEY …" + old.KeyTail() + "，有效期至 " + day(old.NotAfter) + "）"
	switch {
	case old.State() == certificate.Revoked:
		return name + "已吊销，不能恢复：退款后用户没有可用的证书，须重新申请。"
	case old.Expired(now) && old.InRenewalWindow(now):
		return name + "已过期：退款后用户没有可用的证书，" + order.Day(old.RenewableUntil()) + "前可以再次申请更新。"
	case old.Expired(now):
		return name + "已过期，也不能再更新：退款后用户没有可用的证书，须重新申请。"
	case old.State() == certificate.Frozen:
		return name + "已冻结：退款后，用户先申请恢复，才能继续使用它。"
	default:
		return name + "仍然有效：退款后，用户继续使用它。"
	}
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

// retryPart asks again for a part of the trade back.
func (k *console) retryPart(c *fiber.Ctx) error {
	if err := k.Orders.RetryPartRefund(c.UserContext(), order.ID(c.Params("id")), c.Params("part"), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

// partByHand records that it went back by a transfer.
func (k *console) partByHand(c *fiber.Ctx) error {
	if err := k.Orders.SettlePartRefund(c.UserContext(), order.ID(c.Params("id")), c.Params("part"), strings.TrimSpace(c.FormValue("note")), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

// retryFulfilment has WeChat asked, and told, again; fulfilmentByHand ends it.
func (k *console) retryFulfilment(c *fiber.Ctx) error {
	if err := k.Orders.RetryFulfilment(c.UserContext(), order.ID(c.Params("id")), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

func (k *console) fulfilmentByHand(c *fiber.Ctx) error {
	if err := k.Orders.SettleFulfilment(c.UserContext(), order.ID(c.Params("id")), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showAccount)
	}
	return c.Redirect("/staff/finance/"+c.Params("id"), http.StatusSeeOther)
}

// retryLate and lateByHand are for payments of no order (row 10).
func (k *console) retryLate(c *fiber.Ctx) error {
	if err := k.Orders.RetryLateRefund(c.UserContext(), c.Params("trade"), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showFinance)
	}
	return c.Redirect("/staff/finance", http.StatusSeeOther)
}

func (k *console) lateByHand(c *fiber.Ctx) error {
	if err := k.Orders.SettleLateRefund(c.UserContext(), c.Params("trade"), strings.TrimSpace(c.FormValue("note")), actor(c, order.Finance)); err != nil {
		return k.orNotice(c, err, k.showFinance)
	}
	return c.Redirect("/staff/finance", http.StatusSeeOther)
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
