package bot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

const (
	// MemoryTTL is how long slots carry over (flows 4.1, rule 4).
	MemoryTTL = 10 * time.Minute
	// maxReply is the longest answer, in characters (rule 1).
	maxReply = 600
	// usualReply is the length of an answer about an order in bytes, more or less.
	usualReply = 512
	// maxChoices is the longest list to choose from (rule 3).
	maxChoices = 5
	// answerTime leaves room for encryption and the network inside WeChat's 5 s.
	answerTime = 4 * time.Second
	// keptLines is how much of a conversation a person who takes over gets to see.
	keptLines = 3
)

// Deps are what a Dialogue is made of.
type Deps struct {
	AppID      string
	PublicURL  string // of the portal, without a trailing slash
	Recogniser *intent.Recogniser
	Store      Store
	Deliveries Deliveries
	Reviews    Reviews
	Staffing   Staffing
	Codes      Codes
	SendCode   CodeSender
	UnionID    UnionID // nil: people are known by this account alone
	Vault      Vault
	Memory     Memory
	Workdays   order.Workdays
	Catalogue  func() order.Catalogue
	Payments   Payments
	Punctual   Punctual
	Enquiries  Enquiries
	Consents   Consents
	Certs      Certificates
	// CustomerService: people sit in WeChat's customer service during office hours, and
	// get the conversations that are handed over.
	CustomerService bool
	Now             func() time.Time
	NewID           func() string
	Log             *slog.Logger
}

// Dialogue answers what people write to the official account (flows 4.1, 4.2).
type Dialogue struct {
	Deps
	binding  binding
	meanings meanings
}

var _ Answerer = (*Dialogue)(nil)

// NewDialogue returns a dialogue over d.
func NewDialogue(d Deps) *Dialogue {
	return &Dialogue{Deps: d, meanings: newMeanings(d.Recogniser), binding: binding{
		appID: d.AppID, codes: d.Codes, send: d.SendCode, memory: d.Memory, vault: d.Vault, store: d.Store, union: d.UnionID, now: d.Now, newID: d.NewID,
	}}
}

// state is what carries over from one message to the next. It holds no personal
// data: what people said is redacted first.
type state struct {
	// List is what a digit chooses from, Last what was talked about last.
	List []thing `json:"list,omitempty"`
	Last thing   `json:"last,omitzero"`
	// Topic is what the list or an unanswered question is about.
	Topic intent.Intent `json:"topic,omitempty"`
	// Asked is the question that the next message may answer.
	Asked question `json:"asked,omitempty"`
	// BidOpening is when the bids will be opened, once that was said.
	BidOpening time.Time `json:"bid_opening,omitzero"`
	// Matter is what was asked about last, for whoever takes over.
	Matter intent.Intent `json:"matter,omitempty"`
	Misses int           `json:"misses,omitempty"`
	// Coded is what the newest code is for that was sent.
	Coded string   `json:"coded,omitempty"`
	Said  []string `json:"said,omitempty"`
}

// thing is an order or a certificate that is talked about.
type thing struct {
	Order order.ID `json:"order,omitempty"`
	Cert  string   `json:"cert,omitempty"` // serial
	Tail  string   `json:"tail,omitempty"` // how people call it
}

// question is what the bot has asked.
type question string

// The questions.
const (
	askedNothing  question = ""
	askedMobile   question = "mobile"
	askedWhich    question = "which"    // company or tail, of many
	askedUploaded question = "uploaded" // are there bids not opened yet
	askedOpening  question = "opening"  // when will they be opened
)

// turn is one message being answered.
type turn struct {
	*Dialogue
	openid string
	writer *order.Person // nil until somebody asks who it is
	state  state
	text   string
	meant  intent.Result
	handed string // what is said while people are there to take over
	// told are the orders that something has become of which the message tells.
	told []order.Order
	// cancels: some order is not wanted any more, whether or not money was paid for it.
	cancels bool
}

// Answer implements [Answerer].
func (d *Dialogue) Answer(ctx context.Context, m Message) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	t := &turn{Dialogue: d, openid: m.OpenID, text: strings.TrimSpace(identity.HalfWidth(m.Content))}
	if m.Type == EventMessage {
		return t.event(ctx, m)
	}
	if t.text == "" {
		return t.say(textNotText)
	}
	t.recall(ctx, m)
	text, err := t.answer(ctx)
	if err != nil {
		if text, err = explain(err); err != nil {
			return Reply{}, err
		}
	}
	return t.sayAndRemember(text)
}

// explain turns an error meant for people into the answer.
func explain(err error) (string, error) {
	if e, ok := order.AsError(err); ok && e.Detail != "" && e.Kind != order.Unavailable {
		return e.Detail + "。", nil //nolint:nilerr // the person is told
	}
	return "", err
}

// recall reads what was said before.
func (t *turn) recall(ctx context.Context, m Message) {
	if len(m.Memory) == 0 {
		return
	}
	if err := json.Unmarshal(m.Memory, &t.state); err != nil {
		t.Log.WarnContext(ctx, "reading a conversation", "err", err) // it goes on without
		t.state = state{}
	}
}

// who is the person who writes, without an ID while nobody is bound. It is found out
// when it first matters: much of what people ask has the same answer for everybody.
func (t *turn) who(ctx context.Context) (order.Person, error) {
	if t.writer == nil {
		p, err := t.binding.whois(ctx, t.openid)
		if err != nil && !errors.Is(err, order.NotFound) {
			return order.Person{}, err
		}
		t.writer = &p
	}
	return *t.writer, nil
}

// sayAndRemember says text and keeps what carries over to the next message.
func (t *turn) sayAndRemember(text string) (Reply, error) {
	r, err := t.say(text)
	if t.CustomerService && text != "" && text == t.handed { // a reply hands over or says something, not both
		r = Reply{Handover: true}
	}
	if err == nil {
		r.Memory, err = json.Marshal(t.state)
	}
	return r, err
}

// say shortens an answer to what is read on a phone.
func (t *turn) say(text string) (Reply, error) {
	return Reply{Text: shorten(text, maxReply)}, nil
}

// shorten cuts a text to so many characters. A last line with a link is the next step
// and stays; no other link is cut in two.
func shorten(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	next := ""
	if i := strings.LastIndexByte(text, '\n'); i >= 0 && strings.Contains(text[i:], "<a ") && utf8.RuneCountInString(text[i:]) < most/2 {
		text, next = text[:i], text[i:]
	}
	text = string([]rune(text)[:most-utf8.RuneCountInString(next)-1])
	if i := strings.LastIndexByte(text, '<'); i > strings.LastIndexByte(text, '>') {
		text = text[:i]
	}
	if i := strings.LastIndex(text, "<a "); i > strings.LastIndex(text, "</a>") {
		text = text[:i]
	}
	return text + "…" + next
}

var (
	codePattern    = regexp.MustCompile(`^\d{6}$`)
	choicePattern  = regexp.MustCompile(`^(?:第|选)?\s*([1-5一二两三四五])\s*(?:个|项|号|条|把|单|笔)?[.。、]?$`)
	offListPattern = regexp.MustCompile(`^(?:第|选)?\s*(\d{1,2}|[六七八九十])\s*(?:个|项|条|把|单|笔)?[.。、]?$`) // what no list has
	ordinalPattern = regexp.MustCompile(`第\s*([1-5一二两三四五])\s*(?:个|项|条|把|单|笔|张)`)
	mobilePattern  = regexp.MustCompile(`^(?:绑定|绑|手机号?|换绑)?[是为:：\s]*((?:\+?86)?\s*1[3-9]\d[\s-]?\d{4}[\s-]?\d{4})$`)
	unbindPattern  = regexp.MustCompile(`^(?:我(?:要|想)|请|帮我|怎么|如何|确认)*(?:把?(?:这个|我的)?微信号?(?:怎么|如何)?)?(?:解绑|解除绑定|取消绑定)(?:这个|我的)?(?:微信号?|公众号|账号|手机号?)?[吧啊呢。.!！?？]*$`)
	cancelPattern  = regexp.MustCompile(`(?i)^(?:我|要|想|请|帮我|怎么|如何|能不能|可不可以|可以|能|把|这个|那个|这笔|那笔|订单|申请|单子?|尾号|号|不想办了|[,，。\s])*(SAAS1\d{18,20}|\d{3,6})?(?:取消|撤回|撤销|撤掉|删除|删掉|不办了|不要了)(?:我的|这个|那个|这笔|那笔|一下|掉|了)*((?:订单|申请|单子?)?)(?:尾号|号)?\s*(SAAS1\d{18,20}|\d{3,6})?(?:订单|申请|不办了|不想办了|可以|吗|呢|吧|啊|了|[,，。.!！?？~\s])*$`)
	cancelledThing = regexp.MustCompile(`订单|申请|单子|\d`)
	bareAnswer     = regexp.MustCompile(`^(?:是的?|不是|对的?|有的?|没有?|算了吧?|取消|确认|不用了?)[。.!！~]?$`) // to no question of ours
	helpPattern    = regexp.MustCompile(`^(?:主?菜单|帮助|返回|主页|首页|功能|目录|help|[?？]+)[。.!！~]?$`)
	declinePattern = regexp.MustCompile(`^(?:退订|td|t)$|(?:不想|不要|别|不用|取消|停止|关闭|怎么关)[^,，。]{0,4}(?:收|发)?[^,，。]{0,4}(?:提醒|更新)(?:的)?(?:短信|消息|通知)`)
	urgentPattern  = regexp.MustCompile(`急|投诉|人工`)
)

// readings are what a message may be before it is a sentence; the first that fits answers.
var readings = []func(t *turn, ctx context.Context) (text string, ok bool, err error){
	(*turn).code, // before anything else sees it, and never kept (rule 6)
	(*turn).shortcut,
	(*turn).choose,
	(*turn).mobile,
	(*turn).challenge,
	(*turn).answered,
	(*turn).offList,
	(*turn).asksTodo,
	(*turn).unbind,
	(*turn).helped,
}

// answer takes the message for what it is.
func (t *turn) answer(ctx context.Context) (string, error) {
	for _, read := range readings {
		if text, ok, err := read(t, ctx); ok || err != nil {
			return text, err
		}
	}
	return t.sentence(ctx)
}

// sentence answers what somebody says in his own words.
func (t *turn) sentence(ctx context.Context) (string, error) {
	t.meant = t.meanings.of(t.text)
	for _, hear := range []func(context.Context) error{t.goOn, t.cancel, t.tells} {
		if err := hear(ctx); err != nil {
			return "", err
		}
	}
	t.keep()
	if t.meant.Understood {
		t.state.Misses = 0
	}
	text, err := t.reply(ctx, t.meant.Intent)
	if err != nil {
		return "", err
	}
	return then(text, t.meant.Then), nil
}

// mobile takes a mobile as one to bind, when that was asked for or nobody is bound.
func (t *turn) mobile(ctx context.Context) (text string, ok bool, err error) {
	m := mobilePattern.FindStringSubmatch(t.text)
	if m == nil {
		return "", false, nil
	}
	p, err := t.who(ctx)
	if err != nil {
		return "", false, err
	}
	if t.state.Asked != askedMobile && p.ID != "" && !strings.HasPrefix(t.text, "绑") && !strings.HasPrefix(t.text, "换绑") {
		return "", false, nil
	}
	text, err = t.sendCode(ctx, m[1])
	return text, true, err
}

// helped answers who asks what he may ask, or for fewer messages.
func (t *turn) helped(context.Context) (text string, ok bool, err error) {
	switch said := strings.ToLower(t.text); {
	case helpPattern.MatchString(said):
		return t.fill(advice[intent.Greeting]), true, nil
	case declinePattern.MatchString(said):
		return t.fill(textReminders), true, nil
	default:
		return "", false, nil
	}
}

// then names the second wish of a message as the next step: an answer has one (rule
// 1), and what it says is shortened before that.
func then(text string, second intent.Intent) string {
	ask := askedAlone[second]
	if ask == "" {
		return text
	}
	next := "\n\n" + strings.NewReplacer("{topic}", topics[second], "{ask}", ask).Replace(textThen)
	return shorten(text, maxReply-utf8.RuneCountInString(next)) + next
}

// answered takes the message as the answer to a question of ours, which only the next
// message is.
func (t *turn) answered(ctx context.Context) (text string, ok bool, err error) {
	asked := t.state.Asked
	t.state.Asked = askedNothing
	switch {
	case asked == askedWhich:
		return t.namesCompany(ctx)
	case asked == askedUploaded, asked == askedOpening:
		return t.aboutBid(ctx, asked)
	case asked == askedNothing && bareAnswer.MatchString(t.text):
		return textNothingAsked, true, nil
	default:
		return "", false, nil
	}
}

// keep remembers what was said, without secrets, for whoever takes over.
func (t *turn) keep() {
	if slices.Contains([]intent.Intent{intent.Greeting, intent.ThanksBye, intent.HumanAgent, intent.BindAccount}, t.meant.Intent) {
		return // says nothing about the matter
	}
	if t.meant.Slots[intent.SlotLeak] != "" {
		return // better too little than a secret
	}
	clean, _ := identity.RedactText(t.text)
	if r := []rune(clean); len(r) > 60 {
		clean = string(r[:60]) + "…"
	}
	t.state.Said = append(t.state.Said, clean)
	t.state.Said = t.state.Said[max(0, len(t.state.Said)-keptLines):]
}

// reply answers an intent.
func (t *turn) reply(ctx context.Context, i intent.Intent) (string, error) {
	if i.Staff() {
		return t.staff(ctx, i)
	}
	if topics[i] != "" {
		t.state.Matter = i
	}
	if i == intent.OutOfScope {
		if !t.meant.Understood {
			t.state.Misses++
		}
		if t.state.Misses >= 2 || urgentPattern.MatchString(t.text) {
			return t.human(ctx, i)
		}
	}
	if a := answers[i]; a.live != nil {
		return a.live(t, ctx, i)
	}
	return t.fill(advice[i]), nil
}

// answer is how an intent is answered from live data; without live, by advice
// alone.
type answer struct {
	of   kind
	live func(*turn, context.Context, intent.Intent) (string, error)
}

// kind is what an intent can be about: whoever asked it may name one afterwards.
type kind int

const (
	ofNothing kind = iota
	ofOrder
	ofCertificate
)

// answers are the intents with more to say than advice.
var answers map[intent.Intent]answer

func init() { // not a literal above: an answer may lead to another
	answers = map[intent.Intent]answer{
		intent.OrderStatus:   {ofOrder, (*turn).orders},
		intent.ShippingTrack: {ofOrder, (*turn).orders},
		intent.RejectFix:     {ofOrder, (*turn).orders},
		intent.PayProblem:    {ofOrder, (*turn).ordersBeside},
		intent.LegalRepAuth:  {ofOrder, (*turn).legalRep},
		intent.Refund:        {ofOrder, (*turn).ordersBeside},
		intent.Invoice:       {ofOrder, (*turn).ordersBeside},
		intent.ChangeAddress: {ofOrder, (*turn).ordersBeside},
		intent.SLATime:       {ofOrder, (*turn).howLong},
		intent.ChangeInfo:    {ofOrder, (*turn).ordersBeside},
		intent.Price:         {ofNothing, (*turn).price},
		intent.Material:      {ofNothing, (*turn).material},
		intent.CertExpiry:    {ofCertificate, (*turn).certificates},
		intent.Renew:         {ofCertificate, (*turn).certificates},
		intent.BidSafety:     {ofCertificate, (*turn).certificates},
		intent.Revoke:        {ofCertificate, (*turn).certificates},
		intent.LostReissue:   {ofCertificate, (*turn).certificates},
		intent.Unlock:        {ofCertificate, (*turn).certificates},
		intent.RebindUser:    {ofNothing, (*turn).rebind},
		intent.SecurityAlert: {ofNothing, (*turn).securityAlert},
		intent.HumanAgent:    {ofNothing, (*turn).human},
		intent.Complaint:     {ofNothing, (*turn).human},
		intent.BindAccount:   {ofNothing, (*turn).bindAccount},
	}
}

func (t *turn) fill(text string) string {
	return strings.ReplaceAll(text, "{portal}", t.PublicURL)
}

// bindingCard asks for the mobile and remembers what was asked (rule 2).
func (t *turn) bindingCard(about intent.Intent) string {
	t.state.Asked, t.state.Topic = askedMobile, about
	return textBindingCard
}

// bindFor is bindingCard, or what comes after it for who has told his mobile with the question.
func (t *turn) bindFor(ctx context.Context, about intent.Intent) (string, error) {
	card := t.bindingCard(about)
	if number := t.meant.Slots[intent.SlotPhone]; number != "" {
		return t.sendCode(ctx, number)
	}
	return card, nil
}

func (t *turn) bindAccount(ctx context.Context, _ intent.Intent) (string, error) {
	if number := t.meant.Slots[intent.SlotPhone]; number != "" {
		return t.sendCode(ctx, number)
	}
	p, err := t.who(ctx)
	if err != nil {
		return "", err
	}
	if t.state.Asked = askedMobile; p.ID == "" {
		return textBindingCard, nil
	}
	return strings.ReplaceAll(textBound, "{mobile}", p.Mobile.Mask()), nil
}

// unbind says what unbinding this WeChat means, and does it for who confirms that.
func (t *turn) unbind(ctx context.Context) (text string, ok bool, err error) {
	if !unbindPattern.MatchString(t.text) {
		return "", false, nil
	}
	p, err := t.who(ctx)
	switch {
	case err != nil:
		return "", false, err
	case p.ID == "":
		return textNotBound, true, nil
	case strings.TrimRight(t.text, "。.!！") != confirmUnbind:
		return t.fill(strings.ReplaceAll(textUnbind, "{mobile}", p.Mobile.Mask())), true, nil
	}
	if err := t.binding.unbind(ctx, p); err != nil {
		return "", false, err
	}
	t.state = state{} // what was talked about is no business of whoever writes next
	return textUnbound, true, nil
}

func (t *turn) sendCode(ctx context.Context, number string) (string, error) {
	m, err := identity.ParseMobile(number)
	if err != nil {
		return textBadMobile, nil //nolint:nilerr // the person is told
	}
	if err := t.binding.begin(ctx, t.openid, m); err != nil {
		return "", err
	}
	t.state.Asked, t.state.Coded = askedNothing, CodeBind
	return strings.ReplaceAll(textCodeSent, "{mobile}", m.Mask()), nil
}

// wrongCode is what is said when the code of a pending challenge is another.
type wrongCode string

func (w wrongCode) Error() string { return string(w) }

// code takes six digits as the code of a pending challenge: to freeze a certificate, or to
// bind. Of both, the newest is tried first, and what is not its code may be the other's.
func (t *turn) code(ctx context.Context) (text string, ok bool, err error) {
	if !codePattern.MatchString(t.text) {
		return "", false, nil
	}
	pending := []func(context.Context) (string, error){t.freezeCode, t.bindCode}
	if t.state.Coded == CodeBind {
		slices.Reverse(pending)
	}
	for _, answer := range pending {
		said, err := answer(ctx)
		wrong, isWrong := errors.AsType[wrongCode](err)
		switch {
		case isWrong:
			text = cmp.Or(text, string(wrong))
		case !errors.Is(err, errNoChallenge):
			return said, true, err
		}
	}
	return text, text != "", nil
}

// bindCode binds, and goes on with what was asked before.
func (t *turn) bindCode(ctx context.Context) (string, error) {
	p, err := t.binding.answer(ctx, t.openid, t.text)
	if err != nil {
		if e, ok := order.AsError(err); ok && e.Kind == order.Invalid {
			return "", wrongCode(e.Detail + "。重新获取请回复「绑定」。")
		}
		return "", err
	}
	t.writer = &p
	about := t.state.Topic
	if answers[about].live == nil || about == intent.BindAccount {
		about = intent.OrderStatus
	}
	text, err := t.reply(ctx, about)
	if err != nil {
		return "", err
	}
	return strings.ReplaceAll(textBindDone, "{mobile}", p.Mobile.Mask()) + "\n\n" + text, nil
}

// securityAlert refuses what nobody may, tells who fears for his USBKEY how to stop
// what he fears, and where only a secret was given away goes on with what
// was wanted (rule 6).
func (t *turn) securityAlert(ctx context.Context, _ intent.Intent) (string, error) {
	leak := t.meant.Slots[intent.SlotLeak]
	switch {
	case leak == "" && t.meant.Refused:
		return t.fill(advice[intent.SecurityAlert]), nil
	case leak == "":
		return textAlarmed, nil
	}
	warning := leakWarnings[leak]
	if warning == "" {
		warning = leakWarnings["id"]
	}
	switch b := t.meant.Beside; {
	case leak == "pin" && (b == "" || b == intent.SecurityAlert || b == intent.OutOfScope): // it has to be changed
		rest, err := t.certificates(ctx, intent.Unlock)
		return warning + "\n\n" + rest, err
	case b == "", b == intent.SecurityAlert, b == intent.OutOfScope, b.Staff(),
		b == intent.Material, b == intent.Privacy: // the words around a secret, not a wish
		return warning, nil
	}
	rest, err := t.reply(ctx, t.meant.Beside)
	return warning + "\n\n" + rest, err
}
