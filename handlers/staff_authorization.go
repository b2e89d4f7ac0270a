package handlers

import (
	"context"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

func (k *console) authorizationRoutes() {
	k.get("/staff/review/:id/authorization.pdf", OfStaff, k.authorizationLetter, order.Reviewer)
	k.get("/staff/review/:id/evidence.zip", OfStaff, k.authorizationEvidence, order.Reviewer)
}

// evidenceView is the legal representative's authorisation beside the other
// materials of a review.
type evidenceView struct {
	State, Receipt  string
	Signed          bool
	Ready           bool // letter and evidence can be fetched
	Facts           []factView
	Document        string // address of a photographed document
	Earlier         []momentView
	Reused          string // receipt of the authorisation whose mandate it stands on
	Text, Signature string // hashes
}

// authorizationOf is the newest authorisation of an order; ok is false for an
// order that asks nobody.
func (k *console) authorizationOf(ctx context.Context, o order.Order) (a order.Authorization, all []order.Authorization, ok bool, err error) {
	if o.Form.Get(order.AuthWay) != order.AuthMiniProgram {
		return a, nil, false, nil
	}
	all, err = k.Store.Authorizations(ctx, o.ID)
	if err != nil || len(all) == 0 {
		return a, nil, false, err
	}
	return all[len(all)-1], all, true, nil
}

func (k *console) evidence(ctx context.Context, o order.Order) (*evidenceView, error) {
	a, all, ok, err := k.authorizationOf(ctx, o)
	if !ok {
		return nil, err
	}
	p := a.Proof
	v := &evidenceView{State: a.State.Label(), Receipt: p.Receipt, Signed: a.State == order.AtSigned, Ready: a.Evidence != "", Text: p.TextSHA256, Signature: p.Signature.SHA256}
	fact := func(label, value string, at time.Time) {
		if value != "" && !at.IsZero() {
			v.Facts = append(v.Facts, factView{Label: label, Value: value + "，" + moment(at)})
		}
	}
	if n := len(p.SMS); n > 0 {
		fact("授权短信", identity.NewMobile(a.Signer.Mobile).Mask(), p.SMS[n-1].At)
	}
	fact("打开链接", p.Opened.IP, p.Opened.At)
	fact("手机验证", identity.NewMobile(a.Signer.Mobile).Mask(), p.Phone.At)
	fact("身份核验", p.Identity.Result.Label(), p.Identity.At)
	fact("签署", p.Signed.IP, p.Signed.At)
	if !a.Mandate.Until.IsZero() {
		v.Facts = append(v.Facts, factView{Label: "授权范围", Value: "该经办人的全部申请，至 " + day(a.Mandate.Until)})
	}
	if p.Identity.Object != "" {
		v.Document = k.pictureURL(o.ID, p.Identity.Object, sizeLarge)
	}
	if a.ReuseOf != "" {
		base, err := k.Store.Authorization(ctx, a.ReuseOf)
		if err != nil {
			return nil, err
		}
		v.Reused = base.Proof.Receipt
		v.Facts = append(v.Facts, factView{Label: "依据长期授权", Value: base.Proof.Receipt + "，签署于 " + moment(base.SignedAt) + "，至 " + day(base.Mandate.Until)})
	}
	for _, e := range all[:len(all)-1] {
		v.Earlier = append(v.Earlier, momentView{At: e.UpdatedAt, Text: e.State.Label()})
	}
	return v, nil
}

// authorizationCheck is the line of the machine checks.
func authorizationCheck(v *evidenceView, a order.Authorization) checkView {
	c := checkView{Label: "法人授权", Level: pending, Detail: a.State.Label()}
	switch {
	case !v.Signed:
	case a.Proof.Identity.Result == order.RealNameManual:
		c.Level, c.Detail = doubt, "已签署；证件须与照片人工核对"
	case v.Reused != "":
		c.Level, c.Detail = fine, "使用长期授权 "+v.Reused
	default:
		c.Level, c.Detail = fine, "已签署，回执 "+v.Receipt
	}
	return c
}

func (k *console) authorizationLetter(c *fiber.Ctx) error {
	return k.authorizationFile(c, func(a order.Authorization) string { return a.Letter }, "application/pdf", "authorization.pdf", "法定代表人授权书.pdf")
}

func (k *console) authorizationEvidence(c *fiber.Ctx) error {
	return k.authorizationFile(c, func(a order.Authorization) string { return a.Evidence }, "application/zip", "evidence.zip", "授权证据包.zip")
}

// authorizationFile sends a file of the order's authorisation. It shows personal
// data, so the look is counted and recorded.
func (k *console) authorizationFile(c *fiber.Ctx, of func(order.Authorization) string, kind, plain, name string) error {
	o, err := k.underReview(c)
	if err != nil {
		return err
	}
	a, _, ok, err := k.authorizationOf(c.UserContext(), o)
	switch {
	case err != nil:
		return err
	case !ok:
		return order.Errorf(order.NotFound, "authorization_not_found", "该订单没有在线授权")
	case of(a) == "":
		return order.Errorf(order.Conflict, "letter_pending", "授权书正在生成，请稍后再下载")
	}
	if err := k.reveal(c, order.Reviewer, order.ActionDownload+plain); err != nil {
		return err
	}
	return k.sendObject(c, of(a), kind, plain, name)
}
