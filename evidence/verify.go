package evidence

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"time"
)

// Report is what a pack proves, item by item, up to the first that is broken.
type Report struct {
	Facts  Facts
	Proved []Item
	// Broken is the first item that does not hold; nil when all do.
	Broken *Item
}

// Item is one thing that a pack proves.
type Item struct{ Name, Detail string }

// check is one item of the table: what is proved, or why it is not.
type check struct {
	name string
	// skip leaves the item out for packs that cannot have it.
	skip func(Facts) bool
	run  func(*pack) (string, error)
}

// pack is a pack while it is verified.
type pack struct {
	root   *x509.Certificate
	files  map[string][]byte
	facts  Facts
	sealer *x509.Certificate
}

func reused(f Facts) bool { return f.Reused != nil }

// minReading is how long the letter must have been shown before it was signed.
const minReading = 5 * time.Second

// checks are in the order in which one stands on the other.
var checks = []check{
	{"server signature", nil, checkFacts},
	{"snapshot hash", nil, func(p *pack) (string, error) { return hash(p.facts.Snapshot, "order "+p.facts.Order) }},
	{"signed fields hash", nil, func(p *pack) (string, error) { return hash(p.facts.Content, p.facts.Company+" "+p.facts.USCC) }},
	{"letter text", nil, checkText},
	{"letter seal", nil, checkLetter},
	{"handwritten signature", reused, checkSignature},
	{"sms message", reused, checkSMS},
	{"phone proof", reused, checkPhone},
	{"identity result", reused, checkIdentity},
	{"sensitive data consent", reused, checkConsent},
	{"order of events", reused, checkTimes},
	{"mandate", func(f Facts) bool { return f.Reused == nil }, checkReused},
	{"time of sealing", nil, checkSealed},
}

// Verify checks a pack against the root certificate of the CA, without any
// network.
func Verify(raw []byte, root *x509.Certificate) Report {
	p := &pack{root: root}
	var r Report
	var err error
	if p.files, err = unzipped(raw); err != nil {
		r.Broken = &Item{"container", err.Error()}
		return r
	}
	for _, c := range checks {
		if c.skip != nil && c.skip(p.facts) {
			continue
		}
		detail, err := c.run(p)
		if err != nil {
			r.Broken = &Item{c.name, err.Error()}
			return r
		}
		r.Facts = p.facts
		r.Proved = append(r.Proved, Item{c.name, detail})
	}
	return r
}

func (p *pack) file(name string) ([]byte, error) {
	content, ok := p.files[name]
	if !ok {
		return nil, fmt.Errorf("%s is missing", name)
	}
	return content, nil
}

// hashed returns a file whose hash must be the one that the facts name.
func (p *pack) hashed(f File, name string) ([]byte, error) {
	content, err := p.file(name)
	if err != nil {
		return nil, err
	}
	if f.Name != name || digest(content) != f.SHA256 {
		return nil, fmt.Errorf("%s is not the file that was sealed", name)
	}
	return content, nil
}

func checkFacts(p *pack) (string, error) {
	raw, err := p.file(FileFacts)
	if err != nil {
		return "", err
	}
	seal, err := p.file(FileSeal)
	if err != nil {
		return "", err
	}
	var f Facts
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return "", fmt.Errorf("%s cannot be read: %w", FileFacts, err)
	}
	if f.Version != Version {
		return "", fmt.Errorf("version %d of the format is unknown", f.Version)
	}
	if p.sealer, err = checkSeal(seal, raw, p.root, f.Sealed); err != nil {
		return "", err
	}
	p.facts = f
	return fmt.Sprintf("%s is unchanged since %s signed it, and the CA's root vouches for the key", FileFacts, p.sealer.Subject.CommonName), nil
}

func hash(hex, of string) (string, error) {
	if len(hex) != 64 {
		return "", errors.New("it is no SHA-256")
	}
	return of + ": " + hex, nil
}

func checkText(p *pack) (string, error) {
	if _, err := p.hashed(p.facts.Text.File, FileText); err != nil {
		return "", err
	}
	if p.facts.Text.Version == "" {
		return "", errors.New("the version of the text is missing")
	}
	return "version " + p.facts.Text.Version + ", sha256 " + p.facts.Text.SHA256, nil
}

func checkLetter(p *pack) (string, error) {
	pdf, err := p.hashed(p.facts.Letter, FileLetter)
	if err != nil {
		return "", err
	}
	by, err := CheckPDF(pdf, p.root, p.facts.Sealed)
	if err != nil {
		return "", err
	}
	return "the whole PDF is unchanged since " + by.Subject.CommonName + " sealed it", nil
}

func checkSignature(p *pack) (string, error) {
	picture, err := p.hashed(p.facts.Signature, FileSignature)
	if err != nil {
		return "", err
	}
	if _, err := png.DecodeConfig(bytes.NewReader(picture)); err != nil {
		return "", errors.New("it is no picture")
	}
	return "sha256 " + p.facts.Signature.SHA256, nil
}

func checkSMS(p *pack) (string, error) {
	for _, m := range p.facts.SMS {
		if m.ID != "" && m.ProviderID != "" && !m.At.After(p.facts.Phone.At) {
			return fmt.Sprintf("message %s (%s) was sent %s", m.ID, m.ProviderID, m.At.Format(time.RFC3339)), nil
		}
	}
	return "", errors.New("no message with a link was sent before the phone was proven")
}

func checkPhone(p *pack) (string, error) {
	ph := p.facts.Phone
	if ph.At.IsZero() || ph.Mobile == "" || ph.IP == "" {
		return "", errors.New("it is incomplete")
	}
	return fmt.Sprintf("%s answered a code at %s from %s", ph.Mobile, ph.At.Format(time.RFC3339), ph.IP), nil
}

func checkIdentity(p *pack) (string, error) {
	id := p.facts.Identity
	switch id.Result {
	case "match":
		if id.ID == "" || id.Provider == "" {
			return "", errors.New("the provider's result id is missing")
		}
		return fmt.Sprintf("%s: %s, result %s", id.Provider, id.Result, id.ID), nil
	case "manual":
		return "the document was photographed for a person to compare", nil
	default:
		return "", fmt.Errorf("the result is %q", id.Result)
	}
}

func checkConsent(p *pack) (string, error) {
	c := p.facts.Consent
	if c.Version == "" || len(c.SHA256) != 64 || c.At.IsZero() {
		return "", errors.New("it is incomplete")
	}
	return c.Version + " at " + c.At.Format(time.RFC3339), nil
}

func checkTimes(p *pack) (string, error) {
	f := p.facts
	steps := []struct {
		name string
		at   time.Time
	}{{"opened", f.Opened.At}, {"phone", f.Phone.At}, {"identity", f.Identity.At}, {"letter shown", f.Shown.At}, {"signed", f.Signed.At}, {"sealed", f.Sealed}}
	last := steps[0]
	for _, s := range steps {
		switch {
		case s.at.IsZero():
			return "", fmt.Errorf("when it was %s is missing", s.name)
		case s.at.Before(last.at):
			return "", fmt.Errorf("%s was before %s", s.name, last.name)
		}
		last = s
	}
	read := f.Signed.At.Sub(f.Shown.At)
	if read < minReading {
		return "", fmt.Errorf("the letter was signed %s after it was shown", read)
	}
	return fmt.Sprintf("opened %s, signed %s from %s, %s after the letter was shown", f.Opened.At.Format(time.RFC3339), f.Signed.At.Format(time.RFC3339), f.Signed.IP, read.Round(time.Second)), nil
}

func checkReused(p *pack) (string, error) {
	r := p.facts.Reused
	if r.Authorization == "" || r.Receipt == "" || r.Signed.IsZero() || p.facts.Signed.At.Before(r.Signed) || p.facts.Signed.At.After(r.Until) {
		return "", errors.New("the earlier authorisation did not cover this one")
	}
	return fmt.Sprintf("authorisation %s (%s), signed %s, covers applications until %s", r.Authorization, r.Receipt, r.Signed.Format(time.RFC3339), r.Until.Format(time.DateOnly)), nil
}

func checkSealed(p *pack) (string, error) {
	if p.facts.Sealed.Before(p.facts.Signed.At) {
		return "", errors.New("it was sealed before it was signed")
	}
	return p.facts.Sealed.Format(time.RFC3339), nil
}
