package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

type doctorCmd struct {
	Server string `help:"网站地址，用来核对网络和电脑时间。" placeholder:"URL"`
}

// finding is one thing that was looked at: what was found, and what to do if it is wrong.
type finding struct {
	ok         bool
	what, next string
}

// Run looks at driver, USBKEY and clock, and says in plain words what is wrong.
func (d doctorCmd) Run(ctx context.Context, c *cli) error {
	k, err := openKeyring(c.Module)
	if err != nil {
		return err
	}
	defer k.close()
	findings := append(k.examineDrivers(), k.examineTokens(ctx, time.Now())...)
	if d.Server != "" {
		findings = append(findings, examineServer(ctx, d.Server, time.Now))
	}
	if !report(os.Stdout, findings) {
		return errSaid
	}
	return nil
}

// report prints the findings and returns whether all is well.
func report(w io.Writer, findings []finding) bool {
	well := true
	for _, f := range findings {
		mark := "✓"
		if !f.ok {
			mark, well = "✗", false
		}
		fmt.Fprintf(w, "%s %s\n", mark, f.what)
		if !f.ok {
			fmt.Fprintf(w, "  下一步：%s\n", f.next)
		}
	}
	if well {
		fmt.Fprintln(w, "一切正常。")
	}
	return well
}

func (k *keyring) examineDrivers() []finding {
	if len(k.drivers) == 0 {
		return []finding{{false, "没有找到 UKEY 驱动（" + runtime.GOOS + "）", "安装随 UKEY 提供的驱动后重试；装在别处的，用 --module 写出驱动文件的路径。"}}
	}
	var out []finding
	for _, d := range k.drivers {
		if err := k.faults[d.path]; err != nil {
			out = append(out, finding{false, "驱动不能使用：" + d.vendor + "（" + d.path + "）", "重新安装驱动，并确认它与证书助手同为 " + runtime.GOARCH + " 版本。"})
			continue
		}
		out = append(out, finding{ok: true, what: "驱动可用：" + d.vendor + "（" + d.path + "）"})
	}
	return out
}

func (k *keyring) examineTokens(ctx context.Context, now time.Time) []finding {
	if len(k.modules) == 0 {
		return nil // said already
	}
	all, err := k.plugged()
	if err != nil {
		return []finding{{false, "读取 UKEY 失败：" + plain(err), "拔下 UKEY，等几秒后换一个 USB 口重新插入。"}}
	}
	var out []finding
	for _, p := range all {
		if token.ValidSerial(p.Name) {
			out = append(out, p.examine(ctx, now)...)
		}
	}
	if len(out) == 0 && len(all) > 0 {
		return []finding{{false, "插着的 UKEY 不是本系统发放的：" + all[0].Name, "请换上背面印有 TW 序列号的 UKEY。"}}
	}
	if len(out) == 0 {
		return []finding{{false, "没有检测到 UKEY", "请插好 UKEY；已插好的请换一个 USB 口，不要经过延长线或集线器。"}}
	}
	return out
}

// farOff is how wrong a clock may be before certificates and logins suffer.
const farOff = 5 * time.Minute

func (p plugged) examine(ctx context.Context, now time.Time) []finding {
	out := []finding{{ok: true, what: "检测到 UKEY " + p.Name}}
	switch {
	case p.SOPINLocked:
		out = append(out, finding{false, "UKEY 的管理密钥已锁定，无法解锁", "在网站办理「补办」。"})
	case p.UserPINLocked:
		out = append(out, finding{false, "UKEY 口令已锁定", "在网站打开「解锁」，用绑定手机验证后设置新口令。"})
	case p.UserPINLow:
		out = append(out, finding{ok: true, what: "UKEY 口令曾经输错；再错几次会锁定，忘记口令请办理解锁"})
	}
	err := p.use(ctx, func(t *token.Token) error {
		certs, err := t.Certificates()
		if err != nil {
			return err
		}
		if len(certs) == 0 {
			out = append(out, finding{false, "UKEY 中没有证书", "请致电 400-666-3999。"})
			return nil
		}
		for _, c := range certs {
			out = append(out, dated(c, certs, now))
		}
		return nil
	})
	if err != nil {
		out = append(out, finding{false, "读取 UKEY 失败：" + plain(err), "拔下 UKEY，等几秒后重新插入；关闭其他正在使用 UKEY 的程序。"})
	}
	return out
}

// dated says whether a certificate is in force by this PC's clock. One that another of the
// same subject has followed is kept for what was encrypted for it, and may be over.
func dated(c *x509.Certificate, all []*x509.Certificate, now time.Time) finding {
	until, who := c.NotAfter.Local().Format(time.DateOnly), c.Subject.CommonName
	switch {
	case now.Add(farOff).Before(c.NotBefore):
		return finding{false, "电脑时间早于证书的生效时间：现在显示 " + now.Local().Format("2006-01-02 15:04"), "校准电脑的日期和时间（时区选北京），再重试。"}
	case !now.After(c.NotAfter):
		return finding{ok: true, what: "证书有效至 " + until + "：" + who}
	case slices.ContainsFunc(all, func(n *x509.Certificate) bool { return n.Subject.CommonName == who && n.NotAfter.After(c.NotAfter) }):
		return finding{ok: true, what: "更新前的证书已于 " + until + " 到期，保留用于打开以前加密的文件：" + who}
	default:
		return finding{false, "证书已于 " + until + " 到期：" + who, "到期 90 天内可在网站「我的证书」更新；若电脑时间不对，请先校准。"}
	}
}

// examineServer asks the portal for its time.
func examineServer(ctx context.Context, server string, now func() time.Time) finding {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(server, "/")+"/healthz", nil)
	if err != nil {
		return finding{false, "网站地址有误：" + server, "核对 --server。"}
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return finding{false, "连接不上网站 " + server, "检查网络、代理和防火墙；公司网络限制访问时，可用手机和挑战码离线解锁。"}
	}
	defer resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return finding{ok: true, what: "可以连接网站 " + server}
	}
	if off := now().Sub(at); off > farOff || off < -farOff {
		return finding{false, fmt.Sprintf("电脑时间与网站相差 %s", off.Abs().Round(time.Minute)), "校准电脑的日期和时间（时区选北京），再重试。"}
	}
	return finding{ok: true, what: "可以连接网站，电脑时间正确"}
}
