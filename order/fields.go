package order

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
)

// maxOrgName is what O and CN of a certificate can hold (RFC 5280, appendix A.1).
const maxOrgName = 64

// Fields is the form of every business, field by field in form order.
var Fields = []FieldSpec{
	{Name: Speed, Group: GroupAbout, Label: "办理时限", Input: Radio, Priced: true, Optional: always, Asked: offersExpress, Options: []Option{{No, "普通"}, {Yes, "加急"}}, Default: No},
	{Name: Cause, Group: GroupAbout, Label: "补办原因", Input: Radio, Asked: only(Reissue), Options: []Option{{"lost", "UKEY 丢失或被盗"}, {"broken", "UKEY 损坏"}, {"erased", "UKEY 内容丢失"}}},
	{Name: BidUploaded, Group: GroupAbout, Label: BidQuestion, Input: Radio, Asked: only(Renewal), Options: []Option{{No, "没有"}, {Yes, "有"}}, Hint: "更新可能换用新密钥，请先确认，以免开标时无法解密"},
	{Name: BidOpening, Group: GroupAbout, Label: "开标时间", Input: Moment, Asked: bidUploaded, Max: 20, Hint: "不止一个时填写最晚的", Check: checkMoment},

	{Name: AgentName, Group: GroupAgent, Label: "姓名", Input: Text, Signed: true, Hint: "须为本单位正式员工", Check: checkName, Mask: maskName},
	{Name: AgentMobile, Group: GroupAgent, Label: "手机号", Input: Tel, Signed: true, Hint: "提交后可用此手机号登录", Locked: byHolder, Check: checkMobile, Doubt: doubtMobile, Mask: maskMobile},
	{Name: AgentEmail, Group: GroupAgent, Label: "电子邮件", Input: EMail, Optional: notOnPaper, Hint: "使用纸质授权书时必填", Check: checkEmail, Mask: maskEmail},
	{Name: IDType, Group: GroupAgent, Label: "证件类型", Input: Select, Signed: true, Options: documentOptions(), Default: string(identity.ResidentID)},
	{Name: IDNo, Group: GroupAgent, Label: "证件号码", Input: Text, Signed: true, Check: checkDocument, Doubt: doubtDocument(IDType), Mask: maskDocument},
	{Name: IDFront, Group: GroupAgent, Label: "身份证正面", Input: Image},
	{Name: IDBack, Group: GroupAgent, Label: "身份证反面", Input: Image, Optional: notIDCard},

	{Name: LicenseImage, Group: GroupOrg, Label: "营业执照图片", Input: Image, Asked: needsAuth, Hint: "支持 jpg、jpeg、png 格式的彩色图片，大小不超过 8M"},
	{Name: OrgName, Group: GroupOrg, Label: "单位名称", Input: Text, Max: maxOrgName, Signed: true, Asked: isNot(isUnlock), Locked: isAbout, Hint: "须与营业执照上的单位名称一致", Check: checkOrgName},
	{Name: OrgType, Group: GroupOrg, Label: "单位类型", Input: Radio, Asked: describesUnit, Options: unitOptions(), Default: string(identity.Enterprise), Doubt: doubtUnitType},
	{Name: OrgUSCC, Group: GroupOrg, Label: "统一社会信用代码", Input: Text, Signed: true, Asked: isNot(isUnlock), Locked: isAbout, Hint: "非三证合一单位可填写组织机构代码或注册号", Check: checkUnitCode, Doubt: doubtUnitCode, Suggest: suggestUnitCode},
	{Name: OrgIndustry, Group: GroupOrg, Label: "所属行业", Input: Select, Asked: describesUnit, Options: industryOptions()},

	{Name: AuthWay, Group: GroupAuth, Label: "授权方式", Input: Radio, Signed: true, Asked: needsAuth, Options: []Option{{AuthPaper, "纸质盖章授权书"}, {AuthMiniProgram, "小程序法定代表人授权"}}, Default: AuthPaper},
	{Name: LegalName, Group: GroupAuth, Label: "法定代表人姓名", Input: Text, Signed: true, Asked: namesLegalRep, Hint: "与营业执照一致", Check: checkName, Mask: maskName},
	{Name: LegalIDType, Group: GroupAuth, Label: "证件类型", Input: Select, Signed: true, Asked: online, Options: documentOptions(), Default: string(identity.ResidentID)},
	{Name: LegalMobile, Group: GroupAuth, Label: "法定代表人手机号", Input: Tel, Asked: online, Hint: "授权短信发送到该手机号，须为法定代表人本人使用", Check: checkLegalMobile, Doubt: doubtMobile, Mask: maskMobile},
	{Name: LegalIDNo, Group: GroupAuth, Label: "法定代表人证件号码", Input: Text, Signed: true, Asked: online, Hint: "仅用于核对法定代表人本人", Check: checkLegalDocument, Doubt: doubtDocument(LegalIDType), Mask: maskDocument},
	{Name: LetterImage, Group: GroupAuth, Label: "盖章授权书", Input: Image, Asked: onPaper, Hint: "下载、打印、加盖实体公章后拍照上传，须为彩色图片"},

	{Name: ShipWay, Group: GroupShip, Label: "收件类型", Input: Radio, Hint: "自取须到我们的柜台，地址和时间请致电 400-666-3999", Asked: isShipped, Options: []Option{{ShipCourier, "快递"}, {ShipPickUp, "自取"}}, Default: ShipCourier},
	{Name: ShipName, Group: GroupShip, Label: "收件人姓名", Input: Text, Asked: isShipped, Check: checkName, Mask: maskName},
	{Name: ShipMobile, Group: GroupShip, Label: "收件人手机号", Input: Tel, Asked: isShipped, Check: checkMobile, Doubt: doubtMobile, Mask: maskMobile},
	{Name: ShipProvince, Group: GroupShip, Label: "省份", Input: Select, Asked: byPost, Options: provinceOptions()},
	{Name: ShipCity, Group: GroupShip, Label: "城市", Input: Text, Asked: byPost},
	{Name: ShipDistrict, Group: GroupShip, Label: "区县", Input: Text, Asked: byPost},
	{Name: ShipAddress, Group: GroupShip, Label: "详细地址", Input: Text, Asked: byPost, Max: 120, Check: checkAddress, Mask: func(string) string { return "****" }},

	{Name: InvoiceWant, Group: GroupInvoice, Label: "开具发票", Input: Switch, Asked: isCharged, Options: []Option{{Yes, "需要"}, {No, "不需要"}}, Default: Yes},
	{Name: InvoiceTitle, Group: GroupInvoice, Label: "发票抬头", Input: Text, Asked: wantsInvoice, Optional: always, Hint: "默认为单位名称；增值税普通发票（电子）", Check: checkOrgName},
	{Name: InvoiceTaxNo, Group: GroupInvoice, Label: "购方税号", Input: Text, Asked: wantsInvoice, Optional: always, Hint: "默认为统一社会信用代码", Check: checkUnitCode, Doubt: doubtUnitCode, Suggest: suggestUnitCode},
}

// pricedFields are the fields that decide what is paid.
var pricedFields = func() (names []Field) {
	for _, s := range Fields {
		if s.Priced {
			names = append(names, s.Name)
		}
	}
	return names
}()

// specs finds a field's entry by name; PickUpCode has one so that it is masked.
var specs = specsByName()

func specsByName() map[Field]FieldSpec {
	m := map[Field]FieldSpec{PickUpCode: {Name: PickUpCode, Group: GroupShip, Label: "取件码", Mask: func(string) string { return "******" }}}
	for _, s := range Fields {
		m[s.Name] = s
	}
	return m
}

func always(Product, Form) bool         { return true }
func onPaper(p Product, f Form) bool    { return needsAuth(p, f) && f.Get(AuthWay) != AuthMiniProgram }
func notOnPaper(p Product, f Form) bool { return !onPaper(p, f) }  // G33
func online(_ Product, f Form) bool     { return asksLegalRep(f) } // F40
func isAbout(p Product, _ Form) bool    { return p.Business.NeedsCertificate() }
func isUnlock(p Product, _ Form) bool {
	return p.Business == UnlockApproval || p.Business == UnlockSelf
} // F84

func bidUploaded(p Product, f Form) bool { return p.Business == Renewal && f.Get(BidUploaded) == Yes }

// byHolder: the bound user's mobile is the certificate's, so it is not typed.
func byHolder(p Product, f Form) bool { return isAbout(p, f) && f.Get(AboutEntry) == EntryHolder }

// needsAuth reports whether the authorisation is asked for: always at first,
// later only when what it says has changed or it has lapsed (F66).
func needsAuth(_ Product, f Form) bool { return f.Get(AuthNeed) != No }

// asksLegalRep reports whether the legal representative is asked online (F40).
func asksLegalRep(f Form) bool { return f.Get(AuthNeed) != No && f.Get(AuthWay) == AuthMiniProgram }

// describesUnit: what is known of a unit from an earlier order is not asked again.
func describesUnit(p Product, f Form) bool {
	return !isAbout(p, f) || needsAuth(p, f) && !isUnlock(p, f)
}

// namesLegalRep: an unlock needs him only for a new letter; the others ask, because
// a change needs a new letter.
func namesLegalRep(p Product, f Form) bool { return needsAuth(p, f) || !isUnlock(p, f) }

func only(b Business) func(Product, Form) bool {
	return func(p Product, _ Form) bool { return p.Business == b }
}

func isNot(f func(Product, Form) bool) func(Product, Form) bool {
	return func(p Product, form Form) bool { return !f(p, form) }
}

func isCharged(p Product, f Form) bool    { return p.Price+Order{Product: p, Form: f}.ExpressFee() > 0 } // F50
func isShipped(p Product, _ Form) bool    { return p.IssueMode == ByAdmin }
func byPost(p Product, f Form) bool       { return isShipped(p, f) && f.Get(ShipWay) != ShipPickUp } // F46
func wantsInvoice(p Product, f Form) bool { return isCharged(p, f) && f.Get(InvoiceWant) != No }

// notIDCard: other documents have a photo page and an optional second page (F27).
func notIDCard(_ Product, f Form) bool {
	d, ok := identity.DocumentOf(identity.DocType(f.Get(IDType)))
	return ok && !d.IDCard
}

// LabelFor is the field's label for this form: the two ID images are pages of
// another document when it is not an identity card (F27).
func (s FieldSpec) LabelFor(f Form) string {
	switch {
	case s.Name == IDFront && notIDCard(Product{}, f):
		return "证件照片页"
	case s.Name == IDBack && notIDCard(Product{}, f):
		return "证件第二页（选填）"
	default:
		return s.Label
	}
}

// momentLayout is how a browser sends a moment, which is one in Shanghai.
const momentLayout = "2006-01-02T15:04"

// checkMoment normalises a moment such as 2026-12-20 09:30.
func checkMoment(v string, _ Form, _ time.Time) (string, error) {
	t, err := ParseMoment(v)
	if fault, ok := AsError(err); ok {
		return "", fault.sentence()
	}
	return t.In(Shanghai).Format(momentLayout), nil
}

// ParseMoment reads a moment that somebody in Shanghai has typed, such as
// 2026-12-20 09:30.
func ParseMoment(v string) (time.Time, error) {
	t, err := time.ParseInLocation(momentLayout, strings.Replace(identity.HalfWidth(v), " ", "T", 1), Shanghai)
	if err != nil {
		return time.Time{}, Errorf(Invalid, "bad_moment", "时间格式应为 2026-12-20 09:30")
	}
	return t.UTC(), nil
}

// TypedMoment is an instant as it is typed into a form, in Shanghai.
func TypedMoment(t time.Time) string { return t.In(Shanghai).Format(momentLayout) }

// Moment is the instant that a field of the form names; zero when it names none.
func (f Form) Moment(name Field) time.Time {
	t, _ := ParseMoment(f.Get(name))
	return t
}

func checkName(v string, _ Form, _ time.Time) (string, error) {
	n, err := identity.ParsePersonName(v)
	return n.Reveal(), err
}

func checkMobile(v string, _ Form, _ time.Time) (string, error) {
	m, err := identity.ParseMobile(v)
	return m.Reveal(), err
}

// checkLegalMobile refuses the 经办人's number for somebody else's: he would be asked, and
// answer, for the legal representative. Who is both has one number.
func checkLegalMobile(v string, f Form, today time.Time) (string, error) {
	mobile, err := checkMobile(v, f, today)
	if err != nil {
		return mobile, err
	}
	agents, _ := checkMobile(f.Get(AgentMobile), f, today) // what is wrong with it is told beside it
	agent, legal := printedNo(f.Get(IDNo)), printedNo(f.Get(LegalIDNo))
	if agents == mobile && agent != "" && legal != "" && agent != legal {
		return mobile, errors.New(agentsMobile)
	}
	return mobile, nil
}

const agentsMobile = "这是经办人的手机号，请填写法定代表人本人使用的手机号；经办人就是法定代表人的，两处的证件号码应当相同"

// legalMobileHis holds the same rule against the number that is asked instead (row 12).
func legalMobileHis(o Order, c Command) bool {
	m := c.Form.Get(LegalMobile)
	if m == "" {
		return true
	}
	_, err := checkLegalMobile(m, o.Form, today(c.at))
	return err == nil
}

// printedNo is a document's number however it was typed.
func printedNo(typed string) string {
	return strings.ToUpper(strings.Join(strings.Fields(identity.HalfWidth(typed)), ""))
}

func checkEmail(v string, _ Form, _ time.Time) (string, error) {
	e, err := identity.ParseEmail(v)
	return e.Reveal(), err
}

func checkDocument(v string, f Form, today time.Time) (string, error) {
	d, err := identity.ParseDocNo(identity.DocType(f.Get(IDType)), v, identity.MinApplicantAge, today)
	return d.Reveal(), err
}

func checkLegalDocument(v string, f Form, today time.Time) (string, error) {
	d, err := identity.ParseDocNo(identity.DocType(f.Get(LegalIDType)), v, identity.MinHolderAge, today)
	return d.Reveal(), err
}

func checkUnitCode(v string, _ Form, _ time.Time) (string, error) {
	c, err := identity.CheckUnitCode(v)
	return c.Value, err
}

func doubtMobile(v string, _ Form) string {
	return identity.Sentences(identity.NewMobile(v).Warnings())
}

func doubtDocument(typ Field) func(string, Form) string {
	return func(v string, f Form) string {
		d, _ := identity.DocumentOf(identity.DocType(f.Get(typ)))
		return identity.Sentences(d.Warnings(identity.NewDocNo(v)))
	}
}

func doubtUnitCode(v string, _ Form) string {
	c, _ := identity.CheckUnitCode(v)
	return identity.Sentences(c.Warnings)
}

// doubtUnitType holds the type against the credit code, where it tells one.
func doubtUnitType(v string, f Form) string {
	c, _ := identity.CheckUnitCode(f.Get(OrgUSCC))
	want, known := c.UnitType()
	if !known || want == identity.UnitType(v) {
		return ""
	}
	return "信用代码以 " + c.Value[:2] + " 开头，单位类型一般是“" + want.Label() + "”，请对照营业执照核对。"
}

func suggestUnitCode(v string) string {
	_, err := identity.CheckUnitCode(v)
	if e, ok := errors.AsType[*identity.Error](err); ok {
		return e.Suggestion
	}
	return ""
}

func checkOrgName(v string, _ Form, _ time.Time) (string, error) {
	n := PrintedName(v)
	switch {
	case len([]rune(n)) < 2:
		return "", Errorf(Invalid, "too_short", "请填写完整的单位名称").sentence()
	case !strings.ContainsFunc(n, unicode.IsLetter) || strings.ContainsFunc(n, notInOrgName):
		return "", Errorf(Invalid, "bad_character", "单位名称含有执照上不会出现的字符，请按执照填写").sentence()
	}
	return n, nil
}

// PrintedName writes the name of a unit, or a part of it, as its licence prints it:
// spaces only between words of other scripts, brackets full width. Names are kept
// and searched in this form.
func PrintedName(typed string) string {
	return fullBrackets.Replace(joinWords(strings.Fields(identity.HalfWidth(typed))))
}

var fullBrackets = strings.NewReplacer("(", "（", ")", "）")

// joinWords puts words together as a name is printed: a space stands between words of
// other scripts, none beside a Chinese character.
func joinWords(words []string) string {
	var b strings.Builder
	for _, w := range words {
		last, _ := utf8.DecodeLastRuneInString(b.String())
		if first, _ := utf8.DecodeRuneInString(w); inOtherScript(last) && inOtherScript(first) {
			b.WriteByte(' ')
		}
		b.WriteString(w)
	}
	return b.String()
}

func inOtherScript(r rune) bool {
	return (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".,&-", r)) && !unicode.Is(unicode.Han, r)
}

// notInOrgName knows what no licence prints. What passes can be put into a
// certificate: without markup, and without ";" there is no HTML entity, which the
// CA's linter refuses.
func notInOrgName(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" （）·•.,，、-—–&+/'’‘“”《》【】[]:：!@", r)
}

func checkAddress(v string, f Form, _ time.Time) (string, error) {
	a, err := identity.ParseAddress(f.Get(ShipProvince), f.Get(ShipCity), f.Get(ShipDistrict), v)
	return a.RevealDetail(), err
}

func maskName(v string) string     { return identity.NewPersonName(v).Mask() }
func maskMobile(v string) string   { return identity.NewMobile(v).Mask() }
func maskEmail(v string) string    { return identity.NewEmail(v).Mask() }
func maskDocument(v string) string { return identity.NewDocNo(v).Mask() }

func documentOptions() []Option {
	var out []Option
	for _, d := range identity.DocTypes {
		out = append(out, Option{string(d.Type), d.Label})
	}
	return out
}

func unitOptions() []Option {
	var out []Option
	for _, t := range []identity.UnitType{identity.Enterprise, identity.SoleTrader, identity.PublicBody} {
		out = append(out, Option{string(t), t.Label()})
	}
	return out
}

func industryOptions() []Option {
	var out []Option
	for _, i := range identity.Industries {
		out = append(out, Option{i.Code, i.Name})
	}
	return out
}

func provinceOptions() []Option {
	var out []Option
	for _, p := range identity.Provinces {
		out = append(out, Option{p.Name, p.Name})
	}
	return out
}
