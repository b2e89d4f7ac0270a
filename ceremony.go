package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/issuance"
)

type caCeremonyCmd struct {
	Act     string   `arg:"" enum:"root,request,sign,install" help:"root and sign on the offline machine, request and install on the issuer's host."`
	Folder  string   `help:"The folder that is carried between the machines." required:"" type:"path"`
	Witness []string `help:"Name of a witness; at least two." required:"" sep:"none"`
}

// Run plays one act of a ceremony; docs/ceremony.md is the script.
func (cmd caCeremonyCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.loadForCeremony()
	if err != nil {
		return err
	}
	if err := prepare(cfg); err != nil {
		return err
	}
	return withCA(cfg, func(ca issuance.Config) error {
		file, err := issuance.Ceremony{Config: ca, Folder: cmd.Folder, Witnesses: cmd.Witness, In: os.Stdin, Out: os.Stdout}.Run(ctx, cmd.Act)
		if file != "" {
			fmt.Fprintln(os.Stderr, "transcript:", file)
		}
		return err
	})
}

// loadForCeremony reads the configuration on a machine that has no database, no
// Redis and no providers, and so forgives what is missing of them.
func (c *cli) loadForCeremony() (*config.Config, error) {
	cfg, err := c.load(nil)
	faults, ok := errors.AsType[config.Faults](err)
	if cfg == nil || err != nil && !ok {
		return nil, err
	}
	faults = slices.DeleteFunc(faults, func(f config.Fault) bool {
		return !slices.ContainsFunc([]string{"YCD_ENV", "YCD_CA_", "YCD_HSM_", "YCD_DATA_DIR", "YCD_PUBLIC_URL", "YCD_CONFIG"}, func(prefix string) bool {
			return strings.HasPrefix(f.Name, prefix)
		})
	})
	if len(faults) > 0 {
		return nil, usageError{faults}
	}
	return cfg, nil
}
