package handlers

import (
	"context"
	"errors"

	"github.com/yuncaidun/yuncaidun/order"
)

// changeOf is a signed field that differs from the earlier order, masked.
type changeOf struct{ Label, Before, After string }

// aboutView adds what a reviewer must know of an order about a certificate: which
// one, and what has changed since its data was last judged.
func (k *console) aboutView(ctx context.Context, o order.Order, inClear bool, v *reviewView) error {
	cert, err := k.aboutOf(ctx, o)
	if err != nil || cert == nil {
		return err
	}
	if v.Company == "" { // F84
		v.Company = cert.Holder
	}
	state := cert.Standing(k.Now())
	if soon := cert.Soon(k.Now()); soon != "" {
		state += "，" + soon
	}
	v.About = []factView{
		{Label: "持有人", Value: cert.Holder},
		{Label: "UKEY序列号", Value: cert.TokenSerial, Mono: true},
		{Label: "证书序列号", Value: cert.Serial, Mono: true},
		{Label: "有效期", Value: slashed(cert.NotBefore) + " - " + slashed(cert.NotAfter), Mono: true},
		{Label: "状态", Value: state},
		{Label: "绑定用户", Value: k.boundTo(ctx, cert.PersonID), Mono: true},
		{Label: "申请方式", Value: entryLabels[o.Form.Get(order.AboutEntry)]},
	}
	for _, f := range []order.Field{order.Cause, order.BidUploaded, order.BidOpening} {
		if spec, _ := f.Spec(); o.Form.Get(f) != "" && spec.IsAsked(o.Product, o.Form) {
			v.About = append(v.About, factView{Field: f, Label: spec.Label, Value: labelOf(spec, o.Form.Get(f))})
		}
	}
	earlier, err := k.Records.Order(ctx, order.ID(o.Form.Get(order.AboutBase)))
	if errors.Is(err, order.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if !earlier.EraseAskedAt.IsZero() {
		return nil
	}
	v.Earlier, v.Changes = "/staff/review/"+string(earlier.ID), changesBetween(earlier, o, inClear)
	return nil
}

var entryLabels = map[string]string{order.EntryHolder: "绑定用户登录申请", order.EntryCompany: "凭 UKEY 序列号和单位代码申请"}

// boundTo is the bound user's mobile, masked.
func (k *console) boundTo(ctx context.Context, personID string) string {
	p, err := k.Store.Person(ctx, personID)
	if err != nil {
		return "–"
	}
	return p.Mobile.Mask()
}

// changesBetween lists the signed fields of the form that differ.
func changesBetween(earlier, o order.Order, inClear bool) []changeOf {
	get := order.Form.Masked
	if inClear {
		get = order.Form.Get
	}
	var out []changeOf
	for _, spec := range order.Fields {
		if !spec.Signed || spec.Name == order.AuthWay || !spec.IsAsked(o.Product, o.Form) || earlier.Form.Get(spec.Name) == o.Form.Get(spec.Name) {
			continue
		}
		out = append(out, changeOf{spec.Label, labelOf(spec, get(earlier.Form, spec.Name)), labelOf(spec, get(o.Form, spec.Name))})
	}
	return out
}
