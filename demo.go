package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/e2e/story"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/store"
)

type demoCmd struct {
	Story  string `help:"Which story to play (default all)." env:"STORY" placeholder:"NAME"`
	Helper string `help:"Key helper to play with (default: keyhelper beside this executable)." type:"existingfile" placeholder:"FILE"`
	Kills  bool   `help:"Kill the helper at every step; it must be built with -tags faults."`
	Fault  string `help:"Which fault was planted: skip-sign and drop-job need a build with that tag." env:"FAULT" placeholder:"NAME"`
}

// Help lists the stories.
func (demoCmd) Help() string { return "The stories:\n\n" + story.List() }

// Run plays the stories against a private instance of this executable.
func (d demoCmd) Run(ctx context.Context) error {
	o := story.Options{DataDir: os.Getenv("YCD_DATA_DIR"), Fault: d.Fault, Helper: d.Helper, Kills: d.Kills, Token: tokenAccess, Out: os.Stdout, Now: time.Now}
	if d.Story != "" {
		if !slices.Contains(story.Names(), d.Story) {
			return usageError{fmt.Errorf("no story %q; there are %s", d.Story, strings.Join(story.Names(), ", "))}
		}
		o.Stories = []string{d.Story}
	}
	if err := planted(d.Fault); err != nil {
		return usageError{err}
	}
	var err error
	if o.Binary, err = os.Executable(); err != nil {
		return err
	}
	return story.Play(ctx, o)
}

// planted makes sure that the fault is there: a demonstration that could not
// notice it would prove nothing.
func planted(fault string) error {
	tag := "fault_" + strings.ReplaceAll(fault, "-", "_")
	switch fault {
	case "", story.FaultWrongAmount:
		return nil
	case "skip-sign", "drop-job":
		info, _ := debug.ReadBuildInfo()
		if info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-tags", Value: tag}) {
			return nil
		}
		return fmt.Errorf("fault %s needs a build with -tags %s (make demo FAULT=%s)", fault, tag, fault)
	default:
		return fmt.Errorf("no fault %q; there are skip-sign, drop-job and %s", fault, story.FaultWrongAmount)
	}
}

// tokenAccess opens the token keyset of the instance with this environment, as
// the station that prints a PIN letter does.
func tokenAccess(ctx context.Context, environ []string, serial string) (access story.TokenAccess, err error) {
	cfg, err := config.Load(config.Options{Environ: environ})
	if err != nil {
		return access, err
	}
	if err := prepare(cfg); err != nil {
		return access, err
	}
	db, err := openStore(ctx, cfg)
	if err != nil {
		return access, err
	}
	defer db.Close()
	h, err := openHSM(cfg)
	if err != nil {
		return access, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	ca, err := issuance.OpenCA(ctx, caConfig(cfg, h, time.Now))
	if err != nil {
		return access, err
	}
	defer ca.Close()
	pin, err := issuance.NewPipeline(ca, h.module, store.NewLedger(db), time.Now).InitialPIN(ctx, serial)
	return story.TokenAccess{Module: cfg.Token.Module, PIN: pin.Reveal()}, err
}
