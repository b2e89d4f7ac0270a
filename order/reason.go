package order

import (
	"cmp"
	"slices"
	"strings"
)

// Reason is one ground for a rejection: a code of the table, and a note that is
// required for R20.
type Reason struct {
	Code string `json:"code"`
	Note string `json:"note,omitempty"`
}

// ReasonSpec is a reject-reason template (flows.md 4.4).
type ReasonSpec struct {
	Code   string
	Text   string // what the applicant reads
	Anchor Field  // the field to fix
}

// Reasons are the templates R01–R20, in order.
var Reasons = []ReasonSpec{
	{"R01", "单位名称与营业执照不一致", OrgName},
	{"R02", "统一社会信用代码与执照不一致", OrgUSCC},
	{"R03", "授权书公章不清晰或不完整", LetterImage},
	{"R04", "授权书非实体公章或疑似电子章", LetterImage},
	{"R05", "授权书信息与在线填写不一致", LetterImage},
	{"R06", "授权书未填日期或签名栏空白", LetterImage},
	{"R07", "营业执照模糊、反光或缺角", LicenseImage},
	{"R08", "营业执照已过期或非最新版", LicenseImage},
	{"R09", "营业执照非彩色原件或有水印遮挡", LicenseImage},
	{"R10", "身份证正面模糊", IDFront},
	{"R11", "身份证反面模糊", IDBack},
	{"R12", "身份证已过期", IDBack},
	{"R13", "证件号码与图片不符", IDNo},
	{"R14", "姓名与证件不符", AgentName},
	{"R15", "法定代表人与执照不一致", LegalName},
	{"R16", "法定代表人未完成或已拒绝授权", AuthWay},
	{"R17", "企业状态异常（注销或吊销）", OrgName},
	{"R18", "收件信息不完整", ShipWay},
	{"R19", "重复申请，请使用已有订单", ""},
	{"R20", "其他", ""},
}

// unreadable are the reasons for which a picture that cannot be read is sent back.
var unreadable = map[Field]string{LetterImage: "R03", LicenseImage: "R07", IDFront: "R10", IDBack: "R11"}

// Unreadable is the reason for which a picture of a field is sent back when it cannot
// be read; ok is false where there is none.
func Unreadable(f Field) (r Reason, ok bool) {
	r.Code, ok = unreadable[f]
	return r, ok
}

// Spec returns the template of a reason; ok is false for an unknown code.
func (r Reason) Spec() (ReasonSpec, bool) {
	i := slices.IndexFunc(Reasons, func(s ReasonSpec) bool { return s.Code == r.Code })
	if i < 0 {
		return ReasonSpec{}, false
	}
	return Reasons[i], true
}

// Anchor is the field of an order's form where the reason is put right: the one
// of the template or, where the form does not ask for that, the first that it asks
// for in the same section; none when the form has no such section.
func (r Reason) Anchor(p Product, f Form) Field {
	s, _ := r.Spec()
	group := specs[s.Anchor].Group
	var first Field
	for _, field := range Fields {
		switch {
		case group == "" || field.Group != group || !field.IsAsked(p, f):
		case field.Name == s.Anchor:
			return field.Name
		case first == "":
			first = field.Name
		}
	}
	return first
}

// Text is the reason as the applicant reads it, with the reviewer's note.
func (r Reason) Text() string {
	s, _ := r.Spec()
	switch {
	case r.Note == "":
		return s.Text
	case s.Code == "R20":
		return r.Note
	default:
		return s.Text + "：" + r.Note
	}
}

// What comes back is said so when nobody did in time what an approval granted.
const (
	grantLapsed    = "办理期限已过"
	downloadLapsed = "下载期限已过，请重新提交"
)

// RanOut reports whether an order came back because what was approved was not done in
// time: nobody found fault with it.
func (o Order) RanOut() bool {
	return o.State == fixable && len(o.Reasons) == 1 && (o.Reasons[0].Note == grantLapsed || o.Reasons[0].Note == downloadLapsed)
}

// ReasonTexts are the reasons of a rejection in one line.
func (o Order) ReasonTexts() string {
	texts := make([]string, len(o.Reasons))
	for i, r := range o.Reasons {
		texts[i] = r.Text()
	}
	return strings.Join(texts, "；")
}

// CalledOff is why nothing will come of an order: one that waits to be paid goes back to its
// form without a reason when its certificate is revoked.
func (o Order) CalledOff() string { return cmp.Or(o.ReasonTexts(), certificateGone) }

// Tick is one of the four checks a reviewer confirms before approving.
type Tick string

// Ticks are the four checks, in the order of the review page.
var Ticks = []Tick{"subject", "agent", "authorization", "images"}

var tickLabels = map[Tick]string{"subject": "主体一致", "agent": "经办人一致", "authorization": "授权有效", "images": "图片清晰"}

// Label is the check as the reviewer reads it.
func (t Tick) Label() string { return tickLabels[t] }
