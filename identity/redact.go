package identity

import (
	"iter"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// SecretKind is a kind of value that does not belong in a chat.
type SecretKind string

// The kinds that RedactText finds.
const (
	SecretDocNo    SecretKind = "doc_no"    // 证件号码
	SecretMobile   SecretKind = "mobile"    // 手机号
	SecretBankCard SecretKind = "bank_card" // 银行卡号
	SecretCode     SecretKind = "code"      // 验证码
	SecretPIN      SecretKind = "pin"       // 密码、口令、PIN
)

const redacted = "****"

// A secretRule finds one kind. Only its first group is replaced, so that
// 密码是1234 stays readable as 密码是****.
type secretRule struct {
	kind    SecretKind
	pattern *regexp.Regexp
	// words, in small letters, of which every match has one. The rules without them find
	// what is letters, digits and what groups them.
	words []string
	// digits is how many a match of a rule without words has at least.
	digits int
	// number says that the match must not touch another digit.
	number bool
	// alone says that it must not touch a letter either.
	alone bool
	but   func(match string) bool
}

const secretWord = `(?i)(?:密码|口令|\b(?:pin\s?码?|password|passwd|pwd))` //nolint:gosec // a pattern that finds secrets

// The words of secretWord, as far as folding the case leaves them one way to be
// written, and those of codes.
var (
	secretWords = []string{"密码", "口令", "pin", "pa", "pw"}
	codeWords   = []string{"验证码", "校验码", "动态码", "短信码"}
	docWords    = []string{"护照", "台胞证", "通行证", "居留证", "军官证", "士官证", "警官证", "证件"}
)

// secretRules run in this order: what a phrase says of a number beats its shape.
// A number that merely looks like an ID is one: mistyped, it is still personal.
var secretRules = []secretRule{
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(secretWord + `\s*(?:(?:就|不)?(?:是|为|叫|改成|改为|设成|设为|设置为|重置为)|:|：|=|＝)+\s*['"“‘「]?([!-~]{1,64})`)},
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(`(?:密码|口令)[\s,，]*([!-~]{0,63}[0-9][!-~]{0,63})`), but: tooShortForPIN},
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(secretWord + `[\s,，]*([0-9][!-~]{3,63})`)},
	// What is handed over a few words after its name: 口令写这了 Zy880917. An address to
	// send it to is none.
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(secretWord + `[^!-~\n]{0,4}(?:写|发|给|贴|放|告诉|报|念)[^!-~\n]{0,6}\s*([!-?A-~]*(?:[A-Za-z][!-?A-~]*[0-9]|[0-9][!-?A-~]*[A-Za-z])[!-~]*)`), but: tooShortForPIN},
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(secretWord + `[\s,，]*(?:(?:我|记得|应该|可能|大概|好像|现在|目前|当时|之前|还|就|都|一直|设置?|用|换|改|搞|弄|定|填)\s*(?:的|了|过|成|个)?){1,3}\s*(?:是|为|叫)?\s*['"“‘「]?([!-~]{0,63}[0-9][!-~]{0,63})`), but: tooShortForPIN},
	{kind: SecretPIN, words: secretWords, pattern: regexp.MustCompile(`(?i)([0-9]{1,8})\s*(?:就?是|作为|做|当|作)\s*(?:我|你|您)?(?:们)?的?(?:新|旧|初始)?(?:密码|口令|pin)`), number: true},
	{kind: SecretCode, words: codeWords, pattern: regexp.MustCompile(`(?:验证码|校验码|动态码|短信码)[^0-9\n]{0,6}([0-9]{4,8})`), number: true},
	{kind: SecretDocNo, digits: 15, pattern: regexp.MustCompile(`([1-9][0-9]{5}[ -]?(?:18|19|20)[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{3}[ -]?[0-9Xx]|[1-9][0-9]{16}[Xx])`), number: true},
	{kind: SecretDocNo, digits: 15, pattern: regexp.MustCompile(`([1-9][0-9]{7}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3})`), number: true, alone: true, but: isRegistrationNo},
	{kind: SecretDocNo, digits: 7, pattern: regexp.MustCompile(`([HMhm][0-9]{8}(?:[0-9]{2})?|[EGeg][A-Za-z0-9][0-9]{7}|[A-Za-z]{3}[0-9]{12})`), number: true, alone: true},
	{kind: SecretDocNo, words: docWords, pattern: regexp.MustCompile(`(?:护照|台胞证|通行证|居留证|军官证|士官证|警官证|证件)(?:号码?|编号)?\s*(?:是|为)?[\s:：,，]*(?:\p{Han}{0,2}字第)?([A-Za-z]{0,3}[0-9]{6,12})`), number: true, alone: true},
	{kind: SecretMobile, digits: 11, pattern: regexp.MustCompile(`((?:(?:\+|00)?86[ -]?)?1[3-9][0-9](?:[ -]?[0-9]{4}){2}|(?:(?:\+|00)?86[ -]?)?1[3-9][0-9]{2}[ -]?[0-9]{3}[ -]?[0-9]{4})`), number: true},
	{kind: SecretBankCard, digits: 16, pattern: regexp.MustCompile(`([0-9]{4}(?:[ -]?[0-9]{4}){3}(?:[ -]?[0-9]{1,3})?|[0-9]{21,})`), number: true, alone: true},
	{kind: SecretCode, digits: 6, pattern: regexp.MustCompile(`([0-9]{6})`), number: true, alone: true},
}

// tooShortForPIN spares 密码 1 到 8 位: without a word that says "is", only four
// characters and more count.
func tooShortForPIN(match string) bool { return len(match) < 4 }

func isRegistrationNo(match string) bool {
	_, err := CheckRegistrationNo(match)
	return err == nil
}

// publicNumber matches what people legitimately write to us and what would look
// like a secret otherwise: order numbers, USBKEY and certificate serials, and
// unified codes. People space the first two as they are printed.
var publicNumber = regexp.MustCompile(`(?i)SAAS ?1(?:[ -]?[0-9]){18,20}|TW(?: ?[0-9]){14}|[0-9A-F]{39,40}|[0-9A-Z]{18}`)

// service is the number of a hotline, or one that sends texts for companies. None is as
// long as our codes, six digits, but by itself it may still be somebody else's.
const service = `1(?:00[0-9]{2}|2[0-9]{3}|118[0-9])|9[56][0-9]{3}|106[0-9]{5}`

// servicePatterns find such a number, as their first group, where the words beside it say
// what it is: 12306的验证码, 验证码是95588发来的.
var servicePatterns = []*regexp.Regexp{
	regexp.MustCompile(`(?:^|[^0-9])(` + service + `)\s*(?:(?:的|那个)?(?:短信|登录|登陆)?(?:验证码|校验码|动态码|短信码)|发的|发来的|发过来的|发送的|官方|客服|开头)`),
	regexp.MustCompile(`(?:^|[^0-9])(106[0-9]?)开头`),
	regexp.MustCompile(`(?:从|由|来自|拨打?|致电)\s*(` + service + `)(?:$|[^0-9])`),
}

// serviceNumbers are where they stand in s.
func serviceNumbers(s string) (at spans) {
	for _, p := range servicePatterns {
		for _, m := range p.FindAllStringSubmatchIndex(s, -1) {
			at = append(at, span{m[2], m[3]})
		}
	}
	return at
}

// WithoutServices leaves out the numbers of services that s tells about, which look like
// codes.
func WithoutServices(s string) string {
	for _, n := range serviceNumbers(s) {
		s = s[:n.from] + strings.Repeat(" ", n.to-n.from) + s[n.to:]
	}
	return s
}

// RedactText replaces personal numbers and secrets in free text with **** and
// tells which kinds it found, in the order of first discovery. Call it before
// anything is stored or logged. Full-width digits and letters come back
// half-width, numbers that are told in digits, and invisible characters are gone;
// all else stays as typed.
func RedactText(s string) (clean string, found []SecretKind) {
	s = InDigits(strings.Map(foldAlphanumeric, s))
	if !strings.ContainsFunc(s, isVisibleASCII) {
		return s, nil // most of what people write: no rule replaces anything else
	}
	small := strings.ToLower(s) // redacting adds no words
	for _, r := range secretRules {
		var n int
		if s, n = r.redact(s, small); n > 0 && !slices.Contains(found, r.kind) {
			found = append(found, r.kind)
		}
	}
	return s, found
}

// HasPersonalNumber reports whether RedactText finds the number of a person's document,
// mobile or bank card in s.
func HasPersonalNumber(s string) bool {
	_, found := RedactText(s)
	return slices.ContainsFunc(found, func(k SecretKind) bool { return k == SecretDocNo || k == SecretMobile || k == SecretBankCard })
}

// places are where in s, small as it was at first, the rule may find something, from and
// to: all of it if it has one of the words, or stretches that have enough digits.
func (r secretRule) places(s, small string) iter.Seq2[int, int] {
	if r.words == nil {
		return stretches(s, r.digits)
	}
	return func(yield func(int, int) bool) {
		if slices.ContainsFunc(r.words, func(w string) bool { return strings.Contains(small, w) }) {
			yield(0, len(s))
		}
	}
}

// stretches are the longest parts of s of letters, digits and what people group numbers
// with that have so many digits.
func stretches(s string, digits int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		from, n := 0, 0
		for at := range len(s) + 1 {
			switch {
			case at < len(s) && isDigit(s[at]):
				n++
			case at == len(s), !isAlphanumeric(s[at]) && s[at] != ' ' && s[at] != '-' && s[at] != '+':
				if n >= digits && !yield(from, at) {
					return
				}
				from, n = at+1, 0
			}
		}
	}
}

// InDigits writes a number that is told digit by digit in digits: 零三幺幺, 洞幺六二
// as on the radio, or 0 3 1 1; also one that is told by how often each occurs: 八个一.
func InDigits(s string) string {
	if strings.Contains(s, "个") {
		s = countedPattern.ReplaceAllStringFunc(s, asCounted)
	}
	if !digitsTold(s) {
		return s
	}
	return toldPattern.ReplaceAllStringFunc(s, toldDigits.Replace)
}

// asCounted writes 四个8两个6 as 888866. What is shorter than a PIN stays: 两个一 may be
// two of something.
func asCounted(told string) string {
	runes := []rune(toldDigits.Replace(strings.ReplaceAll(told, "两", "2")))
	if len(runes)%3 != 0 {
		return told // 四个一年期
	}
	var b strings.Builder
	for of := range slices.Chunk(runes, 3) { // a count, 个, a digit
		b.WriteString(strings.Repeat(string(of[2]), int(of[0]-'0')))
	}
	if b.Len() < minTold {
		return told
	}
	return b.String()
}

// minTold is how many digits told one by one are a number.
const minTold = 4

// digitsTold reports whether toldPattern may match.
func digitsTold(s string) bool {
	n := 0
	for _, c := range s {
		switch {
		case c == ' ':
		case '0' <= c && c <= '9', strings.ContainsRune(toldNumerals, c):
			if n++; n == minTold {
				return true
			}
		default:
			n = 0
		}
	}
	return false
}

// toldNumerals are the characters that digits are told by.
const toldNumerals = "零〇洞幺一壹二贰三叁四肆五伍六陆七柒拐八捌九玖勾"

var (
	// countedPattern takes one character more where the last digit counts something.
	countedPattern = regexp.MustCompile(`(?:[2-9二两三四五六七八九] ?个 ?[0-9零一二三四五六七八九])+(?:[年月天号日个把张元块百千万级兆点次]|[0-9])?`)
	toldPattern    = regexp.MustCompile(`[` + toldNumerals + `]{4,}|\b[0-9](?: [0-9]){3,}\b`)
	toldDigits     = strings.NewReplacer("零", "0", "〇", "0", "洞", "0", "幺", "1", "一", "1", "二", "2", "三", "3", "四", "4",
		"五", "5", "六", "6", "七", "7", "拐", "7", "八", "8", "九", "9", "勾", "9",
		"壹", "1", "贰", "2", "叁", "3", "肆", "4", "伍", "5", "陆", "6", "柒", "7", "捌", "8", "玖", "9", " ", "")
)

func isVisibleASCII(r rune) bool { return '!' <= r && r <= '~' }

func foldAlphanumeric(r rune) rune {
	half := r - fullWidth
	switch {
	case '一' <= r && r <= '龥': // most of what people write
		return r
	case half < unicode.MaxASCII && half > 0 && (half == '+' || half == '-' || isAlphanumeric(byte(half))):
		return half
	case r == '\u3000' || r == '\u00a0':
		return ' '
	case unicode.Is(unicode.Cf, r):
		return -1
	case isDash(r):
		return '-'
	}
	return r
}

func (r secretRule) redact(s, small string) (string, int) {
	var b strings.Builder
	var public spans
	done, n := 0, 0
	for at, end := range r.places(s, small) {
		for at < end {
			m := r.pattern.FindStringSubmatchIndex(s[at:end])
			if m == nil {
				break
			}
			if public == nil {
				public = publicRanges(s)
				if r.kind == SecretCode {
					public = append(public, serviceNumbers(s)...)
				}
			}
			from, to := at+m[2], at+m[3]
			if match := s[from:to]; !r.fits(s, from, to) || public.overlaps(from, to) || match == redacted || r.but != nil && r.but(match) {
				for at += m[0] + 1; r.number && at < end && isDigit(s[at-1]) && isDigit(s[at]); {
					at++ // inside a number none begins
				}
				continue // the next byte may start a better match
			}
			b.WriteString(s[done:from])
			b.WriteString(redacted)
			done, at, n = to, to, n+1
		}
	}
	if n == 0 {
		return s, 0
	}
	b.WriteString(s[done:])
	return b.String(), n
}

func (r secretRule) fits(s string, from, to int) bool {
	before, after := byte(' '), byte(' ')
	if from > 0 {
		before = s[from-1]
	}
	if to < len(s) {
		after = s[to]
	}
	if r.alone && (isAlphanumeric(before) || isAlphanumeric(after)) {
		return false
	}
	return !r.number || !isDigit(before) && (!isDigit(after) || !isDigit(s[to-1]))
}

type span struct{ from, to int }

type spans []span

func (ss spans) overlaps(from, to int) bool {
	for _, p := range ss {
		if from < p.to && p.from < to {
			return true
		}
	}
	return false
}

// publicRanges is never nil.
func publicRanges(s string) spans {
	public := spans{}
	for at, end := range stretches(s, 1) {
		for _, m := range publicNumber.FindAllStringIndex(s[at:end], -1) {
			from, to := at+m[0], at+m[1]
			if from > 0 && isAlphanumeric(s[from-1]) || to < len(s) && isAlphanumeric(s[to]) {
				continue
			}
			word := strings.ToUpper(strings.ReplaceAll(s[from:to], " ", ""))
			if len(word) == 18 && !isPublicUSCC(word) || len(word) >= 39 && only(word, digits) {
				continue
			}
			public = append(public, span{from, to})
		}
	}
	return public
}

// isPublicUSCC tells a unified code from an identity number, which may pass its
// check by chance: 17 digits and a digit or X are taken for a code only where no
// identity number begins so, nor passes its own check.
func isPublicUSCC(word string) bool {
	if _, err := CheckUSCC(word); err != nil {
		return false
	}
	return !citizenPattern.MatchString(word) || !regions[word[:2]] && citizenCheck(word) != word[17]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'A' <= c&^0x20 && c&^0x20 <= 'Z'
}
