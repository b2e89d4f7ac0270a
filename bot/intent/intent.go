// Package intent understands what people write to the official account: which of
// the 34 intents of flows 4.2 it is, and the entities in it. It is pure, needs no
// network, takes well under a millisecond and can say why.
//
// Six steps: pinyin into characters (typed.go) → English, dialects and pictures into plain words (other.txt) →
// entities by pattern (order numbers, serials, dates …) → words by
// lexicon, typos and homophones by sound (lexicon.txt) → concepts → a linear model
// trained on examples (model.go). Leaks and attacks are decided before it, for they
// must not be missed.
package intent

import (
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Intent is what a person wants.
type Intent string

// The intents.
const (
	OrderStatus    Intent = "order_status"
	ShippingTrack  Intent = "shipping_track"
	NewPurchase    Intent = "new_purchase"
	Price          Intent = "price"
	Material       Intent = "material"
	SLATime        Intent = "sla_time"
	Renew          Intent = "renew"
	CertExpiry     Intent = "cert_expiry"
	BidSafety      Intent = "bid_safety"
	Unlock         Intent = "unlock"
	SMSCodeProblem Intent = "sms_code_problem"
	LegalRepAuth   Intent = "legal_rep_auth"
	RejectFix      Intent = "reject_fix"
	PayProblem     Intent = "pay_problem"
	Refund         Intent = "refund"
	Invoice        Intent = "invoice"
	LostReissue    Intent = "lost_reissue"
	Revoke         Intent = "revoke"
	RebindUser     Intent = "rebind_user"
	ChangeInfo     Intent = "change_info"
	ChangeAddress  Intent = "change_address"
	UsageHelp      Intent = "usage_help"
	BindAccount    Intent = "bind_account"
	Privacy        Intent = "privacy"
	HumanAgent     Intent = "human_agent"
	Complaint      Intent = "complaint"
	Greeting       Intent = "greeting"
	ThanksBye      Intent = "thanks_bye"
	SecurityAlert  Intent = "security_alert"
	OutOfScope     Intent = "out_of_scope"
	StaffQueue     Intent = "staff_queue"
	StaffApprove   Intent = "staff_approve"
	StaffReject    Intent = "staff_reject"
	StaffAssign    Intent = "staff_assign"
)

// All lists every intent.
func All() []Intent {
	return []Intent{
		OrderStatus, ShippingTrack, NewPurchase, Price, Material, SLATime, Renew, CertExpiry, BidSafety, Unlock,
		SMSCodeProblem, LegalRepAuth, RejectFix, PayProblem, Refund, Invoice, LostReissue, Revoke, RebindUser,
		ChangeInfo, ChangeAddress, UsageHelp, BindAccount, Privacy, HumanAgent, Complaint, Greeting, ThanksBye,
		SecurityAlert, OutOfScope, StaffQueue, StaffApprove, StaffReject, StaffAssign,
	}
}

// Staff reports whether only staff may use the intent.
func (i Intent) Staff() bool { return strings.HasPrefix(string(i), "staff_") }

// decision reports whether the intent decides on a task, which must be named.
func (i Intent) decision() bool { return i == StaffApprove || i == StaffReject || i == StaffAssign }

// Result is what one text means.
type Result struct {
	Intent Intent
	Slots  Slots
	// Understood is false when nothing in the text is familiar
	// (out_of_scope); two misses in a row bring in a person.
	Understood bool
	// Beside is what the text wants besides, when Intent is SecurityAlert because
	// it gave a secret away.
	Beside Intent
	// Then is the second wish of a text that joins two (查下订单，顺便问下多少钱);
	// Intent is the first.
	Then Intent
	// Also are the other orders that a decision of staff names beside the one in its
	// slots (通过 0152 0153).
	Also []string
	// Refused is true when Intent is SecurityAlert because the text wants, or may want,
	// what nobody may: others' data, a decision without a review. Who fears for his
	// USBKEY or is swindled wants nothing of the kind.
	Refused bool
	// Why names the leak or the attack that decided; Explain tells the rest.
	Why string
}

//go:embed lexicon.txt
var lexiconText string

//go:embed other.txt
var otherText string

// Recogniser holds the compiled lexicon and the model. It is safe for concurrent use.
type Recogniser struct {
	sounds   *sounds
	concepts []string
	index    map[string]int   // concept name → position
	words    map[string][]int // exact word → concepts; nil for what only begins one
	bySound  map[string][]int // folded syllables → concepts; likewise
	typist   *typist          // pinyin
	other    other            // English and dialects
	noise    int              // the concept of words without one
	model    *model
}

// New returns the recogniser over the embedded lexicon and weights. The
// first call compiles it.
func New() (*Recogniser, error) { return compiled() }

var compiled = sync.OnceValues(compile)

func compile() (r *Recogniser, err error) {
	r = &Recogniser{
		sounds: allSounds(), index: map[string]int{}, words: map[string][]int{},
		bySound: map[string][]int{}, typist: newTypist(),
	}
	for _, e := range entityConcepts {
		r.concept(e)
	}
	r.noise = r.concept("noise")
	if err := r.readLexicon(lexiconText); err != nil {
		return nil, err
	}
	if r.other, err = readOther(otherText); err != nil {
		return nil, err
	}
	if r.model, err = readModel(weightsFile); err != nil {
		return nil, err
	}
	return r, nil
}

// functionWords stand in any sentence; a word with one of them is not listened for.
const functionWords = "了的能不可要没有给想被吗我你么在是"

func (r *Recogniser) concept(name string) int {
	if i, ok := r.index[name]; ok {
		return i
	}
	r.index[name] = len(r.concepts)
	r.concepts = append(r.concepts, name)
	return len(r.concepts) - 1
}

func (r *Recogniser) readLexicon(text string) error {
	for line := range dataLines(text) {
		name, words, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("lexicon: no concept in %q", line)
		}
		c := r.concept(name)
		for w := range strings.FieldsSeq(words) {
			w = normalise(strings.ReplaceAll(w, "_", " "))
			r.words[w] = appendNew(r.words[w], c)
			for i := range w {
				begin(r.words, w[:i])
			}
			r.typist.learn(r.sounds.spelling(w), w)
			if utf8.RuneCountInString(w) < 2 || strings.ContainsAny(w, functionWords) {
				continue // one syllable means anything, and so does 能退 or 完了
			}
			if s, ok := r.sounds.word(w); ok {
				r.bySound[s] = appendNew(r.bySound[s], c)
				for i := 0; i < len(s); i += syllableSize {
					begin(r.bySound, s[:i])
				}
			}
		}
	}
	return nil
}

// begin enters what a key begins with, unless it is a key itself.
func begin(m map[string][]int, with string) {
	if _, ok := m[with]; !ok {
		m[with] = nil
	}
}

func dataLines(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || strings.HasPrefix(line, "utterance\t") {
				continue
			}
			if !yield(line) {
				return
			}
		}
	}
}

func appendNew[T comparable](s []T, v T) []T {
	if slices.Contains(s, v) {
		return s
	}
	return append(s, v)
}

// maxText is how much of a message is read, in characters: the beginning and the end,
// where people say what they want. Secrets are looked for in maxBytes of it, the longest
// that WeChat lets people send, so that no message takes longer than another.
const maxText, maxBytes = 200, 2048

// shorten keeps both ends of a long text.
func shorten(t []rune) []rune {
	if len(t) <= maxText {
		return t
	}
	return append(append(slices.Clone(t[:maxText/2]), ' '), t[len(t)-maxText/2:]...)
}

// bounded keeps both ends of a text that is longer than any that WeChat sends.
func bounded(text string) string {
	if len(text) <= maxBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxBytes/2], "") + " " + strings.ToValidUTF8(text[len(text)-maxBytes/2:], "")
}

// Recognise tells what text means. It never fails: what it does not understand is
// OutOfScope, not Understood.
func (r *Recogniser) Recognise(text string) Result {
	text = bounded(text)
	said := string(shorten([]rune(normalise(text))))
	if why := attacked(said); why != "" {
		return Result{Intent: SecurityAlert, Slots: Slots{}, Understood: true, Refused: true, Why: why}
	}
	t := r.plain(said)
	e := extract(t)
	v := r.judge(e)
	shape := leaked(text, e)
	if shape == "" && t != said {
		shape = leaked(t, e) // 密马 is 密码
	}
	leak := v.leak(t, shape)
	if leak == "" {
		res := v.result(t, e)
		if first, second, ok := r.wishes(e); ok && (res.Intent == OutOfScope || !slices.Contains(alone, res.Intent)) {
			res.Intent, res.Then, res.Slots, res.Understood = first, second, e.slots(first, t), true
		}
		res.Slots.asWritten(text)
		res.Refused = res.Intent == SecurityAlert && wanted(t)
		return res
	}
	alert := Result{Intent: SecurityAlert, Slots: Slots{SlotLeak: leak}, Understood: true, Why: "leak: " + leak}
	v.without(SecurityAlert)
	if beside := v.result(t, e); beside.Understood {
		alert.Beside = beside.Intent
	}
	return alert
}

// plain says a normalised text in words that the rest knows: in characters what is
// typed in pinyin, in Chinese what is English, in common words what is dialect, and
// some words as they should be spelled.
func (r *Recogniser) plain(t string) string { return r.asHeard(r.other.plain(r.typed(t))) }

// look finds the words and the entities of a text.
func (r *Recogniser) look(e entities) finds {
	f := r.find([]rune(e.rest))
	for _, name := range e.present() {
		f.add(r.index[name], 1, name)
	}
	for _, s := range e.suspicions {
		f.add(r.index[s.why], 1, s.words)
	}
	return f
}

const (
	// strange is the share of a text that must be known before it is an answer.
	strange = 0.35
	// unsure is the probability below which the likeliest intent is no answer.
	unsure = 0.1
)

// vote is what the model makes of a text.
type vote struct {
	r      *Recogniser
	found  finds
	shows  []shown
	share  float32   // of the text that the model knows
	sum    []float32 // per intent, in nats
	winner int       // of sum
	p      float32   // the winner's probability
}

// judge decides on a text, in doubt for what is worse to miss.
func (r *Recogniser) judge(e entities) *vote {
	v := r.weigh(e)
	length := utf8.RuneCountInString(e.rest)
	if length > wordy {
		v.add(r.last(e), ofLast)
	}
	if length > long {
		v.add(r.surest(e.rest), 1)
	}
	for i, cost := range missing {
		v.sum[slices.Index(r.model.intents, i)] += cost
	}
	v.count()
	return v
}

// missing is by how much an intent is worse to miss than to see where it is not, in
// nats: 0.9 is 2.5 times as bad. Its false alarms do no harm, for staff confirm a
// decision, nobody else's is taken, and a revocation is confirmed on its page.
// SecurityAlert is the other way round: every ninth sentence that was learnt is one, as
// no ninth that people write is, and for each that is found so, ten other wishes would
// go unheard (docs/adr/0031).
var missing = map[Intent]float32{SecurityAlert: -0.4, Revoke: 0.9, StaffQueue: 0.6, StaffApprove: 0.9, StaffReject: 0.9, StaffAssign: 0.9}

// decide asks the model.
func (r *Recogniser) decide(e entities) *vote {
	v := r.weigh(e)
	v.count()
	return v
}

// weigh is a vote that is not counted yet.
func (r *Recogniser) weigh(e entities) *vote {
	v := &vote{r: r, found: r.look(e)}
	v.shows, v.share = r.shows(e, v.found)
	v.sum = r.model.score(v.shows)
	return v
}

// count finds the winner.
func (v *vote) count() {
	v.winner = slices.Index(v.sum, slices.Max(v.sum))
	v.p = likeliest(v.sum)
}

// wordy is the length, in characters, from which a text tells more than the wish, and
// ofLast how much its last clause counts then beside the whole: people tell what
// happened first and say what they want last. From long on, its surest clause counts,
// too, wherever it stands.
const (
	wordy  = 16
	ofLast = 0.4
	long   = 80
)

// clauses splits a text at its marks.
func clauses(t string) []string {
	return strings.FieldsFunc(t, func(c rune) bool { return strings.ContainsRune(",。;!? ", c) })
}

// last is the vote on the last clause of a text that has several and says something
// familiar in it, nil if there is none.
func (r *Recogniser) last(e entities) *vote {
	for _, clause := range slices.Backward(clauses(e.rest)) {
		if utf8.RuneCountInString(clause) < minWish || clause == e.rest {
			continue
		}
		e.rest = clause
		if v := r.weigh(e); v.share >= strange {
			return v
		}
	}
	return nil
}

// surest is the vote on the clause of a text that leaves least doubt.
func (r *Recogniser) surest(t string) (best *vote) {
	top := float32(0)
	for _, clause := range clauses(t) {
		if utf8.RuneCountInString(clause) < minWish || clause == t {
			continue
		}
		if v := r.decide(entities{rest: clause}); v.familiar() && v.p > top {
			best, top = v, v.p
		}
	}
	return best
}

// add adds another vote, of which so much counts.
func (v *vote) add(other *vote, weight float32) {
	if other == nil {
		return
	}
	for i := range v.sum {
		v.sum[i] += weight * other.sum[i]
	}
}

// without takes an intent out of the vote.
func (v *vote) without(i Intent) {
	v.sum[slices.Index(v.r.model.intents, i)] = -math.MaxFloat32
	v.count()
}

// leak is the secret that a text gives away, of which the shape of its numbers says so
// much: the words around them tell a PIN from a code and from the end of an order
// number, and a secret from a number.
func (v *vote) leak(t, shape string) string {
	says := func(concept string) bool {
		_, known := v.found.of(v.r.index[concept])
		return known
	}
	switch pin, code := says("pin") || says("reset") || says("plug"), says("smscode"); {
	case shape == "code" && !code && !pin && v.intent().decision():
		return ""
	case shape == "code" && !code && (pin || says("key")):
		return "pin"
	case shape == "" && v.intent() == SecurityAlert && (pin || code) && secretNumber.MatchString(identity.WithoutServices(t)):
		if code {
			return "code"
		}
		return "pin"
	}
	return shape
}

// familiar reports whether the winner won with good reason: the text is like the
// examples, and more like this intent's than like others'.
func (v *vote) familiar() bool { return v.share >= strange && v.p >= unsure }

// intent is the winner's; OutOfScope when nothing about the text is familiar.
func (v *vote) intent() Intent {
	if !v.familiar() {
		return OutOfScope
	}
	return v.r.model.intents[v.winner]
}

func (v *vote) result(t string, e entities) Result {
	i := v.intent()
	res := Result{Intent: i, Understood: v.familiar()}
	if i.decision() {
		res.Slots, res.Also = v.r.staffSlots(i, t, e)
	} else {
		res.Slots = e.slots(i, t)
	}
	return res
}
