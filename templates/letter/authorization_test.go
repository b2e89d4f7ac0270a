package letter

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/templates/font"
)

func authorization() Authorization {
	return Authorization{
		CA: "云采盾测试认证中心", Company: "云南示例工程有限公司", USCC: "91110108MA00TEN18F", Signer: "段正明", DocNo: "002X", Agent: "王小琪", Mobile: "177****7069",
		Order: "SAAS120261123103000000152", Product: "云岭能源集团电子招投标CA认证项目-初购", Keys: 2, Term: 1, Amount: "600.00",
	}
}

// Flows 4.5, screen 5: the five promises are those of the paper letter, and every
// word counts for the hash.
func TestAuthorizationText(t *testing.T) {
	a := authorization()
	text := a.Text()
	for i, promise := range promises {
		if i != 2 && !strings.Contains(text, promise) {
			t.Errorf("promise %d is missing", i+1)
		}
	}
	if strings.Contains(text, "盖章之日") || !strings.Contains(text, "仅限本次申请") {
		t.Error("the text speaks of a stamp, or has no scope")
	}
	seen := map[string]bool{a.SHA256(): true}
	for name, change := range map[string]func(*Authorization){
		"company": func(a *Authorization) { a.Company = "云南示例工程有限责任公司" }, "agent": func(a *Authorization) { a.Agent = "王大琪" },
		"keys": func(a *Authorization) { a.Keys = 3 }, "scope": func(a *Authorization) { a.Until = time.Date(2027, 2, 21, 0, 0, 0, 0, time.UTC) },
	} {
		b := authorization()
		change(&b)
		if seen[b.SHA256()] {
			t.Errorf("%s does not count", name)
		}
		seen[b.SHA256()] = true
	}
}

// The letter is one page whose words can be read back.
func TestAuthorizationPDF(t *testing.T) {
	f, err := font.Load(font.Path)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, 300, 120))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for x := 20; x < 280; x++ {
		img.SetGray(x, 20+x/4, color.Gray{})
	}
	var pic bytes.Buffer
	if err := png.Encode(&pic, img); err != nil {
		t.Fatal(err)
	}
	a := authorization()
	a.Until = time.Date(2027, 2, 21, 0, 0, 0, 0, time.UTC)
	pdf, err := AuthorizationPDF(f, a, Signing{Picture: pic.Bytes(), At: time.Date(2026, 11, 23, 2, 30, 0, 0, time.UTC), Receipt: "SQ20261123ABCDEFGH", Proofs: []string{"手机短信验证：138****0021", "文本哈希 " + a.SHA256()}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "a.pdf")
	if dir := os.Getenv("YCD_TEST_OUT"); dir != "" {
		file = filepath.Join(dir, "authorization.pdf")
	}
	if err := os.WriteFile(file, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdftotext", "-layout", file, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(out)), "")
	for _, want := range []string{"云采盾测试认证中心法定代表人授权书", "段正明", "云南示例工程有限公司", "2027年02月21日", "SQ20261123ABCDEFGH", "签署时间：2026-11-2310:30"} {
		if !strings.Contains(text, want) {
			t.Errorf("the letter does not say %s", want)
		}
	}
	if n := bytes.Count(pdf, []byte("/Type /Page\n")); n != 1 {
		t.Errorf("%d pages", n)
	}
}
