package issuance

import (
	"context"
	"errors"
	"testing"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// desk is the issuer as a station of these tests reaches it; it may break off.
type desk struct {
	p               *Pipeline
	certify, finish error
}

func (d *desk) Certify(ctx context.Context, issue string, request []byte) ([]byte, error) {
	der, err := d.p.CertifyTask(ctx, issue, request)
	return der, errors.Join(err, d.certify)
}

func (d *desk) Finish(ctx context.Context, issue string, signature []byte) error {
	if d.finish != nil {
		return d.finish
	}
	_, err := d.p.FinishTask(ctx, issue, signature)
	return err
}

func ephemeral(t *testing.T) *token.Ephemeral {
	t.Helper()
	e, err := token.NewEphemeral()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// F119: a key made by a station elsewhere goes through the same stages, also when
// the line breaks at each exchange: one serial number, one key, and a USBKEY that is
// like one made beside the issuer.
func TestStationElsewhere(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	broken := errors.New("the line broke")
	r := request("st-1", "st", CompanyP256)
	for _, d := range []*desk{{p: p, certify: broken}, {p: p, finish: broken}, {p: p}, {p: p}} {
		key := ephemeral(t)
		task, err := p.HandOut(t.Context(), r, nil, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		err = MakeTask(t.Context(), f.hsm, key, task, d)
		if breaks := d.certify != nil || d.finish != nil; breaks != errors.Is(err, broken) || !breaks && err != nil {
			t.Errorf("got %v", err)
		}
	}
	is, err := f.ledger.Issue(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	checkDone(t, f, p, is)
	if len(f.ledger.history) != 1 {
		t.Errorf("%d serials", len(f.ledger.history))
	}
}

// What a station may not do: certify another key than the recorded one, finish
// before or without the key's word, open what was sealed to somebody else, or take
// a blank that is not in stock.
func TestStationIsRefused(t *testing.T) {
	f := newFixture(t)
	p := f.mustPipeline(t)
	r := request("no-1", "no", CompanyP256)
	key := ephemeral(t)
	task, err := p.HandOut(t.Context(), r, nil, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	code := func(err error) string {
		refusal, _ := errors.AsType[*Refusal](err)
		if refusal == nil {
			return ""
		}
		return refusal.Code
	}
	if err := MakeTask(t.Context(), f.hsm, ephemeral(t), task, &desk{p: p}); err == nil {
		t.Error("opened with another key")
	}
	if _, err := p.FinishTask(t.Context(), r.ID, []byte("signature")); code(err) != "station_early" {
		t.Errorf("finished before it was signed: %v", err)
	}
	_, mine := softwareCSR(t)
	if _, err := p.CertifyTask(t.Context(), r.ID, mine); err != nil {
		t.Fatal(err)
	}
	_, other := softwareCSR(t)
	if _, err := p.CertifyTask(t.Context(), r.ID, other); code(err) != "station_other_key" {
		t.Errorf("another key: %v", err)
	}
	if err := MakeTask(t.Context(), f.hsm, key, task, &desk{p: p}); code(err) != "station_other_key" {
		t.Errorf("a USBKEY with another key than the recorded one: %v", err)
	}
	if _, err := p.FinishTask(t.Context(), r.ID, []byte("signature")); code(err) != "station_read_back" {
		t.Errorf("finished without the key's word: %v", err)
	}
	if _, err := p.HandOut(t.Context(), request("no-2", "no2", CompanyP256), []string{"TW00521605019999"}, key.Public()); !errors.Is(err, token.NoBlank) {
		t.Errorf("a blank that is not in stock: %v", err)
	}
	if len(f.ledger.history) != 1 {
		t.Errorf("%d serials", len(f.ledger.history))
	}
}

// overtaken is a ledger in which somebody is quicker once.
type overtaken struct {
	Ledger
	by func()
}

func (l *overtaken) AdvanceIssue(ctx context.Context, from Stage, is Issue, tok *TokenRecord) error {
	if by := l.by; by != nil {
		l.by = nil
		by()
	}
	return l.Ledger.AdvanceIssue(ctx, from, is, tok)
}

// Of two stations that make one issue at once, at whatever step they meet, both are told of
// one USBKEY, one brings its key and the other is refused, and the end is reported once.
func TestStationsAtOnce(t *testing.T) {
	f := newFixture(t)
	l := &overtaken{Ledger: f.ledger}
	p, shut := f.pipeline(t, l)
	defer shut()
	r := request("two-1", "two", CompanyP256)
	key, late := ephemeral(t), ephemeral(t)
	handOut := func(key *token.Ephemeral) Task {
		t.Helper()
		task, err := p.HandOut(t.Context(), r, nil, key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	var task Task
	l.by = func() { task = handOut(key) }
	if other := handOut(late); other.TokenSerial != task.TokenSerial || task.TokenSerial == "" {
		t.Errorf("told of %q and %q", task.TokenSerial, other.TokenSerial)
	}
	_, other := softwareCSR(t)
	meet := &meeting{desk: desk{p: p}, l: l, before: func() {
		if _, err := p.CertifyTask(t.Context(), r.ID, other); err != nil {
			t.Error(err)
		}
	}}
	refusal, ok := errors.AsType[*Refusal](MakeTask(t.Context(), f.hsm, key, task, meet))
	if !ok || refusal.Code != "station_other_key" {
		t.Errorf("the later key: %v", refusal)
	}
	if len(f.ledger.history) != 1 {
		t.Errorf("%d serials", len(f.ledger.history))
	}

	r = request("two-2", "two2", CompanyP256)
	task = handOut(key)
	twice := &meeting{desk: desk{p: p}, l: l, finishTwice: true}
	if err := MakeTask(t.Context(), f.hsm, key, task, twice); err != nil {
		t.Errorf("reported twice at once: %v", err)
	}
	if is, err := f.ledger.Issue(t.Context(), r.ID); err != nil || is.Stage != StageDone {
		t.Errorf("%s, %v", is.Stage, err)
	}
}

// meeting is a desk at which another station is quicker.
type meeting struct {
	desk
	l           *overtaken
	before      func() // a certificate is asked for
	finishTwice bool
}

func (m *meeting) Certify(ctx context.Context, issue string, request []byte) ([]byte, error) {
	m.l.by = m.before
	return m.desk.Certify(ctx, issue, request)
}

func (m *meeting) Finish(ctx context.Context, issue string, signature []byte) error {
	var first error
	if m.finishTwice {
		m.l.by = func() { first = m.desk.Finish(ctx, issue, signature) }
	}
	return errors.Join(m.desk.Finish(ctx, issue, signature), first)
}
