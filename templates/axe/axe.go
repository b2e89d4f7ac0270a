// Package axe asks axe-core, run in Chromium, whether a page can be used by everybody:
// WCAG 2.2 A and AA, and what axe-core calls best practice. It adds that
// what a form finds wrong is bound to its field (WCAG 3.3.1) and that the page fits 320 px.
// Only tests import it.
package axe

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/chromedp/chromedp"
)

// Script is the path of axe-core below the templates' folder, where npm puts it.
const Script = "node_modules/axe-core/axe.min.js"

// Rules is axe-core, and the rules of it that are not asked, each for a reason that
// its caller gives.
type Rules struct {
	script string
	off    []string
}

// Load reads axe-core from the templates' folder.
func Load(templates string, off ...string) (*Rules, error) {
	script, err := os.ReadFile(templates + "/" + Script) //nolint:gosec // the path is a test's own
	if err != nil {
		return nil, fmt.Errorf("reading axe-core (make templates/%s fetches it): %w", Script, err)
	}
	return &Rules{string(script), off}, nil
}

// Fault is one element that breaks one rule.
type Fault struct{ Rule, Element, Help string }

// String is one line for the person who mends the page.
func (f Fault) String() string { return f.Rule + ": " + f.Element + "\n\t" + f.Help }

// look opens what is folded and asks for the page, then for each of its dialogs.
const look = `(async off => {
	const options = {resultTypes: ["violations"], rules: Object.fromEntries(off.map(id => [id, {enabled: false}])),
		runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]};
	const found = [];
	const ask = async (what, options) => {
		for (const v of (await axe.run(what, options)).violations) for (const n of v.nodes)
			found.push({Rule: v.id, Element: n.target.flat().join(" ") + "  " + n.html.slice(0, 200), Help: n.failureSummary.replace(/\s*\n\s*/g, " ")});
	};
	document.querySelectorAll("details").forEach(d => d.open = true);
	await ask(document, options);
	for (const d of document.querySelectorAll("dialog:not([open])")) {
		d.showModal();
		await ask({include: [d]}, options);
		d.close();
	}
	for (const f of document.querySelectorAll(".field .fault, .shot .fault"))
		if (f.textContent.trim() && f.checkVisibility() && !document.querySelector('[aria-describedby~="' + CSS.escape(f.id) + '"]'))
			found.push({Rule: "fault-unbound", Element: f.outerHTML.slice(0, 200), Help: "Name the fault's id in the aria-describedby of its field"});
	return found;
})`

// Faults are those of the page that a tab shows, 375 px wide.
func (r *Rules) Faults(tab context.Context) ([]Fault, error) {
	off, err := json.Marshal(append([]string{}, r.off...))
	if err != nil {
		return nil, err
	}
	// By way of the debugger, which the page's content security policy does not bind.
	ask := r.script + ";\n" + look + "(" + string(off) + ")"
	found, err := chromedp.Run(tab, chromedp.Evaluate[[]Fault](ask, chromedp.EvalAwaitPromise))
	if err != nil {
		return nil, fmt.Errorf("asking axe-core: %w", err)
	}
	// WCAG 1.4.10: 1280 px at 400 % are 320 px, which is narrower than 1440 px at 200 %.
	wide := `innerWidth < document.documentElement.scrollWidth ?
		[{Rule: "reflow", Element: [...document.querySelectorAll("main *")].reduce((w, e) => e.getBoundingClientRect().right > w.getBoundingClientRect().right ? e : w).outerHTML.slice(0, 200), Help: "At 320 px the page is " + document.documentElement.scrollWidth + " px wide"}] : []`
	if err := chromedp.Do(tab, chromedp.EmulateViewport(320, 800)); err != nil {
		return nil, err
	}
	more, err := chromedp.Run(tab, chromedp.Evaluate[[]Fault](wide))
	if err != nil {
		return nil, err
	}
	return append(found, more...), chromedp.Do(tab, chromedp.EmulateViewport(375, 800))
}

// Report is one line per fault.
func Report(faults []Fault) string {
	var b strings.Builder
	for _, f := range faults {
		b.WriteString("\n" + f.String())
	}
	return b.String()
}
