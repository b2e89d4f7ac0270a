package order

import (
	"context"
	"time"
)

// BidQuestion is asked before a certificate is renewed or revoked (flows.md 4.7).
const BidQuestion = "有已上传、尚未开标的投标文件吗"

// BidAdvice is what ending a certificate means for bids that are uploaded and not
// opened yet (flows.md 4.7).
type BidAdvice string

// The advices.
const (
	// BidFree: nothing is at stake.
	BidFree BidAdvice = ""
	// BidFirst: the bids are opened before the certificate ends, so wait for that.
	BidFirst BidAdvice = "after_opening"
	// BidAgain: they are opened after its end, so upload them anew with another.
	BidAgain BidAdvice = "upload_again"
	// BidOpened: they are opened already.
	BidOpened BidAdvice = "opened"
)

var bidAdviceTexts = map[BidAdvice]string{
	BidFirst:  "开标时证书还没有到期，建议开标后再更新：更新若换用新密钥，用旧证书加密的投标文件须用旧密钥解密。旧密钥会留在 UKEY 上，但部分招标平台只认新证书。",
	BidAgain:  "开标时旧证书已经到期：请先更新，再用新证书重新生成并上传投标文件；不能重新上传的，请保留解密文件并联系招标平台确认。",
	BidOpened: "开标时间已过：已经开标解密的，可以继续更新；还有没开标的，请填写其中最晚的开标时间。",
}

// Text is the advice about a renewal as people read it.
func (a BidAdvice) Text() string { return bidAdviceTexts[a] }

var bidAdviceRevocationTexts = map[BidAdvice]string{
	BidFirst:  "开标时证书还没有到期，建议开标解密完成后再吊销：吊销后，这份投标文件将无法解密。担心 UKEY 被他人使用，可以先冻结，开标前再申请恢复；已经被他人使用的，请立即吊销。",
	BidAgain:  "开标时证书已经到期，现在吊销与否，这份投标文件都可能无法解密：请用新证书重新生成并上传投标文件；不能重新上传的，请保留解密文件并联系招标平台确认。",
	BidOpened: "开标时间已过：已经开标解密的，请改选「没有」；还有没开标的，请填写其中最晚的开标时间。",
}

// RevocationText is the advice about a revocation as people read it.
func (a BidAdvice) RevocationText() string { return bidAdviceRevocationTexts[a] }

// AdviseOnBid answers the bid question at now for a certificate that ends at notAfter.
func AdviseOnBid(uploaded bool, opening, notAfter, now time.Time) BidAdvice {
	switch {
	case !uploaded || opening.IsZero():
		return BidFree
	case !opening.After(now):
		return BidOpened
	case opening.After(notAfter):
		return BidAgain
	default:
		return BidFirst
	}
}

// AfterOpening is how long after the opening of the bids people are told that they
// can go on now.
const AfterOpening = time.Hour

// RemindAfterBid puts a renewal off: an hour after the bids are opened its
// applicant is told that he can go on (flows.md 4.7).
func (s *Service) RemindAfterBid(ctx context.Context, id ID, by Actor) error {
	return s.store.InTx(ctx, func(tx Tx) error {
		o, err := tx.Order(ctx, id)
		if err != nil {
			return err
		}
		opening := o.Form.Moment(BidOpening)
		switch {
		case !o.OwnedBy(by.PersonID, ""):
			return orderNotFound
		case o.State != draft || opening.IsZero():
			return Errorf(Conflict, "no_bid_to_wait_for", "请先在更新申请中填写开标时间")
		case !opening.After(s.now()):
			return Errorf(Conflict, "bid_is_open", "开标时间已过，可以继续更新")
		}
		if err := tx.DropTimers(ctx, o.ID); err != nil { // one reminder, for the opening that stands
			return err
		}
		if err := tx.SetTimers(ctx, Timer{OrderID: o.ID, Seq: o.Seq, Notice: NoticeBidOpened, At: opening.Add(AfterOpening)}); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did(o.ID, "remind_after_bid", s.now()))
	})
}
