package certificate

import "github.com/yuncaidun/yuncaidun/order"

// BidQuestion is asked before a holder revokes: what is encrypted for a revoked
// certificate may not be opened any more (flows.md 4.7).
const BidQuestion = "有已上传、还没开标的投标文件吗？"

// OpenBid is the answer to [BidQuestion].
type OpenBid string

// The answers.
const (
	// NoOpenBid: nothing is at stake.
	NoOpenBid OpenBid = "none"
	// BidLost: there is one, and its holder revokes all the same.
	BidLost OpenBid = "lost"
)

// OpenBids are the answers, in the order in which they are offered.
var OpenBids = []OpenBid{NoOpenBid, BidLost}

// openBids says how an answer is called, what it means to whoever gives it, and
// how the order's history tells it.
var openBids = map[OpenBid]struct{ label, text, told string }{
	NoOpenBid: {"没有", "", "没有待开标的投标文件"},
	BidLost: {
		"有，仍要现在吊销",
		"吊销后，这份投标文件将无法解密。建议等开标解密完成后再吊销；担心 UKEY 被他人使用，可以先冻结，开标前再申请恢复。",
		"有待开标的投标文件，仍要吊销",
	},
}

// Label is the answer as people read it.
func (b OpenBid) Label() string { return openBids[b].label }

// Text is what the answer means; empty when it means nothing bad.
func (b OpenBid) Text() string { return openBids[b].text }

// bidAnswered asks holders only: staff revoke for a reason that does not wait, and
// say it in their note.
func bidAnswered(_ Certificate, c Command) error {
	if _, ok := openBids[c.Bid]; !ok && c.By.Role == order.Applicant && !c.ByOrder {
		return order.Errorf(order.Invalid, "open_bid_unanswered", "请先回答：有没有已上传、还没开标的投标文件")
	}
	return nil
}
