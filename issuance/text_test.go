package issuance

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestFormatName(t *testing.T) {
	utf8 := func(s string) asn1.RawValue { return asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(s)} }
	for _, tc := range []struct {
		name string
		rdns pkix.RDNSequence
		want string
	}{
		{"last first", pkix.RDNSequence{{{Type: oidCountry, Value: "CN"}}, {{Type: oidOrganization, Value: utf8("甲公司")}}}, "O=甲公司,C=CN"},
		{"two in one", pkix.RDNSequence{{{Type: oidCountry, Value: "CN"}, {Type: oidCommonName, Value: "x"}}}, "CN=x+C=CN"},
		{"special characters", pkix.RDNSequence{{{Type: oidCommonName, Value: utf8(`A,B+C"D\E<F>G;H=I`)}}}, `CN=A\,B\+C\"D\\E\<F\>G\;H=I`},
		{"spaces and #", pkix.RDNSequence{{{Type: oidCommonName, Value: utf8(" # x ")}}}, `CN=\ # x\ `},
		{"leading #", pkix.RDNSequence{{{Type: oidCommonName, Value: utf8("#x")}}}, `CN=\#x`},
		{"control characters", pkix.RDNSequence{{{Type: oidCommonName, Value: utf8("a\tb\nc\x00")}}}, `CN=a\09b\0ac\00`},
		{"unknown type", pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{1, 2, 3}, Value: utf8("x")}}}, "1.2.3=#0c0178"},
		{"not text", pkix.RDNSequence{{{Type: oidCommonName, Value: 5}}}, "2.5.4.3=#020105"},
		{"empty", pkix.RDNSequence{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			raw, err := asn1.Marshal(tc.rdns)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := FormatName(raw); err != nil || got != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
	if _, err := FormatName([]byte{1, 2, 3}); err == nil {
		t.Error("formatted what is not a name")
	}
}

func TestListLine(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	_, csr := softwareCSR(t)
	r := request("line.1", "line", CompanyP256)
	r.CSR = csr
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	is, err := p.Run(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	line, err := is.Line(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if want := regexp.MustCompile(`^[0-9A-F]{40}\tCN=\S+,organizationIdentifier=USCC-91650100MA77DABC1D,O=\S+,C=CN\t\d{4}-\d\d-\d\dT15:59:59Z\tvalid$`); !want.MatchString(line) {
		t.Errorf("got %q", line)
	}
}

func TestStatus(t *testing.T) {
	end := time.Date(2027, 11, 23, 15, 59, 59, 0, time.UTC)
	before, after := end.Add(-time.Hour), end.Add(time.Hour)
	for _, tc := range []struct {
		name string
		is   Issue
		now  time.Time
		want Status
	}{
		{"in time", Issue{NotAfter: end}, before, Valid},
		{"the last second", Issue{NotAfter: end}, end, Valid},
		{"late", Issue{NotAfter: end}, after, Expired},
		{"frozen", Issue{NotAfter: end, RevokedAt: before, RevocationReason: 6}, before, Frozen},
		{"frozen and late", Issue{NotAfter: end, RevokedAt: before, RevocationReason: 6}, after, Expired},
		{"revoked", Issue{NotAfter: end, RevokedAt: before, RevocationReason: 1}, before, Revoked},
		{"revoked without a reason, and late", Issue{NotAfter: end, RevokedAt: before}, after, Revoked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := tc.is.Status(tc.now); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestEndOfSameDay(t *testing.T) {
	for _, tc := range []struct {
		name, issued string
		years        int
		want         string
	}{
		{"a year", "2026-11-23T10:12:00+08:00", 1, "2027-11-23T23:59:59+08:00"},
		{"the day is Shanghai's", "2026-11-23T16:30:00Z", 1, "2027-11-24T23:59:59+08:00"},
		{"leap day to common year", "2028-02-29T09:00:00+08:00", 1, "2029-02-28T23:59:59+08:00"},
		{"leap day to leap year", "2028-02-29T09:00:00+08:00", 4, "2032-02-29T23:59:59+08:00"},
		{"last day of the year", "2026-12-31T23:59:59+08:00", 3, "2029-12-31T23:59:59+08:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			issued, err := time.Parse(time.RFC3339, tc.issued)
			if err != nil {
				t.Fatal(err)
			}
			got := endOfSameDay(issued, tc.years)
			if s := got.In(shanghai).Format(time.RFC3339); s != tc.want || got.Location() != time.UTC {
				t.Errorf("got %s, want %s", s, tc.want)
			}
		})
	}
}

// Serial numbers have 20 octets, are positive, unique, and keep their 40 digits everywhere.
func TestNewSerial(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		s := newSerial()
		n := serialNumber(s)
		if len(s) != 40 || s != strings.ToUpper(s) || FormatSerial(n) != s || n.Sign() <= 0 || len(n.Bytes()) != 20 || n.BitLen() > 159 || n.Text(16) != strings.ToLower(s) || seen[s] {
			t.Fatalf("serial %s", s)
		}
		seen[s] = true
	}
	if got := FormatSerial(big.NewInt(10)); got != strings.Repeat("0", 39)+"A" {
		t.Errorf("got %s", got)
	}
}

// Every profile fits its issuing CA and has a rule for everything.
func TestProfiles(t *testing.T) {
	issuers := map[string]bool{}
	for _, a := range issuingAuthorities {
		issuers[a.label] = true
	}
	for name, p := range profiles {
		if p.Name != name || !issuers[p.Issuer] || signatureAlgorithms[p.Algorithm] == 0 || p.NotAfter == nil || p.MaxYears == 0 || p.KeyUsage == 0 {
			t.Errorf("profile %s: %+v", name, p)
		}
	}
	if _, err := LookupProfile("none"); err == nil {
		t.Error("a profile that does not exist")
	}
}

// A certificate that breaks a rule does not reach the HSM.
func TestLintStopsABadCertificate(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	bad := profiles[CompanyP256]
	bad.Name = "bad"
	bad.ExtKeyUsage = bad.ExtKeyUsage[:1] // clientAuth contradicts nonRepudiation
	profiles[bad.Name] = bad
	t.Cleanup(func() { delete(profiles, bad.Name) })
	_, csr := softwareCSR(t)
	r := request("bad.1", "bad", bad.Name)
	r.CSR = csr
	const want = "e_key_usage_and_extended_key_usage_inconsistent"
	if _, err := p.Make(t.Context(), r); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the subscriber's key: %v", err)
	}
	if len(f.ledger.issues) != 0 || len(f.ledger.history) != 0 {
		t.Errorf("%d issues, serials %v", len(f.ledger.issues), f.ledger.history)
	}
	is, err := p.Make(t.Context(), request("bad.2", "bad", bad.Name))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a USBKEY: %v", err)
	}
	if is.Stage != StageKeyMade || len(f.ledger.history) != 0 {
		t.Errorf("stage %s, serials %v", is.Stage, f.ledger.history)
	}
}

// The validity stays within what the product and the issuing CA allow.
func TestValidityIsBounded(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	for years, want := range map[int]string{0: "validity_years", -1: "validity_years", 6: "validity_years"} {
		_, csr := softwareCSR(t)
		is := Issue{Profile: CompanyP256, Company: company.Company, USCC: company.USCC, Years: years, CSR: csr}
		if _, err := p.ca.plan(is, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d years: %v", years, err)
		}
	}
	_, csr := softwareCSR(t)
	is := Issue{Profile: CompanyP256, Company: company.Company, USCC: company.USCC, Years: 5, CSR: csr}
	if _, err := p.ca.plan(is, time.Now().AddDate(6, 0, 0)); err == nil || !strings.Contains(err.Error(), "validity_issuer") {
		t.Errorf("beyond the issuing CA: %v", err)
	}
}

// F75: what is left of a renewed certificate is added to the new term; after its
// end the term counts from now. A replacement ends when the lost one would have.
func TestValidityContinues(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.ParseInLocation(time.DateTime, text, shanghai)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	now := at("2026-11-23 10:00:00")
	for _, test := range []struct {
		name      string
		years     int
		continues string
		want      string // end, or the code of the refusal
	}{
		{"first", 1, "", "2027-11-23 23:59:59"},
		{"renewed before the end", 1, "2026-12-10 23:59:59", "2027-12-10 23:59:59"},
		{"renewed on the last day", 2, "2026-11-23 23:59:59", "2028-11-23 23:59:59"},
		{"renewed after the end", 1, "2026-10-01 23:59:59", "2027-11-23 23:59:59"},
		{"29 February", 1, "2028-02-29 23:59:59", "2029-02-28 23:59:59"},
		{"replacement", 0, "2027-03-05 23:59:59", "2027-03-05 23:59:59"},
		{"replacement after the end", 0, "2026-11-22 23:59:59", "validity_over"},
		{"no years and nothing to continue", 0, "", "validity_years"},
		{"negative", -1, "2026-12-10 23:59:59", "validity_years"},
		{"too many", 6, "2026-12-10 23:59:59", "validity_years"},
	} {
		is := Issue{Years: test.years}
		if test.continues != "" {
			is.Continues = at(test.continues)
		}
		from, err := is.validFrom(now, 5)
		if refusal, ok := errors.AsType[*Refusal](err); ok {
			if refusal.Code != test.want {
				t.Errorf("%s: refused as %s, want %s", test.name, refusal.Code, test.want)
			}
			continue
		}
		if end := endOfSameDay(from, test.years).In(shanghai).Format(time.DateTime); end != test.want {
			t.Errorf("%s: ends %s, want %s", test.name, end, test.want)
		}
	}
}
