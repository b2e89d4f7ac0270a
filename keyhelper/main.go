// Command keyhelper (证书助手) works on the PC of a subscriber, where the USBKEY is
// plugged in. It sets a new PIN of a locked key: with a one-time ticket of the
// portal, or with a challenge code where there is no network; and changes the PIN of
// one that is not. It runs from the command line, and as a service on 127.0.0.1 for
// the portal's pages.
//
// A PIN is read from the keyboard or from the page on this PC, goes into the
// USBKEY, and nowhere else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// The exit codes: 0 done, 1 it did not work, 2 usage.
const (
	exitNegative = 1
	exitUsage    = 2
)

type cli struct {
	Module []string `help:"驱动（PKCS#11 模块）的路径；不写则查找已知厂商的驱动。" placeholder:"FILE" env:"KEYHELPER_MODULE"`

	Unlock   unlockCmd `cmd:"" help:"为锁住的 UKEY 设置新口令。"`
	PIN      pinCmd    `cmd:"" name:"pin" help:"修改 UKEY 的口令（改口令），例如把初始口令改成自己的。"`
	Renew    runCmd    `cmd:"" help:"把更新后的证书写入 UKEY。"`
	Download runCmd    `cmd:"" help:"把新证书下载到自己的 UKEY。"`
	List     listCmd   `cmd:"" help:"列出插着的 UKEY。"`
	Doctor   doctorCmd `cmd:"" help:"检查驱动、UKEY 和电脑时间，说明哪里有问题、怎么办。"`
	Check    checkCmd  `cmd:"" help:"开标前自检：用口令试一次签名和解密，确认 UKEY 能用。"`
	Serve    serveCmd  `cmd:"" help:"在本机为办理网页提供服务。"`
}

// usageError is a fault of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() { os.Exit(run()) }

func run() int {
	var c cli
	parser, err := kong.New(&c, kong.Name("keyhelper"), kong.Description("证书助手：在插着 UKEY 的电脑上解锁、改口令、更新和自检。"), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	kctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "keyhelper:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(&c)
	usage, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case isUsage:
		fmt.Fprintln(os.Stderr, usage.Error())
		return exitUsage
	case errors.Is(err, errSaid):
		return exitNegative
	default:
		fmt.Fprintln(os.Stderr, plain(err))
		return exitNegative
	}
}

// errSaid ends the program after everything has been said.
var errSaid = errors.New("said already")

// plain is an error in words for the person at the PC.
func plain(err error) string {
	if detail, ok := token.Detail(err); ok {
		return detail
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p.Detail
	}
	if errors.Is(err, context.Canceled) {
		return "已取消。"
	}
	return "没有完成：" + err.Error()
}

type listCmd struct{}

// Run prints one line per USBKEY: serial number, holder, validity, state of its PIN.
func (listCmd) Run(ctx context.Context, c *cli) error {
	k, err := openKeyring(c.Module)
	if err != nil {
		return err
	}
	defer k.close()
	all, err := k.plugged()
	if err != nil {
		return err
	}
	for _, p := range all {
		holder, until := "", ""
		if err := p.use(ctx, func(t *token.Token) error {
			certs, err := t.Certificates()
			if err == nil && len(certs) > 0 {
				holder, until = certs[0].Subject.CommonName, certs[0].NotAfter.Local().Format(time.DateOnly)
			}
			return err
		}); err != nil {
			return err
		}
		fmt.Fprintf(os.Stdout, "%s\t%s\t%s\t%s\t%s\n", p.Name, holder, until, p.pinState(), p.driver.vendor)
	}
	if len(all) == 0 {
		return &token.Error{Kind: token.Missing, Op: "listing USBKEYs"}
	}
	return nil
}

func (p plugged) pinState() string {
	switch {
	case p.UserPINLocked:
		return "口令已锁定"
	case p.UserPINLow:
		return "口令曾输错"
	default:
		return "正常"
	}
}

type unlockCmd struct {
	Server  string `help:"网站地址。" placeholder:"URL"`
	Ticket  string `help:"网页上显示的办理凭证。" placeholder:"T"`
	Offline bool   `help:"电脑不能上网：显示挑战码，用手机换取响应码。"`
	Token   string `help:"UKEY 序列号；只插一个时不用写。" placeholder:"TW…"`
}

// Run unlocks one USBKEY.
func (u unlockCmd) Run(ctx context.Context, c *cli) error {
	if u.Offline == (u.Ticket != "") {
		return usageError{errors.New("请写 --server 和 --ticket（在线解锁），或者 --offline（离线解锁）")}
	}
	k, err := openKeyring(c.Module)
	if err != nil {
		return err
	}
	defer k.close()
	t := newTerminal(os.Stdin, os.Stderr)
	if u.Offline {
		return unlockOffline(ctx, k, t, u.Token)
	}
	return unlockOnline(ctx, k, t, u)
}

// unlockOnline is an unlock with a ticket from the command line.
func unlockOnline(ctx context.Context, k *keyring, t *terminal, u unlockCmd) error {
	j, err := newJob(u.Server, u.Ticket)
	if err != nil {
		return err
	}
	if err := j.begin(ctx, "unlock"); err != nil {
		return err
	}
	p, err := waitFor(ctx, k, t, j.errand.TokenSerial)
	if err != nil {
		j.fail(ctx, err)
		return err
	}
	t.say("证书使用者：%s\nUKEY 序列号：%s\n完成之前请不要拔出 UKEY。", j.errand.Holder, p.Name)
	pin, err := t.newPIN(ctx, p)
	if err != nil {
		j.fail(ctx, &token.Error{Kind: "cancelled"})
		return err
	}
	no, err := j.unlock(ctx, p, pin)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "解锁成功，新口令已生效。订单号："+no)
	return nil
}

// waitFor asks for the USBKEY until it is plugged in.
func waitFor(ctx context.Context, k *keyring, t *terminal, serial string) (plugged, error) {
	for {
		p, err := k.find(serial)
		if !absent(err) {
			return p, err
		}
		_, askErr := t.ask(ctx, fmt.Sprintf("%s请插入 UKEY %s 后按回车：", plain(err), serial))
		switch {
		case ctx.Err() != nil:
			return p, ctx.Err()
		case askErr != nil:
			return p, err
		}
	}
}
