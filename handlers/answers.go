package handlers

import (
	"sync"

	"github.com/yuncaidun/yuncaidun/order"
)

// maxAnswers bounds how many answers are remembered, of about 2 KiB each.
const maxAnswers = 4096

// answers remembers what the API last said of an order. An answer counts only
// while the order's mark is the one it was made under, and the gate reads the mark
// for every request; so no answer is ever old, whoever has changed the order.
// Nothing is remembered that is sealed or that another table tells.
type answers struct {
	mu   sync.Mutex
	kept map[order.ID]keptAnswer
}

type keptAnswer struct {
	mark   order.Mark
	answer OrderJSON
}

// of returns the answer that was made under a mark.
func (a *answers) of(id order.ID, m order.Mark) (OrderJSON, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k, ok := a.kept[id]
	return k.answer, ok && k.mark == m
}

// keep remembers an answer, at the cost of any other when there are too many.
func (a *answers) keep(id order.ID, m order.Mark, answer OrderJSON) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.kept == nil {
		a.kept = map[order.ID]keptAnswer{}
	}
	if _, known := a.kept[id]; !known && len(a.kept) >= maxAnswers {
		for other := range a.kept {
			delete(a.kept, other)
			break
		}
	}
	a.kept[id] = keptAnswer{m, answer}
}
