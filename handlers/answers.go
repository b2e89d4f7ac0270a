package handlers

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// maxAnswers bounds how many answers are remembered, of about 2 KiB each.
const maxAnswers = 4096

// answers remembers what the API last said of an order. An answer counts only
// while the order's mark is the one it was made under, which the gate reads for every
// request, and until the day that it promises is over; so no answer is ever old, whoever
// has changed the order.
// Nothing is remembered that is sealed or that another table tells.
type answers struct {
	kept *lru.Cache[order.ID, keptAnswer]
}

type keptAnswer struct {
	mark   order.Mark
	until  time.Time // when it says something else of itself; zero: never
	answer OrderJSON
}

func newAnswers() answers {
	kept, _ := lru.New[order.ID, keptAnswer](maxAnswers) // fails for a size below 1
	return answers{kept}
}

// of returns the answer that was made under a mark and is true at now.
func (a answers) of(id order.ID, m order.Mark, now time.Time) (OrderJSON, bool) {
	k, ok := a.kept.Get(id)
	return k.answer, ok && k.mark == m && (k.until.IsZero() || !now.After(k.until))
}

// keep remembers an answer about an order that was made at now.
func (a answers) keep(o order.Order, events int64, answer OrderJSON, now time.Time) {
	k := keptAnswer{mark: order.Mark{Rev: o.Rev, Events: events}, answer: answer}
	if o.DueAt.After(now) {
		k.until = o.DueAt
	}
	a.kept.Add(o.ID, k)
}
