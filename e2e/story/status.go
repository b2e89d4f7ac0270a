package story

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// standing is what relying parties hear about a certificate.
type standing struct{ what, ocsp, list string }

// The standings, in openssl's words.
var (
	good        = standing{"有效", ": good", ""}
	held        = standing{"冻结", "Reason: certificateHold", "Certificate Hold"}
	superseded  = standing{"吊销（已被替代）", "Reason: superseded", "Superseded"}
	lost        = standing{"吊销（UKEY 丢失）", "Reason: keyCompromise", "Key Compromise"}
	ended       = standing{"吊销（不再使用）", "Reason: cessationOfOperation", "Cessation Of Operation"}
	publishedIn = time.Minute // on the playground's clock
)

// published waits until relying parties hear of a decision that was made after an
// instant of the playground: openssl asks the responder, reads the list and verifies
// the certificate against it (F102).
func (p *player) published(c issued, decided time.Time, s standing) {
	p.eventually("OCSP 与 CRL 都说："+s.what, func() (bool, any) {
		ocsp := p.ocsp(c)
		list, valid := p.crl(c)
		return strings.Contains(ocsp, s.ocsp) && strings.Contains(list, s.list) && valid == (s == good), ocsp + list
	})
	took := p.clock().Sub(decided)
	p.check(took < publishedIn, "一分钟之内已公布", took)
}

// ocsp is what our responder says about a certificate.
func (p *player) ocsp(c issued) string {
	cmd := exec.CommandContext(p.ctx, "openssl", "ocsp", "-CAfile", c.root, "-verify_other", c.issuer, "-issuer", c.issuer, "-cert", c.file, //nolint:gosec // our own files
		"-url", c.leaf.OCSPServer[0], "-attime", p.unix(), "-validity_period", "3153600000") // openssl judges the times of the response by the real clock
	said, err := cmd.CombinedOutput()
	p.ok(err == nil && strings.Contains(string(said), "Response verify OK"), "openssl ocsp："+c.serial, string(said), err)
	return string(said)
}

// crl is what the newest list says about a certificate, and whether it is valid by it.
func (p *player) crl(c issued) (entry string, valid bool) {
	list := p.shown(must(p.browser.Get(p.ctx, c.leaf.CRLDistributionPoints[0]))).Body
	file := filepath.Join(p.scratch, "list.crl")
	try(os.WriteFile(file, list, 0o600))
	text := must(output(exec.CommandContext(p.ctx, "openssl", "crl", "-inform", "DER", "-in", file, "-CAfile", c.issuer, "-noout", "-text"))) //nolint:gosec // our own file
	if _, after, ok := strings.Cut(text, "Serial Number: "+c.serial); ok {
		entry, _, _ = strings.Cut(after, "Serial Number: ")
	}
	pem := file + ".pem"
	must(output(exec.CommandContext(p.ctx, "openssl", "crl", "-inform", "DER", "-in", file, "-out", pem)))                                                                               //nolint:gosec // our own file
	said, err := exec.CommandContext(p.ctx, "openssl", "verify", "-crl_check", "-attime", p.unix(), "-CAfile", c.root, "-untrusted", c.issuer, "-CRLfile", pem, c.file).CombinedOutput() //nolint:gosec // our own files
	p.ok(err == nil || strings.Contains(string(said), "certificate revoked"), "openssl verify -crl_check："+c.serial, string(said))
	return entry, err == nil
}
