package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// prepared reads the configuration and makes what a development instance lacks.
func (c *cli) prepared() (*config.Config, error) {
	cfg, err := c.load(nil)
	if err != nil {
		return nil, err
	}
	return cfg, prepare(cfg)
}

type migrateCmd struct{}

// Run brings the schema up to date.
func (migrateCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.prepared()
	if err != nil {
		return err
	}
	return store.MigrateAt(ctx, cfg.DatabaseURL.Reveal())
}

// withStore opens the database for a command; it works beside a running serve.
func (c *cli) withStore(ctx context.Context, fn func(*config.Config, *store.DB) error) error {
	cfg, err := c.prepared()
	if err != nil {
		return err
	}
	db, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	if !cfg.Production() {
		if err := db.Migrate(ctx); err != nil {
			return err
		}
	}
	return fn(cfg, db)
}

type caInitCmd struct{}

// Run makes what is missing of the CA.
func (caInitCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.prepared()
	if err != nil {
		return err
	}
	return withCA(cfg, func(ca issuance.Config) error { return issuance.InitCA(ctx, ca) })
}

// withCA opens the HSM for a command about the CA.
func withCA(cfg *config.Config, fn func(issuance.Config) error) error {
	clk, err := openClock(devDir(cfg))
	if err != nil {
		return err
	}
	h, err := openHSM(cfg)
	if err != nil {
		return err
	}
	return errors.Join(fn(caConfig(cfg, h, clk.Now)), h.close())
}

type certListCmd struct{}

// Run prints one line per certificate.
func (certListCmd) Run(ctx context.Context, c *cli) error {
	return c.withStore(ctx, func(cfg *config.Config, db *store.DB) error {
		clk, err := openClock(devDir(cfg))
		if err != nil {
			return err
		}
		out := bufio.NewWriter(os.Stdout)
		err = db.EachCertificate(ctx, func(is issuance.Issue) error {
			line, err := is.Line(clk.Now())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(out, line)
			return err
		})
		return errors.Join(err, out.Flush())
	})
}

type certExportCmd struct {
	Serial string `arg:"" help:"Certificate serial, 39 or 40 hexadecimal digits."`
}

// Run prints leaf, issuing CA and root.
func (e certExportCmd) Run(ctx context.Context, c *cli) error {
	serial, err := order.NormalizeCertSerial(e.Serial)
	if err != nil {
		return fmt.Errorf("no certificate with serial %q", e.Serial)
	}
	return c.withStore(ctx, func(cfg *config.Config, db *store.DB) error {
		is, err := db.CertificateBySerial(ctx, serial)
		if errors.Is(err, issuance.ErrUnknownIssue) {
			return fmt.Errorf("no certificate with serial %s", serial)
		}
		if err != nil {
			return err
		}
		chain, err := issuance.ReadChain(caDir(cfg))
		if err != nil {
			return err
		}
		pem, err := chain.PEM(is)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(pem)
		return err
	})
}

type botEvalCmd struct {
	File string `arg:"" help:"utterance<TAB>intent<TAB>slots-JSON, header optional."`
}

// Run prints what was got wrong and the two figures.
func (b botEvalCmd) Run() error {
	f, err := os.Open(b.File)
	if err != nil {
		return usageError{err}
	}
	defer f.Close()
	if err := intent.Eval(f, os.Stdout); err != nil {
		return usageError{err}
	}
	return nil
}

type botExplainCmd struct {
	Sentence []string `arg:"" help:"What somebody wrote."`
}

// Run prints the explanation.
func (b botExplainCmd) Run() error {
	r, err := intent.New()
	if err != nil {
		return err
	}
	_, err = fmt.Print(r.Explain(strings.Join(b.Sentence, " ")))
	return err
}

type healthCmd struct {
	URL string `help:"Address of the instance (default: where the configuration has it answer)." env:"YCD_HEALTH_URL"`
}

// Run exits 0 when the instance is ready.
func (h healthCmd) Run(ctx context.Context, c *cli) error {
	if h.URL == "" {
		cfg, err := c.load(nil)
		if cfg == nil {
			return err
		}
		h.URL = cfg.WatchURL() // whatever is wrong with the rest, it serves or it does not
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(h.URL, "/")+"/readyz", nil)
	if err != nil {
		return usageError{err}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return fmt.Errorf("not ready: %s", body)
	}
	return nil
}
