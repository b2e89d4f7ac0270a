package evidence

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"image"
	"image/png"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-pdf/fpdf"
)

// ca is a root, an issuing CA and a seal key in memory.
type ca struct {
	root *x509.Certificate
	Sealer
}

func newCA(t *testing.T, name string) ca {
	t.Helper()
	at := time.Now()
	issue := func(cn string, isCA bool, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		tpl := &x509.Certificate{
			SerialNumber: big.NewInt(at.UnixNano()), Subject: pkix.Name{CommonName: name + cn}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(24 * time.Hour),
			IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		}
		if parent == nil {
			parent, by = tpl, key
		}
		der, err := x509.CreateCertificate(rand.Reader, tpl, parent, key.Public(), by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c, key
	}
	root, rootKey := issue("根CA", true, nil, nil)
	issuing, issuingKey := issue("签发CA", true, root, rootKey)
	seal, sealKey := issue("授权书签章", false, issuing, issuingKey)
	return ca{root, Sealer{Chain: []*x509.Certificate{seal, issuing}, Sign: func(digest []byte) ([]byte, error) {
		return sealKey.Sign(rand.Reader, digest, crypto.SHA256)
	}}}
}

// sheet is a page as the letter's library writes it.
func sheet(t *testing.T) []byte {
	t.Helper()
	p := fpdf.New("P", "mm", "A4", "")
	p.AddPage()
	p.SetFont("Helvetica", "", 14)
	p.Cell(40, 10, "A letter")
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sealed(t *testing.T, c ca) []byte {
	t.Helper()
	pdf, err := SealPDF(sheet(t), PDFSeal{Name: "云采盾测试", Reason: "法定代表人授权", At: time.Now()}, c.Sealer)
	if err != nil {
		t.Fatal(err)
	}
	return pdf
}

func pdfsig(t *testing.T, pdf []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "letter.pdf")
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command("pdfsig", file).CombinedOutput() // its exit code says too little
	return string(out)
}

// Issue 4 item 5: an independent program says that the signature is valid and
// covers the whole document; one changed byte makes it invalid, for it and for us.
func TestSealedPDF(t *testing.T) {
	c := newCA(t, "甲")
	pdf := sealed(t, c)
	said := pdfsig(t, pdf)
	for _, want := range []string{"Signature is Valid", "Total document signed", "ETSI.CAdES.detached", "授权书签章"} {
		if !strings.Contains(said, want) {
			t.Errorf("pdfsig does not say %q:\n%s", want, said)
		}
	}
	if _, err := CheckPDF(pdf, c.root, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := CheckPDF(pdf, newCA(t, "乙").root, time.Now()); err == nil {
		t.Error("another root vouches for it")
	}
	hole := bytes.Index(pdf, []byte("/Contents <"))
	for name, at := range map[string]int{"page": bytes.Index(pdf, []byte("/MediaBox")), "catalog": bytes.LastIndex(pdf, []byte("/AcroForm")), "signature": hole + 600, "end": len(pdf) - 3} {
		broken := bytes.Clone(pdf)
		broken[at] ^= 1
		if _, err := CheckPDF(broken, c.root, time.Now()); err == nil {
			t.Errorf("%s: a changed byte goes unnoticed", name)
		}
		if said := pdfsig(t, broken); strings.Contains(said, "Signature is Valid") && strings.Contains(said, "Total document signed") && name != "signature" {
			t.Errorf("%s: pdfsig notices nothing:\n%s", name, said)
		}
	}
	if _, err := CheckPDF(append(bytes.Clone(pdf), "\n% more\n"...), c.root, time.Now()); err == nil {
		t.Error("an appended update goes unnoticed")
	}
}

// Any changed byte is noticed, also where no signature looks: behind it, in the room that
// is kept for it. A PDF reader notices nothing there, so hardly any is kept.
func TestEveryByteOfASealedPDF(t *testing.T) {
	c := newCA(t, "甲")
	pdf := sealed(t, c)
	from := bytes.Index(pdf, []byte("/Contents <")) + len("/Contents <")
	to := from + bytes.IndexByte(pdf[from:], '>')
	room, err := hex.DecodeString(string(pdf[from:to]))
	if err != nil {
		t.Fatal(err)
	}
	if _, padding := cutPadding(room); len(padding) > 8 {
		t.Errorf("%d bytes behind the signature", len(padding))
	}
	noticed := func(at int, by byte) {
		t.Helper()
		broken := bytes.Clone(pdf)
		broken[at] ^= by
		if _, err := CheckPDF(broken, c.root, time.Now()); err == nil {
			t.Errorf("byte %d of %d: a change goes unnoticed", at, len(pdf))
		}
	}
	for at := range pdf {
		if at < from || at >= to {
			noticed(at, 1)
		}
	}
	noticed(to-1, 1)
	noticed(from+bytes.IndexAny(pdf[from:to], "abcdef"), 'a'^'A')
}

func picture(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sample is a pack of obviously invented people.
func sample(t *testing.T, c ca) Pack {
	t.Helper()
	at := time.Now().UTC().Truncate(time.Second)
	step := func(ago time.Duration) Step {
		return Step{At: at.Add(-ago), Channel: "web", IP: "192.0.2.7", Device: "Mozilla/5.0"}
	}
	return Pack{
		Facts: Facts{
			Authorization: "01AUTH", Order: "SAAS120261123103000000152", Receipt: "SQ20261123ABCDEFGH", Company: "云南示例工程有限公司", USCC: "91110108MA00TEN18F",
			Signer: "段**", Agent: "王*琪", Snapshot: strings.Repeat("a", 64), Content: strings.Repeat("b", 64), Text: Text{Version: "1"},
			Consent: Consent{"1", strings.Repeat("c", 64), at.Add(-time.Minute), "192.0.2.7"}, SMS: []Message{{"01SMS", "5000:1", at.Add(-time.Hour)}},
			Opened: step(10 * time.Minute), Phone: Phone{step(9 * time.Minute), "138****0021"}, Identity: Identity{"match", "faceid", "req-1", at.Add(-8 * time.Minute)},
			Shown: step(5 * time.Minute), Signed: step(time.Minute), Sealed: at,
		},
		Text: []byte("授权书全文\n"), Letter: sealed(t, c), Signature: picture(t),
	}
}

func mustSeal(t *testing.T, p Pack, c ca) []byte {
	t.Helper()
	pack, err := p.Seal(c.Sealer)
	if err != nil {
		t.Fatal(err)
	}
	return pack
}

func TestPackProvesEveryItem(t *testing.T) {
	c := newCA(t, "甲")
	r := Verify(mustSeal(t, sample(t, c), c), c.root)
	if r.Broken != nil {
		t.Fatalf("broken: %+v", *r.Broken)
	}
	if len(r.Proved) != 12 {
		t.Errorf("%d items: %+v", len(r.Proved), r.Proved)
	}
}

// What a reused authorisation proves is its mandate.
func TestReusedPack(t *testing.T) {
	c := newCA(t, "甲")
	p := sample(t, c)
	f := p.Facts
	p.Signature = nil
	p.Facts = Facts{
		Authorization: f.Authorization, Order: f.Order, Receipt: f.Receipt, Company: f.Company, USCC: f.USCC, Snapshot: f.Snapshot, Content: f.Content, Text: f.Text,
		Signed: f.Signed, Sealed: f.Sealed, Reused: &Reused{"01EARLIER", "SQ1", f.Signed.At.Add(-24 * time.Hour), f.Signed.At.Add(24 * time.Hour)},
	}
	if r := Verify(mustSeal(t, p, c), c.root); r.Broken != nil {
		t.Fatalf("broken: %+v", *r.Broken)
	}
	p.Facts.Reused.Until = f.Signed.At.Add(-time.Hour)
	if r := Verify(mustSeal(t, p, c), c.root); r.Broken == nil || r.Broken.Name != "mandate" {
		t.Errorf("a mandate that was over: %+v", r.Broken)
	}
}

// rezip changes the files of a pack from outside.
func rezip(t *testing.T, pack []byte, change func(map[string][]byte)) []byte {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(pack), int64(len(pack)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	change(files)
	out, err := zipped(files, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A pack that somebody changed names the first item that does not hold.
func TestTamperedPack(t *testing.T) {
	c := newCA(t, "甲")
	pack := mustSeal(t, sample(t, c), c)
	flip := func(name string, at int) func(map[string][]byte) {
		return func(f map[string][]byte) { f[name] = bytes.Clone(f[name]); f[name][at] ^= 1 }
	}
	drop := func(name string) func(map[string][]byte) {
		return func(f map[string][]byte) { delete(f, name) }
	}
	tests := []struct {
		name   string
		change func(map[string][]byte)
		broken string
	}{
		{"text", flip(FileText, 3), "letter text"},
		{"letter", flip(FileLetter, 200), "letter seal"},
		{"signature picture", flip(FileSignature, 40), "handwritten signature"},
		{"seal", flip(FileSeal, 400), "server signature"},
		{"no text", drop(FileText), "letter text"},
		{"no letter", drop(FileLetter), "letter seal"},
		{"no signature", drop(FileSignature), "handwritten signature"},
		{"no seal", drop(FileSeal), "server signature"},
		{"no facts", drop(FileFacts), "server signature"},
		{"one more file", func(f map[string][]byte) { f["readme.txt"] = []byte("hello") }, "container"},
		{"facts of another version", func(f map[string][]byte) {
			f[FileFacts] = bytes.Replace(f[FileFacts], []byte(`"version": 1`), []byte(`"version": 2`), 1)
		}, "server signature"},
	}
	// Every value of the facts is under the seal.
	var facts map[string]any
	p := sample(t, c)
	raw, err := json.Marshal(p.Facts)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &facts); err != nil {
		t.Fatal(err)
	}
	for key := range facts {
		tests = append(tests, struct {
			name   string
			change func(map[string][]byte)
			broken string
		}{"fact " + key, func(f map[string][]byte) {
			f[FileFacts] = bytes.Replace(f[FileFacts], []byte(`"`+key+`"`), []byte(`"`+key+"\u200b"+`"`), 1)
		}, "server signature"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Verify(rezip(t, pack, tt.change), c.root)
			if r.Broken == nil || r.Broken.Name != tt.broken {
				t.Errorf("broken %+v, want %s", r.Broken, tt.broken)
			}
		})
	}
	if r := Verify(pack, newCA(t, "乙").root); r.Broken == nil || r.Broken.Name != "server signature" {
		t.Errorf("another root: %+v", r.Broken)
	}
	if r := Verify([]byte("no zip"), c.root); r.Broken == nil || r.Broken.Name != "container" {
		t.Errorf("no zip: %+v", r.Broken)
	}
}

// Also what the server itself sealed must prove something: a fault of ours shows.
func TestSealedButWrong(t *testing.T) {
	c := newCA(t, "甲")
	for _, tt := range []struct {
		broken string
		change func(*Pack)
	}{
		{"snapshot hash", func(p *Pack) { p.Facts.Snapshot = "" }},
		{"signed fields hash", func(p *Pack) { p.Facts.Content = "short" }},
		{"letter text", func(p *Pack) { p.Facts.Text.Version = "" }},
		{"letter seal", func(p *Pack) { p.Letter = sheet(t) }},
		{"handwritten signature", func(p *Pack) { p.Signature = []byte("no picture") }},
		{"sms message", func(p *Pack) { p.Facts.SMS[0].ProviderID = "" }},
		{"phone proof", func(p *Pack) { p.Facts.Phone.Mobile = "" }},
		{"identity result", func(p *Pack) { p.Facts.Identity.Result = "mismatch" }},
		{"identity result", func(p *Pack) { p.Facts.Identity.ID = "" }},
		{"sensitive data consent", func(p *Pack) { p.Facts.Consent.SHA256 = "" }},
		{"order of events", func(p *Pack) { p.Facts.Shown.At = p.Facts.Signed.At.Add(-4 * time.Second) }},
		{"order of events", func(p *Pack) { p.Facts.Identity.At = p.Facts.Opened.At.Add(-time.Second) }},
		{"time of sealing", func(p *Pack) {
			p.Facts.Reused = &Reused{"01E", "SQ1", p.Facts.Signed.At.Add(-time.Hour), p.Facts.Signed.At.Add(time.Hour)}
			p.Facts.Sealed = p.Facts.Signed.At.Add(-time.Second)
		}},
	} {
		t.Run(tt.broken, func(t *testing.T) {
			p := sample(t, c)
			tt.change(&p)
			if r := Verify(mustSeal(t, p, c), c.root); r.Broken == nil || r.Broken.Name != tt.broken {
				t.Errorf("broken %+v, want %s", r.Broken, tt.broken)
			}
		})
	}
}

// Reliability: what strangers send never panics, and is never believed.
func FuzzVerify(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("/ByteRange [0 1 2 3]"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		root := &x509.Certificate{}
		if r := Verify(raw, root); r.Broken == nil {
			t.Error("believed")
		}
		if _, err := CheckPDF(raw, root, time.Unix(0, 0)); err == nil {
			t.Error("believed")
		}
		if _, err := readPDF(raw); err == nil && len(raw) < 20 {
			t.Error("a PDF of nothing")
		}
	})
}
