package identity

import (
	"regexp"
	"strings"
)

// UnitType is the 单位类型 of the application form.
type UnitType string

// The unit types of the form.
const (
	Enterprise UnitType = "enterprise" // 企业
	SoleTrader UnitType = "individual" // 个体工商户
	PublicBody UnitType = "government" // 政府机构/事业单位
)

// Label returns the type as people read it.
func (t UnitType) Label() string {
	switch t {
	case Enterprise:
		return "企业"
	case SoleTrader:
		return "个体工商户"
	case PublicBody:
		return "政府机构/事业单位"
	default:
		return ""
	}
}

// unitTypeOf maps the first two characters of a credit code (registering
// department and category). The list is for hints only: amendments add more, and
// social organisations (51–53) go under the nearest type.
var unitTypeOf = map[string]UnitType{
	"91": Enterprise, "93": Enterprise,
	"92": SoleTrader,
	"11": PublicBody, "12": PublicBody, "51": PublicBody, "52": PublicBody, "53": PublicBody,
}

// UnitCodeKind tells which register a unit's code is from.
type UnitCodeKind string

// The kinds of unit codes.
const (
	KindUSCC           UnitCodeKind = "uscc"            // 统一社会信用代码
	KindOrgCode        UnitCodeKind = "org_code"        // 组织机构代码
	KindRegistrationNo UnitCodeKind = "registration_no" // 营业执照注册号
)

// Label returns the kind as people read it.
func (k UnitCodeKind) Label() string {
	switch k {
	case KindUSCC:
		return "统一社会信用代码"
	case KindOrgCode:
		return "组织机构代码"
	case KindRegistrationNo:
		return "营业执照注册号"
	default:
		return ""
	}
}

// UnitCode is a checked code of a unit. Such codes are public.
type UnitCode struct {
	Value    string
	Kind     UnitCodeKind
	Warnings []Warning
}

// NeedsReview reports whether the reviewer must be told that this is not a
// unified code (非统一码).
func (c UnitCode) NeedsReview() bool { return c.Kind != KindUSCC }

// UnitType guesses the type that the form preselects; ok is false where the code
// does not tell.
func (c UnitCode) UnitType() (t UnitType, ok bool) {
	if c.Kind != KindUSCC {
		return "", false
	}
	t, ok = unitTypeOf[c.Value[:2]]
	return t, ok
}

// CheckUnitCode accepts whatever a unit may type into the one box of the form: a
// unified social credit code, or, from the time before it, an organisation code or
// a 15-digit registration number.
func CheckUnitCode(s string) (UnitCode, error) {
	n := without(compact(s), isDash)
	var (
		c   UnitCode
		err error
	)
	switch len(n) {
	case 0:
		return c, fault(Missing, "请填写统一社会信用代码。")
	case 18:
		c.Kind = KindUSCC
		if c.Value, err = CheckUSCC(n); err == nil {
			c.Warnings = usccWarnings(c.Value)
		}
	case 15:
		c.Kind = KindRegistrationNo
		c.Value, err = CheckRegistrationNo(n)
	case 9:
		c.Kind = KindOrgCode
		c.Value, err = CheckOrgCode(n)
	default:
		return c, fault(BadLength, "统一社会信用代码应为18位；没有统一码的单位可填写9位组织机构代码或15位注册号，请检查是否多填或漏填。")
	}
	if err != nil {
		return UnitCode{}, err
	}
	return c, nil
}

// usccAlphabet leaves out I O S V Z, which are mistaken for digits (GB 32100-2015).
const usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// CheckUSCC normalises and checks a unified social credit code, GB 32100-2015.
func CheckUSCC(s string) (string, error) {
	n := without(compact(s), isDash)
	switch {
	case n == "":
		return "", fault(Missing, "请填写统一社会信用代码。")
	case len(n) != 18:
		return "", fault(BadLength, "统一社会信用代码应为18位，请检查是否多填或漏填。")
	case !only(n, usccAlphabet):
		e := fault(BadCharacter, "统一社会信用代码只含数字和大写字母，且不含I、O、S、V、Z，请对照营业执照检查。")
		e.Suggestion = suggestUSCC(n)
		return "", e
	case usccCheck(n) != n[17]:
		return "", fault(BadCheckDigit, "统一社会信用代码校验不通过，可能有一位填错，请对照营业执照逐位核对。")
	}
	return n, nil
}

// suggestUSCC reads I as 1 and O as 0, and offers the result if it is a valid code.
func suggestUSCC(n string) string {
	n = strings.NewReplacer("I", "1", "O", "0").Replace(n)
	if only(n, usccAlphabet) && usccCheck(n) == n[17] {
		return n
	}
	return ""
}

// usccCheck computes the check character of 17 valid ones: weights 3^(i-1) mod 31.
func usccCheck(n string) byte {
	sum, weight := 0, 1
	for i := range 17 {
		sum += strings.IndexByte(usccAlphabet, n[i]) * weight
		weight = weight * 3 % 31
	}
	return usccAlphabet[(31-sum%31)%31]
}

func usccWarnings(n string) (ws []Warning) {
	if region := n[2:8]; !only(region, digits) || !regions[region[:2]] && region != nationalRegion {
		ws = append(ws, Warning{"uscc_region", "代码中的登记地区不常见，请对照营业执照核对。"})
	}
	if org := n[8:17]; orgCheck(org) != org[8] {
		ws = append(ws, Warning{"uscc_org_code", "代码中的主体标识校验位不常见（部分早期代码如此），请对照营业执照核对。"})
	}
	return ws
}

// nationalRegion stands for registration with a central authority.
const nationalRegion = "100000"

var orgPattern = regexp.MustCompile(`^[0-9A-Z]{8}[0-9X]$`)

// CheckOrgCode normalises and checks an organisation code, GB 11714. The dash
// before the check character is dropped.
func CheckOrgCode(s string) (string, error) {
	n := without(compact(s), isDash)
	switch {
	case n == "":
		return "", fault(Missing, "请填写组织机构代码。")
	case len(n) != 9:
		return "", fault(BadLength, "组织机构代码应为9位（8位本体加1位校验码），请检查是否多填或漏填。")
	case !orgPattern.MatchString(n):
		return "", fault(BadCharacter, "组织机构代码只含数字和字母，最后一位是数字或X，请对照证书检查。")
	case orgCheck(n) != n[8]:
		return "", fault(BadCheckDigit, "组织机构代码校验不通过，可能有一位填错，请对照证书逐位核对。")
	}
	return n, nil
}

var orgWeights = [8]int{3, 7, 9, 10, 5, 8, 4, 2}

func orgCheck(n string) byte {
	sum := 0
	for i, w := range orgWeights {
		sum += strings.IndexByte(digits+letters, n[i]) * w
	}
	return "0X987654321"[sum%11] // 11 − sum mod 11, where 10 is X and 11 is 0
}

// CheckRegistrationNo normalises and checks a registration number of a business
// licence issued before the unified code: 15 digits, ISO 7064 MOD 11,10.
func CheckRegistrationNo(s string) (string, error) {
	n := without(compact(s), isDash)
	switch {
	case n == "":
		return "", fault(Missing, "请填写营业执照注册号。")
	case len(n) != 15:
		return "", fault(BadLength, "营业执照注册号应为15位数字，请检查是否多填或漏填。")
	case !only(n, digits):
		return "", fault(BadCharacter, "营业执照注册号只能包含数字，请对照营业执照检查。")
	case mod11x10(n[:14]) != n[14]:
		return "", fault(BadCheckDigit, "营业执照注册号校验不通过，可能有一位填错，请对照营业执照逐位核对。")
	}
	return n, nil
}

// mod11x10 is the hybrid system of ISO 7064 §8.
func mod11x10(body string) byte {
	p := 10
	for i := range len(body) {
		s := (p + int(body[i]-'0')) % 10
		if s == 0 {
			s = 10
		}
		p = s * 2 % 11
	}
	return digits[(11-p)%10]
}
