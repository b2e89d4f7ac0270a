package letter

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// newPage chooses the face by what is filled in, so the fixed words of every
// document must be common characters.
func TestFixedWordsAreCommon(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	f := hei(t)
	words := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				words++
				if text = strings.ReplaceAll(text, "\n", ""); len(f.For(text)) == len(f.TTF) {
					t.Errorf("%s: %q has rare characters", file, text)
				}
			}
			return true
		})
	}
	if words < 50 {
		t.Errorf("%d strings, want those of three documents", words)
	}
}

// A letter looks the same whichever face draws it.
func TestCommonFaceLooksTheSame(t *testing.T) {
	f := hei(t)
	drawn := func(rare string) string {
		p, err := newPage(f, "授权书", blanks.Date, rare)
		if err != nil {
			t.Fatal(err)
		}
		p.title("授权书 ABCxyz 0123456789")
		for _, promise := range promises {
			p.paragraph(promise)
		}
		file := filepath.Join(t.TempDir(), "page.pdf")
		if err := p.OutputFileAndClose(file); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "pdftoppm", "-r", "80", "-gray", file).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if drawn("") != drawn("镕") {
		t.Error("the common face draws another page than the whole one")
	}
}
