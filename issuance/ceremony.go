package issuance

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A ceremony makes the CA with its root on a machine of its own that never meets a
// network. Files go between the two machines in a folder (a USB stick). Every step
// is read aloud from the table below, done by this program and confirmed by the
// witnesses; the transcript says what was done, when, the SHA-256 of every file and
// who confirmed. docs/ceremony.md is the script that people hold in their hands.

// Ceremony is one act on one machine.
type Ceremony struct {
	Config Config
	// Folder is what the machines exchange.
	Folder string
	// Witnesses are the names of those who confirm each step, at least two.
	Witnesses []string
	In        io.Reader // their answers, a line each
	Out       io.Writer // what they read
}

// ceremonyStep is one step: what the master of ceremonies reads, what is done, and
// what the witnesses are asked to have checked. The files it made or read go into
// the transcript.
type ceremonyStep struct {
	name  string
	read  string
	check string
	do    func(*ceremony, context.Context) (files []string, err error)
}

// Acts are the acts of a ceremony, in the order in which they are played: root and
// sign on the offline machine, request and install on the issuer's host.
var Acts = []string{"root", "request", "sign", "install"}

var ceremonyActs = map[string][]ceremonyStep{
	"root": {
		{"prepare", "本机为离线根 CA 专用机。请确认网线已拔除、无线已关闭，系统时间正确。", "本机未联网，且屏幕上的时间与标准时间相差不超过一分钟", (*ceremony).nothing},
		{"root-key", "现在在根 CA 加密机中生成根密钥，并签发自签名根证书。", "根证书文件的 SHA-256 与本人抄录的一致", (*ceremony).makeRoot},
		{"root-crl", "现在签发根 CA 的空吊销列表。", "吊销列表为空，文件的 SHA-256 与本人抄录的一致", (*ceremony).makeRootCRL},
	},
	"request": {
		{"prepare", "本机为签发系统主机。请确认根证书文件来自离线根 CA 专用机。", "根证书文件的 SHA-256 与根密钥仪式记录中的一致", (*ceremony).readRoot},
		{"issuing-keys", "现在在签发加密机中生成签发 CA 的密钥，并导出证书请求。", "每个证书请求文件的 SHA-256 与本人抄录的一致", (*ceremony).makeRequests},
	},
	"sign": {
		{"prepare", "本机为离线根 CA 专用机。请确认未联网，并插入带有证书请求的 U 盘。", "本机未联网，且屏幕上的时间与标准时间相差不超过一分钟", (*ceremony).nothing},
		{"requests", "现在读取并检查证书请求。", "每个证书请求文件的 SHA-256 与签发主机记录中的一致", (*ceremony).readRequests},
		{"issuing", "现在用根密钥签发各签发 CA 的证书。", "每个证书的主体名称正确，文件的 SHA-256 与本人抄录的一致", (*ceremony).signRequests},
		{"root-crl", "现在签发或沿用根 CA 的吊销列表。", "吊销列表文件的 SHA-256 与本人抄录的一致", (*ceremony).makeRootCRL},
	},
	"install": {
		{"install", "本机为签发系统主机。现在检查证书链并安装。", "每个文件的 SHA-256 与离线根 CA 记录中的一致", (*ceremony).install},
		{"finish", "现在生成签章密钥和介质密钥集，完成安装。", "屏幕显示安装完成", (*ceremony).finish},
	},
}

// ceremony is a Ceremony going on.
type ceremony struct {
	Ceremony
	in      *initializer
	answers *bufio.Scanner
	log     *transcript
}

// Run plays one act and returns the name of the transcript. An act that was broken
// off is played again from its beginning; what exists is kept.
func (c Ceremony) Run(ctx context.Context, act string) (file string, err error) {
	steps, ok := ceremonyActs[act]
	if !ok {
		return "", fmt.Errorf("no act %q; they are %s", act, strings.Join(Acts, ", "))
	}
	if err := checkWitnesses(c.Witnesses); err != nil {
		return "", err
	}
	if err := os.MkdirAll(c.Folder, 0o750); err != nil {
		return "", fmt.Errorf("opening the exchange folder: %w", err)
	}
	in, err := newInitializer(c.Config)
	if err != nil {
		return "", err
	}
	open := &ceremony{Ceremony: c, in: in, answers: bufio.NewScanner(c.In)}
	defer open.close()
	if open.log, err = newTranscript(c.Folder, act, c.Config.Now); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, open.log.close(err)) }()
	open.log.write("act", act+", witnesses: "+strings.Join(c.Witnesses, ", "))
	for n, s := range steps {
		if err := open.step(ctx, n+1, s); err != nil {
			return open.log.name, fmt.Errorf("step %s: %w", s.name, err)
		}
	}
	return open.log.name, nil
}

func (c *ceremony) close() {
	if c.in != nil {
		c.in.close()
	}
}

func checkWitnesses(names []string) error {
	seen := map[string]bool{}
	for _, n := range names {
		if n = strings.TrimSpace(n); n == "" || strings.ContainsAny(n, "\t\r\n") || seen[n] {
			return errors.New("each witness needs a name of his own")
		}
		seen[n] = true
	}
	if len(names) < 2 {
		return errors.New("a ceremony needs at least two witnesses")
	}
	return nil
}

func (c *ceremony) step(ctx context.Context, n int, s ceremonyStep) error {
	fmt.Fprintf(c.Out, "\n【第 %d 步】%s\n", n, s.read)
	files, err := s.do(c, ctx)
	if err != nil {
		c.log.write("failed", s.name+": "+err.Error())
		return err
	}
	c.log.write("done", s.name)
	for _, f := range files {
		sum, err := fileSum(f)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.Out, "  文件 %s\n  SHA-256 %s\n", filepath.Base(f), spaced(sum))
		c.log.write("file", filepath.Base(f)+" sha256 "+sum)
	}
	for _, w := range c.Witnesses {
		fmt.Fprintf(c.Out, "  见证人 %s：%s。确认请输入 yes：", w, s.check)
		if !c.answers.Scan() || strings.TrimSpace(c.answers.Text()) != "yes" {
			c.log.write("refused", w+": "+s.check)
			return fmt.Errorf("%s did not confirm", w)
		}
		c.log.write("confirmed", w+": "+s.check)
	}
	fmt.Fprintln(c.Out)
	return nil
}

func fileSum(file string) (string, error) {
	b, err := os.ReadFile(file) //nolint:gosec // a file that the ceremony has just handled
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(b)), nil
}

// spaced sets a digest in groups that people can compare.
func spaced(sum string) string {
	var b strings.Builder
	for i := 0; i < len(sum); i += 8 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(sum[i:min(i+8, len(sum))])
	}
	return b.String()
}

func (c *ceremony) nothing(context.Context) ([]string, error) {
	fmt.Fprintf(c.Out, "  现在时间 %s\n", c.Config.Now().In(shanghai).Format("2006-01-02 15:04:05 -07:00"))
	return nil, nil
}

func (c *ceremony) makeRoot(ctx context.Context) ([]string, error) {
	root, err := c.in.authority(ctx, rootAuthority, nil, rootTemplate(), rootYears)
	if err != nil {
		return nil, err
	}
	return c.export(rootAuthority.name+".pem", encodePEM(root.cert.Raw))
}

func (c *ceremony) makeRootCRL(ctx context.Context) ([]string, error) {
	root, err := c.in.authority(ctx, rootAuthority, nil, rootTemplate(), rootYears)
	if err != nil {
		return nil, err
	}
	if err := c.in.ensureRootCRL(root); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(crlFile(c.Config.Dir))
	if err != nil {
		return nil, fmt.Errorf("reading the root's CRL: %w", err)
	}
	return c.export(filepath.Base(crlFile(c.Config.Dir)), text)
}

func (c *ceremony) export(name string, text []byte) ([]string, error) {
	file := filepath.Join(c.Folder, name)
	return []string{file}, writeFile(file, text, 0o644)
}

// readRoot takes the root's certificate over, unless another one is there.
func (c *ceremony) readRoot(context.Context) ([]string, error) {
	root, err := readCertificate(c.Folder, rootAuthority.name)
	if err != nil {
		return nil, err
	}
	if err := checkRoot(root, c.in.subject(rootAuthority).String()); err != nil {
		return nil, err
	}
	switch have, err := readCertificate(c.Config.Dir, rootAuthority.name); {
	case err == nil && !bytes.Equal(have.Raw, root.Raw):
		return nil, errors.New("this host has another root already")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	return []string{certificateFile(c.Folder, rootAuthority.name)}, nil
}

func checkRoot(root *x509.Certificate, subject string) error {
	switch {
	case !root.IsCA || root.CheckSignatureFrom(root) != nil:
		return errors.New("the root's certificate does not sign itself")
	case root.Subject.String() != subject:
		return fmt.Errorf("the root is called %s, not %s", root.Subject, subject)
	}
	return nil
}

func requestFile(dir, name string) string { return filepath.Join(dir, name+".csr") }

// makeRequests makes the issuing CAs' keys and asks for their certificates.
func (c *ceremony) makeRequests(ctx context.Context) (files []string, err error) {
	for _, a := range issuingAuthorities {
		pool, err := c.in.token(ctx, a)
		if err != nil {
			return nil, err
		}
		signer, err := pool.EnsureKey(ctx, signatureKey, a.algorithm)
		if err != nil {
			return nil, fmt.Errorf("making CA key %s: %w", a.label, err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
			Subject: c.in.subject(a), SignatureAlgorithm: signatureAlgorithms[a.algorithm],
		}, signer)
		if err != nil {
			return nil, fmt.Errorf("requesting %s: %w", a.name, err)
		}
		made, err := c.export(a.name+".csr", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
		if err != nil {
			return nil, err
		}
		files = append(files, made...)
	}
	return files, nil
}

// readRequest reads an issuing CA's request and refuses one that is not exactly
// what the table says.
func (c *ceremony) readRequest(a authority) (*x509.CertificateRequest, error) {
	text, err := os.ReadFile(requestFile(c.Folder, a.name))
	if err != nil {
		return nil, fmt.Errorf("reading the request of %s: %w", a.name, err)
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("the request of %s is not one PEM request", a.name)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the request of %s: %w", a.name, err)
	}
	want, err := asn1.Marshal(c.in.subject(a).ToRDNSequence())
	if err != nil {
		return nil, err
	}
	if err := checkKey(csr.PublicKey, a.algorithm); err != nil {
		return nil, fmt.Errorf("the request of %s: %w", a.name, err)
	}
	switch {
	case csr.SignatureAlgorithm != signatureAlgorithms[a.algorithm] || csr.CheckSignature() != nil:
		return nil, fmt.Errorf("the request of %s does not prove its key", a.name)
	case !bytes.Equal(csr.RawSubject, want):
		return nil, fmt.Errorf("the request of %s is for %s", a.name, csr.Subject)
	case len(csr.Extensions) > 0:
		return nil, fmt.Errorf("the request of %s asks for extensions", a.name)
	}
	return csr, nil
}

func (c *ceremony) readRequests(context.Context) (files []string, err error) {
	for _, a := range issuingAuthorities {
		csr, err := c.readRequest(a)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c.Out, "  %s 公钥 SHA-256 %s\n", csr.Subject, spaced(fmt.Sprintf("%x", sha256.Sum256(csr.RawSubjectPublicKeyInfo))))
		files = append(files, requestFile(c.Folder, a.name))
	}
	return files, nil
}

// signRequests has the root certify the issuing CAs. A certificate for the same key
// that is there already stays: the act may be played again.
func (c *ceremony) signRequests(ctx context.Context) (files []string, err error) {
	root, err := c.in.authority(ctx, rootAuthority, nil, rootTemplate(), rootYears)
	if err != nil {
		return nil, err
	}
	for _, a := range issuingAuthorities {
		csr, err := c.readRequest(a)
		if err != nil {
			return nil, err
		}
		cert, err := readCertificate(c.Config.Dir, a.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if cert, err = c.in.certify(a, csr.PublicKey, root, issuingTemplate(), issuingYears); err != nil {
				return nil, err
			}
			if err := writeFile(certificateFile(c.Config.Dir, a.name), encodePEM(cert.Raw), 0o644); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, err
		case !samePublicKey(cert.PublicKey, csr.PublicKey):
			return nil, fmt.Errorf("%s was certified before, with another key", a.name)
		}
		fmt.Fprintf(c.Out, "  %s 序列号 %s 有效期至 %s\n", cert.Subject, FormatSerial(cert.SerialNumber), cert.NotAfter.Format(time.RFC3339))
		c.log.write("signed", a.name+" serial "+FormatSerial(cert.SerialNumber))
		made, err := c.export(a.name+".pem", encodePEM(cert.Raw))
		if err != nil {
			return nil, err
		}
		files = append(files, made...)
	}
	return files, nil
}

// install checks the chain and puts it beside the issuing keys.
func (c *ceremony) install(ctx context.Context) (files []string, err error) {
	if _, err := c.readRoot(ctx); err != nil {
		return nil, err
	}
	root, err := readCertificate(c.Folder, rootAuthority.name)
	if err != nil {
		return nil, err
	}
	if _, err := readCRL(c.Folder, root); err != nil {
		return nil, err
	}
	names := []string{rootAuthority.name + ".pem", rootAuthority.name + ".crl"}
	for _, a := range issuingAuthorities {
		cert, err := readCertificate(c.Folder, a.name)
		if err != nil {
			return nil, err
		}
		if err := cert.CheckSignatureFrom(root); err != nil {
			return nil, fmt.Errorf("%s is not signed by the root: %w", a.name, err)
		}
		pool, err := c.in.token(ctx, a)
		if err != nil {
			return nil, err
		}
		signer, err := pool.Signer(ctx, signatureKey)
		if err != nil {
			return nil, fmt.Errorf("opening CA key %s: %w", a.label, err)
		}
		if !samePublicKey(cert.PublicKey, signer.Public()) {
			return nil, fmt.Errorf("%s is for another key than this host's", a.name)
		}
		names = append(names, a.name+".pem")
	}
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join(c.Folder, n)) //nolint:gosec // one of the names above
		if err != nil {
			return nil, err
		}
		if err := writeFile(filepath.Join(c.Config.Dir, n), text, 0o644); err != nil {
			return nil, err
		}
		files = append(files, filepath.Join(c.Config.Dir, n))
	}
	return files, nil
}

// finish makes the rest, which the root has no part in.
func (c *ceremony) finish(ctx context.Context) ([]string, error) {
	c.in.close() // InitCA locks the folder itself
	c.in = nil
	if err := InitCA(ctx, c.Config); err != nil {
		return nil, err
	}
	fmt.Fprintln(c.Out, "  安装完成")
	return []string{certificateFile(c.Config.Dir, sealAuthority.name)}, nil
}

// transcript is the record of an act. Its last line is the SHA-256 of all before it.
type transcript struct {
	name string
	f    *os.File
	now  func() time.Time
	sum  bytes.Buffer
	err  error
}

func newTranscript(dir, act string, now func() time.Time) (*transcript, error) {
	name := filepath.Join(dir, "transcript-"+act+"-"+now().UTC().Format("20060102T150405.000Z")+".txt")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // people take it home
	if err != nil {
		return nil, fmt.Errorf("opening the transcript: %w", err)
	}
	return &transcript{name: name, f: f, now: now}, nil
}

// write adds a line at once, so that an act that breaks off leaves what it did.
func (t *transcript) write(kind, text string) {
	line := t.now().UTC().Format(time.RFC3339) + "\t" + kind + "\t" + strings.Join(strings.Fields(text), " ") + "\n"
	t.sum.WriteString(line)
	_, err := t.f.WriteString(line)
	t.err = errors.Join(t.err, err, t.f.Sync())
}

func (t *transcript) close(outcome error) error {
	if outcome == nil {
		t.write("end", "complete")
	} else {
		t.write("end", "broken off")
	}
	_, err := fmt.Fprintf(t.f, "sha256\t%x\n", sha256.Sum256(t.sum.Bytes()))
	if err := errors.Join(t.err, err, t.f.Sync(), t.f.Close()); err != nil {
		return fmt.Errorf("writing the transcript: %w", err)
	}
	return nil
}
