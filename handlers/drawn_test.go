package handlers

import (
	"html"
	"net/url"
	"regexp"
	"testing"

	"github.com/yuncaidun/yuncaidun/order"
)

var drawnInput = regexp.MustCompile(`name="_drawn" value="([^"]*)"`)

// formPage is one of several windows with the same form.
type formPage struct {
	b      *browser
	path   string
	values url.Values
}

func (b *browser) formPage(path string) *formPage {
	p := &formPage{b, path, url.Values{"do": {"auto"}, "seal": {""}, "quantity": {"1"}, "term": {"1"}}}
	for _, f := range []order.Field{order.AgentName, order.AgentEmail, order.OrgName, order.OrgUSCC, order.LegalName} {
		p.values.Set(string(f), b.order(path).Form.Get(f))
	}
	p.read(b.get(path + "/edit").Body)
	return p
}

func (p *formPage) read(body string) {
	p.b.t.Helper()
	m := drawnInput.FindStringSubmatch(body)
	if m == nil {
		p.b.t.Fatal("the page does not say what it was drawn with")
	}
	p.values.Set(drawnField, html.UnescapeString(m[1]))
}

// types changes a field of the page, which then saves itself.
func (p *formPage) types(field, value string) {
	p.b.t.Helper()
	p.values.Set(field, value)
	p.read(p.b.post(p.path+"/form", p.values, "HX-Request", "true", "X-Changed", field).Body)
}

// Two windows with one draft, or a PC and a phone: each saves what was changed in it, and
// nothing that only looks older there.
func TestTwoPagesOfOneDraft(t *testing.T) {
	b := newWeb(t).browser()
	path := b.draft()
	one, two := b.formPage(path), b.formPage(path)
	want := func(what string, fields map[order.Field]string) {
		t.Helper()
		form := b.order(path).Form
		for f, value := range fields {
			if got := form.Get(f); got != value {
				t.Errorf("%s: %s is %q, want %q", what, f, got, value)
			}
		}
	}
	one.types("agent.name", "王小琪")
	two.types("org.name", "新疆云岭能源科技有限公司")
	want("each changed a field", map[order.Field]string{order.AgentName: "王小琪", order.OrgName: "新疆云岭能源科技有限公司"})
	one.types("agent.email", "wang@example.com")
	two.types("legal.name", "李明")
	want("and another", map[order.Field]string{order.AgentName: "王小琪", order.OrgName: "新疆云岭能源科技有限公司", order.AgentEmail: "wang@example.com", order.LegalName: "李明"})
	one.types("agent.name", "王小琳")
	two.types("org.uscc", "91110108MA00TEN18G") // wrong, and not kept
	want("changed again", map[order.Field]string{order.AgentName: "王小琳", order.OrgUSCC: ""})
	one.types("org.uscc", "91110108MA00TEN18F")
	two.types("legal.name", "")
	want("emptied; what is right stays beside what is wrong elsewhere", map[order.Field]string{order.LegalName: "", order.OrgUSCC: "91110108MA00TEN18F", order.AgentName: "王小琳"})
	one.types("quantity", "3")
	two.types("agent.email", "li@example.com")
	want("the last of two who change one field", map[order.Field]string{order.AgentEmail: "li@example.com"})
	if got := b.order(path).Quantity(); got != 3 {
		t.Errorf("%d keys, want the 3 of the other page", got)
	}
	two.types("org.uscc", "")
	one.types("agent.email", "wang@example.com")
	want("what the other page has emptied stays so", map[order.Field]string{order.OrgUSCC: ""})
	one.values.Set("quantity", "21") // too many: nothing is saved
	one.types("agent.name", "王小珊")
	want("not saved", map[order.Field]string{order.AgentName: "王小琳"})
	one.types("quantity", "4")
	want("saved as soon as it can be", map[order.Field]string{order.AgentName: "王小珊"})
	one.values.Set(drawnField, `{"fields":`)
	one.types("agent.name", "王小琪")
	want("a page that does not know what it was drawn with", map[order.Field]string{order.AgentName: "王小琪", order.AgentEmail: "wang@example.com"})
}
