package issuance

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Reliability 29: weak keys, weak signatures and names that were not approved are
// refused, each for its own reason.
func TestCheckCSR(t *testing.T) {
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsa2048 := rsaKey(t, 2048)
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	ec, rs := profiles[CompanyP256], profiles[CompanyRSA]

	name := func(s Subject) []byte {
		raw, err := ec.rawSubject(s)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	csr := func(key crypto.Signer, change ...func(*x509.CertificateRequest)) []byte {
		t.Helper()
		template := &x509.CertificateRequest{RawSubject: name(company)}
		for _, c := range change {
			c(template)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	subject := func(raw []byte) func(*x509.CertificateRequest) {
		return func(c *x509.CertificateRequest) { c.RawSubject = raw }
	}
	algorithm := func(a x509.SignatureAlgorithm) func(*x509.CertificateRequest) {
		return func(c *x509.CertificateRequest) { c.SignatureAlgorithm = a }
	}
	flip := func(der []byte) []byte {
		bad := bytes.Clone(der)
		bad[len(bad)-1] ^= 1
		return bad
	}
	changed := func(edit func(pkix.RDNSequence) pkix.RDNSequence) []byte {
		rdns, err := ec.name(company)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := asn1.Marshal(edit(rdns))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	printable := []byte("Acme")

	for _, tc := range []struct {
		name    string
		der     []byte
		profile Profile
		subject Subject
		want    string // the refusal's code; empty: accepted
	}{
		{"P-256", csr(p256), ec, company, ""},
		{"RSA-2048", csr(rsa2048), rs, company, ""},
		{"made by OpenSSL", opensslCSR(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha256"), ec, company, ""},
		{"other string type, same text", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence {
			r[1][0].Value = asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: printable}
			r[3][0].Value = asn1.RawValue{Tag: asn1.TagPrintableString, Bytes: printable}
			return r
		}))), ec, Subject{"Acme", company.USCC}, ""},

		{"empty", nil, ec, company, "csr_malformed"},
		{"not DER", []byte("-----BEGIN CERTIFICATE REQUEST-----"), ec, company, "csr_malformed"},
		{"trailing byte", append(csr(p256), 0), ec, company, "csr_malformed"},
		{"too long", csr(p256, func(c *x509.CertificateRequest) { c.DNSNames = []string{strings.Repeat("a.", csrLimit)} }), ec, company, "csr_malformed"},

		{"P-384", csr(p384), ec, company, "csr_key_algorithm"},
		{"Ed25519", csr(edwards), ec, company, "csr_key_algorithm"},
		{"RSA for an EC product", csr(rsa2048), ec, company, "csr_key_algorithm"},
		{"EC for an RSA product", csr(p256), rs, company, "csr_key_algorithm"},
		{"RSA-3072 for an RSA-2048 product", csr(rsaKey(t, 3072)), rs, company, "csr_key_algorithm"},

		{"RSA-1024", csr(rsaKey(t, 1024)), rs, company, "csr_weak_key"},
		{"exponent 3", opensslCSR(t, "-newkey", "rsa:2048", "-pkeyopt", "rsa_keygen_pubexp:3", "-sha256"), rs, company, "csr_weak_key"},
		{"ROCA", csr(rocaKey(t)), rs, company, "csr_weak_key"},
		{"close primes", csr(closeKey(t)), rs, company, "csr_weak_key"},

		{"RSA signed with SHA-1", opensslCSR(t, "-newkey", "rsa:2048", "-sha1"), rs, company, "csr_signature_algorithm"},
		{"EC signed with SHA-1", opensslCSR(t, "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha1"), ec, company, "csr_signature_algorithm"},
		{"signed with SHA-512", csr(p256, algorithm(x509.ECDSAWithSHA512)), ec, company, "csr_signature_algorithm"},
		{"RSA-PSS", csr(rsa2048, algorithm(x509.SHA256WithRSAPSS)), rs, company, "csr_signature_algorithm"},
		{"bad EC signature", flip(csr(p256)), ec, company, "csr_signature"},
		{"bad RSA signature", flip(csr(rsa2048)), rs, company, "csr_signature"},

		{"another company", csr(p256, subject(name(Subject{"别的公司", company.USCC}))), ec, company, "csr_subject"},
		{"another USCC", csr(p256, subject(name(Subject{company.Company, "91650100MA77DABC1X"}))), ec, company, "csr_subject"},
		{"no name", csr(p256, subject(changed(func(pkix.RDNSequence) pkix.RDNSequence { return nil }))), ec, company, "csr_subject"},
		{"one attribute less", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence { return r[:3] }))), ec, company, "csr_subject"},
		{"one attribute more", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence { return append(r, r[3]) }))), ec, company, "csr_subject"},
		{"other order", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence {
			r[1], r[2] = r[2], r[1]
			return r
		}))), ec, company, "csr_subject"},
		{"two attributes in one", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence {
			r[3] = append(r[3], r[2]...)
			return r
		}))), ec, company, "csr_subject"},
		{"bytes that are not text", csr(p256, subject(changed(func(r pkix.RDNSequence) pkix.RDNSequence {
			r[3][0].Value = asn1.RawValue{Tag: asn1.TagOctetString, Bytes: []byte(company.Company)}
			return r
		}))), ec, company, "csr_subject"},

		{"DNS name", csr(p256, func(c *x509.CertificateRequest) { c.DNSNames = []string{"example.cn"} }), ec, company, "csr_extensions"},
		{"e-mail address", csr(p256, func(c *x509.CertificateRequest) { c.EmailAddresses = []string{"a@example.cn"} }), ec, company, "csr_extensions"},
		{"URI", csr(p256, func(c *x509.CertificateRequest) { c.URIs = []*url.URL{{Scheme: "https", Host: "example.cn"}} }), ec, company, "csr_extensions"},
		{"basicConstraints", csr(p256, func(c *x509.CertificateRequest) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}}
		}), ec, company, "csr_extensions"},

		{"no company approved", csr(p256), ec, Subject{"", company.USCC}, "subject_incomplete"},
		{"company name too long", csr(p256), ec, Subject{strings.Repeat("长", 65), company.USCC}, "subject_too_long"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := CheckCSR(tc.der, tc.profile, tc.subject)
			var refusal *Refusal
			switch errors.As(err, &refusal); {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (refusal == nil || refusal.Code != tc.want):
				t.Errorf("got %v, want %s", err, tc.want)
			case refusal != nil && refusal.Detail == "":
				t.Error("no sentence for a person")
			}
		})
	}
}

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// opensslCSR has an independent program make the request, also the kinds that Go
// does not make any more.
func opensslCSR(t *testing.T, args ...string) []byte {
	t.Helper()
	key := filepath.Join(t.TempDir(), "key")
	subject := "/C=CN/O=" + company.Company + "/2.5.4.97=USCC-" + company.USCC + "/CN=" + company.Company
	cmd := exec.Command("openssl", append([]string{"req", "-new", "-nodes", "-keyout", key, "-utf8", "-subj", subject}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	block, _ := pem.Decode(out)
	return block.Bytes
}

// rocaKey makes a key as the chips of CVE-2017-15361 did: primes k·M + 65537^a mod M.
func rocaKey(t *testing.T) crypto.Signer {
	t.Helper()
	m := big.NewInt(1)
	for _, p := range rocaPrimes {
		m.Mul(m, big.NewInt(p))
	}
	m.Lsh(m, 1)
	return keyOf(t, func(seed *mathrand.Rand) *big.Int {
		a := big.NewInt(seed.Int64())
		residue := new(big.Int).Exp(big.NewInt(65537), a, m)
		for {
			k := new(big.Int).Div(random1024(seed), m)
			if p := k.Mul(k, m).Add(k, residue); p.BitLen() == 1024 && p.ProbablyPrime(20) {
				return p
			}
		}
	})
}

func closeKey(t *testing.T) crypto.Signer {
	t.Helper()
	var last *big.Int
	return keyOf(t, func(seed *mathrand.Rand) *big.Int {
		if last == nil {
			last = random1024(seed)
		}
		for last = new(big.Int).Add(last, big.NewInt(2)); !last.ProbablyPrime(20); {
			last.Add(last, big.NewInt(2))
		}
		return last
	})
}

// random1024 returns an odd number whose two highest bits are set.
func random1024(seed *mathrand.Rand) *big.Int {
	b := make([]byte, 128)
	for i := range b {
		b[i] = byte(seed.Uint32())
	}
	b[0] |= 0xc0
	b[127] |= 1
	return new(big.Int).SetBytes(b)
}

func keyOf(t *testing.T, prime func(*mathrand.Rand) *big.Int) crypto.Signer {
	t.Helper()
	seed := mathrand.New(mathrand.NewPCG(1, 2))
	p, q := prime(seed), prime(seed)
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	return &textbookRSA{rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, new(big.Int).ModInverse(big.NewInt(65537), phi)}
}

// textbookRSA signs with keys that crypto/rsa refuses to touch.
type textbookRSA struct {
	public rsa.PublicKey
	d      *big.Int
}

func (k *textbookRSA) Public() crypto.PublicKey { return &k.public }

func (k *textbookRSA) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, Parameters: asn1.NullRawValue}, digest})
	if err != nil {
		return nil, err
	}
	em := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 256-3-len(info)), []byte{0}, info)
	return new(big.Int).Exp(new(big.Int).SetBytes(em), k.d, k.public.N).FillBytes(make([]byte, 256)), nil
}

// The tests for weak keys must not refuse strong ones.
func TestStrongModuliPass(t *testing.T) {
	for range 20 {
		n := rsaKey(t, 1024).N
		if roca(n) || closePrimes(n) || smallFactor(n) {
			t.Errorf("a random modulus is called weak: %x", n)
		}
	}
	if !smallFactor(new(big.Int).Mul(rsaKey(t, 1024).N, big.NewInt(751))) {
		t.Error("the factor 751 was not noticed")
	}
}

// Whatever is accepted is what we would have asked for.
func FuzzCheckCSR(f *testing.F) {
	_, good := softwareCSR(f)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		csr, err := CheckCSR(der, profiles[CompanyP256], company)
		if err != nil {
			if _, ok := errors.AsType[*Refusal](err); !ok {
				t.Errorf("not a refusal: %v", err)
			}
			return
		}
		if subject, err := FormatName(csr.RawSubject); err != nil || !strings.Contains(subject, company.USCC) {
			t.Errorf("accepted the name %q, %v", subject, err)
		}
		if key, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
			t.Errorf("accepted a %T", csr.PublicKey)
		}
	})
}
