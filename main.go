// Command yuncaidun sells, issues and looks after USBKEY certificates: it serves
// the portal, the staff console, the official-account bot and the APIs, works
// the jobs behind them and drives the certification authority's HSM.
//
// This package is the wiring: it is the only reader of the configuration and
// the clock, and the only place where the rooms meet.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/yuncaidun/yuncaidun/config"
)

// The exit codes: 0 done, 1 a negative result, 2 usage or configuration.
const (
	exitNegative = 1
	exitUsage    = 2
)

// cli is the command line.
type cli struct {
	Config string `help:"YAML configuration file (else YCD_CONFIG)." type:"path" placeholder:"FILE"`

	Serve   serveCmd   `cmd:"" help:"Run the product."`
	Migrate migrateCmd `cmd:"" help:"Bring the database schema up to date."`
	CA      struct {
		Init     caInitCmd     `cmd:"" help:"Make the CA's keys and certificates in the HSM; keeps what exists."`
		Ceremony caCeremonyCmd `cmd:"" help:"Play an act of the ceremony that makes a CA with an offline root."`
	} `cmd:"" name:"ca" help:"The certification authority."`
	Station stationCmd `cmd:"" help:"Make USBKEYs on this PC for a product elsewhere."`
	Keyset  struct {
		Init   keysetInitCmd   `cmd:"" help:"Make the keyset that seals personal data; keeps what exists."`
		Rotate keysetRotateCmd `cmd:"" help:"Seal with a new key from now on; what older keys sealed still opens."`
	} `cmd:"" help:"The keyset of personal data."`
	Staff struct {
		Add     staffAddCmd     `cmd:"" help:"Add a member of staff, or change roles, and print the TOTP secret once."`
		List    staffListCmd    `cmd:"" help:"List the staff."`
		Disable staffDisableCmd `cmd:"" help:"Disable a member of staff and end the sessions."`
	} `cmd:"" help:"Staff accounts."`
	Cert struct {
		List   certListCmd   `cmd:"" help:"List the certificates: serial, subject, not-after, status."`
		Export certExportCmd `cmd:"" help:"Print a certificate with its chain as PEM."`
	} `cmd:"" help:"Issued certificates."`
	Bot struct {
		Eval    botEvalCmd    `cmd:"" help:"Measure the recogniser on a file of sentences."`
		Explain botExplainCmd `cmd:"" help:"Show what the recogniser makes of a sentence, and what decided."`
	} `cmd:"" help:"The official account's bot."`
	WeChat struct {
		Menu struct {
			Push menuPushCmd `cmd:"" help:"Put the menus into the official account: everybody's, and that of staff."`
			Diff menuDiffCmd `cmd:"" help:"Print what push would change; exit 1 when that is anything."`
		} `cmd:"" help:"The official account's menus."`
	} `cmd:"" name:"wechat" help:"The official account."`
	Evidence struct {
		Verify evidenceVerifyCmd `cmd:"" help:"Check an evidence pack offline: 0 says what is proved, 1 names the first broken item."`
	} `cmd:"" help:"Evidence of the legal representatives' authorisations."`
	Audit struct {
		Heads  auditHeadsCmd  `cmd:"" help:"Print the end of each chain of the audit trail, to be kept elsewhere."`
		Verify auditVerifyCmd `cmd:"" help:"Prove that no line of the audit trail was changed, added or lost; exit 1 names the first that was."`
	} `cmd:"" help:"The audit trail."`
	Demo   demoCmd   `cmd:"" help:"Play the stories against a private instance and check them."`
	Health healthCmd `cmd:"" help:"Ask a running instance whether it is ready (for container health checks)."`
}

// load reads the configuration; flags are paths and values from the command
// line.
func (c *cli) load(flags map[string]string) (*config.Config, error) {
	cfg, err := config.Load(config.Options{File: c.Config, Environ: os.Environ(), Flags: flags})
	if err != nil {
		return cfg, usageError{err}
	}
	return cfg, nil
}

// usageError is a fault of the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() { os.Exit(run()) }

func run() int {
	var c cli
	parser, err := kong.New(&c, kong.Name("yuncaidun"), kong.Description("云采盾: USBKEY certificates, from the form to the shipped key."), kong.UsageOnError())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return exitUsage
	}
	kctx, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "yuncaidun:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	kctx.BindTo(ctx, (*context.Context)(nil))
	err = kctx.Run(&c)
	_, isUsage := errors.AsType[usageError](err)
	switch {
	case err == nil:
		return 0
	case isUsage:
		fmt.Fprintln(os.Stderr, "yuncaidun:", strings.TrimRight(err.Error(), "\n"))
		return exitUsage
	default:
		fmt.Fprintln(os.Stderr, "yuncaidun:", err)
		return exitNegative
	}
}
