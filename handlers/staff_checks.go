package handlers

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yuncaidun/yuncaidun/handlers/picture"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// level sorts the outcome of a check.
type level string

const (
	fine    level = "ok"
	doubt   level = "warn"
	wrong   level = "bad"
	pending level = "wait"
)

var levelMarks = map[level]string{fine: "通过", doubt: "注意", wrong: "不符", pending: "等待"}

// Mark is the outcome as people and screen readers see it.
func (l level) Mark() string { return levelMarks[l] }

type checkView struct {
	Label  string
	Level  level
	Detail string
	URL    string // what to look at
}

// checks are what can be told from the typed fields alone.
func (k *console) checks(o order.Order) []checkView {
	out := []checkView{realNameCheck(o), unitCheck(o), unitTypeCheck(o), documentCheck(o, k.Now()), mobileCheck(o)}
	return slices.DeleteFunc(out, func(c checkView) bool { return c.Label == "" })
}

func realNameCheck(o order.Order) checkView {
	l := map[order.RealNameResult]level{order.RealNameMatch: fine, order.RealNameManual: doubt, order.RealNameMismatch: wrong}[o.RealName]
	if l == "" {
		l = pending
	}
	v := checkView{Label: "经办人实名", Level: l, Detail: o.RealName.Label()}
	switch resident := o.Form.Get(order.IDType) == string(identity.ResidentID); {
	case o.RealName != order.RealNameManual:
	case resident:
		v.Detail = "运营商没有这个手机号的实名记录，" + v.Detail
	default: // which the carriers do not know
		v.Detail = "该证件类型不能联网核验，" + v.Detail
	}
	return v
}

func unitCheck(o order.Order) checkView {
	code, err := identity.CheckUnitCode(o.USCC)
	switch {
	case err != nil:
		return checkView{Label: "单位代码", Level: wrong, Detail: err.Error()}
	case code.NeedsReview():
		return checkView{Label: "单位代码", Level: doubt, Detail: "非统一码（" + code.Kind.Label() + "），校验位正确"}
	case len(code.Warnings) > 0:
		return checkView{Label: "单位代码", Level: doubt, Detail: identity.Sentences(code.Warnings)}
	default:
		return checkView{Label: "单位代码", Level: fine, Detail: "统一社会信用代码，校验位正确"}
	}
}

func unitTypeCheck(o order.Order) checkView {
	code, err := identity.CheckUnitCode(o.USCC)
	if err != nil || o.Form.Get(order.OrgType) == "" { // not asked again
		return checkView{}
	}
	want, known := code.UnitType()
	typed := identity.UnitType(o.Form.Get(order.OrgType))
	switch {
	case !known:
		return checkView{Label: "单位类型", Level: doubt, Detail: "代码看不出类型，填写为" + typed.Label() + "，请对照执照"}
	case want != typed:
		return checkView{Label: "单位类型", Level: doubt, Detail: "代码 " + code.Value[:2] + " 开头对应" + want.Label() + "，填写为" + typed.Label()}
	default:
		return checkView{Label: "单位类型", Level: fine, Detail: "与代码开头 " + code.Value[:2] + " 相符"}
	}
}

// agentAge is how old a 经办人 must be (rules.md §3.4).
const agentAge = 18

func documentCheck(o order.Order, now time.Time) checkView {
	d, ok := identity.DocumentOf(identity.DocType(o.Form.Get(order.IDType)))
	if !ok {
		return checkView{Label: "证件号码", Level: wrong, Detail: "证件类型未知"}
	}
	no, err := d.Parse(o.Form.Get(order.IDNo), agentAge, now.In(order.Shanghai))
	if err != nil {
		return checkView{Label: "证件号码", Level: wrong, Detail: err.Error()}
	}
	if ws := d.Warnings(no); len(ws) > 0 {
		return checkView{Label: "证件号码", Level: doubt, Detail: identity.Sentences(ws)}
	}
	return checkView{Label: "证件号码", Level: fine, Detail: d.Label + "，格式与校验正确"}
}

func mobileCheck(o order.Order) checkView {
	m := o.Mobile()
	if ws := m.Warnings(); len(ws) > 0 {
		return checkView{Label: "经办人手机", Level: doubt, Detail: identity.Sentences(ws)}
	}
	return checkView{Label: "经办人手机", Level: fine, Detail: "提交时已通过短信验证"}
}

// pictureChecks looks at the photographs, and writes the doubts beside them too.
func (k *console) pictureChecks(ctx context.Context, o order.Order, ps []panelView) []checkView {
	check := checkView{Label: "图片", Level: fine}
	var bad []string
	n := 0
	for _, p := range ps {
		for j := range p.Pictures {
			d := &p.Pictures[j]
			n++
			found, err := k.doubtsOf(ctx, o.Form.Get(d.Field))
			switch {
			case err != nil:
				d.Doubts, bad = []string{"图片暂时无法读取，请稍后刷新"}, append(bad, d.Label+"（无法读取）")
			case len(found) > 0:
				d.Doubts, bad = warningTexts(d.Field, found), append(bad, d.Label+"（"+labels(found)+"）")
			}
		}
	}
	switch {
	case n == 0:
		return nil
	case len(bad) > 0:
		check.Level, check.Detail = doubt, strings.Join(bad, "；")
	default:
		check.Detail = strconv.Itoa(n) + " 张图片均为彩色，清晰，尺寸足够"
	}
	return []checkView{check}
}

func labels(ws []picture.Warning) string {
	ls := make([]string, len(ws))
	for i, w := range ws {
		ls[i] = w.Label()
	}
	return strings.Join(ls, "、")
}

// doubts remembers what was found in a picture. Pictures never change.
type doubts struct {
	mu    sync.Mutex
	known map[string][]picture.Warning
}

// doubtsKept bounds the memory; forgetting costs a second look.
const doubtsKept = 2000

func (k *console) doubtsOf(ctx context.Context, object string) ([]picture.Warning, error) {
	k.doubts.mu.Lock()
	found, ok := k.doubts.known[object]
	k.doubts.mu.Unlock()
	if ok {
		return found, nil
	}
	kept, err := k.Objects.Get(ctx, object)
	if err != nil {
		return nil, err // not remembered
	}
	err = k.draw(ctx, func() error {
		found = picture.Warnings(kept)
		return nil
	})
	if err != nil {
		return nil, err
	}
	k.doubts.mu.Lock()
	defer k.doubts.mu.Unlock()
	if k.doubts.known == nil || len(k.doubts.known) >= doubtsKept {
		k.doubts.known = map[string][]picture.Warning{}
	}
	k.doubts.known[object] = found
	return found, nil
}

// risks are what other orders say about this one.
func (k *console) risks(ctx context.Context, o order.Order) ([]checkView, error) {
	var out []checkView
	known, err := k.Records.CompanyKnown(ctx, o.USCC)
	if err != nil {
		return nil, err
	}
	if !known {
		out = append(out, checkView{Label: "首次办理", Level: doubt, Detail: "该单位没有已完成的订单，请仔细核对主体"})
	}
	same, err := k.Records.Orders(ctx, order.Filter{USCC: o.USCC, Limit: 50})
	if err != nil {
		return nil, err
	}
	open := []order.Status{order.InReview, order.Rejected, order.ToIssue, order.ToShip}
	for _, other := range same.Orders {
		if other.ID != o.ID && other.Business == o.Business && slices.Contains(open, other.Status) {
			out = append(out, checkView{Label: "同单位在办", Level: doubt, Detail: "尾号 " + order.TailOf(other.No) + "，" + other.Business.Label() + "，" + other.State.Label(), URL: "/staff/review/" + string(other.ID)})
		}
	}
	if o.Form.Get(order.AboutEntry) == order.EntryCompany {
		out = append(out, checkView{Label: "无绑定手机", Level: doubt, Detail: "申请人没有使用证书绑定的手机号，请仔细核对授权书和公章"})
	}
	if o.Form.Get(order.InvoiceTitle) != "" && o.Company != "" && o.Form.Get(order.InvoiceTitle) != o.Company {
		out = append(out, checkView{Label: "发票抬头", Level: doubt, Detail: "与单位名称不同：" + o.Form.Get(order.InvoiceTitle)})
	}
	return out, nil
}
