package handlers

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// maxAnswers bounds how many answers are remembered, of about 2 KiB each.
const maxAnswers = 4096

// answers remembers what the API last said of an order. An answer counts only
// while the order's mark is the one it was made under, and the gate reads the mark
// for every request; so no answer is ever old, whoever has changed the order.
// Nothing is remembered that is sealed or that another table tells.
type answers struct {
	kept *lru.Cache[order.ID, keptAnswer]
}

type keptAnswer struct {
	mark   order.Mark
	answer OrderJSON
}

func newAnswers() answers {
	kept, _ := lru.New[order.ID, keptAnswer](maxAnswers) // fails for a size below 1
	return answers{kept}
}

// of returns the answer that was made under a mark.
func (a answers) of(id order.ID, m order.Mark) (OrderJSON, bool) {
	k, ok := a.kept.Get(id)
	return k.answer, ok && k.mark == m
}

// keep remembers an answer.
func (a answers) keep(id order.ID, m order.Mark, answer OrderJSON) {
	a.kept.Add(id, keptAnswer{m, answer})
}
