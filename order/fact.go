package order

import (
	"slices"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Fact is something that is true or not of an order and a command. Rows name
// facts; truths holds how each is told and what people read when it does not
// hold. A fact without a test is one the caller proves (Command.Proven).
type Fact string

// The facts. The first block tells rows apart, the second is required of an
// order, the third is proven by the caller.
const (
	Free        Fact = "free"
	Charged     Fact = "charged"
	Signed      Fact = "signed"
	Unsigned    Fact = "unsigned"
	AdminMode   Fact = "admin_mode"
	SelfMode    Fact = "self_mode"
	OneReviewer Fact = "one_reviewer"
	// SecondNeeded is decided by the catalogue's conditions (flows.md 4.4).
	SecondNeeded Fact = "second_needed"
	MoreKeys     Fact = "more_keys"
	LastKey      Fact = "last_key"
	NoneFailed   Fact = "none_failed"
	SomeFailed   Fact = "some_failed"
	ByCourier    Fact = "by_courier"
	ByPickUp     Fact = "by_pick_up"
	Untouched    Fact = "untouched" // no serial reserved, no ticket used, no key touched
	Touched      Fact = "touched"
	// BringsNewKey: the courier says of the key of a renewal that it was signed for.
	BringsNewKey   Fact = "brings_new_key"
	BringsNoNewKey Fact = "brings_no_new_key"
	NewKeyThere    Fact = "new_key_there"

	OnSale                Fact = "on_sale"
	Complete              Fact = "complete"
	CertificateFit        Fact = "certificate_fit" // guard K of the design
	Consented             Fact = "consented"
	CurrentTrade          Fact = "current_trade"
	NotOwnOrder           Fact = "not_own_order"
	NotOwnCompany         Fact = "not_own_company"
	HoldsClaim            Fact = "holds_claim"
	HoldsClaimOrSystem    Fact = "holds_claim_or_system"
	HoldsClaimOrSecond    Fact = "holds_claim_or_second"
	NotFirstApprover      Fact = "not_first_approver"
	AllTicked             Fact = "all_ticked"
	SameSnapshot          Fact = "same_snapshot"
	RealNamePassed        Fact = "real_name_passed"
	MayAssign             Fact = "may_assign"
	AssigneeMayReview     Fact = "assignee_may_review"
	LeadsReview           Fact = "leads_review"
	ReviewLate            Fact = "review_late"
	ExpressLate           Fact = "express_late"
	HasReasons            Fact = "has_reasons"
	LinesUnchanged        Fact = "lines_unchanged"
	MobileProvenIfChanged Fact = "mobile_proven_if_changed"
	SingleKey             Fact = "single_key"
	ItemWaits             Fact = "item_waits"
	IssuerMayMake         Fact = "issuer_may_make"
	HasTracking           Fact = "has_tracking"
	PickUpCodeRight       Fact = "pick_up_code_right"
	DeliveryComplete      Fact = "delivery_complete"
	HasNote               Fact = "has_note"
	NamesNoNumber         Fact = "names_no_number"
	ParcelOut             Fact = "parcel_out"          // the keys have left by courier
	WrongNumberStands     Fact = "wrong_number_stands" // nobody has corrected it meanwhile
	NotSignedFor          Fact = "not_signed_for"
	SignedFor             Fact = "signed_for"
	NotLost               Fact = "not_lost"
	AdminCorrects         Fact = "admin_corrects" // what the courier calls signed for
	SentLately            Fact = "sent_lately"
	WhyCorrected          Fact = "why_corrected"
	NumberDiffers         Fact = "number_differs"
	LostNamed             Fact = "lost_named"
	InRefund              Fact = "in_refund"
	RefundHasFailed       Fact = "refund_has_failed"
	Authorized            Fact = "authorized"

	MobileProven      Fact = "mobile_proven"
	TradeClosed       Fact = "trade_closed"
	LetterUploaded    Fact = "letter_uploaded"
	ResendAllowed     Fact = "resend_allowed"
	LegalMobileHis    Fact = "legal_mobile_his" // the number that is asked instead
	ReadBack          Fact = "read_back"
	ApplicantAgreed   Fact = "applicant_agreed"
	ArchiveIntact     Fact = "archive_intact"
	SecondPerson      Fact = "second_person"
	RefundConfirmed   Fact = "refund_confirmed" // proposed by somebody else
	KeysSettled       Fact = "keys_settled"
	NotReplaced       Fact = "not_replaced" // no lost key of it has a free replacement
	NoneMaking        Fact = "none_making"
	KeysToGive        Fact = "keys_to_give"
	KeysLeft          Fact = "keys_left" // to be made, without those given up
	NoKeysLeft        Fact = "no_keys_left"
	FailedLeft        Fact = "failed_left"
	NoFailedLeft      Fact = "no_failed_left"
	Proposed          Fact = "proposed"
	StillFrozen       Fact = "still_frozen"
	LabelCurrent      Fact = "label_current"
	NotUnlocking      Fact = "not_unlocking"
	KeysIntact        Fact = "keys_intact"
	ClaimRecorded     Fact = "claim_recorded"
	KeyMatches        Fact = "key_matches"
	CertificateUsable Fact = "certificate_usable"
	GrantAlive        Fact = "grant_alive"
	UnlocksLeft       Fact = "unlocks_left"
	CodesLeft         Fact = "codes_left" // responses to a challenge, of an approved unlock
	// CompanyNamed says that whoever applies without the bound mobile has named
	// the certificate's USBKEY and its company's code.
	CompanyNamed Fact = "company_named"
)

// truth is how a fact is told. test nil: it must be among Command.Proven.
type truth struct {
	test   func(o Order, c Command) bool
	kind   Kind
	detail string // what people read when it does not hold
}

func not(f func(Order, Command) bool) func(Order, Command) bool {
	return func(o Order, c Command) bool { return !f(o, c) }
}

var truths = map[Fact]truth{
	Free:         {free, Conflict, "订单有应付金额"},
	Charged:      {not(free), Conflict, "订单无支付金额"},
	Signed:       {signed, Conflict, "等待法定代表人授权"},
	Unsigned:     {not(signed), Conflict, "法定代表人已授权"},
	AdminMode:    {adminMode, Conflict, "该产品由用户自行下载证书"},
	SelfMode:     {not(adminMode), Conflict, "该产品由管理员制证"},
	OneReviewer:  {not(secondNeeded), Conflict, "该订单需要第二位审核员复核"},
	SecondNeeded: {secondNeeded, Conflict, "该订单不需要复核"},
	MoreKeys:     {not(lastKey), Conflict, "这是最后一个 UKEY"},
	LastKey:      {lastKey, Conflict, "还有 UKEY 没有完成"},
	NoneFailed:   {not(someFailed), Conflict, "有 UKEY 制作失败"},
	SomeFailed:   {someFailed, Conflict, "没有制作失败的 UKEY"},
	ByCourier:    {not(byPickUp), Conflict, "该订单为自取"},
	ByPickUp:     {byPickUp, Conflict, "该订单为快递"},
	Untouched:    {not(touched), Conflict, "证书已开始制作"},
	Touched:      {touched, Conflict, "证书尚未开始制作"},

	BringsNewKey:   {bringsNewKey, Conflict, "包裹还没有签收"},
	BringsNoNewKey: {not(bringsNewKey), Conflict, "包裹已签收"},
	NewKeyThere:    {func(o Order, _ Command) bool { return o.TrackingNo == "" || o.Parcel == ParcelSigned }, Conflict, "新 UKEY 还没有送达"},

	OnSale:        {onSale, Conflict, "该产品已停止办理，请选择其他产品或联系客服 400-666-3999"},
	Consented:     {consented, Invalid, "请先阅读并勾选同意协议"},
	CurrentTrade:  {currentTrade, Conflict, "该笔支付不是订单当前的支付单"},
	NotOwnOrder:   {func(o Order, c Command) bool { return c.By.PersonID == "" || c.By.PersonID != o.PersonID }, Forbidden, "不能审核自己提交的订单"},
	NotOwnCompany: {func(o Order, c Command) bool { return c.By.Company == "" || c.By.Company != o.USCC }, Forbidden, "不能审核本单位的订单"},
	HoldsClaim:    {holdsClaim, Conflict, "请先领取该任务；领取满 15 分钟会自动释放"},
	HoldsClaimOrSystem: {func(o Order, c Command) bool {
		return c.By.Role == System || holdsClaim(o, c)
	}, Conflict, "该任务由其他审核员领取"},
	HoldsClaimOrSecond: {func(o Order, c Command) bool {
		return o.Stage == SecondApproval && c.By.StaffID != o.FirstApprover || o.Stage == Claimed && holdsClaim(o, c)
	}, Conflict, "请先领取该任务；领取满 15 分钟会自动释放"},
	NotFirstApprover:  {func(o Order, c Command) bool { return c.By.StaffID != "" && c.By.StaffID != o.FirstApprover }, Forbidden, "复核须由另一位审核员完成"},
	AllTicked:         {allTicked, Invalid, "请逐项核对并勾选四项检查"},
	SameSnapshot:      {func(o Order, c Command) bool { return c.Snapshot == o.Snapshot && o.Snapshot == o.Hash() }, Conflict, "订单内容已变化，请刷新后重新核对"},
	RealNamePassed:    {func(o Order, _ Command) bool { return o.RealName == RealNameMatch || o.RealName == RealNameManual }, Conflict, "经办人实名核验未通过或仍在核验，暂不能通过"},
	MayAssign:         {func(o Order, c Command) bool { return c.By.Leader || o.Stage == Claimed && holdsClaim(o, c) }, Forbidden, "只有组长或正在审核的人可以指派，其他人请先领取任务"},
	AssigneeMayReview: {assigneeMayReview, Invalid, "不能指派给该同事：没有审核权限，已领取该任务，或订单属于其本人或本单位"},
	LeadsReview:       {func(_ Order, c Command) bool { return c.By.Leader }, Forbidden, "只有组长可以说明延迟原因"},
	ExpressLate:       {expressLate, Conflict, "该订单不是加急订单，或没有超时"},
	ReviewLate:        {func(o Order, c Command) bool { return o.Late(c.at) && c.Delay.Label() != "" }, Conflict, "该订单没有超时，或没有选择延迟原因"},
	HasReasons:        {hasReasons, Invalid, "请至少选择一条拒绝原因；选择「其他」时须填写说明，每条说明不超过 100 字"},
	LinesUnchanged:    {linesUnchanged, Conflict, "产品、数量和年限不能修改，如需更改请申请退款后重新下单"},
	MobileProvenIfChanged: {func(o Order, c Command) bool {
		return c.Form.Get(AgentMobile) == o.Form.Get(AgentMobile) || slices.Contains(c.Proven, MobileProven) || becameHolder(o, c)
	}, Invalid, "经办人手机号已修改，请先通过短信验证"},
	SingleKey:     {func(o Order, _ Command) bool { return o.Quantity() == 1 }, Conflict, "更新订单只能包含一个证书"},
	ItemWaits:     {itemWaits, Conflict, "该 UKEY 已在制作或已完成"},
	IssuerMayMake: {func(o Order, c Command) bool { return o.MayBeMadeBy(c.By.StaffID) }, Forbidden, "该产品要求制证员与审核员不是同一人"},
	HasTracking:   {hasTracking, Invalid, "请选择快递公司并填写正确的快递单号"},
	PickUpCodeRight: {func(o Order, c Command) bool {
		want := o.Form.Get(PickUpCode)
		return want != "" && c.PickUpCode == want
	}, Invalid, "取件码不正确，请核对短信"},
	LostNamed:         {lostNamed, Invalid, "请勾选丢失或损坏的 UKEY"},
	ParcelOut:         {func(o Order, _ Command) bool { return o.TrackingNo != "" }, Conflict, "该订单没有寄出的包裹"},
	WrongNumberStands: {func(o Order, c Command) bool { return o.TrackingNo == c.WrongNo }, Conflict, "快递单号刚刚被同事更正，没有再改：请核对现在的单号"},
	NotSignedFor:      {func(o Order, _ Command) bool { return o.Parcel != ParcelSigned }, Conflict, "包裹已签收"},
	SignedFor:         {func(o Order, _ Command) bool { return o.Parcel == ParcelSigned }, Conflict, "包裹没有签收"},
	NotLost:           {func(o Order, _ Command) bool { return o.Parcel != ParcelLost }, Conflict, "包裹已登记丢失或损坏，不能再更正单号"},
	AdminCorrects:     {func(_ Order, c Command) bool { return c.By.Role == Admin }, Forbidden, "该单号已显示签收，请由管理员核实后更正；收件人没有收到的，先向快递公司核实"},
	SentLately:        {func(o Order, c Command) bool { return !c.at.After(o.ShippedAt.Add(correctLife)) }, Conflict, "寄出已超过 30 天，不能再更正已签收的单号，请向快递公司核实"},
	WhyCorrected: {func(_ Order, c Command) bool {
		n := utf8.RuneCountInString(c.Why)
		return n > 0 && n <= 60 && !identity.HasPersonalNumber(c.Why)
	}, Invalid, "单号已显示签收，请写明更正原因（如：该单号是别人的包裹），不超过 60 字，不要写证件号和手机号"},
	NumberDiffers:   {func(o Order, c Command) bool { return o.Carrier != c.Carrier || o.TrackingNo != c.TrackingNo }, Invalid, "填写的就是现在的快递公司和单号，没有改动"},
	NamesNoNumber:   {func(_ Order, c Command) bool { return namesNoNumber(c) }, Invalid, "说明里有证件号、手机号或银行卡号，对方会看到，请删去或只写末四位后再提交"},
	HasNote:         {func(_ Order, c Command) bool { return hasNote(c) }, Invalid, "请填写原因，不超过 100 字"},
	InRefund:        {func(o Order, c Command) bool { return o.Refund != NoRefund && c.Trade == o.TradeNo }, Conflict, "该订单没有进行中的退款"},
	Authorized:      {signed, Conflict, "法定代表人的授权已失效，请退回经办人重新提交"},
	RefundHasFailed: {func(o Order, _ Command) bool { return o.Refund == RefundFailed }, Conflict, "退款没有失败，不需要重试"},

	MobileProven:      {nil, Invalid, "请先通过短信验证"},
	TradeClosed:       {nil, Conflict, "支付单尚未关闭，请稍后重试"},
	LetterUploaded:    {nil, Invalid, "请上传盖章授权书"},
	LegalMobileHis:    {legalMobileHis, Invalid, agentsMobile},
	ResendAllowed:     {nil, RateLimited, "今天的授权短信次数已用完，请明天再试"},
	ReadBack:          {nil, Conflict, "UKEY 尚未通过验证"},
	ApplicantAgreed:   {agreed, Invalid, "需要经办人同意：请经办人在订单页点同意，或写明他何时、以什么方式同意"},
	RefundConfirmed:   {refundConfirmed, Forbidden, "证书已开始制作：须由一人提出退款，另一人确认"},
	KeysSettled:       {keysSettled, Invalid, "UKEY 已交出：请选择包裹已拦截、UKEY 已收回，或放弃收回"},
	NotReplaced:       {func(_ Order, c Command) bool { return !c.replaced }, Conflict, "丢失的 UKEY 已在免费补办，不能同时退款：请先驳回并关闭补办订单"},
	NoneMaking:        {noneMaking, Conflict, "有 UKEY 正在制作，请等制作完成或失败后再办理"},
	KeysToGive:        {keysToGive, Invalid, "取消的数量不对：至少 1 个，至少保留 1 个，已完成和正在制作的不能取消"},
	KeysLeft:          {keysLeft, Conflict, "其余 UKEY 已全部完成"},
	NoKeysLeft:        {not(keysLeft), Conflict, "还有 UKEY 没有完成"},
	FailedLeft:        {failedLeft, Conflict, "没有制作失败的 UKEY"},
	NoFailedLeft:      {not(failedLeft), Conflict, "还有制作失败的 UKEY"},
	Proposed:          {func(_ Order, c Command) bool { return c.proposal != nil }, Conflict, "没有待确认的提议"},
	ArchiveIntact:     {nil, Conflict, "加密密钥无法恢复"},
	SecondPerson:      {nil, Forbidden, "需要第二人确认"},
	StillFrozen:       {func(_ Order, c Command) bool { return c.about != nil && c.about.Frozen && !c.about.Expired }, Conflict, "证书不在冻结状态或已过期"},
	CompanyNamed:      {nil, Forbidden, "请先填写 UKEY 序列号和单位的统一社会信用代码"},
	LabelCurrent:      {func(_ Order, c Command) bool { return !c.relabel }, Conflict, "收件信息在您显示之后修改过：请重新显示完整收件信息，按新的打单；包裹已交给快递的，先请快递改地址"},
	NotUnlocking:      {func(_ Order, c Command) bool { return !c.unlocking }, Conflict, "这把 UKEY 正在解锁，请 15 分钟后再试；解锁完成的不能再退款或撤回授权"},
	KeysIntact:        {func(_ Order, c Command) bool { return c.Keys > 0 && c.Keys == wholeKeys(c.items) }, Invalid, "退回的 UKEY 数量与寄出的不符，请重新清点；有丢失或损坏的请先登记"},
	ClaimRecorded:     {claimRecorded, Invalid, "请填写快递公司的理赔单号（不超过 40 字）和情况说明（不超过 60 字）"},
	KeyMatches:        {nil, Conflict, "插入的 UKEY 与订单不符"},
	CertificateUsable: {nil, Conflict, "证书已吊销或已冻结，请先恢复"},
	GrantAlive:        {grantAlive, Conflict, "办理期限已过"},
	UnlocksLeft:       {nil, RateLimited, "30 天内自助解锁次数已用完，请使用审批解锁"},
	CodesLeft:         {nil, RateLimited, "这个订单的响应码已取完，仍未解锁请拨打 400-666-3999"},
	DeliveryComplete:  {func(_ Order, c Command) bool { return len(checkDelivery(c.Form)) == 0 }, Invalid, "请补全收件信息"},
}

// check returns nil when the fact holds, else the refusal people read.
func (f Fact) check(o Order, c Command) error {
	switch f {
	case Complete:
		return complete(o, c)
	case CertificateFit:
		return fit(o, c)
	default: // told by the table
	}
	t, known := truths[f]
	switch {
	case !known:
		return Errorf(Conflict, "unknown_fact", "暂时不能执行该操作")
	case t.test == nil && slices.Contains(c.Proven, f), t.test != nil && t.test(o, c):
		return nil
	default:
		return &Error{Kind: t.kind, Code: string(f) + "_required", Detail: t.detail}
	}
}

// MayBeMadeBy reports whether a member of staff may make the order's keys: where four
// eyes are needed neither of those who approved it, nor a machine (F124).
func (o Order) MayBeMadeBy(staffID string) bool {
	return !o.Product.FourEyes || staffID != "" && staffID != o.ReviewerID && staffID != o.FirstApprover
}

func hasNote(c Command) bool {
	n := utf8.RuneCountInString(c.Note)
	return n > 0 && n <= 100
}

func free(o Order, _ Command) bool      { return o.Amount == 0 }
func adminMode(o Order, _ Command) bool { return o.Product.IssueMode == ByAdmin }

// signed reports whether nobody has to sign any more: a paper letter is signed
// by hand before it is uploaded; the mini-program way asks the legal
// representative after the submission, unless he has signed for these very
// fields or given a mandate that covers them.
func signed(o Order, c Command) bool {
	form := o.Form
	if c.On == Resubmit {
		form = c.Form
	}
	return !asksLegalRep(form) || c.auth != nil && c.auth.covers(o, form) || c.mandate != "" && c.On != Approve
}

func byPickUp(o Order, c Command) bool {
	form := o.Form
	if c.On == ChangeDelivery {
		form = c.Form
	}
	return form.Get(ShipWay) == ShipPickUp
}

func secondNeeded(o Order, c Command) bool {
	s := c.second
	return s.MinAmount > 0 && o.Amount >= s.MinAmount ||
		s.MinQuantity > 0 && o.Quantity() >= s.MinQuantity ||
		s.PaperNewCompany && o.NewCompany && o.Form.Get(AuthWay) == AuthPaper ||
		o.Business == Rebind || o.Business == UnlockApproval && o.Form.Get(AboutEntry) == EntryCompany
}

func lastKey(o Order, _ Command) bool { return o.Verified+o.GivenUp+1 >= o.Quantity() }

func someFailed(_ Order, c Command) bool {
	return slices.ContainsFunc(c.items, func(i Item) bool { return i.Stage == ItemFailed && i.ID != c.Item })
}

func touched(o Order, c Command) bool {
	return o.Verified > 0 || slices.ContainsFunc(c.items, func(i Item) bool { return i.Attempt > 0 })
}

func bringsNewKey(o Order, c Command) bool { return o.Business == Renewal && c.Parcel == ParcelSigned }

func itemWaits(_ Order, c Command) bool {
	return slices.ContainsFunc(c.items, func(i Item) bool { return i.ID == c.Item && i.Stage == ItemWaiting })
}

func onSale(o Order, c Command) bool {
	if o.Business != Initial || c.On == Approve { // bought is bought: an approval only needs the product to exist
		return c.known != nil
	}
	return c.known != nil && c.known.OnSale
}

func consented(_ Order, c Command) bool {
	return c.Consent.Version != "" && c.Consent.Hash != "" && !c.Consent.At.IsZero()
}

func currentTrade(o Order, c Command) bool { return c.Trade != "" && c.Trade == o.TradeNo }

func holdsClaim(o Order, c Command) bool { return c.By.StaffID != "" && c.By.StaffID == o.ReviewerID }

func allTicked(_ Order, c Command) bool {
	return !slices.ContainsFunc(Ticks, func(t Tick) bool { return !slices.Contains(c.Ticks, t) })
}

// assigneeMayReview holds the rules of claiming against whom the task goes to.
func assigneeMayReview(o Order, c Command) bool {
	a := c.assignee
	return a != nil && a.Has(Reviewer) && a.ID != o.ReviewerID && a.PersonID != o.PersonID && (a.Company == "" || a.Company != o.USCC)
}

// becameHolder reports whether the mobile is another because the certificate has changed
// hands: whoever holds it now has proven his own when it was bound to him.
func becameHolder(o Order, c Command) bool {
	return byHolder(o.Product, c.Form) && c.about != nil && c.By.PersonID != "" && c.By.PersonID == c.about.PersonID
}

// namesNoNumber reports whether the words that others get to read hold no number of a
// person; the same eyes look at them as at what people write to the bot.
func namesNoNumber(c Command) bool {
	return !identity.HasPersonalNumber(c.Note) && !slices.ContainsFunc(c.Reasons, func(r Reason) bool { return identity.HasPersonalNumber(r.Note) })
}

func hasReasons(_ Order, c Command) bool {
	return len(c.Reasons) > 0 && !slices.ContainsFunc(c.Reasons, func(r Reason) bool {
		s, ok := r.Spec()
		return !ok || utf8.RuneCountInString(r.Note) > 100 || s.Code == "R20" && r.Note == ""
	})
}

func linesUnchanged(o Order, c Command) bool {
	return (c.Product == "" || c.Product == o.Product.Code) && (c.Term == 0 || c.Term == o.Product.Term) &&
		(c.Lines == nil || slices.Equal(c.Lines, o.Lines))
}

func hasTracking(_ Order, c Command) bool {
	carrier, ok := Carriers[c.Carrier]
	return ok && carrier.pattern.MatchString(c.TrackingNo)
}

// complete checks every field that the order needs, all at once (F14).
func complete(o Order, c Command) error {
	form := o.Form
	switch c.On {
	case Resubmit:
		form = c.Form
	case AuthToPaper:
		form = paperForm(o.Form, c)
	default:
	}
	faults := CheckForm(o.Product, form, today(c.at))
	if c.On == Resubmit && letterVoid(o, form) {
		faults = append(faults, FieldError{LetterImage, "单位、经办人或法定代表人信息已修改，请重新下载授权书，盖章后上传"})
	}
	if len(faults) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Code: "form_incomplete", Detail: "还有内容需要填写或修改，请按提示补全", Fields: faults}
}

// letterVoid reports whether a stamped letter says what no longer is so: it is the one
// that was there before a signed field changed (F96).
func letterVoid(o Order, form Form) bool {
	letter := specs[LetterImage]
	still := letter.IsAsked(o.Product, o.Form) && letter.IsAsked(o.Product, form) && form.Get(LetterImage) == o.Form.Get(LetterImage)
	return still && slices.ContainsFunc(Fields, func(s FieldSpec) bool {
		return s.Signed && s.IsAsked(o.Product, form) && form.Get(s.Name) != o.Form.Get(s.Name)
	})
}

func today(at time.Time) time.Time { return at.In(Shanghai) }
