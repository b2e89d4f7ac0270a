package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/templates/axe"
)

// foreign are faults of uni-app's and wot-design's own components on H5, which the
// mini-program cannot mend; WeChat draws its own.
var foreign = []struct{ rule, selector, why string }{
	{"image-alt", "uni-tabbar img", "the icons stand beside their names"},
	{"region", "uni-tabbar, uni-tabbar *, uni-page-head, uni-page-head *", "the bars are no landmarks"},
	{"page-has-heading-one", "html:not(:has(uni-page:last-of-type .h1))", "many pages are named by the bar, whose title is no heading"},
	{"label", "uni-input[aria-label] input, uni-textarea[aria-label] textarea", "the name that we give stays on the frame"},
	{"scrollable-region-focusable", "body, uni-scroll-view *", "what can be tapped takes no focus"},
	{"color-contrast", ".wd-button.is-disabled *", "WCAG 1.4.3 does not ask it of what is off, which only a class says"},
}

// Every page of the mini-program can be used by everybody, as far as axe-core can tell:
// with its content, while it is loading and without a network.
func TestEveryPageOfTheMiniProgramIsAccessible(t *testing.T) {
	dir := t.TempDir()
	if said, code := demo(t, binary, "YCD_DATA_DIR="+dir, "STORY=invoice", "FAULT="); code != 0 {
		t.Fatalf("exit code %d\n%s", code, said)
	}
	rules, err := axe.Load("../templates")
	if err != nil {
		t.Fatal(err)
	}
	i, _ := productIn(t, dir)
	m := mini{chromium(t, i.URL, 375, 812)}
	m.wire()
	pages, alone := m.everyPage()
	look := func(name string) {
		t.Helper()
		m.until("nothing lies over the page", uncovered)
		faults, err := rules.Faults(m.ctx)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		faults = slices.DeleteFunc(faults, func(f axe.Fault) bool {
			target, _, _ := strings.Cut(f.Element, "  ")
			return slices.ContainsFunc(foreign, func(x struct{ rule, selector, why string }) bool {
				return x.rule == f.Rule && m.js(fmt.Sprintf("document.querySelector(%q).matches(%q)", target, x.selector)) == "true"
			})
		})
		if len(faults) > 0 {
			t.Errorf("%s is not accessible:%s", name, axe.Report(faults))
		}
	}
	for name, shown := range alone {
		pages[name] = pageOfMini{"", shown}
	}
	pages["login"] = pageOfMini{"switch=yes", top(".other-mobile")} // who is known already is through at once
	for n, name := range pagesOfMini(t) {
		m.fresh(n, name+"/index?"+pages[name].query)
		m.until(name+" is there", "("+pages[name].shown+")?.offsetParent")
		look(name)
	}
	for n, mode := range []string{"held", "down"} {
		m.net(mode)
		m.fresh(100+n, "orders/index")
		m.until("orders says so", top("[aria-busy=true], .retry")+"?.offsetParent")
		look("orders, the network being " + mode)
	}
}
