package issuance

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// Subject is what a certificate says about its holder.
type Subject struct {
	Company string // O and CN
	USCC    string // organizationIdentifier, after "USCC-"
}

// Profile says what a kind of certificate looks like.
type Profile struct {
	Name      string
	Algorithm token.Algorithm
	// Issuer is the label of the issuing CA's token.
	Issuer string
	// Subject is the name, attribute by attribute, in order.
	Subject     []NameAttribute
	KeyUsage    x509.KeyUsage
	ExtKeyUsage []x509.ExtKeyUsage
	// Backdate is how long before its issue a certificate becomes valid, for
	// clocks that run slow.
	Backdate time.Duration
	// NotAfter is the validity rule.
	NotAfter func(issued time.Time, years int) time.Time
	MaxYears int
	// KeyYears says that a renewal on the subscriber's own USBKEY certifies the same
	// key pair again, until that many years after its first certificate began; zero
	// has each certificate have a key pair of its own.
	KeyYears int
}

// NameAttribute is one attribute of a subject name.
type NameAttribute struct {
	Type asn1.ObjectIdentifier
	Tag  int
	// Value may hold {company} and {uscc}.
	Value string
}

// The labels of the CA's tokens.
const (
	RootToken    = "ycd-root"
	P256Token    = "ycd-issuing-p256" //nolint:gosec // a label
	RSAToken     = "ycd-issuing-rsa"  //nolint:gosec // a label
	SealToken    = "ycd-seal"
	signatureKey = "ca"     // the signing key on each of them
	wrappingKey  = "keyset" // the AES key on the seal token
)

// The profiles of company certificates.
const (
	CompanyP256 = "company-p256"
	CompanyRSA  = "company-rsa2048"
)

var (
	oidCountry                = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidOrganization           = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidCommonName             = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidOrganizationIdentifier = asn1.ObjectIdentifier{2, 5, 4, 97}
)

var companyName = []NameAttribute{
	{oidCountry, asn1.TagPrintableString, "CN"},
	{oidOrganization, asn1.TagUTF8String, "{company}"},
	{oidOrganizationIdentifier, asn1.TagUTF8String, "USCC-{uscc}"},
	{oidCommonName, asn1.TagUTF8String, "{company}"},
}

// companyPurposes are what a company certificate is for. Client authentication
// alone would contradict the key usages nonRepudiation and keyEncipherment (RFC
// 5280 §4.2.1.12); signing and sealing messages is the purpose they serve.
var companyPurposes = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageEmailProtection}

// profiles is the table of everything this CA issues to subscribers.
var profiles = map[string]Profile{
	CompanyP256: {
		Name: CompanyP256, Algorithm: token.P256, Issuer: P256Token, Subject: companyName,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		ExtKeyUsage: companyPurposes,
		Backdate:    5 * time.Minute, NotAfter: endOfSameDay, MaxYears: 5,
	},
	CompanyRSA: {
		Name: CompanyRSA, Algorithm: token.RSA2048, Issuer: RSAToken, Subject: companyName,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: companyPurposes,
		Backdate:    5 * time.Minute, NotAfter: endOfSameDay, MaxYears: 5,
		KeyYears: 5, // bids are encrypted for it: what was, is still opened by the renewed key
	},
}

// LookupProfile returns the profile of that name.
func LookupProfile(name string) (Profile, error) {
	p, ok := profiles[name]
	if !ok {
		return Profile{}, refuse("profile_unknown", "证书类型不存在。", "profile %q", name)
	}
	return p, nil
}

// KeyUntil is until when a key pair, whose first certificate began at since, may be
// certified again under a profile: a certificate that ends then or later is renewed
// with a new one. Zero when each certificate has a key pair of its own.
func KeyUntil(profile string, since time.Time) time.Time {
	p := profiles[profile]
	if p.KeyYears == 0 || since.IsZero() {
		return time.Time{}
	}
	return since.AddDate(p.KeyYears, 0, 0)
}

var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// endOfSameDay is the validity rule of company certificates: the calendar day of
// the issue, years later, 23:59:59 in Asia/Shanghai. 29 February ends on 28 February.
func endOfSameDay(issued time.Time, years int) time.Time {
	y, month, day := issued.In(shanghai).Date()
	end := time.Date(y+years, month, day, 23, 59, 59, 0, shanghai)
	if end.Month() != month {
		end = end.AddDate(0, 0, -end.Day()) // back to the last day of month
	}
	return end.UTC()
}

// nameLimit is the upper bound of O and CN, in characters (RFC 5280 appendix A.1).
const nameLimit = 64

// name returns the attributes of the profile's subject name, filled in.
func (p Profile) name(s Subject) (pkix.RDNSequence, error) {
	if s.Company == "" || s.USCC == "" {
		return nil, refuse("subject_incomplete", "缺少企业名称或统一社会信用代码。", "company or USCC is empty")
	}
	if !utf8.ValidString(s.Company) || utf8.RuneCountInString(s.Company) > nameLimit {
		return nil, refuse("subject_too_long", "企业名称超过证书允许的 64 个字。", "company name has %d characters", utf8.RuneCountInString(s.Company))
	}
	fill := strings.NewReplacer("{company}", s.Company, "{uscc}", s.USCC)
	rdns := make(pkix.RDNSequence, len(p.Subject))
	for i, a := range p.Subject {
		rdns[i] = pkix.RelativeDistinguishedNameSET{{
			Type:  a.Type,
			Value: asn1.RawValue{Tag: a.Tag, Bytes: []byte(fill.Replace(a.Value))},
		}}
	}
	return rdns, nil
}

// rawSubject is the subject name in DER.
func (p Profile) rawSubject(s Subject) ([]byte, error) {
	rdns, err := p.name(s)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(rdns)
}
