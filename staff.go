package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// withStaffing opens the staff accounts for a command. Logins are ended in the
// Redis that serve uses; an in-process Redis belongs to serve alone, whose
// sessions check the account on every request.
func (c *cli) withStaffing(ctx context.Context, fn func(*order.Staffing) error) error {
	return c.withStore(ctx, func(cfg *config.Config, db *store.DB) error {
		clk, err := openClock(devDir(cfg))
		if err != nil {
			return err
		}
		end := func(context.Context, string) error { return nil }
		if !cfg.RedisURL.Empty() {
			rdb, closeRedis, err := openRedis(ctx, cfg, clk.Now)
			if err != nil {
				return err
			}
			defer closeRedis() //nolint:errcheck // the process ends
			sessions := session.NewSessions(rdb, clk.Now)
			end = func(ctx context.Context, id string) error { return sessions.DeleteAll(ctx, session.Staff, id) }
		}
		return plain(fn(order.NewStaffing(db, end, clk.Now, newID(clk.Now))))
	})
}

// plain shows a refusal as the sentence it carries.
func plain(err error) error {
	if e, ok := order.AsError(err); ok {
		return errors.New(e.Detail)
	}
	return err
}

type staffAddCmd struct {
	Name    string   `required:"" help:"Name that colleagues see."`
	Mobile  string   `required:"" help:"Mobile; it identifies the account."`
	Roles   []string `required:"" help:"Any of reviewer,issuer,shipper,finance,admin."`
	Leader  bool     `help:"Leads: hears of late reviews and may assign them."`
	Company string   `help:"Unit code of the member's own company, whose orders may not be reviewed."`
}

// Run adds the member and prints the TOTP secret.
func (s staffAddCmd) Run(ctx context.Context, c *cli) error {
	secret, err := handlers.NewTOTPSecret()
	if err != nil {
		return err
	}
	var roles []order.Role
	for _, r := range s.Roles {
		roles = append(roles, order.Role(strings.TrimSpace(r)))
	}
	return c.withStaffing(ctx, func(st *order.Staffing) error {
		m, err := st.Add(ctx, order.BySystem, order.NewMember{Name: s.Name, Mobile: s.Mobile, Roles: roles, Company: s.Company, Leader: s.Leader, TOTPSecret: secret})
		if err != nil {
			return err
		}
		if m.TOTPSecret != secret {
			_, err = fmt.Fprintf(os.Stdout, "updated %s\n", m.ID)
			return err
		}
		_, err = fmt.Fprintf(os.Stdout, "added %s\nTOTP secret (shown once): %s\n%s\n", m.ID, secret, handlers.TOTPURI(m.Name, secret))
		return err
	})
}

type staffListCmd struct{}

// Run prints one line per member.
func (staffListCmd) Run(ctx context.Context, c *cli) error {
	return c.withStaffing(ctx, func(st *order.Staffing) error {
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		for m, err := range order.Each(func(after order.Cursor) ([]order.Colleague, order.Cursor, error) {
			page, err := st.Page(ctx, after, 0)
			return page.Colleagues, page.Next, err
		}) {
			if err != nil {
				return err
			}
			state := "enabled"
			if m.Disabled {
				state = "disabled"
			}
			if _, err := fmt.Fprintf(w, "%s\t%s\t%v\t%s\n", m.ID, m.Name, m.Roles, state); err != nil {
				return err
			}
		}
		return w.Flush()
	})
}

type staffDisableCmd struct {
	Mobile string `required:"" help:"Mobile of the account."`
}

// Run disables the account.
func (s staffDisableCmd) Run(ctx context.Context, c *cli) error {
	return c.withStaffing(ctx, func(st *order.Staffing) error {
		m, err := st.Disable(ctx, s.Mobile)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(os.Stdout, "disabled %s\n", m.ID)
		return err
	})
}
