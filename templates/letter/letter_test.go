package letter

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/templates/font"
)

func hei(t *testing.T) *font.Font {
	t.Helper()
	f, err := font.Load(font.Path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// 23:30 UTC is already the next day in Shanghai.
var blanks = Blanks{
	CA: "云采盾认证中心", Company: "新疆运达能源科技有限公司", Agent: "王小琪", Mobile: "17712347069",
	Email: "wang.xiaoqi@example.com", Date: time.Date(2026, 11, 23, 23, 30, 0, 0, time.UTC),
}

// text is what pdftotext reads in the letter, without white space, and the
// number of its pages.
func text(t *testing.T, pdf []byte) (string, int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "letter.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "pdftotext", "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(out)), ""), strings.Count(string(out), "\f")
}

// F37, F38, F39, G31: what the letter says.
func TestLetterText(t *testing.T) {
	long := blanks
	long.Company = strings.Repeat("内蒙古自治区呼伦贝尔市", 6) + "建设工程（集团）有限责任公司"
	long.Email = strings.Repeat("a", 60) + "@" + strings.Repeat("b", 60) + ".example.com"
	for name, b := range map[string]Blanks{"usual": blanks, "long company name and e-mail": long} {
		t.Run(name, func(t *testing.T) {
			pdf, err := PDF(hei(t), b)
			if err != nil {
				t.Fatal(err)
			}
			got, pages := text(t, pdf)
			if pages != 1 {
				t.Errorf("%d pages, want 1", pages)
			}
			for _, want := range []string{"云采盾认证中心实名认证申请授权书", "代理人姓名王小琪", "代理人电话（手机）17712347069", "单位公章：", "日期：2026年11月24日", "注册机构留存"} {
				if !strings.Contains(got, want) {
					t.Errorf("the letter lacks %q:\n%s", want, got)
				}
			}
			for _, p := range promises {
				if !strings.Contains(got, p) {
					t.Errorf("the letter lacks the promise %q", p)
				}
			}
			// A wrapped value shares its rows with the label, so compare without it.
			if !strings.Contains(strings.ReplaceAll(got, "单位全称", ""), b.Company) || !strings.Contains(strings.ReplaceAll(got, "代理人电子邮箱", ""), b.Email) {
				t.Errorf("the letter lacks company or e-mail:\n%s", got)
			}
		})
	}
}

func TestLetterRefuses(t *testing.T) {
	rare := blanks
	rare.Agent = "王𬭚"
	_, err := PDF(hei(t), rare)
	if e, ok := errors.AsType[MissingGlyphs](err); !ok || !strings.Contains(e.Detail(), "“𬭚”") {
		t.Errorf("PDF with a rare name = %v", err)
	}
	empty := blanks
	empty.Email = " " // G33
	if _, err := PDF(hei(t), empty); err == nil {
		t.Error("PDF without e-mail succeeded")
	}
}
