package handlers

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// things are what the parameters of paths name. A parameter is found with the segment
// before it ("cabinet/:token") or, for the usual meaning, alone.
type things map[string]string

// in puts things into the path of a route, and returns which parameters were found.
func (of things) in(path string) (filled string, found []string) {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if !strings.HasPrefix(p, ":") {
			continue
		}
		for _, key := range []string{parts[max(0, i-2)] + "/" + parts[i-1] + "/" + p, parts[i-1] + "/" + p, p} {
			if v, ok := of[key]; ok {
				parts[i], found = v, append(found, p)
				break
			}
		}
	}
	return strings.Join(parts, "/"), found
}

// nobodys are parameters that name nothing of anybody, and secrets whose bearer is right.
var nobodys = things{
	":field": "license", ":business": "renewal", ":project": "x", ":code": "x", ":name": "privacy", ":size": "small", ":object": "x", "pictures/:order": "x",
	":item": "x", ":part": "x", ":trade": "x", "stock/:serial": "TW00000000000000", "reconciliation/:id": "x", "enquiries/:id": "x", "notices/:id": "x", "invoices/:id": "x",
	"progress/:ticket": "x", "run/:ticket": "x", "scan/:ticket": "x", "scans/:ticket": "x",
}

// byLinkAlone are what the link in the SMS opens before the mobile is proven: who is
// asked for what, and a way out.
var byLinkAlone = []string{
	"GET /auth/:token", "POST /auth/:token/decline", "GET /auth/:token/phone", "POST /auth/:token/phone/code", "POST /auth/:token/phone", "GET /auth/:token/face/end", "POST /api/v1/authorizations/:ticket/open",
}

// bodies are what an operation of the API must be sent before it looks whose a thing is.
var bodies = map[string]string{
	"/api/v1/cabinet/:token":       `{"label":"x","issuer":"x","ends":"2027-12-20"}`,
	"/api/v1/cabinet/:token/loans": `{"borrower":"钱多多","purpose":"x","due":"2026-12-20"}`,
}

// trespasser is somebody at doors that are not his.
type trespasser struct {
	*browser
	bearer string
	login  bool // as an applicant
	staff  *order.Staff
}

func (v trespasser) tries(r route, path string) answer {
	var more []string
	if v.bearer != "" {
		more = append(more, "Authorization", "Bearer "+v.bearer)
	}
	if r.Method == http.MethodGet {
		return v.get(path, more...)
	}
	if strings.HasPrefix(path, "/api/") {
		return v.do(r.Method, path, fiber.MIMEApplicationJSON, strings.NewReader(cmp.Or(bodies[r.Path], `{"code":"123456","mobile":"13700000009"}`)), append(more, csrfHeader, v.csrf)...)
	}
	return v.post(path, url.Values{
		"code": {"123456"}, "sure": {"yes"}, "got": {"yes"}, "agree": {"yes"}, "mobile": {"13700000009"}, "note": {"x"}, "do": {"submit"}, "reason": {"superseded"},
		"borrower": {"钱多多"}, "purpose": {"x"}, "due": {"2026-12-20"}, "label": {"x"}, "issuer": {"x"}, "ends": {"2027-12-20"}, "opening": {"2026-12-20T09:30"},
	}, more...)
}

// refusal is how an answer to a trespasser is wrong, "" when it is a proper refusal.
func (v trespasser) refusal(r route, owned bool, a answer) string {
	api := strings.HasPrefix(r.Path, "/api/")
	loginFirst := func(at string) string {
		if a.Status == http.StatusUnauthorized || strings.HasPrefix(a.location(), at+"?") {
			return ""
		}
		return "not sent to log in"
	}
	switch {
	case r.Access == OfStaff && v.staff != nil:
		if !refusedByRole(a) {
			return "role not asked for"
		}
	case r.Access == OfStaff:
		return loginFirst("/staff/login")
	case r.Access == Applicant && (!v.login || v.bearer != "" && !api):
		return loginFirst("/login")
	case r.Access == Applicant || r.Access == Browser:
		if owned && a.Status != http.StatusNotFound {
			return "it exists"
		}
	case slices.Contains(byLinkAlone, r.Method+" "+r.Path):
	case r.Access == OfLegalRep:
		if !strings.HasSuffix(a.location(), "/phone") && !slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, a.Status) {
			return "mobile not proven"
		}
	case r.Access == Signed || r.Access == Helper || r.Access == Proof && unsafeMethod(r.Method):
		if a.Status < 400 && loginFirst("/login") != "" {
			return "taken without a proof"
		}
	}
	return ""
}

// Reliability 15, rules.md §3.2: every route, whoever registers it, is tried by everybody
// who has no right to it, with somebody else's things in its path. All are refused, as if
// those did not exist, nothing personal is in an answer and nothing has changed. A
// parameter of a new route has to be said here.
func TestTrespass(t *testing.T) {
	d := newDesk(t).hire()
	d.counter("13900139001")
	alice := d.holder()
	o := d.read(d.held().OrderID)
	page, card := "/orders/"+string(o.ID), "/certificates/"+heldSerial
	alice.get(page)
	alice.mustPost(page+"/receipts", nil, page+"#receipts")
	alice.mustPost(card+"/openings", url.Values{"project": {"机密标段"}, "opening": {order.TypedMoment(d.clock.now().AddDate(0, 0, 7))}}, card+"/openings")
	foreign := url.Values{"label": {"省中心的锁"}, "issuer": {"某CA"}, "ends": {"2027-05-31"}}
	alice.mustPost("/cabinet/new", foreign, "/certificates")
	find := func(b *browser, path, pattern string) string {
		t.Helper()
		body := b.get(path).Body
		m := regexp.MustCompile(pattern).FindStringSubmatch(body)
		if m == nil {
			t.Fatalf("%s has no %s: %s", path, pattern, body)
		}
		return m[1]
	}
	const id = `([0-9A-HJKMNP-TV-Z]{26})`
	key := find(alice, "/certificates", `/cabinet/`+id)
	alice.mustPost("/cabinet/"+key+"/lend", url.Values{"borrower": {"郑借用"}, "purpose": {"机密标段"}, "due": {"2026-12-02"}}, "/cabinet/"+key)
	offer := alice.post("/orders/"+string(o.ID)+"/phone/license", nil, "HX-Request", "true", csrfHeader, alice.csrf)
	if offer.Status == http.StatusOK {
		t.Fatal("a paid order takes pictures")
	}
	draft := alice.draft()
	waiting := regexp.MustCompile(`/phone/license/([^"]+)`).FindStringSubmatch(alice.post(draft+"/phone/license", nil, "HX-Request", "true", csrfHeader, alice.csrf).Body)[1]
	upload, _, _ := strings.Cut(waiting, ".")
	copied, err := d.Tickets.Put(t.Context(), ticketCopy, []byte(`{"PersonID":"`+o.PersonID+`","Password":"x"}`), copyLife)
	must(t, err)
	_, link := d.asked(map[order.Field]string{order.OrgUSCC: "91350100M000100Y43", order.OrgName: "福州某某有限公司"})
	_, another := d.asked(map[order.Field]string{order.OrgUSCC: "92440300MA00000074", order.OrgName: "深圳某某有限公司", order.OrgType: "individual"})

	hers := things{
		":id": string(o.ID), ":serial": heldSerial, "people/:id": d.staff["吴管理"].ID,
		":receipt": find(alice, page, `/receipts/`+id+`/`), ":opening": find(alice, card+"/openings", `/openings/`+id+`/`),
		"cabinet/:token": key, ":loan": find(alice, "/cabinet/"+key, `/loans/`+id+`/`),
		"auth/:token": strings.TrimPrefix(link, "/auth/"), "authorizations/:ticket": strings.TrimPrefix(link, "/auth/"),
		"phone/license/:ticket": waiting, "copy/:ticket": copied, ":ticket": upload,
	}
	nothing := things{}
	for k := range hers {
		switch {
		case strings.HasSuffix(k, ":serial"):
			nothing[k] = strings.Repeat("00", 20)
		case strings.HasSuffix(k, ":ticket"), strings.HasSuffix(k, "auth/:token"):
			nothing[k] = secret()
		default:
			nothing[k] = newID()
		}
	}

	bob := d.browser()
	bob.login(agentMobile2)
	foreign.Set("label", "自家的锁")
	bob.mustPost("/cabinet/new", foreign, "/certificates")
	bobs := things{":id": strings.TrimPrefix(bob.draft(), "/orders/"), "cabinet/:token": find(bob, "/certificates", `/cabinet/`+id)}
	stranger, rep, confused, closed := d.browser(), d.browser(), d.browser(), d.browser()
	rep.proves(another)
	clerk := d.login("钱制证")
	gone, err := d.staffing.SetDisabled(t.Context(), d.staff["吴管理"].Actor(order.Admin, order.Web, ""), d.staff["钱制证"].ID, true)
	must(t, err)
	left, err := d.Sessions.Create(t.Context(), session.Session{Kind: session.Staff, StaffID: gone.ID, PersonID: gone.PersonID})
	must(t, err)
	setCookie(closed, "ycd_staff", left.ID) // even if his sessions had not been ended
	m := d.mini("m-bob", "").login("13900139002")
	for _, kind := range []string{"ycd_staff", "ycd_legal_rep"} {
		setCookie(confused, kind, cookie(bob, "ycd_applicant"))
	}
	setCookie(confused, "ycd_applicant", m.token)
	visitors := map[string]trespasser{
		"nobody": {browser: stranger}, "another applicant": {browser: bob, login: true}, "another's mini-program": {browser: d.browser(), bearer: m.token, login: true},
		"another's legal representative": {browser: rep}, "who swaps his sessions": {browser: confused}, "a closed account": {browser: closed, staff: &gone}, "an ended session": {browser: clerk},
	}
	for _, n := range members {
		if n.Name != "钱制证" {
			member := d.staff[n.Name]
			visitors[n.Name] = trespasser{browser: d.login(n.Name), staff: &member}
		}
	}

	state := func() string {
		receipts, err := d.db.Receipt(t.Context(), o.ID, hers[":receipt"])
		must(t, err)
		loans, err := d.Status.Loans(t.Context(), o.PersonID, "", order.Cursor{}, 10)
		must(t, err)
		openings, err := d.Status.OpeningsOf(t.Context(), o.PersonID)
		must(t, err)
		mate, err := d.db.Staff(t.Context(), d.staff["吴管理"].ID)
		must(t, err)
		_, _, ended := d.service.AuthorizationByLink(t.Context(), hers["auth/:token"])
		return fmt.Sprint(d.read(o.ID).Rev, d.order(draft).Rev, d.held().State(), receipts.WithdrawnAt, loans, openings, mate, ended)
	}
	before := state()
	personal := []string{"王小琪", agentMobile, "11010519491231002X", "wang@example.com", "中关村", "郑借用", "机密标段", "省中心", "段正明", legalID, legalMobile, heldPIN}

	plain := func(body, path string) string { // a refused form repeats where it went
		return volatile.ReplaceAllString(strings.ReplaceAll(body, path, ""), "")
	}
	for _, r := range d.matrix {
		_, named := hers.in(r.Path)
		if _, rest := nobodys.in(r.Path); len(named)+len(rest) < strings.Count(r.Path, ":") {
			t.Errorf("%s %s: say in hers or nobodys what its parameters name", r.Method, r.Path)
		}
		theirs, _ := nobodys.in(r.Path)
		missing := theirs
		theirs, named = hers.in(theirs)
		missing, _ = nothing.in(missing)
		owned := len(named) > 0
		for name, v := range visitors {
			right := v.staff != nil && !v.staff.Disabled && (len(r.Roles) == 0 || slices.ContainsFunc(r.Roles, v.staff.Has))
			switch {
			case r.Access == OfStaff && right, r.Path == "/u/:ticket", // whoever has it
				!owned && unsafeMethod(r.Method) && (r.Access == Browser || r.Access == Applicant && v.login): // his own
				continue
			}
			v.get("/help") // a page with the token
			a := v.tries(r, theirs)
			if why := v.refusal(r, owned, a); why != "" {
				t.Errorf("%s, %s %s: %s: %d %s", name, r.Method, r.Path, why, a.Status, a.location())
			}
			if a.Status >= http.StatusInternalServerError && r.Path != "/readyz" {
				t.Errorf("%s, %s %s: %d", name, r.Method, r.Path, a.Status)
			}
			for _, p := range personal {
				if strings.Contains(a.Body, p) && !strings.HasPrefix(r.Path, "/openapi") { // which has examples
					t.Errorf("%s, %s %s: tells %s", name, r.Method, r.Path, p)
				}
			}
			if owned && (r.Access == Applicant || r.Access == Browser || r.Access == Ticket) {
				if b := v.tries(r, missing); b.Status != a.Status || plain(b.Body, missing) != plain(a.Body, theirs) {
					t.Errorf("%s, %s %s: %d, one that does not exist %d", name, r.Method, r.Path, a.Status, b.Status)
				}
			}
			own, mine := bobs.in(r.Path)
			if crossed, rest := hers.in(own); v.browser == bob && len(mine) > 0 && len(rest) > 0 { // hers under what is his
				crossed, _ = nobodys.in(crossed)
				if a := v.tries(r, crossed); a.Status != http.StatusNotFound {
					t.Errorf("%s %s with hers under his: %d %s", r.Method, r.Path, a.Status, a.location())
				}
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
	if certificate.Valid != d.held().State() || d.clock.now().Sub(o.CreatedAt) > time.Hour {
		t.Error("the things tried were not live")
	}
}
