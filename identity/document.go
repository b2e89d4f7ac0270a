package identity

import (
	"regexp"
	"slices"
	"time"
)

// DocNo is the number of a personal document.
type DocNo struct{ personal[docText] }

type docText string

func (t docText) clear() string { return string(t) }

// mask keeps the first 3 and the last 4 characters: 110***********002X. Of a
// short number that would leave next to nothing hidden, so only 2 and 2 stay.
func (t docText) mask() string {
	if len(t) < 15 {
		return keep(string(t), 2, 2, 4)
	}
	return keep(string(t), 3, 4, 8)
}

// NewDocNo wraps a value that was checked before, such as one read back from
// the store.
func NewDocNo(checked string) DocNo { return DocNo{hide(docText(checked))} }

// DocType is the stable code of a kind of personal document.
type DocType string

// The document types that the forms offer.
const (
	ResidentID       DocType = "resident_id"
	HKMTResidence    DocType = "hkmt_residence"
	HKMacaoPermit    DocType = "hk_macao_permit"
	TaiwanPermit     DocType = "taiwan_permit"
	ForeignPermanent DocType = "foreign_permanent"
	Passport         DocType = "passport"
)

// Ages that documents with a birth date are held against.
const (
	MinHolderAge    = 16 // an identity card is a duty from 16 on
	MinApplicantAge = 18 // the 经办人 signs for the company
	MaxAge          = 120
)

// Document describes one document type to forms and checks.
type Document struct {
	Type  DocType
	Label string
	// IDCard says that the two images are front and back of a card; otherwise
	// they are the photo page and an optional second page (证件照片页).
	IDCard bool

	check func(no string) (birthDate, error)
}

// DocTypes lists the documents in form order; the first is the default.
var DocTypes = []Document{
	{ResidentID, "居民身份证", true, checkResidentID},
	{HKMTResidence, "港澳台居民居住证", false, checkHKMTResidence},
	{HKMacaoPermit, "港澳居民来往内地通行证", false, checkHKMacaoPermit},
	{TaiwanPermit, "台湾居民来往大陆通行证", false, checkTaiwanPermit},
	{ForeignPermanent, "外国人永久居留身份证", false, checkForeignPermanent},
	{Passport, "护照", false, checkPassport},
}

// DocumentOf finds a type by its code.
func DocumentOf(t DocType) (Document, bool) {
	i := slices.IndexFunc(DocTypes, func(d Document) bool { return d.Type == t })
	if i < 0 {
		return Document{}, false
	}
	return DocTypes[i], true
}

// Label returns the type as people read it.
func (t DocType) Label() string {
	d, _ := DocumentOf(t)
	return d.Label
}

// ParseDocNo checks a number of type t whose holder must be minAge on today.
func ParseDocNo(t DocType, no string, minAge int, today time.Time) (DocNo, error) {
	d, ok := DocumentOf(t)
	if !ok {
		return DocNo{}, fault(UnknownType, "请选择证件类型。")
	}
	return d.Parse(no, minAge, today)
}

// Parse checks a number whose holder must be minAge on today. Types without a
// birth date in the number have no age to check.
func (d Document) Parse(no string, minAge int, today time.Time) (DocNo, error) {
	n := without(compact(no), func(r rune) bool { return isDash(r) || r == '(' || r == ')' })
	if n == "" {
		return DocNo{}, fault(Missing, "请填写证件号码。")
	}
	born, err := d.check(n)
	if err != nil {
		return DocNo{}, err
	}
	if err := born.checkAge(minAge, today); err != nil {
		return DocNo{}, err
	}
	return NewDocNo(n), nil
}

var chinesePassport = regexp.MustCompile(`^E[A-Z0-9]\d{7}$`)

// Warnings tells what is unusual about a valid number.
func (d Document) Warnings(no DocNo) []Warning {
	if d.Type == Passport && !chinesePassport.MatchString(no.Reveal()) {
		return []Warning{{"foreign_passport", "该号码不是中国普通护照的格式；如为中国护照，请对照护照资料页核对。"}}
	}
	return nil
}

// birthDate is the yyyymmdd inside a number, or empty if it has none.
type birthDate string

func (b birthDate) checkAge(minAge int, today time.Time) error {
	if b == "" {
		return nil
	}
	born, err := time.Parse("20060102", string(b))
	y, m, d := today.In(shanghai).Date()
	now := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	if err != nil || born.After(now) {
		return fault(BadDate, "证件号码中的出生日期不存在，请对照证件逐位核对。")
	}
	switch {
	case born.AddDate(minAge, 0, 0).After(now) && minAge == MinApplicantAge:
		return fault(BadAge, "经办人须年满18周岁，请更换经办人。")
	case born.AddDate(minAge, 0, 0).After(now):
		return fault(BadAge, "证件持有人未达到办理年龄，请核对证件号码或更换办理人。")
	case !born.AddDate(MaxAge+1, 0, 0).After(now):
		return fault(BadAge, "证件号码中的出生日期过早，请对照证件逐位核对。")
	}
	return nil
}

// shanghai is fixed: China keeps one zone without summer time.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// regions are the first two digits of GB/T 2260 codes, and 83, which residence
// permits of Taiwan residents use.
var regions = regionSet()

func regionSet() map[string]bool {
	set := map[string]bool{"83": true}
	for _, p := range Provinces {
		set[p.Code] = true
	}
	return set
}

var citizenPattern = regexp.MustCompile(`^\d{17}[0-9X]$`)

// checkResidentID follows GB 11643-1999. Cards with 15 digits are void since 2013.
func checkResidentID(n string) (birthDate, error) {
	if len(n) == 15 && only(n, digits) {
		return "", fault(BadLength, "15位身份证号已停止使用，请填写第二代身份证上的18位号码。")
	}
	if err := checkCitizenNo(n, "身份证号"); err != nil {
		return "", err
	}
	if !regions[n[:2]] {
		return "", fault(BadRegion, "身份证号的前两位不是有效的地区代码，请对照证件逐位核对。")
	}
	return birthDate(n[6:14]), nil
}

func checkHKMTResidence(n string) (birthDate, error) {
	if err := checkCitizenNo(n, "居住证号"); err != nil {
		return "", err
	}
	if p := n[:6]; p != "810000" && p != "820000" && p != "830000" {
		return "", fault(BadRegion, "港澳台居民居住证号应以810000、820000或830000开头，请核对证件类型和号码。")
	}
	return birthDate(n[6:14]), nil
}

// checkCitizenNo checks length, characters and the check digit of the 18-digit
// numbers, which all share ISO 7064 MOD 11-2.
func checkCitizenNo(n, what string) error {
	switch {
	case len(n) != 18:
		return fault(BadLength, what+"应为18位，请检查是否多填或漏填。")
	case !citizenPattern.MatchString(n):
		return fault(BadCharacter, what+"应为数字，仅最后一位可以是X，请检查后重新填写。")
	case citizenCheck(n) != n[17]:
		return fault(BadCheckDigit, what+"校验不通过，可能有一位填错，请对照证件逐位核对。")
	}
	return nil
}

var citizenWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

func citizenCheck(n string) byte {
	sum := 0
	for i, w := range citizenWeights {
		sum += int(n[i]-'0') * w
	}
	return "10X98765432"[sum%11]
}

// hkMacaoPermit: letter, 8 digits for life, on older cards 2 more that count
// renewals.
var hkMacaoPermit = regexp.MustCompile(`^[HM]\d{8}(\d{2})?$`)

func checkHKMacaoPermit(n string) (birthDate, error) {
	if !hkMacaoPermit.MatchString(n) {
		return "", fault(BadFormat, "港澳居民来往内地通行证号应为字母H或M加8位数字（旧证另有2位换证次数），请对照证件填写。")
	}
	return "", nil
}

var taiwanPermit = regexp.MustCompile(`^(\d{8}|\d{10}[A-Z]?)$`)

func checkTaiwanPermit(n string) (birthDate, error) {
	if !taiwanPermit.MatchString(n) {
		return "", fault(BadFormat, "台胞证号应为8位数字，旧证为10位数字（可带1位字母），请对照证件填写。")
	}
	return "", nil
}

var foreignPermanent2017 = regexp.MustCompile(`^[A-Z]{3}\d{12}$`)

// checkForeignPermanent knows both layouts: 2017 (three letters of the country
// and 12 digits) and 2023 (18 digits: 9, province, country, birth date, sequence,
// check digit).
func checkForeignPermanent(n string) (birthDate, error) {
	if foreignPermanent2017.MatchString(n) {
		return "", nil
	}
	if n[0] != '9' || len(n) != 18 {
		return "", fault(BadFormat, "外国人永久居留身份证号应为3位字母加12位数字（旧版），或以9开头的18位号码（新版），请对照证件填写。")
	}
	if err := checkCitizenNo(n, "永久居留身份证号"); err != nil {
		return "", err
	}
	return birthDate(n[6:14]), nil
}

var passportPattern = regexp.MustCompile(`^[A-Z0-9]{5,20}$`)

func checkPassport(n string) (birthDate, error) {
	if !passportPattern.MatchString(n) {
		return "", fault(BadFormat, "护照号应为5至20位字母或数字，请对照护照资料页填写。")
	}
	return "", nil
}
