package issuance

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// memoryStatus is a StatusLedger over the issues of a memoryLedger; it keeps the
// same guards as the database.
type memoryStatus struct {
	*memoryLedger
	crls      map[string]CRL
	responses map[string][]byte
	due       map[string]time.Time
	rev       map[string]int64
}

func newMemoryStatus(l *memoryLedger) *memoryStatus {
	return &memoryStatus{l, map[string]CRL{}, map[string][]byte{}, map[string]time.Time{}, map[string]int64{}}
}

// set revokes, freezes (6) or, at the zero time, resumes a certificate.
func (m *memoryStatus) set(serial string, at time.Time, reason int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, is := range m.issues {
		if is.Serial == serial {
			is.RevokedAt, is.RevocationReason = at, reason
			m.issues[id] = is
			c := m.crls[is.Issuer]
			c.Changes++
			m.crls[is.Issuer] = c
			m.rev[serial]++
			m.due[serial] = time.Time{}
		}
	}
}

func (m *memoryStatus) all(keep func(CertStatus) bool) (out []CertStatus) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, is := range m.issues {
		s := CertStatus{is.Serial, is.Issuer, is.NotAfter, is.RevokedAt, is.RevocationReason, m.rev[is.Serial]}
		if len(is.Certificate) > 0 && keep(s) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b CertStatus) int { return cmp.Compare(a.Serial, b.Serial) })
	return out
}

func (m *memoryStatus) CRL(_ context.Context, issuer string) (CRL, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.crls[issuer]
	c.Issuer = issuer
	return c, nil
}

func (m *memoryStatus) Revoked(_ context.Context, issuer string, since time.Time) ([]CertStatus, error) {
	return m.all(func(s CertStatus) bool {
		return s.Issuer == issuer && !s.RevokedAt.IsZero() && !s.NotAfter.Before(since)
	}), nil
}

func (m *memoryStatus) PutCRL(_ context.Context, c CRL) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.crls[c.Issuer]
	if was.Number != c.Number-1 {
		return ErrStale
	}
	c.Changes = was.Changes
	m.crls[c.Issuer] = c
	return nil
}

func (m *memoryStatus) CertStatus(_ context.Context, serial string) (CertStatus, error) {
	found := m.all(func(s CertStatus) bool { return s.Serial == serial })
	if len(found) == 0 {
		return CertStatus{}, ErrUnknownIssue
	}
	return found[0], nil
}

func (m *memoryStatus) DueStatuses(_ context.Context, now time.Time, limit int) ([]CertStatus, error) {
	due := m.all(func(s CertStatus) bool { return !m.due[s.Serial].After(now) })
	return due[:min(limit, len(due))], nil
}

func (m *memoryStatus) PutResponses(_ context.Context, responses []Response) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range responses {
		if m.rev[r.Of.Serial] == r.Of.Rev {
			m.responses[r.Of.Serial], m.due[r.Of.Serial] = r.DER, r.Due
		}
	}
	return nil
}

func (m *memoryStatus) Response(_ context.Context, serial string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if der := m.responses[serial]; der != nil {
		return der, nil
	}
	return nil, ErrUnknownIssue
}

// published is an issued certificate, its CA and what openssl needs as files.
type published struct {
	t      *testing.T
	f      *fixture
	ca     *CA
	ledger *memoryStatus
	is     Issue
	now    time.Time
	leaf   string
	url    string // of the OCSP responder
	split  string // of a responder without an HSM
}

func newPublished(t *testing.T, profile string) *published {
	t.Helper()
	f := newFixture(t)
	p := f.mustPipeline(t)
	r := request("i1", "item", profile)
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	is, err := p.Run(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	w := &published{t: t, f: f, ca: p.ca, ledger: newMemoryStatus(f.ledger), is: is, now: time.Now(), leaf: filepath.Join(f.dir, "leaf.pem")}
	w.ca.now = func() time.Time { return w.now }
	if err := os.WriteFile(w.leaf, encodePEM(is.Certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	serve := func(ca *CA) string {
		rs := NewResponder(p.ca.Chain, ca, w.ledger, w.ca.now)
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			body, err := io.ReadAll(req.Body)
			if err != nil {
				t.Error(err)
			}
			der, _, err := rs.Answer(req.Context(), body)
			if err != nil {
				t.Error(err)
			}
			rw.Header().Set("Content-Type", "application/ocsp-response")
			_, _ = rw.Write(der)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	w.url, w.split = serve(w.ca), serve(nil)
	return w
}

func (w *published) refresh() {
	w.t.Helper()
	if err := NewPublisher(w.ca, w.ledger).Refresh(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *published) path(name string) string {
	return certificateFile(filepath.Join(w.f.dir, "ca"), name)
}

func (w *published) issuing() string {
	return w.path(strings.TrimPrefix(w.is.Issuer, "ycd-"))
}

// crl writes the list of the leaf's issuer as PEM and returns it parsed.
func (w *published) crl() (file string, list *x509.RevocationList) {
	w.t.Helper()
	c := w.ledger.crls[w.is.Issuer]
	list, err := x509.ParseRevocationList(c.DER)
	if err != nil {
		w.t.Fatal(err)
	}
	file = filepath.Join(w.t.TempDir(), "issuing.crl")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: c.DER}), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file, list
}

// openssl runs a command that may answer no, and returns all it said.
func openssl(t *testing.T, args ...string) (string, bool) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	return string(out), err == nil
}

func (w *published) ask(url string, args ...string) string {
	w.t.Helper()
	out, _ := openssl(w.t, append([]string{"ocsp", "-CAfile", w.path("root"), "-verify_other", w.issuing(), "-issuer", w.issuing(), "-url", url}, args...)...)
	return out
}

// wantSaid asserts that openssl said each of the words.
func wantSaid(t *testing.T, out string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("openssl did not say %q:\n%s", word, out)
		}
	}
}

// F102: what is frozen, revoked and resumed is what three programs of openssl
// read from list and responder, for both algorithms.
func TestPublishedStatus(t *testing.T) {
	for _, profile := range []string{CompanyP256, CompanyRSA} {
		t.Run(profile, func(t *testing.T) {
			w := newPublished(t, profile)
			at := w.now.Add(-time.Minute).UTC().Truncate(time.Second)
			for n, step := range []struct {
				name   string
				at     time.Time
				reason int
				crl    string // of openssl crl -text
				ocsp   string
				valid  bool
			}{
				{"issued", time.Time{}, 0, "No Revoked Certificates", ": good", true},
				{"frozen", at, CertificateHold, "Certificate Hold", "Reason: certificateHold", false},
				{"resumed", time.Time{}, 0, "No Revoked Certificates", ": good", true},
				{"revoked", at, 1, "Key Compromise", "Reason: keyCompromise", false},
			} {
				t.Run(step.name, func(t *testing.T) {
					w.t = t
					if n > 0 {
						w.ledger.set(w.is.Serial, step.at, step.reason)
					}
					w.refresh()
					file, list := w.crl()
					if got := list.Number.Int64(); got != int64(n+1) {
						t.Errorf("CRL number %d, want %d", got, n+1)
					}
					out, _ := openssl(t, "crl", "-in", file, "-CAfile", w.issuing(), "-verify", "-noout", "-text")
					wantSaid(t, out, "verify OK", step.crl)
					root := w.path("root")
					rootCRL := strings.TrimSuffix(root, ".pem") + ".crl"
					out, ok := openssl(t, "verify", "-crl_check_all", "-x509_strict", "-CAfile", root, "-untrusted", w.issuing(), "-CRLfile", file, "-CRLfile", rootCRL, w.leaf)
					if ok != step.valid {
						t.Errorf("openssl verify -crl_check: %t, want %t\n%s", ok, step.valid, out)
					}
					for _, url := range []string{w.url, w.split} {
						out = w.ask(url, "-cert", w.leaf)
						wantSaid(t, out, "Response verify OK", step.ocsp)
						if hasNonce := !strings.Contains(out, "no nonce in response"); hasNonce != (url == w.url) {
							t.Errorf("nonce %t:\n%s", hasNonce, out)
						}
						wantSaid(t, w.ask(url, "-no_nonce", "-cert", w.leaf), "Response verify OK", step.ocsp)
					}
					wantSaid(t, w.ask(w.url, "-sha256", "-cert", w.leaf), "Response verify OK", step.ocsp)
				})
			}
		})
	}
}

// RFC 6960 §2.2 and RFC 5019 §2.2.3: a serial that was never issued is unknown,
// what cannot be answered is refused.
func TestOCSPRefusals(t *testing.T) {
	w := newPublished(t, CompanyP256)
	w.refresh()
	unissued := "0x" + strings.Repeat("7", 40)
	wantSaid(t, w.ask(w.url, "-serial", unissued), "Response verify OK", ": unknown")
	wantSaid(t, w.ask(w.split, "-serial", unissued), "unauthorized")
	wantSaid(t, w.ask(w.split, "-sha256", "-cert", w.leaf), "unauthorized")
	out, _ := openssl(t, "ocsp", "-issuer", w.path("root"), "-serial", "0x01", "-url", w.url)
	wantSaid(t, out, "unauthorized")
	out = w.ask(w.url, "-cert", w.leaf, "-serial", "0x02") // two questions at once
	wantSaid(t, out, "malformedrequest")

	r := NewResponder(w.ca.Chain, w.ca, w.ledger, w.ca.now)
	for name, request := range map[string][]byte{"empty": nil, "garbage": []byte("garbage"), "huge": make([]byte, MaxOCSPRequest+1)} {
		der, fresh, err := r.Answer(t.Context(), request)
		if !bytes.Equal(der, unsigned(ocspMalformed)) || !fresh || err != nil {
			t.Errorf("%s: %x, fresh %t, %v", name, der, fresh, err)
		}
	}
}

// An independent decoder reads what we encode, and the reference request of the
// same library is understood.
func TestOCSPAgainstReference(t *testing.T) {
	w := newPublished(t, CompanyP256)
	w.refresh()
	leaf, err := x509.ParseCertificate(w.is.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	issuer := w.ca.Issuing[w.is.Issuer]
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		request, err := ocsp.CreateRequest(leaf, issuer, &ocsp.RequestOptions{Hash: h})
		if err != nil {
			t.Fatal(err)
		}
		der, fresh, err := NewResponder(w.ca.Chain, w.ca, w.ledger, w.ca.now).Answer(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		if want := h != crypto.SHA1; fresh != want {
			t.Errorf("%v: signed for this request: %t, want %t", h, fresh, want)
		}
		got, err := ocsp.ParseResponseForCert(der, leaf, issuer)
		if err != nil {
			t.Fatal(err)
		}
		if got.Status != ocsp.Good || !got.NextUpdate.Equal(got.ThisUpdate.Add(statusLife)) || got.IssuerHash != h {
			t.Errorf("%v: %+v", h, got)
		}
	}
}

// Lists and responses are made anew in time, also when nothing changed; an
// expired certificate stays on one more list (RFC 5280 §3.3) and gets its last
// response.
func TestRenewal(t *testing.T) {
	w := newPublished(t, CompanyP256)
	w.ledger.set(w.is.Serial, w.now, 4)
	w.refresh()
	number := func() int64 { return w.ledger.crls[w.is.Issuer].Number }
	first := w.ledger.responses[w.is.Serial]
	w.refresh()
	if number() != 1 || !bytes.Equal(first, w.ledger.responses[w.is.Serial]) {
		t.Error("published again although nothing changed")
	}
	w.now = w.now.Add(crlRenewal)
	w.refresh()
	if number() != 2 || !bytes.Equal(first, w.ledger.responses[w.is.Serial]) {
		t.Errorf("after a day: CRL number %d, want 2, and the response as it was", number())
	}
	w.now = w.now.Add(ocspRenewal)
	w.refresh()
	if number() != 3 || bytes.Equal(first, w.ledger.responses[w.is.Serial]) {
		t.Errorf("after four days: CRL number %d, want 3, and a new response", number())
	}
	entries := func() int {
		_, list := w.crl()
		return len(list.RevokedCertificateEntries)
	}
	w.now = w.is.NotAfter.Add(time.Second)
	w.refresh()
	if entries() != 1 || !w.ledger.due[w.is.Serial].IsZero() {
		t.Errorf("first list after expiry: %d entries, want 1; next response due %v, want never", entries(), w.ledger.due[w.is.Serial])
	}
	w.now = w.now.Add(crlRenewal)
	w.refresh()
	if entries() != 0 {
		t.Errorf("second list after expiry: %d entries, want 0", entries())
	}
}

// A change while a list is being signed is on the next one; of two publishers
// with the same number one is told to stop.
func TestCRLGuards(t *testing.T) {
	w := newPublished(t, CompanyP256)
	race := func(r *racing) {
		t.Helper()
		r.memoryStatus = w.ledger
		if err := NewPublisher(w.ca, r).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	race(&racing{whileCRL: func() { w.ledger.set(w.is.Serial, w.now, CertificateHold) }})
	if _, list := w.crl(); len(list.RevokedCertificateEntries) != 0 {
		t.Fatal("the race was not set up")
	}
	w.refresh()
	if _, list := w.crl(); len(list.RevokedCertificateEntries) != 1 || list.Number.Int64() != 2 {
		t.Errorf("the change is not on list %v", list.Number)
	}
	w.now = w.now.Add(ocspRenewal)
	was := w.ledger.responses[w.is.Serial]
	race(&racing{whileOCSP: func() { w.ledger.set(w.is.Serial, w.now, 1) }})
	if !bytes.Equal(was, w.ledger.responses[w.is.Serial]) || w.ledger.due[w.is.Serial].After(w.now) {
		t.Error("a response of before the change was kept")
	}
	if err := w.ledger.PutCRL(t.Context(), CRL{Issuer: w.is.Issuer, Number: 2}); !errors.Is(err, ErrStale) {
		t.Errorf("a second list of number 2: %v, want ErrStale", err)
	}
}

// racing lets something happen between reading and keeping.
type racing struct {
	*memoryStatus
	whileCRL, whileOCSP func()
}

func (r *racing) PutCRL(ctx context.Context, c CRL) error {
	if r.whileCRL != nil && c.Issuer == P256Token {
		r.whileCRL()
	}
	return r.memoryStatus.PutCRL(ctx, c)
}

func (r *racing) PutResponses(ctx context.Context, responses []Response) error {
	if r.whileOCSP != nil {
		r.whileOCSP()
	}
	return r.memoryStatus.PutResponses(ctx, responses)
}

// The root's list is renewed in its second half and counts on.
func TestRootCRL(t *testing.T) {
	f := newFixture(t)
	cfg := config(f.dir, f.hsm)
	now := time.Now()
	cfg.Now = func() time.Time { return now }
	for _, step := range []struct {
		after  time.Duration
		number int64
	}{{0, 1}, {rootCRLLife/2 - time.Hour, 1}, {2 * time.Hour, 2}} {
		now = now.Add(step.after)
		if err := InitCA(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		der, err := ReadRootCRL(cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			t.Fatal(err)
		}
		if list.Number.Int64() != step.number {
			t.Errorf("%v later: CRL number %v, want %d", step.after, list.Number, step.number)
		}
	}
}

// The structures of a request (RFC 6960 §4.1), for an encoder that is not ours.
type (
	ocspRequest struct {
		TBS       tbsRequest
		Signature asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	tbsRequest struct {
		Version    int           `asn1:"explicit,tag:0,default:0,optional"`
		Requestor  asn1.RawValue `asn1:"explicit,tag:1,optional"`
		Requests   []singleRequest
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
	}
	singleRequest struct {
		ID         certID
		Extensions []pkix.Extension `asn1:"explicit,tag:0,optional"`
	}
)

func requestOf(change func(r *ocspRequest)) ocspRequest {
	r := ocspRequest{TBS: tbsRequest{Requests: []singleRequest{{ID: certID{
		Hash: pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, Serial: big.NewInt(5), NameHash: []byte{1}, KeyHash: []byte{2, 3},
	}}}}}
	change(&r)
	return r
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestOCSPRequestIsRead(t *testing.T) {
	nonce := pkix.Extension{Id: oidNonce, Value: []byte{4, 2, 8, 9}}
	other := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	text := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte("urn:x")}
	for name, test := range map[string]struct {
		change func(*ocspRequest)
		serial int64
		nonce  []byte
		err    error
	}{
		"plain":               {func(*ocspRequest) {}, 5, nil, nil},
		"nonce":               {func(r *ocspRequest) { r.TBS.Extensions = []pkix.Extension{nonce} }, 5, nonce.Value, nil},
		"nonce beside others": {func(r *ocspRequest) { r.TBS.Extensions = []pkix.Extension{other, nonce, nonce} }, 5, nonce.Value, nil},
		"nonce of no length":  {func(r *ocspRequest) { r.TBS.Extensions = []pkix.Extension{{Id: oidNonce}} }, 5, nil, nil},
		"nonce too long":      {func(r *ocspRequest) { r.TBS.Extensions = []pkix.Extension{{Id: oidNonce, Value: make([]byte, 131)}} }, 5, nil, nil},
		"signed, by name": {func(r *ocspRequest) {
			r.TBS.Requestor, r.Signature = explicitly(t, 1, text), explicitly(t, 0, []int{7})
		}, 5, nil, nil},
		"version 2":                {func(r *ocspRequest) { r.TBS.Version = 1 }, 5, nil, nil},
		"extensions of the single": {func(r *ocspRequest) { r.TBS.Requests[0].Extensions = []pkix.Extension{other} }, 5, nil, nil},
		"negative serial":          {func(r *ocspRequest) { r.TBS.Requests[0].ID.Serial = big.NewInt(-5) }, 0, nil, nil},
		"serial of 161 bits":       {func(r *ocspRequest) { r.TBS.Requests[0].ID.Serial = new(big.Int).Lsh(big.NewInt(1), 160) }, 0, nil, nil},
		"about two":                {func(r *ocspRequest) { r.TBS.Requests = append(r.TBS.Requests, r.TBS.Requests[0]) }, 0, nil, errManyRequests},
		"about none":               {func(r *ocspRequest) { r.TBS.Requests = nil }, 0, nil, errManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			der := encoded(t, requestOf(test.change))
			q, err := parseOCSPRequest(der)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			if q.id.Serial.Int64() != test.serial || q.hash != crypto.SHA1 || !bytes.Equal(q.nonce, test.nonce) || !bytes.Equal(q.id.NameHash, []byte{1}) || !bytes.Equal(q.id.KeyHash, []byte{2, 3}) {
				t.Errorf("got %+v", q)
			}
			for n := range der { // what is cut short or longer is refused
				if _, err := parseOCSPRequest(der[:n]); err == nil {
					t.Errorf("the first %d of %d bytes are taken for a request", n, len(der))
				}
			}
			if _, err := parseOCSPRequest(append(der, 0)); err == nil {
				t.Error("trailing data is taken")
			}
		})
	}
}

// explicitly wraps a value in [tag].
func explicitly(t testing.TB, tag int, v any) asn1.RawValue {
	t.Helper()
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: encoded(t, v)}
}

func FuzzOCSPRequest(f *testing.F) {
	f.Add(encoded(f, requestOf(func(r *ocspRequest) { r.TBS.Extensions = []pkix.Extension{{Id: oidNonce, Value: []byte{4, 1, 8}}} })))
	f.Add([]byte("0\x00"))
	f.Fuzz(func(t *testing.T, der []byte) {
		q, err := parseOCSPRequest(der)
		if err == nil && (q.id.Serial == nil || q.id.Serial.Sign() < 0 || len(q.nonce) > 130) {
			t.Errorf("%x: %+v", der, q)
		}
		var r ocspRequest
		rest, asn1Err := asn1.Unmarshal(der, &r)
		if err == nil && len(rest) == 0 && asn1Err == nil && len(r.TBS.Requests) == 1 && !bytes.Equal(r.TBS.Requests[0].ID.NameHash, q.id.NameHash) {
			t.Errorf("%x: two readers disagree: %x, %x", der, q.id.NameHash, r.TBS.Requests[0].ID.NameHash)
		}
	})
}
