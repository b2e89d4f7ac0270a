package story

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// containers finds the objects' ids in what pkcs11-tool lists.
var containers = regexp.MustCompile(`(?m)^\s*ID:\s*([0-9a-f]+)$`)

// issued is a certificate as the command line exports it.
type issued struct {
	serial, subject    string
	file, issuer, root string // PEM: the leaf, and who signed it
	leaf               *x509.Certificate
}

// serials are those that cert list prints.
func (p *player) serials() []string {
	var out []string
	for line := range strings.Lines(must(p.instance.Command(p.ctx, "cert", "list"))) {
		serial, _, _ := strings.Cut(line, "\t")
		out = append(out, serial)
	}
	return out
}

// certificates exports what was issued since, and has openssl verify each.
func (p *player) certificates(before []string, n int) []issued {
	p.say("运维", "yuncaidun cert list / cert export，用 openssl 验证证书")
	var out []issued
	keys := map[string]bool{}
	for line := range strings.Lines(must(p.instance.Command(p.ctx, "cert", "list"))) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		p.check(len(columns) == 4 && len(columns[0]) == 40, "cert list 每行四列："+columns[0], line)
		if slices.Contains(before, columns[0]) {
			continue
		}
		p.check(columns[3] == "valid" && strings.Contains(columns[1], "O="+company) && strings.Contains(columns[1], "CN="+company), "证书有效，主体为本单位", line)
		c := p.export(columns[0])
		c.subject = columns[1]
		keys[string(c.leaf.RawSubjectPublicKeyInfo)] = true
		out = append(out, c)
	}
	p.check(len(out) == n && len(keys) == n, "新签发证书数量正确，序列号与公钥各不相同", len(out), len(keys))
	return out
}

// export writes the chain of a certificate to files and has openssl verify it.
func (p *player) export(serial string) issued {
	rest := []byte(must(p.instance.Command(p.ctx, "cert", "export", serial)))
	var files []string
	var leaf *x509.Certificate
	for _, name := range []string{"leaf", "issuing", "root"} {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		p.check(block != nil, serial[:8]+"… 导出了 "+name)
		if name == "leaf" {
			leaf = must(x509.ParseCertificate(block.Bytes))
		}
		file := filepath.Join(p.scratch, serial+"-"+name+".pem")
		try(os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
		files = append(files, file)
	}
	said, err := output(exec.CommandContext(p.ctx, "openssl", "verify", "-attime", p.unix(), "-CAfile", files[2], "-untrusted", files[1], files[0])) //nolint:gosec // our own files
	p.check(err == nil && strings.HasSuffix(strings.TrimSpace(said), ": OK"), "openssl verify："+serial, said, err)
	return issued{serial: serial, file: files[0], issuer: files[1], root: files[2], leaf: leaf}
}

// unix is the playground's time as openssl takes it: the clock may have been moved.
func (p *player) unix() string { return strconv.FormatInt(p.clock().Unix(), 10) }

// pkcs11 uses a USBKEY with a program that shares no code with us.
func (p *player) pkcs11(token string, access TokenAccess, args ...string) string {
	cmd := exec.CommandContext(p.ctx, "pkcs11-tool", append([]string{"--module", access.Module, "--token-label", token, "--login", "--pin", "env:YCD_STORY_PIN"}, args...)...) //nolint:gosec // as an operator would
	cmd.Env = append(p.softHSM(), "YCD_STORY_PIN="+access.PIN)
	return must(output(cmd))
}

// challenge has the key in a USBKEY sign, with pkcs11-tool, and openssl verify
// it with the certificate that is on the same USBKEY.
func (p *player) challenge(token string, certificates []issued) issued {
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	file := func(name string) string { return filepath.Join(p.scratch, token+"-"+name) }
	tool := func(args ...string) string { return p.pkcs11(token, access, args...) }
	on := containers.FindAllStringSubmatch(tool("--list-objects", "--type", "cert"), -1)
	p.check(len(on) == 1, "UKEY "+token+" 上有一张证书", on)
	id := on[0][1]
	tool("--read-object", "--type", "cert", "--id", id, "--output-file", file("cert.der"))
	i := slices.IndexFunc(certificates, func(c issued) bool { return bytes.Equal(c.leaf.Raw, must(os.ReadFile(file("cert.der")))) })
	p.check(i >= 0, "pkcs11-tool 从 UKEY "+token+" 读出的证书与导出的一致")

	question := make([]byte, 64)
	rand.Read(question)
	try(os.WriteFile(file("challenge"), question, 0o600))
	must(output(exec.CommandContext(p.ctx, "openssl", "dgst", "-sha256", "-binary", "-out", file("digest"), file("challenge"))))          //nolint:gosec // our own files
	must(output(exec.CommandContext(p.ctx, "openssl", "x509", "-in", certificates[i].file, "-pubkey", "-noout", "-out", file("public")))) //nolint:gosec // our own files
	if certificates[i].leaf.PublicKeyAlgorithm == x509.RSA {
		tool("--sign", "--id", id, "--mechanism", "SHA256-RSA-PKCS", "--input-file", file("challenge"), "--output-file", file("signature"))
	} else {
		tool("--sign", "--id", id, "--mechanism", "ECDSA", "--signature-format", "openssl", "--input-file", file("digest"), "--output-file", file("signature"))
	}
	said, err := output(exec.CommandContext(p.ctx, "openssl", "dgst", "-sha256", "-verify", file("public"), "-signature", file("signature"), file("challenge"))) //nolint:gosec // our own files
	p.check(err == nil && strings.Contains(said, "Verified OK"), "UKEY "+token+" 的私钥应答挑战，openssl 用其证书验证通过", said, err)
	return certificates[i]
}
