package story

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

var (
	receiptLink = regexp.MustCompile(`/orders/\w+/receipts/\w+/file`)
	receiptCode = regexp.MustCompile(`[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){4}`)
)

// receipt is about the progress receipt: the applicant issues one, an independent
// program vouches for its seal, and a tender agent without a login checks its code.
func (p *player) receipt(o purchase) (code string) {
	p.say(applicant, "点“出具进度凭证”，下载 PDF")
	link := receiptLink.FindString(string(p.shown(p.send(p.browser, p.open(o.page()), "/receipts", nil)).Body))
	p.check(link != "", "订单页可以下载凭证")
	file := filepath.Join(p.scratch, "receipt.pdf")
	try(os.WriteFile(file, p.open(link).Body, 0o600))
	said, _ := exec.CommandContext(p.ctx, "pdfsig", file).CombinedOutput() //nolint:gosec // our own file; its exit code says too little
	sig := string(said)
	p.check(strings.Contains(sig, "Signature is Valid") && strings.Contains(sig, "Total document signed"), "凭证的电子签章有效（pdfsig）", sig)
	text := must(output(exec.CommandContext(p.ctx, "pdftotext", "-layout", file, "-"))) //nolint:gosec // our own file
	code = receiptCode.FindString(text)
	p.check(code != "" && strings.Contains(text, o.no), "凭证上有订单号和凭证编号", text)
	p.check(p.receiptSays(code, company, o.no, "已受理", "尚未签发"), "招标代理不登录，凭编号看到单位、订单号和进度")
	forged := must(newBrowser("").Get(p.ctx, p.instance.URL+"/receipts/0000-0000-0000-0000-0000"))
	p.check(forged.Status == http.StatusNotFound && forged.Says("没有这个编号的凭证"), "伪造的编号查不到", forged.Text())
	return code
}

// receiptSays reports whether the public page of a code says all that, and nothing
// about anybody in person.
func (p *player) receiptSays(code string, what ...string) bool {
	page := must(newBrowser("").Get(p.ctx, p.instance.URL+"/receipts/"+code))
	for _, w := range what {
		if !page.Says(w) {
			return false
		}
	}
	for _, f := range Personal {
		if strings.Contains(string(page.Body), form[f]) {
			return false
		}
	}
	return page.Status == http.StatusOK
}
