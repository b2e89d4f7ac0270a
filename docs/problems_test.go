// Package docs keeps the generated pages of this folder true.
package docs

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite problems.md")

const preamble = `# Problems

Every refusal of the product, as ` + "`application/problem+json`" + ` (RFC 9457) or as a sentence on a page. The code is stable: programs
may rely on it. The sentence is for people and may change. A problem's ` + "`type`" + ` leads to its code here; ` + "`instance`" + ` is the
request id to quote to support; ` + "`fields`" + ` names what to correct, field by field.

| kind | HTTP | what to do |
|---|---|---|
| invalid | 422 | correct the fields named and send again |
| unauthenticated | 401 | log in again |
| forbidden | 403 | somebody else has to do it |
| not_found | 404 | check the number; what belongs to others is not found either |
| conflict | 409 | load it again, it has changed meanwhile |
| rate_limited | 429 | wait as long as ` + "`Retry-After`" + ` says |
| unavailable | 503 | a provider is down; wait as ` + "`Retry-After`" + ` says |

Anything else is ` + "`internal`" + ` (500): it is in our log under the request id. Refusals of HTTP itself (no such page, body too
large) have the code ` + "`http`" + `.

Generated from the source: ` + "`go test ./docs -update`" + `.
`

// problem is one code: its kind and the sentences it comes with.
type problem struct {
	kind    string
	details map[string]bool
}

// kinds are the names of order's Kind constants and what they say.
var kinds = map[string]string{
	"Invalid": "invalid", "Unauthenticated": "unauthenticated", "Forbidden": "forbidden", "NotFound": "not_found",
	"Conflict": "conflict", "RateLimited": "rate_limited", "Unavailable": "unavailable",
}

func TestProblemsAreDocumented(t *testing.T) {
	problems := map[string]problem{}
	for _, file := range sources(t) {
		collect(file, problems)
	}
	if len(problems) < 20 {
		t.Fatalf("only %d problems found: the search is broken", len(problems))
	}
	var b strings.Builder
	b.WriteString(preamble)
	for _, code := range slices.Sorted(maps.Keys(problems)) {
		p := problems[code]
		fmt.Fprintf(&b, "\n### %s\n\n%s", code, p.kind)
		for _, d := range slices.Sorted(maps.Keys(p.details)) {
			if strings.HasSuffix(d, "。") {
				t.Errorf("%s: %q ends a sentence that others go on with", code, d)
			}
			fmt.Fprintf(&b, " · %s", d)
		}
		b.WriteByte('\n')
	}
	if *update {
		if err := os.WriteFile("problems.md", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile("problems.md")
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(string(page), b.String()); d != "" {
		t.Errorf("problems.md is stale; run: go test ./docs -update\n%s", d)
	}
}

// sources parses the product's own code: no tests, no simulators.
func sources(t *testing.T) []*ast.File {
	t.Helper()
	var files []*ast.File
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if slices.Contains([]string{"node_modules", "bin", "var", "sim", "e2e", ".git"}, d.Name()) {
				return filepath.SkipDir
			}
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			files = append(files, f)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// collect finds the three ways a problem is written: order.Errorf(kind, code, detail),
// order.Error{Kind: …, Code: …, Detail: …}, and the guards of the lifecycle, whose code is
// the fact and "_required".
func collect(file *ast.File, problems map[string]problem) {
	codes := constants(file, "") // of no type of their own
	add := func(code, kind, detail ast.Expr, suffix string) {
		if value, ok := codes[name(code)]; ok {
			code = value // a constant beside it
		}
		c, k := text(code), kinds[name(kind)]
		if c == "" || k == "" {
			return
		}
		p := problems[c+suffix]
		if p.details == nil {
			p = problem{kind: k, details: map[string]bool{}}
		}
		if d := text(detail); d != "" {
			p.details[regexp.MustCompile(`%[a-z]`).ReplaceAllString(d, "…")] = true
		}
		problems[c+suffix] = p
	}
	facts := constants(file, "Fact")
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name(n.Fun) == "Errorf" && len(n.Args) >= 3 {
				add(n.Args[1], n.Args[0], n.Args[2], "")
			}
		case *ast.CompositeLit:
			set := map[string]ast.Expr{}
			for _, e := range n.Elts {
				kv, ok := e.(*ast.KeyValueExpr)
				if !ok {
					continue
				}
				key := name(kv.Key)
				set[key] = kv.Value
				if guard, ok := kv.Value.(*ast.CompositeLit); ok && facts[key] != nil && len(guard.Elts) == 3 {
					add(facts[key], guard.Elts[1], guard.Elts[2], "_required")
				}
			}
			add(set["Code"], set["Kind"], set["Detail"], "")
			if name(n.Type) == "counter" { // store/session: what is limited, by its own code
				add(set["code"], ast.NewIdent("RateLimited"), nil, "")
			}
		}
		return true
	})
}

// constants are the values of the file's constants of a type, by name.
func constants(file *ast.File, typ string) map[string]ast.Expr {
	values := map[string]ast.Expr{}
	ast.Inspect(file, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && name(v.Type) == typ && len(v.Values) == 1 {
			values[v.Names[0].Name] = v.Values[0]
		}
		return true
	})
	return values
}

// name is an identifier, also behind a package.
func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// text is a string literal, with … for the parts of a sum that are not literal.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.BinaryExpr:
		return cmp.Or(text(e.X), "…") + cmp.Or(text(e.Y), "…")
	}
	return ""
}
