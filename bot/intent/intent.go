// Package intent understands what people write to the official account: which of
// the 34 intents of flows 4.2 it is, and the entities in it. It is pure, needs no
// network, takes well under a millisecond and can say why.
//
// Five steps: English, dialects and pictures into plain words (other.txt) →
// entities by pattern (order numbers, serials, dates …) → words by
// lexicon, typos and homophones by sound (lexicon.txt) → concepts → a vote of
// rules (rules.txt) and of likeness to examples (examples/*.tsv). Leaks, attacks
// and staff commands are decided before the vote, for they must not be missed.
package intent

import (
	_ "embed"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
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
	// Understood is false when no rule applied and Intent is a guess
	// (out_of_scope); two misses in a row bring in a person.
	Understood bool
	// Beside is what the text wants besides, when Intent is SecurityAlert because
	// it gave a secret away.
	Beside Intent
	// Then is the second wish of a text that joins two (查下订单，顺便问下多少钱);
	// Intent is the first.
	Then Intent
	// Why names the rule and the words that decided.
	Why string
}

//go:embed lexicon.txt
var lexiconText string

//go:embed rules.txt
var rulesText string

//go:embed other.txt
var otherText string

// Recogniser holds the compiled lexicon and rules. It is safe for concurrent use.
type Recogniser struct {
	sounds   *sounds
	concepts []string
	index    map[string]int   // concept name → position
	words    map[string][]int // exact word → concepts
	bySound  map[string][]int // folded syllables → concepts
	spelled  map[string][]int // pinyin in letters → concepts
	longest  int              // of words, in runes
	other    other            // English and dialects
	noise    int              // the concept of words without one
	rules    []rule
	likeness *likeness
}

type rule struct {
	at     int // of its intent in All
	weight float64
	all    [][]int // each: any of
	none   []int
	text   string
}

// New returns the recogniser over the embedded lexicon, rules and examples. The
// first call compiles it.
func New() (*Recogniser, error) { return compiled() }

var compiled = sync.OnceValues(compile)

func compile() (r *Recogniser, err error) {
	r = &Recogniser{
		sounds: allSounds(), index: map[string]int{}, words: map[string][]int{},
		bySound: map[string][]int{}, spelled: map[string][]int{},
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
	if err := r.readRules(rulesText); err != nil {
		return nil, err
	}
	if err := r.learn(examples); err != nil {
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
			n := len([]rune(w))
			r.longest = max(r.longest, n)
			if n < 2 || strings.ContainsAny(w, functionWords) {
				continue // one syllable means anything, and so does 能退 or 完了
			}
			if s, ok := r.sounds.word(w); ok {
				r.bySound[s] = appendNew(r.bySound[s], c)
			}
			if s := r.sounds.spelling(w); len(s) >= 4 {
				r.spelled[s] = appendNew(r.spelled[s], c)
			}
		}
	}
	return nil
}

func (r *Recogniser) readRules(text string) error {
	known := All()
	for line := range dataLines(text) {
		head, body, ok := strings.Cut(line, ":")
		name, weight, ok2 := strings.Cut(head, " ")
		w, err := strconv.ParseFloat(strings.TrimSpace(weight), 64)
		if !ok || !ok2 || err != nil || !slices.Contains(known, Intent(name)) {
			return fmt.Errorf("rules: %q", line)
		}
		ru := rule{at: slices.Index(known, Intent(name)), weight: w, text: strings.TrimSpace(body)}
		for term := range strings.FieldsSeq(body) {
			absent := strings.HasPrefix(term, "-")
			var alternatives []int
			for name := range strings.SplitSeq(strings.TrimPrefix(term, "-"), "/") {
				i, ok := r.index[name]
				if !ok {
					return fmt.Errorf("rules: %q: no concept %s", line, name)
				}
				alternatives = append(alternatives, i)
			}
			if absent {
				ru.none = append(ru.none, alternatives...)
			} else {
				ru.all = append(ru.all, alternatives)
			}
		}
		r.rules = append(r.rules, ru)
	}
	return nil
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

func appendNew(s []int, v int) []int {
	if slices.Contains(s, v) {
		return s
	}
	return append(s, v)
}

// maxText is how much of a message is read: the beginning and the end, where
// people say what they want.
const maxText = 300

// shorten keeps both ends of a long text.
func shorten(t []rune) []rune {
	if len(t) <= maxText {
		return t
	}
	return append(append(slices.Clone(t[:maxText/2]), ' '), t[len(t)-maxText/2:]...)
}

// Recognise tells what text means. It never fails: what it does not understand is
// OutOfScope, not Understood.
func (r *Recogniser) Recognise(text string) Result {
	t := string(shorten([]rune(normalise(text))))
	if why := attack(t); why != "" {
		return Result{Intent: SecurityAlert, Slots: Slots{}, Understood: true, Why: why}
	}
	t = r.asHeard(r.other.plain(t))
	e := extract(t)
	if res, ok := staffCommand(t, e); ok {
		return res
	}
	if e.by[SlotCarrier] == "ems" && strings.Contains(text, "EMS") {
		e.by[SlotCarrier] = "EMS" // as it was written
	}
	v := r.decide(e, r.look(e))
	if ask := lastAsk(e.rest); ask != "" && !ofTheWhole[v.intent()] {
		of := e
		of.rest = ask
		v.also(r.decide(of, r.look(of)))
	}
	leak := leaked(text, e)
	if leak == "" {
		res := v.result(t, e)
		if first, second, ok := r.wishes(e); ok && !slices.Contains(alone, res.Intent) {
			res.Intent, res.Then, res.Slots, res.Understood = first, second, e.slots(first, t), true
		}
		return res
	}
	alert := Result{Intent: SecurityAlert, Slots: Slots{SlotLeak: leak}, Understood: true, Why: "leak: " + leak}
	v.without(SecurityAlert)
	if beside := v.result(t, e); beside.Understood {
		alert.Beside = beside.Intent
	}
	return alert
}

// look finds the words and the entities of a text.
func (r *Recogniser) look(e entities) *found {
	f := r.find([]rune(e.rest))
	for _, name := range e.present() {
		f.add(r.index[name], 1, name)
	}
	return f
}

const (
	// ruleShare is how many nats a rule's weight of 1 counts beside the examples.
	ruleShare = 0.4
	// strange is the share of a text that must be known before examples may speak
	// without a rule.
	strange = 0.35
	// unsure is the probability below which the examples alone are no answer.
	unsure = 0.3
)

// vote is how rules and examples decided on a text.
type vote struct {
	r      *Recogniser
	found  *found
	shows  []shown
	share  float32   // of the text that the examples know
	like   []float32 // per intent: what the examples say
	ruled  []float64 // per intent: the weight of its best rule
	best   []int     // per intent: that rule, -1 for none
	sum    []float32 // per intent: both
	winner int       // of sum
}

// decide takes a vote.
func (r *Recogniser) decide(e entities, f *found) *vote {
	n := len(r.likeness.intents)
	v := &vote{r: r, found: f, like: make([]float32, n), ruled: make([]float64, n), best: make([]int, n), sum: make([]float32, n)}
	v.shows, v.share = r.shows(e, f)
	r.likeness.score(v.shows, v.like)
	for i := range v.best {
		v.best[i] = -1
	}
	for k := range r.rules {
		i := r.rules[k].at
		if s := r.rules[k].score(f); s > v.ruled[i] {
			v.ruled[i], v.best[i] = s, k
		}
	}
	for i, intent := range r.likeness.intents {
		v.sum[i] = v.like[i] + ruleShare*float32(v.ruled[i])
		if intent.decision() && !e.named() {
			v.sum[i] = -math.MaxFloat32 // there is nothing to decide on
		}
		if v.sum[i] > v.sum[v.winner] {
			v.winner = i
		}
	}
	return v
}

// ofTheWhole are the intents that a part of a text does not show.
var ofTheWhole = map[Intent]bool{BidSafety: true, OutOfScope: true, Complaint: true}

// also adds the vote on the part of a text that asks: people tell what happened,
// and what they want comes last.
func (v *vote) also(ask *vote) {
	if ask.best[ask.winner] < 0 {
		return
	}
	for i := range v.sum {
		v.sum[i] += ask.sum[i]
		if v.best[i] < 0 {
			v.best[i], v.ruled[i] = ask.best[i], ask.ruled[i]
		}
		if v.sum[i] > v.sum[v.winner] {
			v.winner = i
		}
	}
}

// lastAsk is the last sentence of several that asks for something, "" when the text
// has no such part.
func lastAsk(t string) string {
	parts := sentences.Split(t, -1)
	if len(parts) < 2 {
		return ""
	}
	for _, p := range slices.Backward(parts) {
		if len([]rune(p)) >= 4 && asks.MatchString(p) {
			return p
		}
	}
	return ""
}

var (
	sentences = regexp.MustCompile(`[。!?；;]|,?(?:请问|想问一下|想问|想了解一下)`)
	asks      = regexp.MustCompile(`怎么|咋|吗|多少|哪|什么|啥|能不能|可不可以|是不是|可以|几|没有?$|不$|呢|帮我|麻烦|我要|我想|想把`)
)

// without takes an intent out of the vote.
func (v *vote) without(i Intent) {
	v.sum[slices.Index(v.r.likeness.intents, i)] = -math.MaxFloat32
	for n := range v.sum {
		if v.sum[n] > v.sum[v.winner] {
			v.winner = n
		}
	}
}

// familiar reports whether the winner won with good reason: a rule, or examples
// that the text is like.
func (v *vote) familiar() bool {
	if v.best[v.winner] >= 0 {
		return true
	}
	p := slices.Clone(v.sum)
	softmax(p)
	return v.share >= strange && p[v.winner] >= unsure
}

// intent is the winner's; OutOfScope when nothing about the text is familiar.
func (v *vote) intent() Intent {
	if !v.familiar() {
		return OutOfScope
	}
	return v.r.likeness.intents[v.winner]
}

func (v *vote) result(t string, e entities) Result {
	i := v.intent()
	if i.decision() {
		return Result{Intent: i, Slots: staffSlots(i, t, e), Understood: true, Why: v.why()}
	}
	return Result{Intent: i, Slots: e.slots(i, t), Understood: i != OutOfScope || v.best[v.winner] >= 0, Why: v.why()}
}

func (ru *rule) score(f *found) float64 {
	for _, c := range ru.none {
		if f.weight[c] > 0 {
			return 0
		}
	}
	s := 1.0
	for _, any := range ru.all {
		top := 0.0
		for _, c := range any {
			top = max(top, f.weight[c])
		}
		s = min(s, top)
	}
	return s * ru.weight
}
