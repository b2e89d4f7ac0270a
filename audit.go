package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/store"
)

type auditHeadsCmd struct{}

// Run prints the end of each chain of the audit trail. Kept outside the database,
// they prove later that nothing before them was rewritten or cut off.
func (auditHeadsCmd) Run(ctx context.Context, c *cli) error {
	return c.withStore(ctx, func(_ *config.Config, db *store.DB) error {
		heads, err := db.AuditHeads(ctx)
		if err != nil {
			return err
		}
		return printHeads(os.Stdout, heads)
	})
}

type auditVerifyCmd struct {
	Heads *os.File `arg:"" optional:"" help:"What audit heads printed earlier, - for standard input."`
}

// Run proves every chain of the audit trail from its first line to its end, and
// that the heads kept earlier lie on them.
func (a auditVerifyCmd) Run(ctx context.Context, c *cli) error {
	var kept []store.AuditHead
	if a.Heads != nil {
		defer a.Heads.Close()
		var err error
		if kept, err = readHeads(a.Heads); err != nil {
			return usageError{err}
		}
	}
	return c.withStore(ctx, func(_ *config.Config, db *store.DB) error {
		if err := db.VerifyAudit(ctx, kept); err != nil {
			return err
		}
		heads, err := db.AuditHeads(ctx)
		if err != nil {
			return err
		}
		var lines int64
		for _, h := range heads {
			lines += h.Seq
		}
		fmt.Printf("%d lines in %d chains hold, %d heads of earlier lie on them\n", lines, len(heads), len(kept))
		return nil
	})
}

// printHeads writes a line per chain: its number, how many lines it has, and the
// MAC of the last one in hex, separated by TAB.
func printHeads(w io.Writer, heads []store.AuditHead) error {
	for _, h := range heads {
		if _, err := fmt.Fprintf(w, "%d\t%d\t%x\n", h.Chain, h.Seq, h.MAC); err != nil {
			return err
		}
	}
	return nil
}

// readHeads reads what printHeads wrote.
func readHeads(r io.Reader) ([]store.AuditHead, error) {
	var heads []store.AuditHead
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var h store.AuditHead
		var mac string
		_, err := fmt.Sscanf(lines.Text(), "%d\t%d\t%s", &h.Chain, &h.Seq, &mac)
		if err == nil {
			h.MAC, err = hex.DecodeString(mac)
		}
		if err != nil || h.Seq < 1 || len(h.MAC) == 0 {
			return nil, errors.Join(fmt.Errorf("line %d is not a head of the audit trail: %q", len(heads)+1, lines.Text()), err)
		}
		heads = append(heads, h)
	}
	if len(heads) == 0 && lines.Err() == nil {
		return nil, errors.New("no heads of the audit trail in it")
	}
	return heads, lines.Err()
}
