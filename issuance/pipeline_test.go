package issuance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// F119: key pair on the token, issue, write, read back; openssl, pkcs11-tool and
// zlint agree.
func TestWholeIssue(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	for _, profile := range []string{CompanyP256, CompanyRSA} {
		t.Run(profile, func(t *testing.T) {
			r := request(profile+".1", profile, profile)
			if _, err := p.Open(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			is, err := p.Run(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			checkDone(t, f, p, is)
			checkProfile(t, f, is)
			checkOpenSSL(t, p, is)
			checkPKCS11Tool(t, p, is)
			if again, err := p.Run(t.Context(), r.ID); err != nil || !bytes.Equal(again.Certificate, is.Certificate) {
				t.Errorf("running it again: %v", err)
			}
		})
	}
}

// checkDone asserts what must hold of every finished issue.
func checkDone(t *testing.T, f *fixture, p *Pipeline, is Issue) {
	t.Helper()
	if is.Stage != StageDone {
		t.Fatalf("stage %s", is.Stage)
	}
	if live := f.ledger.live(is.Item); len(live) != 1 || live[0].Serial != is.Serial {
		t.Errorf("%d live serials for item %s", len(live), is.Item)
	}
	cert, err := x509.ParseCertificate(is.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if got := FormatSerial(cert.SerialNumber); got != is.Serial {
		t.Errorf("serial %s, recorded %s", got, is.Serial)
	}
	if !bytes.Equal(cert.RawTBSCertificate, is.TBS) {
		t.Error("the certificate is not the recorded TBS")
	}
	if err := cert.CheckSignatureFrom(p.ca.Issuing[is.Issuer]); err != nil {
		t.Error(err)
	}
	if err := lintCertificate(is.Certificate); err != nil {
		t.Error(err)
	}
	rec, err := f.ledger.Token(t.Context(), is.TokenSerial)
	if err != nil || rec.State != TokenPersonalized {
		t.Errorf("token %s: %s, %v", is.TokenSerial, rec.State, err)
	}
	challenge := []byte("challenge " + is.ID)
	sig, err := signChallenge(t.Context(), p, is.TokenSerial, challenge)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyChallenge(is.Certificate, is.TokenSerial, challenge, sig); err != nil {
		t.Error(err)
	}
	if err := VerifyChallenge(is.Certificate, is.TokenSerial, []byte("other"), sig); err == nil {
		t.Error("the answer to one challenge answers another")
	}
	if err := VerifyChallenge(is.Certificate, "TW00000000000000", challenge, sig); err == nil {
		t.Error("the answer of one token answers for another")
	}
}

// The company certificate is exactly what architecture §7 says.
func checkProfile(t *testing.T, f *fixture, is Issue) {
	t.Helper()
	cert, err := x509.ParseCertificate(is.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := FormatName(cert.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	want := "CN=新疆云采工程有限公司,organizationIdentifier=USCC-91650100MA77DABC1D,O=新疆云采工程有限公司,C=CN"
	if subject != want {
		t.Errorf("subject %s", subject)
	}
	if !bytes.Contains(cert.RawSubject, append([]byte{0x06, 0x03, 0x55, 0x04, 0x61, 0x0c, 23}, "USCC-91650100MA77DABC1D"...)) {
		t.Error("organizationIdentifier is not a UTF8String")
	}
	usage := x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if is.Profile == CompanyRSA {
		usage |= x509.KeyUsageKeyEncipherment
	}
	if cert.KeyUsage != usage {
		t.Errorf("key usage %b", cert.KeyUsage)
	}
	if !slices.Equal(cert.ExtKeyUsage, companyPurposes) || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(cert.UnknownExtKeyUsage) != 0 {
		t.Errorf("extended key usage %v", cert.ExtKeyUsage)
	}
	if !cert.BasicConstraintsValid || cert.IsCA {
		t.Error("basicConstraints is not CA:false")
	}
	issuing, err := ReadChain(filepath.Join(f.dir, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	if ski := issuing.Issuing[is.Issuer].SubjectKeyId; len(cert.SubjectKeyId) != 20 || !bytes.Equal(cert.AuthorityKeyId, ski) {
		t.Errorf("SKI %x, AKI %x, issuer's SKI %x", cert.SubjectKeyId, cert.AuthorityKeyId, ski)
	}
	name := map[string]string{CompanyP256: "issuing-p256", CompanyRSA: "issuing-rsa"}[is.Profile]
	base := "http://127.0.0.1:8080/pki/"
	urls := slices.Concat(cert.CRLDistributionPoints, cert.IssuingCertificateURL, cert.OCSPServer)
	if want := []string{base + name + ".crl", base + name + ".crt", base + "ocsp"}; !slices.Equal(urls, want) {
		t.Errorf("got  %s\nwant %s", urls, want)
	}
	if got := fmt.Sprint(cert.Policies); got != "[2.999.1.1]" {
		t.Errorf("policies %s", got)
	}
	if len(is.Serial) != 40 || is.Serial != strings.ToUpper(is.Serial) {
		t.Errorf("serial %s", is.Serial)
	}
	if want := endOfSameDay(is.CreatedAt, 1); !cert.NotAfter.Equal(want) || !is.NotAfter.Equal(want) {
		t.Errorf("not after %s, want %s", cert.NotAfter, want)
	}
	if d := is.CreatedAt.Sub(cert.NotBefore); d < 4*time.Minute || d > 6*time.Minute {
		t.Errorf("backdated by %s", d)
	}
}

func checkOpenSSL(t *testing.T, p *Pipeline, is Issue) {
	t.Helper()
	root := writeTemp(t, encodePEM(p.ca.Root.Raw))
	issuing := writeTemp(t, encodePEM(p.ca.Issuing[is.Issuer].Raw))
	leaf := writeTemp(t, encodePEM(is.Certificate))
	run(t, nil, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", root, "-untrusted", issuing, leaf)
	if out := run(t, nil, "openssl", "x509", "-in", leaf, "-noout", "-serial"); out != "serial="+is.Serial+"\n" {
		t.Errorf("openssl says %s, want %s", out, is.Serial)
	}
	bad := bytes.Clone(is.Certificate)
	bad[len(bad)-1] ^= 1
	if out, err := output(nil, "openssl", "verify", "-CAfile", root, "-untrusted", issuing, writeTemp(t, encodePEM(bad))); err == nil {
		t.Errorf("openssl accepts a changed signature: %s", out)
	}
	chain, err := p.ca.PEM(is)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(chain, []byte("BEGIN CERTIFICATE")); n != 3 || !bytes.HasPrefix(chain, encodePEM(is.Certificate)) || !bytes.HasSuffix(chain, encodePEM(p.ca.Root.Raw)) {
		t.Errorf("chain of %d certificates:\n%s", n, chain)
	}
}

// checkPKCS11Tool uses the USBKEY as a stranger's program would.
func checkPKCS11Tool(t *testing.T, p *Pipeline, is Issue) {
	t.Helper()
	pin, err := p.InitialPIN(t.Context(), is.TokenSerial)
	if err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		t.Helper()
		return run(t, nil, "pkcs11-tool", append([]string{"--module", softHSM, "--token-label", is.TokenSerial, "--login", "--pin", pin.Reveal()}, args...)...)
	}
	id := hex.EncodeToString(containerID(is.ID))
	objects := tool("--list-objects")
	for _, want := range []string{"Private Key Object", "Public Key Object", "Certificate Object", "Data object", "never extractable"} {
		if strings.Count(objects, want) != 1 {
			t.Errorf("%q not once in\n%s", want, objects)
		}
	}
	if n := strings.Count(objects, id); n != 3 {
		t.Errorf("%d objects have id %s:\n%s", n, id, objects)
	}
	read := filepath.Join(t.TempDir(), "cert.der")
	tool("--read-object", "--type", "cert", "--id", id, "--output-file", read)
	if der, err := os.ReadFile(read); err != nil || !bytes.Equal(der, is.Certificate) {
		t.Errorf("certificate on the token differs: %v", err)
	}

	message := []byte("what the subscriber signs")
	digest := sha256.Sum256(message)
	sig := filepath.Join(t.TempDir(), "sig")
	if is.Profile == CompanyRSA {
		tool("--sign", "--id", id, "--mechanism", "SHA256-RSA-PKCS", "--input-file", writeTemp(t, message), "--output-file", sig)
	} else {
		tool("--sign", "--id", id, "--mechanism", "ECDSA", "--signature-format", "openssl", "--input-file", writeTemp(t, digest[:]), "--output-file", sig)
	}
	leaf := writeTemp(t, encodePEM(is.Certificate))
	public := writeTemp(t, []byte(run(t, nil, "openssl", "x509", "-in", leaf, "-noout", "-pubkey")))
	run(t, message, "openssl", "dgst", "-sha256", "-verify", public, "-signature", sig)
}

// Reliability 7: killed between any two steps, it resumes, and there is exactly
// one certificate, and no serial but its own.
func TestCrashBetweenAnyTwoSteps(t *testing.T) {
	f := newFixture(t)
	crash := func(name string, ctx context.Context, ledger Ledger) (crashed bool) {
		t.Helper()
		r := request(name+".1", name, CompanyP256)
		p, shut := f.pipeline(t, ledger)
		_, err := p.Open(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Run(ctx, r.ID)
		shut()
		crashed = err != nil
		if crashed && !errors.Is(err, errCrash) && !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: %v", name, err)
		}
		before, _ := f.ledger.Issue(t.Context(), r.ID)

		p, shut = f.pipeline(t, f.ledger)
		defer shut()
		is, err := p.Run(t.Context(), r.ID)
		if err != nil {
			t.Fatalf("%s: resuming from %s: %v", name, before.Stage, err)
		}
		if before.Serial != "" && is.Serial != before.Serial {
			t.Errorf("%s: resumed with serial %s instead of %s", name, is.Serial, before.Serial)
		}
		if before.Certificate != nil && !bytes.Equal(is.Certificate, before.Certificate) {
			t.Errorf("%s: a second certificate was stored", name)
		}
		checkDone(t, f, p, is)
		if n := len(f.ledger.history); f.ledger.history[n-1] != is.Serial {
			t.Errorf("%s: the last serial committed is not the certificate's", name)
		}
		f.ledger.history = f.ledger.history[:0]
		return crashed
	}
	for _, when := range []struct {
		name  string
		after bool
	}{{"before", false}, {"after", true}} {
		t.Run("the ledger dies "+when.name+" it commits", func(t *testing.T) {
			n := 0
			for crash(fmt.Sprintf("ledger-%s-%d", when.name, n), t.Context(), &crashingLedger{memoryLedger: f.ledger, n: n, after: when.after}) {
				n++
			}
			if n < 10 {
				t.Errorf("only %d calls of the ledger were tried", n)
			}
		})
	}
	t.Run("the work stops", func(t *testing.T) {
		n := 0
		for crash(fmt.Sprintf("work-%d", n), newCountdown(t.Context(), n), f.ledger) {
			n++
		}
		if n < 15 {
			t.Errorf("only %d places were tried", n)
		}
	})
}

// Reliability 7: the serial and the hash of what will be signed are committed
// before the CA's key is used.
func TestNothingIsSignedThatTheLedgerDoesNotKnow(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	r := request("a.1", "a", CompanyP256)
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for is, err := p.ledger.Issue(t.Context(), r.ID); is.Stage != StageSigning; is, err = p.ledger.Issue(t.Context(), r.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if is.Certificate != nil || is.Serial != "" {
			t.Fatalf("%s has serial %q", is.Stage, is.Serial)
		}
		step := steps[is.Stage]
		if _, err := p.advance(t.Context(), step.name, is, step.do, step.next); err != nil {
			t.Fatal(err)
		}
	}
	is, _ := p.ledger.Issue(t.Context(), r.ID)
	if len(is.Serial) != 40 || len(is.TBSHash) != 32 || is.Certificate != nil {
		t.Errorf("serial %q, hash %x, certificate %x", is.Serial, is.TBSHash, is.Certificate)
	}
	t.Run("changed TBS is not signed", func(t *testing.T) {
		changed := is
		changed.TBS = bytes.Clone(is.TBS)
		changed.TBS[len(changed.TBS)-1] ^= 1
		if _, err := p.ca.sign(t.Context(), changed); err == nil {
			t.Error("signed")
		}
	})
	t.Run("signing twice gives one certificate's content", func(t *testing.T) {
		a, err := p.ca.sign(t.Context(), is)
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.ca.sign(t.Context(), is)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(a, b) {
			t.Error("ECDSA signatures repeat themselves")
		}
		ta, _ := tbsOf(a)
		tb, _ := tbsOf(b)
		if !bytes.Equal(ta, tb) || !bytes.Equal(ta, is.TBS) {
			t.Error("the signed content differs")
		}
	})
}

// F120: quantity n makes n keys, at once; and two workers on one item make one.
func TestConcurrentIssues(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	const items, workers = 5, 3
	var wg sync.WaitGroup
	for i := range items {
		r := request(fmt.Sprintf("c%d.1", i), fmt.Sprintf("c%d", i), CompanyP256)
		for range workers {
			wg.Go(func() {
				if _, err := p.Open(t.Context(), r); err != nil {
					t.Error(err)
					return
				}
				if _, err := p.Run(t.Context(), r.ID); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	serials, keys, tokens := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range items {
		is, err := f.ledger.Issue(t.Context(), fmt.Sprintf("c%d.1", i))
		if err != nil {
			t.Fatal(err)
		}
		checkDone(t, f, p, is)
		serials[is.Serial], keys[is.KeyHash], tokens[is.TokenSerial] = true, true, true
	}
	if len(serials) != items || len(keys) != items || len(tokens) != items {
		t.Errorf("%d serials, %d keys, %d tokens for %d items", len(serials), len(keys), len(tokens), items)
	}
}

// F120: a blank that dies after signing: its serial is revoked, a new blank gets a new one.
func TestScrapAndTryAgain(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	for _, stage := range []Stage{StageRequested, StageTokenChosen, StageKeyMade, StageSigning, StageStored, StageWritten} {
		t.Run(string(stage), func(t *testing.T) {
			item := "scrap-" + string(stage)
			first := request(item+".1", item, CompanyP256)
			is, err := p.Open(t.Context(), first)
			if err != nil {
				t.Fatal(err)
			}
			for is.Stage != stage {
				step := steps[is.Stage]
				if is, err = p.advance(t.Context(), step.name, is, step.do, step.next); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := p.Open(t.Context(), request(item+".2", item, CompanyP256)); !errors.Is(err, ErrItemBusy) {
				t.Errorf("a second attempt beside a live one: %v", err)
			}
			dead, err := p.Scrap(t.Context(), first.ID, "blank_dead")
			if err != nil {
				t.Fatal(err)
			}
			if revoked := !dead.RevokedAt.IsZero(); dead.Stage != StageFailed || revoked != (dead.Serial != "") {
				t.Errorf("stage %s, serial %q, revoked %v", dead.Stage, dead.Serial, revoked)
			}
			if dead.TokenSerial != "" {
				if rec, _ := f.ledger.Token(t.Context(), dead.TokenSerial); rec.State != TokenScrapped {
					t.Errorf("token is %s", rec.State)
				}
			}
			var refusal *Refusal
			if _, err := p.Run(t.Context(), first.ID); !errors.As(err, &refusal) || refusal.Code != "issue_failed" {
				t.Errorf("a failed issue ran on: %v", err)
			}
			if _, err := p.Open(t.Context(), request(item+".2", item, CompanyP256)); err != nil {
				t.Fatal(err)
			}
			is, err = p.Run(t.Context(), item+".2")
			if err != nil {
				t.Fatal(err)
			}
			checkDone(t, f, p, is)
			if is.Serial == dead.Serial || is.TokenSerial == dead.TokenSerial {
				t.Error("the new attempt has the serial or the token of the dead one")
			}
			if _, err := p.Scrap(t.Context(), is.ID, "x"); !errors.As(err, &refusal) || refusal.Code != "issue_done" {
				t.Errorf("a finished issue was scrapped: %v", err)
			}
		})
	}
}

// A blank that was swapped or damaged is noticed before the issue is done.
func TestDamagedTokenIsNoticed(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	at := func(t *testing.T, id string, stage Stage) Issue {
		t.Helper()
		is, err := p.Open(t.Context(), request(id+".1", id, CompanyP256))
		for err == nil && is.Stage != stage {
			step := steps[is.Stage]
			is, err = p.advance(t.Context(), step.name, is, step.do, step.next)
		}
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	t.Run("another certificate on it", func(t *testing.T) {
		is, other := at(t, "swap", StageWritten), at(t, "swap-other", StageStored)
		stored := is
		stored.Certificate = other.Certificate
		f.ledger.issues[is.ID] = stored
		if _, err := p.Run(t.Context(), is.ID); !errors.Is(err, token.Mismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another key in it", func(t *testing.T) {
		is, other := at(t, "key", StageStored), at(t, "key-other", StageStored)
		is.Certificate = other.Certificate
		f.ledger.issues[is.ID] = is
		if _, err := p.Run(t.Context(), is.ID); !errors.Is(err, token.Mismatch) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("taken away", func(t *testing.T) {
		is := at(t, "gone", StageStored)
		stored := f.ledger.tokens[is.TokenSerial]
		keys, rec := p.ca.keyset, TokenRecord{Serial: "TW99999999999999", State: stored.State, IssueID: is.ID}
		if err := sealToken(keys, &rec, tokenSecrets{token.NewSOPIN(), token.NewUserPIN(), make([]byte, 32)}); err != nil {
			t.Fatal(err)
		}
		is.TokenSerial, f.ledger.tokens[rec.Serial] = rec.Serial, rec
		f.ledger.issues[is.ID] = is
		_, err := p.Run(t.Context(), is.ID)
		if detail, _ := Detail(err); !errors.Is(err, token.Missing) || detail != "未检测到 USBKEY，请确认已插好后重试。" {
			t.Errorf("got %v: %s", err, detail)
		}
	})
}

// F123, F124: only what was approved is certified.
func TestRequestIsBoundToItsSnapshot(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	r := request("s.1", "s", CompanyP256)
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Errorf("opening again: %v", err)
	}
	for name, change := range map[string]func(*Request){
		"snapshot": func(r *Request) { r.SnapshotHash = make([]byte, 32) },
		"company":  func(r *Request) { r.Subject.Company = "别的公司" },
		"USCC":     func(r *Request) { r.Subject.USCC = "91650100MA77DABC1X" },
		"years":    func(r *Request) { r.Years = 2 },
		"profile":  func(r *Request) { r.Profile = CompanyRSA },
	} {
		t.Run(name, func(t *testing.T) {
			other := r
			change(&other)
			var refusal *Refusal
			if _, err := p.Open(t.Context(), other); !errors.As(err, &refusal) || refusal.Code != "snapshot_changed" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The subscriber may bring a key pair (key helper): then the CA's half runs alone,
// and no key is certified twice.
func TestIssueForAGivenCSR(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	key, csr := softwareCSR(t)
	r := request("given.1", "given", CompanyP256)
	r.CSR = csr
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	is, err := p.Run(t.Context(), r.ID)
	if err != nil || is.Stage != StageStored {
		t.Fatalf("%s, %v", is.Stage, err)
	}
	cert, err := x509.ParseCertificate(is.Certificate)
	if err != nil || !samePublicKey(cert.PublicKey, key.Public()) {
		t.Errorf("the certificate is not for the key: %v", err)
	}
	again := request("given-again.1", "given-again", CompanyP256)
	again.CSR = csr
	if _, err := p.Open(t.Context(), again); !errors.Is(err, ErrKeyReused) {
		t.Errorf("the same key again: %v", err)
	}
}

// A renewal under a profile that keeps the key pair: the new certificate is written
// beside the old one to the key that both are for, and openssl and pkcs11-tool agree.
func TestRenewWithTheSameKey(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	old, err := p.Make(t.Context(), request("old.1", "old", CompanyRSA))
	if err != nil {
		t.Fatal(err)
	}
	pin, err := p.InitialPIN(t.Context(), old.TokenSerial)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := RawSubject(CompanyRSA, company)
	if err != nil {
		t.Fatal(err)
	}
	digest := token.ChallengeDigest(old.TokenSerial, []byte("challenge"))
	quiet := func(token.RunStep) error { return nil }
	r := request("new.1", "new", CompanyRSA)
	r.Renews, r.Continues = old.Serial, old.NotAfter
	var renewed Issue
	err = f.hsm.Exclusive(t.Context(), old.TokenSerial, func(tk *token.Token) error {
		if err := tk.Login(pin); err != nil {
			return err
		}
		var err error
		if r.CSR, _, err = tk.Propose(old.Certificate, digest, token.Fresh{Algorithm: token.RSA2048, Subject: subject}, quiet); err != nil {
			return err
		}
		if renewed, err = p.Make(t.Context(), r); err != nil {
			return err
		}
		_, err = tk.Adopt(old.Certificate, nil, renewed.Certificate, digest, quiet)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.Make(t.Context(), r); err != nil || again.Serial != renewed.Serial {
		t.Errorf("asked again: %s, %v", again.Serial, err)
	}
	was, err := x509.ParseCertificate(old.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	now, err := x509.ParseCertificate(renewed.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(was.SubjectKeyId, now.SubjectKeyId) || !bytes.Equal(was.RawSubjectPublicKeyInfo, now.RawSubjectPublicKeyInfo) || renewed.Serial == old.Serial {
		t.Errorf("subject key id %x, was %x; serial %s, was %s", now.SubjectKeyId, was.SubjectKeyId, renewed.Serial, old.Serial)
	}
	if want := endOfSameDay(old.NotAfter, 1); !now.NotAfter.Equal(want) {
		t.Errorf("ends %s, want %s", now.NotAfter, want)
	}
	checkOpenSSL(t, p, old)
	checkOpenSSL(t, p, renewed)

	tool := func(args ...string) string {
		t.Helper()
		return run(t, nil, "pkcs11-tool", append([]string{"--module", softHSM, "--token-label", old.TokenSerial, "--login", "--pin", pin.Reveal()}, args...)...)
	}
	id, objects := hex.EncodeToString(containerID(old.ID)), tool("--list-objects")
	for what, want := range map[string]int{"Private Key Object": 1, "Public Key Object": 1, "Certificate Object": 2, id: 4} {
		if n := strings.Count(objects, what); n != want {
			t.Errorf("%q %d times, want %d:\n%s", what, n, want, objects)
		}
	}
	message := []byte("what the subscriber signs")
	sig := filepath.Join(t.TempDir(), "sig")
	tool("--sign", "--id", id, "--mechanism", "SHA256-RSA-PKCS", "--input-file", writeTemp(t, message), "--output-file", sig)
	for _, is := range []Issue{old, renewed} {
		public := writeTemp(t, []byte(run(t, nil, "openssl", "x509", "-in", writeTemp(t, encodePEM(is.Certificate)), "-noout", "-pubkey")))
		run(t, message, "openssl", "dgst", "-sha256", "-verify", public, "-signature", sig)
		sealed := filepath.Join(t.TempDir(), "sealed") // encrypted for one, opened by the key of both
		run(t, message, "openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", public, "-out", sealed)
		opened := filepath.Join(t.TempDir(), "opened")
		tool("--decrypt", "--id", id, "--mechanism", "RSA-PKCS", "--input-file", sealed, "--output-file", opened)
		if got, err := os.ReadFile(opened); err != nil || !bytes.Equal(got, message) {
			t.Errorf("opened %q, %v", got, err)
		}
	}
}

// The key pair is kept where the profile says so, and only that of the certificate
// that is renewed.
func TestRenewRefusesOtherKeys(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	rsaCSR := func() []byte {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := makeCSR(key, profiles[CompanyRSA], company)
		if err != nil {
			t.Fatal(err)
		}
		return csr
	}
	first := request("first.1", "first", CompanyRSA)
	first.CSR = rsaCSR()
	old, err := p.Make(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	_, ec := softwareCSR(t)
	for name, test := range map[string]struct {
		profile string
		csr     []byte
		code    string
	}{
		"a profile that wants a new one": {CompanyP256, ec, "new_key_required"},
		"no request":                     {CompanyRSA, nil, "new_key_required"},
		"another key":                    {CompanyRSA, rsaCSR(), "key_not_kept"},
	} {
		r := request(name, name, test.profile)
		r.Renews, r.CSR = old.Serial, test.csr
		var refusal *Refusal
		if _, err := p.Open(t.Context(), r); !errors.As(err, &refusal) || refusal.Code != test.code {
			t.Errorf("%s: %v, want %s", name, err, test.code)
		}
		if _, err := f.ledger.Issue(t.Context(), r.ID); !errors.Is(err, ErrUnknownIssue) {
			t.Errorf("%s is recorded: %v", name, err)
		}
	}
}

// ADR 0029: a key pair is certified again only for a certificate that ends within
// the years of its profile after the key's first certificate began.
func TestRenewRefusesOldKeys(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := makeCSR(key, profiles[CompanyRSA], company)
	if err != nil {
		t.Fatal(err)
	}
	last, began := "", time.Now()
	for n, test := range []struct{ years, after int }{{3, 0}, {1, 3}, {1, 4}, {1, 5}} {
		p.now = func() time.Time { return began.AddDate(test.after, 0, 0) }
		r := request(fmt.Sprintf("old.%d", n), fmt.Sprintf("old-%d", n), CompanyRSA)
		r.CSR, r.Years, r.Renews = csr, test.years, last
		is, err := p.Make(t.Context(), r)
		var refusal *Refusal
		if worn := errors.As(err, &refusal) && refusal.Code == "key_too_old"; worn != (n == 3) || !worn && err != nil {
			t.Fatalf("after %d years: %v", test.after, err)
		}
		last = is.Serial
	}
	if !KeyUntil(CompanyP256, began).IsZero() || !KeyUntil("none", began).IsZero() || !KeyUntil(CompanyRSA, time.Time{}).IsZero() {
		t.Error("a key pair may be certified again that never may")
	}
}

func softwareCSR(t testing.TB) (crypto.Signer, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := makeCSR(key, profiles[CompanyP256], company)
	if err != nil {
		t.Fatal(err)
	}
	return key, csr
}

// Two random numbers may meet: the second one is drawn again.
func TestTakenSerialIsDrawnAgain(t *testing.T) {
	f := newFixture(t)
	p, shut := f.pipeline(t, &takenOnce{Ledger: f.ledger})
	defer shut()
	_, csr := softwareCSR(t)
	r := request("t.1", "t", CompanyP256)
	r.CSR = csr
	if _, err := p.Open(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if is, err := p.Run(t.Context(), r.ID); err != nil || is.Stage != StageStored {
		t.Errorf("%s, %v", is.Stage, err)
	}
}

type takenOnce struct {
	Ledger
	done bool
}

func (l *takenOnce) AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error {
	if is.Stage == StageSigning && !l.done {
		l.done = true
		return fmt.Errorf("committing: %w", ErrSerialTaken)
	}
	return l.Ledger.AdvanceIssue(ctx, from, is, tok)
}

// signChallenge has the key on a plugged-in USBKEY of ours sign the challenge,
// under the initial user PIN. It works until the subscriber changes that PIN.
func signChallenge(ctx context.Context, p *Pipeline, tokenSerial string, challenge []byte) (signature []byte, err error) {
	rec, err := p.ledger.Token(ctx, tokenSerial)
	if err != nil {
		return nil, err
	}
	err = p.withToken(ctx, rec, func(t *token.Token, _ tokenSecrets) error {
		signature, err = answer(t, rec, challenge)
		return err
	})
	return signature, err
}
