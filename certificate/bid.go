package certificate

import (
	"context"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// OpenBid is a holder's answer to [order.BidQuestion] before he revokes: what is
// encrypted for a revoked certificate may not be opened any more (flows.md 4.7).
// It warns and holds nothing up: a key in the wrong hands is worse.
type OpenBid string

// The answers.
const (
	// NoOpenBid: nothing is at stake.
	NoOpenBid OpenBid = "none"
	// BidAtStake: there is one.
	BidAtStake OpenBid = "open"
)

// OpenBids are the answers, in the order in which they are offered.
var OpenBids = []OpenBid{NoOpenBid, BidAtStake}

// openBids says how an answer is called, and how the order's history tells it.
var openBids = map[OpenBid]struct{ label, told string }{
	NoOpenBid:  {"没有", "没有待开标的投标文件"},
	BidAtStake: {"有（吊销后，这份投标文件将无法解密）", "有待开标的投标文件，仍要吊销"},
}

// Label is the answer as people read it.
func (b OpenBid) Label() string { return openBids[b].label }

// BidAdvice is what revoking the certificate means for bids that are opened at
// opening, and whether a reminder to wait for makes sense at now.
func (c Certificate) BidAdvice(b OpenBid, opening, now time.Time) (advice order.BidAdvice, waiting bool) {
	advice = order.AdviseOnBid(b == BidAtStake, opening, c.NotAfter, now)
	if b == BidAtStake && opening.IsZero() { // not said yet: the bid may be lost
		advice = order.BidFirst
	}
	return advice, advice == order.BidFirst && opening.After(now)
}

// bidAnswered asks holders only: staff revoke for a reason that does not wait, and
// say it in their note.
func bidAnswered(_ Certificate, c Command) error {
	if _, ok := openBids[c.Bid]; !ok && c.By.Role == order.Applicant && !c.ByOrder {
		return order.Errorf(order.Invalid, "open_bid_unanswered", "请先回答：%s", order.BidQuestion)
	}
	return nil
}

// RemindAfterBid puts a revocation off: an hour after the bids are opened the
// holder is told that he can go on (flows.md 4.7).
func (s *Service) RemindAfterBid(ctx context.Context, serial string, opening time.Time, by order.Actor) error {
	return s.owned(ctx, serial, by, func(tx Tx, cert Certificate) error {
		c := Command{On: "remind_after_bid", By: by, Note: openedAt(opening), at: s.now()}
		if _, waiting := cert.BidAdvice(BidAtStake, opening, c.at); !waiting || cert.State() == Revoked {
			return order.Errorf(order.Conflict, "no_bid_to_wait_for", "请填写证书到期前、还没有到的开标时间")
		}
		seq, err := s.happened(ctx, tx, cert, order.RevocationPutOff, c)
		if err != nil {
			return err
		}
		return s.tellAt(ctx, tx, opening.Add(order.AfterOpening), cert.OrderID, order.NoticeBidOpenedRevoke, seq, order.ToHolder, cert.PersonID)
	})
}
