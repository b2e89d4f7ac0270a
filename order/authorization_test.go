package order

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// authorizationStates lists every state of the table, and created.
func authorizationStates() []AuthorizationState {
	seen := map[AuthorizationState]bool{AtCreated: true}
	for _, tr := range authorizationLifecycle {
		for _, from := range tr.From {
			seen[from], seen[tr.to(from)] = true, true
		}
	}
	var out []AuthorizationState
	for s := range seen {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// F44: the states are those of the design, each is reached, each but an end can
// be left, no two rows answer, and what a row does to the order exists there.
func TestAuthorizationLifecycleIsSound(t *testing.T) {
	reached, leaves := map[AuthorizationState]bool{AtCreated: true}, map[AuthorizationState]bool{}
	for range authorizationLifecycle {
		for _, tr := range authorizationLifecycle {
			for _, from := range tr.From {
				if to := tr.to(from); reached[from] {
					reached[to] = true
					leaves[from] = leaves[from] || to != from
				}
			}
		}
	}
	if n := len(authorizationStates()); n != 10 {
		t.Errorf("%d states, want the ten of F44", n)
	}
	ends := []AuthorizationState{AtReturned, AtDeclined, AtExpired, AtWithdrawn}
	for _, s := range authorizationStates() {
		if !reached[s] || s.Label() == "" {
			t.Errorf("%s: reached %v, label %q", s, reached[s], s.Label())
		}
		if leaves[s] == slices.Contains(ends, s) {
			t.Errorf("%s: has a way out = %v", s, leaves[s])
		}
		if active := (Authorization{State: s}).Active(); active == slices.Contains(ends, s) {
			t.Errorf("%s: active = %v", s, active)
		}
	}
	for i, tr := range authorizationLifecycle {
		if len(tr.By) == 0 || len(tr.From) == 0 {
			t.Errorf("row %d: nobody or from nowhere", i)
		}
		if tr.Order != "" && !slices.ContainsFunc(lifecycle, func(o transition) bool { return o.On == tr.Order && slices.Contains(o.By, LegalRep) }) {
			t.Errorf("%s: the order has no row for %s", tr.On, tr.Order)
		}
		for _, r := range tr.If {
			if r.refusal == nil || r.refusal.Detail == "" {
				t.Errorf("%s: a requirement without words", tr.On)
			}
		}
		for _, other := range authorizationLifecycle[i+1:] {
			for _, from := range tr.From {
				if other.On == tr.On && slices.Contains(other.From, from) {
					t.Errorf("two rows for %s in %s", tr.On, from)
				}
			}
		}
	}
}

// readyToSign is an authorisation in front of the signature, with the order it is about.
func readyToSign() (Authorization, AuthorizationCommand) {
	o := Order{Business: Initial, Product: Product{Code: "x", IssueMode: ByAdmin}, Form: filled(map[Field]string{AuthWay: AuthMiniProgram}), State: awaitingAuthorization}
	o.Snapshot = o.Hash()
	a := Authorization{ID: "01A", State: AtIdentityVerified, Signer: signerOf(o.Form), Content: o.signedHash(o.Form), Snapshot: o.Snapshot, ShownAt: t0}
	return a, AuthorizationCommand{
		On: LetterSigned, By: Actor{Role: LegalRep}, CodeProven: true, Read: true, Consent: Consent{Version: "1", Hash: "h"},
		Signature: Signature{Object: "01SIG", SHA256: "00"}, at: t0.Add(MinReading), order: o,
	}
}

// Nothing is signed unread, unproven, unagreed, unsigned, changed or by somebody
// else (flows.md 4.5, screens 5 and 6).
func TestSigningNeedsEverything(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Authorization, *AuthorizationCommand)
		code   string
	}{
		{"everything", func(*Authorization, *AuthorizationCommand) {}, ""},
		{"four seconds", func(_ *Authorization, c *AuthorizationCommand) { c.at = t0.Add(MinReading - time.Millisecond) }, "letter_unread"},
		{"never shown", func(a *Authorization, _ *AuthorizationCommand) { a.ShownAt = time.Time{} }, "letter_unread"},
		{"not scrolled", func(_ *Authorization, c *AuthorizationCommand) { c.Read = false }, "letter_unread"},
		{"no code", func(_ *Authorization, c *AuthorizationCommand) { c.CodeProven = false }, "mobile_proven_required"},
		{"no consent", func(_ *Authorization, c *AuthorizationCommand) { c.Consent = Consent{} }, "sensitive_consent_required"},
		{"no signature", func(_ *Authorization, c *AuthorizationCommand) { c.Signature = Signature{} }, "signature_missing"},
		{"another agent", func(_ *Authorization, c *AuthorizationCommand) {
			c.order.Form = c.order.Form.With(AgentName, "王大琪")
		}, "authorization_changed"},
		{"another picture", func(_ *Authorization, c *AuthorizationCommand) { c.order.Form = c.order.Form.With(IDFront, "01OTHER") }, "authorization_changed"},
		{"not identified", func(a *Authorization, _ *AuthorizationCommand) { a.State = AtPhoneVerified }, "authorization_not_ready"},
		{"signed before", func(a *Authorization, _ *AuthorizationCommand) { a.State = AtSigned }, "authorization_not_ready"},
		{"by the applicant", func(_ *Authorization, c *AuthorizationCommand) { c.By.Role = Applicant }, "role_not_allowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, c := readyToSign()
			tt.change(&a, &c)
			_, err := nextAuthorization(a, c)
			e, _ := AsError(err)
			if (err == nil) != (tt.code == "") || e != nil && e.Code != tt.code {
				t.Errorf("%v, want %q", err, tt.code)
			}
		})
	}
}

// Screen 3: the last six characters of the document's number, however typed.
func TestKnowsTail(t *testing.T) {
	a := Authorization{Signer: LegalSigner{No: "11010519491231002X"}}
	for typed, want := range map[string]bool{"31002X": true, "31002x": true, "３１００２Ｘ": true, " 310 02x ": true, "31002": false, "231002X": false, "310021": false, "": false} {
		if a.KnowsTail(typed) != want {
			t.Errorf("%q: %v", typed, !want)
		}
	}
	for typed, want := range map[string]bool{"000000": true, " 31 00 2x": true, "": false, " ": false, "002X": false, "1231002X": false} {
		if IsTail(typed) != want {
			t.Errorf("IsTail(%q): %v", typed, !want)
		}
	}
	if (Authorization{}).KnowsTail("") {
		t.Error("an erased signer knows the empty tail")
	}
}

// Row 15: of who declines nothing is kept but that he did.
func TestDeclinedIsForgotten(t *testing.T) {
	a, c := readyToSign()
	a.Proof.Opened = Device{IP: "192.0.2.7"}
	a.Proof.SMS = []SentLetter{{ID: "01N"}}
	c.On = LetterDeclined
	tr, err := nextAuthorization(a, c)
	if err != nil {
		t.Fatal(err)
	}
	tr.Do(&a, c)
	if a.Signer != (LegalSigner{}) || a.Proof.Opened.IP != "" || len(a.Proof.SMS) != 1 {
		t.Errorf("kept %+v %+v", a.Signer, a.Proof)
	}
	o := c.order
	declined(&o, Command{})
	for _, f := range []Field{LegalName, LegalIDNo, LegalIDType, LegalMobile} {
		if o.Form.Get(f) != "" {
			t.Errorf("the order keeps %s", f)
		}
	}
	if o.Reasons[0].Code != "R16" {
		t.Errorf("reasons %v", o.Reasons)
	}
}

// The first reminder waits for working hours.
func TestWorking(t *testing.T) {
	cal, err := DefaultCalendar()
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"2026-11-23T10:00:00": "2026-11-23T10:00:00", // Monday
		"2026-11-23T08:59:59": "2026-11-23T09:00:00",
		"2026-11-23T17:30:00": "2026-11-23T17:30:00",
		"2026-11-23T17:30:01": "2026-11-24T09:00:00",
		"2026-11-27T19:00:00": "2026-11-30T09:00:00", // Friday evening
		"2026-11-28T12:00:00": "2026-11-30T09:00:00", // Saturday
		"2026-10-10T12:00:00": "2026-10-10T12:00:00", // a Saturday that works
		"2026-09-30T23:00:00": "2026-10-08T09:00:00", // National Day
	} {
		in, err := time.ParseInLocation("2006-01-02T15:04:05", at, Shanghai)
		if err != nil {
			t.Fatal(err)
		}
		if got := cal.Working(in).In(Shanghai).Format("2006-01-02T15:04:05"); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// G6: with a paper letter the legal representative's document is not kept.
func TestPaperCollectsNoDocument(t *testing.T) {
	o := Order{Form: filled(nil), Product: Product{IssueMode: ByAdmin}}
	place(&o, Command{at: t0})
	for _, f := range []Field{LegalIDNo, LegalIDType, LegalMobile} {
		if o.Form.Get(f) != "" {
			t.Errorf("%s is kept", f)
		}
	}
	if o.Form.Get(LegalName) == "" || o.Snapshot != o.Hash() {
		t.Error("the name is lost, or the snapshot is another form's")
	}
}

// The 经办人 is not asked for the legal representative, unless he is that one himself.
func TestLegalMobileIsHis(t *testing.T) {
	p := Product{IssueMode: ByAdmin, Authorizations: []string{AuthPaper, AuthMiniProgram}}
	agent := filled(nil)
	online := func(more map[Field]string) Form {
		all := map[Field]string{AuthWay: AuthMiniProgram, LetterImage: "", LegalIDType: "resident_id", LegalIDNo: "11010519491231002X", LegalMobile: "13800000021"}
		maps.Copy(all, more)
		return filled(all)
	}
	for name, test := range map[string]struct {
		form Form
		want string
	}{
		"his own":                         {online(nil), ""},
		"the agent's":                     {online(map[Field]string{LegalMobile: agent.Get(AgentMobile)}), agentsMobile},
		"the agent's, typed otherwise":    {online(map[Field]string{LegalMobile: "+86 " + agent.Get(AgentMobile)}), agentsMobile},
		"he is the agent":                 {online(map[Field]string{LegalMobile: agent.Get(AgentMobile), LegalIDNo: " " + agent.Get(IDNo)}), ""},
		"his document is not typed yet":   {online(map[Field]string{LegalMobile: agent.Get(AgentMobile), LegalIDNo: ""}), ""},
		"on paper, where he has no field": {filled(map[Field]string{LegalMobile: agent.Get(AgentMobile)}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			for _, f := range CheckForm(p, test.form, t0) {
				if f.Field == LegalMobile {
					got = f.Detail
				}
			}
			if got != test.want {
				t.Errorf("says %q", got)
			}
		})
	}
}

// F36, F43: one of two ways, and only the chosen tab is checked.
func TestOnlyTheChosenWayIsChecked(t *testing.T) {
	p := Product{IssueMode: ByAdmin, Authorizations: []string{AuthPaper, AuthMiniProgram}}
	for way, want := range map[string]string{AuthPaper: "letter", AuthMiniProgram: "legal.id_type legal.mobile legal.id_no"} {
		var got []string
		for _, f := range CheckForm(p, filled(map[Field]string{AuthWay: way, LetterImage: "", LegalIDNo: "", LegalMobile: "", LegalIDType: ""}), t0) {
			got = append(got, string(f.Field))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: missing %v, want %s", way, got, want)
		}
	}
}
