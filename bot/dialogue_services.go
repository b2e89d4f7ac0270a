package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// ordersBeside answers from the person's orders where one of them is concerned,
// and else in general.
func (t *turn) ordersBeside(ctx context.Context, about intent.Intent) (string, error) {
	if o, named, err := t.named(ctx); err != nil || named {
		if err != nil {
			return "", err
		}
		return t.aboutOrder(ctx, o, about)
	}
	mine, err := t.mine(ctx, order.Filter{No: t.meant.Slots[intent.SlotOrderTail], Limit: 30})
	if err != nil {
		return "", err
	}
	concerned := relevant(mine, about)
	if len(t.told) > 0 {
		concerned = t.told
	}
	if open := relevant(mine, intent.OrderStatus); t.cancels && len(open) > 0 {
		concerned = open
	}
	switch {
	case len(concerned) == 0:
		return t.inGeneral(ctx, about)
	case len(concerned) == 1:
		return t.aboutOrder(ctx, concerned[0], about)
	default:
		return t.list(concerned, about), nil
	}
}

// cancel takes 取消订单, 撤回 and the like for a question about getting out of an order. A
// member of staff who names somebody else's means a task.
func (t *turn) cancel(ctx context.Context) error {
	if !strings.ContainsAny(t.text, "取撤删不") { // one of which is in whatever cancels
		return nil
	}
	m := cancelPattern.FindStringSubmatch(t.text)
	if m == nil || !cancelledThing.MatchString(t.text) {
		return nil
	}
	no := cmp.Or(m[1], m[3])
	if no != "" && t.meant.Intent.Staff() {
		mine, err := t.mine(ctx, order.Filter{No: no, Limit: 1})
		if err != nil {
			return err
		}
		if _, member, err := t.member(ctx); err != nil || member && len(mine) == 0 {
			return err
		}
	}
	t.cancels = true
	t.meant = intent.Result{Intent: intent.Refund, Slots: intent.Slots{}, Understood: true}
	if no != "" {
		t.meant.Slots[intent.SlotOrderTail] = strings.ToUpper(no)
	}
	return nil
}

// inGeneral is what an intent means to whoever has no order that it concerns.
func (t *turn) inGeneral(ctx context.Context, about intent.Intent) (string, error) {
	text := t.fill(advice[about])
	if about != intent.SLATime {
		return text, nil
	}
	if p, err := t.who(ctx); err != nil {
		return "", err
	} else if p.ID != "" {
		text = strings.Replace(text, "绑定手机号后回复", "回复", 1)
	}
	kept, err := t.Punctual.Punctuality(ctx)
	promise, next, _ := strings.Cut(text, "\n")
	return promise + kept.Sentence() + "\n" + t.hurry(nil) + next, err
}

// hurry is a line that says what is offered to who cannot wait, of some businesses or of
// all (nil); "" when nothing is.
func (t *turn) hurry(wanted []order.Business) string {
	var offers []string
	for _, p := range t.Catalogue().Products {
		if e := p.Express; e != nil && p.OnSale && !p.Test && (wanted == nil || slices.Contains(wanted, p.Business)) {
			offers = appendOnce(offers, fmt.Sprintf("%s %d 个工作小时，另收 ¥%s", p.Business.Label(), e.Hours, e.Fee.Yuan()))
		}
	}
	if len(offers) == 0 {
		return ""
	}
	return "急用的，申请时可以选「加急」：" + strings.Join(offers, "；") + "。没有按时办好，加急费自动退还。\n"
}

// services say what an order means for an intent that is not about its state. They
// may bring the order up to date.
var services = map[intent.Intent]func(*turn, context.Context, *order.Order) ([]string, error){
	intent.PayProblem:    (*turn).payment,
	intent.LegalRepAuth:  (*turn).authorization,
	intent.Refund:        func(t *turn, _ context.Context, o *order.Order) ([]string, error) { return t.refund(*o), nil },
	intent.Invoice:       (*turn).invoice,
	intent.ChangeAddress: func(t *turn, _ context.Context, o *order.Order) ([]string, error) { return t.delivery(*o), nil },
	intent.ChangeInfo:    func(_ *turn, _ context.Context, o *order.Order) ([]string, error) { return correction(*o), nil },
	intent.SLATime:       func(t *turn, ctx context.Context, o *order.Order) ([]string, error) { return t.schedule(ctx, *o) },
}

// withdrawal is what a legal representative says who takes his authorisation back.
var withdrawal = regexp.MustCompile(`(?:撤回|撤销|撤掉|撤|收回|取消|作废|反悔|后悔|不想|不要|终止|解除)[^,，。]{0,6}授权|授权[^,，。不没]{0,8}(?:撤|收回|取消|作废|反悔|后悔|终止|解除)`)

// legalRep answers about an authorisation: who takes his own back is told how, that the
// certificate is made, or that none will be.
func (t *turn) legalRep(ctx context.Context, about intent.Intent) (string, error) {
	if !withdrawal.MatchString(t.text) {
		return t.ordersBeside(ctx, about)
	}
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return textWithdraw, err
	}
	his, err := t.Store.AuthorizationsFor(ctx, p.Mobile, t.Now(), "", maxChoices)
	if err != nil || len(his) == 0 {
		return textWithdraw, err
	}
	made := false
	for _, a := range his {
		o, err := t.Store.Order(ctx, a.OrderID)
		if err != nil || a.Active() && o.Unwithdrawable() == "" {
			return textWithdraw, err
		}
		made = made || o.MadeAlready()
	}
	if made {
		return textWithdrawTooLate, nil
	}
	return textWithdrawNeedless, nil
}

var (
	asksHours = regexp.MustCompile(`[上下]班|营业|几点(?:开|关)门|(?:工作|办公|服务|客服)时间|值班|放假|(?:周末|[周星期]+[六日天]|节假日|晚上|夜里|中午)[^,，。]{0,4}(?:有人|休息|办公|在吗)`)
	// asksWork is about what is done in those hours.
	asksWork = regexp.MustCompile(`[上下]班[之以]?前|[上下]班时?候?能|订单|单子|尾号|我的|发货|寄|审|办|多久|几天|快递|物流|\d`)
)

// howLong answers how long something takes, and when somebody is there.
func (t *turn) howLong(ctx context.Context, about intent.Intent) (string, error) {
	if !asksHours.MatchString(t.text) || asksWork.MatchString(strings.ReplaceAll(t.text, "办公", "")) {
		return t.ordersBeside(ctx, about)
	}
	open, next := order.Opening(t.Workdays, t.Now())
	now := fillIn(either(open, textHoursOpen, textHoursClosed), "{next}", next.Format("1月2日 15:04"))
	return textHours + "\n" + now + "\n" + textHoursAlways, nil
}

// oldMobileGone is what somebody says whose mobile before receives no SMS.
var oldMobileGone = regexp.MustCompile(`交接|停用|停机|注销|销号|欠费|丢|不用了|用不了|收不到|没法收|联系不上|不在了?$`)

// rebind leads to where another mobile takes over: who holds certificates can do so himself
// as long as the one before receives an SMS.
func (t *turn) rebind(ctx context.Context, about intent.Intent) (string, error) {
	if t.meant.Slots[intent.SlotReason] != "" || oldMobileGone.MatchString(t.text) {
		return t.fill(textHandover), nil
	}
	p, err := t.who(ctx)
	if err != nil || p.ID == "" {
		return t.fill(advice[about]), err
	}
	held, err := t.Certs.HeldBy(ctx, p.ID)
	if err == nil && len(held) == 0 { // they are bound to another mobile
		return t.fill(textHandover), nil
	}
	return t.fill(advice[about]), err
}

// authorization says how far the legal representative has come, and what the
// applicant can do about it.
func (t *turn) authorization(ctx context.Context, o *order.Order) ([]string, error) {
	all, err := t.Store.Authorizations(ctx, o.ID)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	a := all[len(all)-1]
	lines := []string{"法人授权：" + a.State.Label() + "。"}
	switch {
	case a.Open() && o.Stage == order.AwaitingAuthorization:
		lines = append(lines, "授权短信发往 "+identity.NewMobile(a.Signer.Mobile).Mask()+"，"+order.Day(a.ExpiresAt)+"前有效。没有收到、换号码或改用纸质授权书，请在订单页操作（每天可重发 3 次）。")
	case a.State == order.AtSigned:
		lines = append(lines, "法定代表人不需要再操作。")
	default:
		lines = append(lines, "请修改后重新提交，系统会重新发送授权短信；也可以改用纸质授权书。")
	}
	return lines, nil
}

// gatewayTime is what may be spent on asking the gateway about a payment; WeChat
// waits 5 s for the answer.
const gatewayTime = 1500 * time.Millisecond

// payment asks the gateway what became of the payment.
func (t *turn) payment(ctx context.Context, o *order.Order) ([]string, error) {
	if o.TradeNo == "" {
		if saysPaid.MatchString(t.text) {
			return []string{"没有查到这笔订单的付款。确实扣了款的，请先不要再付，回复「人工」由工作人员核对；重复支付会自动原路退回。"}, nil
		}
		return []string{"还没有发起支付。在订单页选择支付方式后扫码支付，提交后 7 天内有效。", "电脑上支持微信支付和支付宝，把二维码给别人代付也可以；小程序里用微信支付。不支持对公转账。"}, nil
	}
	asking, cancel := context.WithTimeout(ctx, gatewayTime)
	defer cancel()
	if err := t.Payments.CheckPayment(asking, o.TradeNo); err != nil {
		t.Log.WarnContext(ctx, "asking about a payment", "order", o.ID, "err", err)
		return []string{"暂时没有查到支付结果，系统会继续查询。已扣款但订单仍是待支付的，一般几分钟内会更新；重复支付会自动原路退回。"}, nil
	}
	now, err := t.Store.Order(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	if *o = now; o.Status != order.AwaitingPayment {
		return []string{"刚才已查询到付款成功，不需要再付。", o.Guide(t.Now()).What, o.Guide(t.Now()).Next}, nil
	}
	return []string{"刚向支付平台查询过：这笔订单还没有付款成功。二维码过期了重新打开支付即可；重复支付会自动原路退回。"}, nil
}

// saysPaid is what somebody says whose money has gone.
var saysPaid = regexp.MustCompile(`扣(?:了|款|钱|过)|付过|付完|已付|付款成功|支付成功|(?:付|交|转)了(?:钱|款|两|2|二|好几)|(?:重复|多)(?:付|扣|支付)`)

// paidTwice is what somebody says who asks for the money that he paid too much, not for all of it.
var paidTwice = regexp.MustCompile(`多(?:付|扣|交|支付)|重复(?:付|扣|支付)|(?:付|扣|交)了?(?:两|2|二)(?:次|笔|遍)`)

// correction says how what was typed into an order is put right.
func correction(o order.Order) []string {
	const remade = "已经开始制证，证书上的信息不能再改。填错了的请拨打 400-666-3999。"
	switch o.Status {
	case order.Draft:
		return []string{"还没有提交，打开订单就可以直接修改。"}
	case order.AwaitingPayment:
		return []string{"还没有付款，先不要付：在支付页点「返回修改信息」，改好重新提交。"}
	case order.InReview:
		return []string{"审核期间不能自己修改。请回复「人工」说明要改哪一项，由审核员退回给您；改好后重新提交，不需要再次付款。"}
	case order.Rejected:
		return []string{"订单已退回，可以直接修改后重新提交，不需要再次付款。"}
	default:
		return []string{remade}
	}
}

// refund says how to get out of an order: whether money can come back and how, or what to
// do about one for which none was paid.
func (t *turn) refund(o order.Order) []string {
	money, now := "¥"+o.Amount.Yuan(), t.Now()
	page := `<a href="` + t.PublicURL + "/orders/" + string(o.ID) + `">`
	switch {
	case o.Refund != order.NoRefund || o.Status == order.Refunded:
		return []string{o.Guide(now).What, o.Guide(now).Next}
	case paidTwice.MatchString(t.text):
		return []string{"重复或多付的一笔会自动全额原路退回，一般 1–3 个工作日到账，不影响这笔订单，不需要申请。", "过了 3 个工作日还没有收到，请回复「人工」由工作人员核对。"}
	case o.Status == order.Draft:
		return []string{"还没有提交，也没有付款，没有需要退的款项。不想办了，打开后点页面下方的「删除草稿」。"}
	case o.Status == order.AwaitingPayment:
		return []string{"还没有付款，没有需要退的款项。不想办了，可以" + page + "在订单页删除</a>，也可以不管它：7 天不付款会自动退回草稿。"}
	case o.Amount == 0:
		return append([]string{"这笔订单金额为 0 元，没有需要退的款项。"}, unpaidWayOut(o, page)...)
	case slices.Contains(refundedAtOnce, o.Status) && o.Stage != order.Running, o.Status == order.ToIssue && o.Stage == order.Unclaimed:
		return []string{"还没有" + deed(o.Business) + "，可以全额退款 " + money + "，款项原路退回，一般 1–3 个工作日到账。", "回复「人工」，由工作人员为您办理。"}
	case deed(o.Business) != makesCertificate:
		return []string{"已付 " + money + "，已经" + deed(o.Business) + "：退款由两位工作人员核实，款项原路退回。", "回复「人工」，由工作人员为您办理。"}
	default:
		lines := []string{"已付 " + money + "。证书已开始制作：退款由两位工作人员核实，同时吊销证书（不能恢复），已寄出的 UKEY 需要退回；款项原路退回。"}
		if o.GivenUp > 0 {
			lines = append(lines, fmt.Sprintf("其中 %d 个 UKEY 已取消，相应款项已退回或正在退回。", o.GivenUp))
		}
		if o.Express == order.ExpressMissed {
			lines = append(lines, "其中加急费 ¥"+o.ExpressFee().Yuan()+" 没有按时办好，已退回或正在退回。")
		}
		return append(lines, "回复「人工」，由工作人员为您办理。")
	}
}

// unpaidWayOut is what to do about a submitted order that costs nothing.
func unpaidWayOut(o order.Order, page string) []string {
	switch {
	case o.Stage == order.Closed:
		return []string{"订单已经关闭，不用再操作。"}
	case o.Closable():
		return []string{"不想办了，可以" + page + "在订单页关闭</a>，也可以不修改，不会制证。"}
	case o.Status == order.InReview, o.Status == order.ToIssue && o.Stage == order.Unclaimed:
		return []string{"还没有" + deed(o.Business) + "，可以撤回：请回复「人工」，由工作人员退回给您，退回后在订单页关闭即可。"}
	case slices.Contains(refundedAtOnce, o.Status) && o.Stage != order.Running:
		return []string{"不想办了，不用操作：过了期限没有完成，订单会自动关闭或退回，" + deedUndone(o.Business) + "。"}
	case deed(o.Business) != makesCertificate:
		return []string{"已经" + deed(o.Business) + "，不能取消。"}
	default:
		return []string{"证书已制作，不能取消。不再使用的，可以在「我的证书」吊销。"}
	}
}

// deedUndone is what stays as it is when an order is not carried out.
func deedUndone(b order.Business) string {
	return cmp.Or(map[order.Business]string{order.Resume: "证书仍是冻结状态"}[b], "原来的证书不受影响")
}

// refundedAtOnce are the states in which one member of staff gives the money back.
var refundedAtOnce = []order.Status{order.InReview, order.Rejected, order.ToRenew, order.ToDownload, order.ToUnlock, order.ToRestore}

const makesCertificate = "制证"

// deed is what an order was paid for.
func deed(b order.Business) string {
	return cmp.Or(map[order.Business]string{order.UnlockApproval: "解锁", order.Resume: "恢复证书", order.Rebind: "换绑"}[b], makesCertificate)
}

// invoice says how far the invoice has come, and where it is to be had.
func (t *turn) invoice(ctx context.Context, o *order.Order) ([]string, error) {
	if o.Amount == 0 {
		return []string{"这笔订单金额为 0 元，不开发票。"}, nil
	}
	page := `<a href="` + t.PublicURL + "/orders/" + string(o.ID) + `#invoice">`
	i, err := t.Store.InvoiceOf(ctx, o.ID)
	switch {
	case errors.Is(err, order.NotFound):
		return uninvoiced(*o, page), nil
	case err != nil:
		return nil, err
	}
	lines := []string{"发票：" + i.State.Label() + "。" + i.Title + "，税号 " + i.TaxNo + "，¥" + i.Amount.Yuan() + "，" + order.InvoiceKind + "。"}
	switch i.State {
	case order.InvoiceIssued:
		if o.Refund != order.NoRefund || o.Status == order.Refunded {
			return append(lines, "款项退回，这张发票会红冲作废，不能再用于报销。"), nil
		}
		return append(lines, "发票号码 "+i.Number+"，"+order.Day(i.IssuedAt)+"开具，可以正常使用。", page+"下载发票</a>"), nil
	case order.InvoiceIssuing:
		return append(lines, "一般几分钟内完成，开好后在订单页下载。"), nil
	case order.InvoiceFailed:
		return append(lines, "请核对抬头和税号后重新开具；仍不成功请回复「人工」。", page+"重新开具</a>"), nil
	case order.InvoiceReversed:
		return append(lines, "已红冲作废，不能再用于报销；已经报销的请告诉财务。"), nil
	case order.InvoiceRedIssuing, order.InvoiceRedFailed:
		return append(lines, "正在红冲作废，不能再用于报销。不需要您操作。"), nil
	default:
		return append(lines, "正在处理，不需要您操作。"), nil
	}
}

// uninvoiced is about an order that has no invoice.
func uninvoiced(o order.Order, page string) []string {
	switch {
	case o.Invoiceable():
		return []string{"这笔订单还没有开具发票。", page + "开具发票</a>"}
	case o.Refund != order.NoRefund || o.Status == order.Refunded:
		return []string{"这笔订单正在退款或已退款，不能开具发票。"}
	case o.Form.Get(order.InvoiceWant) == order.No:
		return []string{"下单时选择了不需要发票；订单完成后仍可以在订单页开具。"}
	default:
		b := o.InvoiceBuyer()
		return []string{"订单完成后自动开具：" + b.Title + "，税号 " + b.TaxNo + "，¥" + o.Amount.Yuan() + "，" + order.InvoiceKind + "。"}
	}
}

// delivery says where the parcel goes and whether that can still change.
func (t *turn) delivery(o order.Order) []string {
	if o.TrackingNo != "" {
		return []string{"已经寄出，不能再改收件信息；请联系" + o.CarrierName() + "派件员转寄，单号 " + o.TrackingNo + "。"}
	}
	var lines []string
	if name := o.Form.Masked(order.ShipName); name != "" && o.Form.Get(order.ShipWay) != order.ShipPickUp {
		lines = append(lines, "现在的收件人："+name+" "+o.Form.Masked(order.ShipMobile))
	}
	if !o.DeliveryChangeable() {
		return append(lines, "现在不能在线修改收件信息，请回复「人工」由工作人员核实（请不要在聊天里发送他人的个人信息）。")
	}
	return append(lines, "还没有寄出，可以自己修改，审核结果不受影响：", `<a href="`+t.PublicURL+"/orders/"+string(o.ID)+`/delivery">修改收件信息</a>`)
}

// schedule is when an order will be done.
func (t *turn) schedule(ctx context.Context, o order.Order) ([]string, error) {
	g, err := t.Certs.Guide(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Overdue(t.Now()) {
		return []string{g.What, "已超过承诺的 " + o.PromisedBy() + "，很抱歉。回复「人工」，我们尽快给您答复。"}, nil
	}
	lines := []string{g.What, g.Next}
	switch e := o.Product.Express; {
	case e == nil || o.ExpressFee() > 0:
	case o.Status == order.Draft || o.Status == order.AwaitingPayment:
		lines = append(lines, fmt.Sprintf("急用的，付款前可以在表单里改选「加急」：另收 ¥%s，%d 个工作小时内办好，没有按时办好自动退还。", e.Fee.Yuan(), e.Hours))
	case strings.Contains(t.text, "加急"):
		lines = append(lines, "付款后不能再改为加急。赶着开标的，请回复「人工」说明开标时间，我们尽量优先办理。")
	default:
	}
	return append(lines, "审核和发货都在工作日进行，17:30 之后提交的从下一个工作日算起。"), nil
}

// maxPrices is the longest list of prices; the page it leads to has them all.
const maxPrices = 8

// offers are products of one business that cost the same.
type offers struct {
	business order.Business
	price    string
	names    []string
}

// price lists what is on offer, as the catalogue says now.
func (t *turn) price(_ context.Context, _ intent.Intent) (string, error) {
	c := t.Catalogue()
	word := t.meant.Slots[intent.SlotBiz]
	wanted := businessCalled(word)
	if word == "吊销" || word == "冻结" {
		return textRevocationFree, nil
	}
	if word != "" && wanted == nil {
		return t.fill(textNoPrice), nil
	}
	quantity, _ := strconv.Atoi(t.meant.Slots[intent.SlotQty])
	var charged []offers
	var free []string
	for _, p := range c.Products {
		if !p.OnSale || p.Test || wanted != nil && !slices.Contains(wanted, p.Business) {
			continue
		}
		if name := t.meant.Slots[intent.SlotProject]; name != "" && !strings.Contains(projectName(c, p.Project), name) {
			continue
		}
		price := priceOf(p, quantity)
		same := slices.IndexFunc(charged, func(o offers) bool { return o.business == p.Business && o.price == price })
		switch {
		case p.Price == 0:
			free = appendOnce(free, inProject(c, p, p.Business.Label()))
		case same >= 0:
			charged[same].names = appendOnce(charged[same].names, offerName(c, p))
		default:
			charged = append(charged, offers{p.Business, price, []string{offerName(c, p)}})
		}
	}
	if len(charged)+len(free) == 0 {
		return t.fill(textNoPrice), nil
	}
	var lines []string
	for _, o := range charged[:min(len(charged), maxPrices)] {
		lines = append(lines, "· "+strings.Join(o.names, "、")+"："+o.price)
	}
	if len(free) > 0 {
		lines = append(lines, "· 免费："+strings.Join(free, "、"))
	}
	return strings.Join(lines, "\n") + "\n" + t.hurry(wanted) + t.fill(textPrices), nil
}

func appendOnce(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// offerName is what a product is called beside its price.
func offerName(c order.Catalogue, p order.Product) string { return inProject(c, p, c.ShortName(p)) }

// inProject says whose product it is where there are several projects.
func inProject(c order.Catalogue, p order.Product, name string) string {
	if len(c.Projects) > 1 {
		return projectName(c, p.Project) + " " + name
	}
	return name
}

// priceOf is a product's price for each key and year, and of a quantity.
func priceOf(p order.Product, quantity int) string {
	price := "¥" + p.Price.Yuan() + " / 个"
	switch p.Business {
	case order.UnlockApproval:
		return "¥" + p.Price.Yuan() + " / 次"
	case order.Initial, order.Renewal:
		price += " / 年"
	default:
	}
	if quantity > 1 && quantity <= p.MaxKeys {
		price += fmt.Sprintf("（%d 个一年共 ¥%s）", quantity, (p.Price * order.Fen(quantity)).Yuan())
	}
	return price
}

// businessCalled are the businesses of the word that people used.
func businessCalled(word string) []order.Business {
	return map[string][]order.Business{
		"初购": {order.Initial}, "更新": {order.Renewal}, "解锁": {order.UnlockSelf, order.UnlockApproval}, "补办": {order.Reissue}, "换绑": {order.Rebind},
		"恢复": {order.Resume, order.Recover},
	}[word]
}

// material names the document that somebody asked about, before the list.
func (t *turn) material(_ context.Context, _ intent.Intent) (string, error) {
	text := t.fill(advice[intent.Material])
	if doc := t.meant.Slots[intent.SlotDocType]; doc != "" {
		who := t.meant.Slots[intent.SlotRole]
		if who == "" {
			who = "经办人"
		}
		text = who + "请使用" + doc + "办理，在证件类型中选择即可。\n" + text
	}
	return text, nil
}

func projectName(c order.Catalogue, key string) string {
	p, _, err := c.Project(key)
	if err != nil {
		return ""
	}
	return p.Name
}
