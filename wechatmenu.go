package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/bot"
	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
)

type menuPushCmd struct{}

// Run puts the menus into the official account and gives staff theirs.
func (menuPushCmd) Run(ctx context.Context, c *cli) error {
	return c.withAccount(ctx, func(cfg *config.Config, db *store.DB, a *wechat.OfficialAccount) error {
		return pushMenus(ctx, a, db, cfg.WeChat.AppID, configuredMenus(cfg))
	})
}

type menuDiffCmd struct{}

// Run prints what push would change, and exits 1 when that is anything.
func (menuDiffCmd) Run(ctx context.Context, c *cli) error {
	return c.withAccount(ctx, func(cfg *config.Config, db *store.DB, a *wechat.OfficialAccount) error {
		have, err := a.Menus(ctx, bot.StaffTag)
		if err != nil {
			return err
		}
		tagged, err := a.Tagged(ctx, bot.StaffTag)
		if err != nil {
			return err
		}
		staff, err := staffFollowers(ctx, db, cfg.WeChat.AppID)
		if err != nil {
			return err
		}
		menu, err := diffMenus(os.Stdout, have, configuredMenus(cfg))
		if err != nil {
			return err
		}
		followers, err := diffTagged(os.Stdout, tagged, staff)
		if err == nil && (menu || followers) {
			err = errors.New("the account shows another menu: yuncaidun wechat menu push")
		}
		return err
	})
}

// diffTagged prints how many followers have the staff's menu and are not on the staff, and
// how many lack it.
func diffTagged(out io.Writer, have, want []string) (changed bool, err error) {
	only := func(a, b []string) int {
		return len(slices.DeleteFunc(slices.Clone(a), func(id string) bool { return slices.Contains(b, id) }))
	}
	former, missing := only(have, want), only(want, have)
	if former+missing == 0 {
		return false, nil
	}
	_, err = fmt.Fprintf(out, "followers with the menu of %s\n- %d\n+ %d\n", bot.StaffTag, former, missing)
	return true, err
}

func configuredMenus(cfg *config.Config) wechat.Menus {
	return menus(strings.TrimRight(cfg.PublicURL, "/"), cfg.MiniProgram.AppID)
}

// withAccount opens the database and the official account for a command; it works
// beside a running serve. The access token is WeChat's stable one, which a second
// process may ask for without spoiling the first's.
func (c *cli) withAccount(ctx context.Context, fn func(*config.Config, *store.DB, *wechat.OfficialAccount) error) error {
	return c.withStore(ctx, func(cfg *config.Config, db *store.DB) error {
		clk, err := openClock(devDir(cfg))
		if err != nil {
			return err
		}
		if !cfg.Production() {
			cfg.PointAtSimulator("http://" + cfg.Listen) // of the instance that runs there
		}
		rdb, closeRedis, err := openRedis(ctx, cfg, clk.Now)
		if err != nil {
			return err
		}
		defer closeRedis() //nolint:errcheck // the process ends
		a, err := wechat.NewOfficialAccount(wechat.Config{
			AppID: cfg.WeChat.AppID, AppSecret: cfg.WeChat.AppSecret.Reveal(), BaseURL: cfg.WeChat.BaseURL, OpenURL: cfg.WeChat.OpenURL, MPURL: cfg.WeChat.MPURL,
		}, session.NewTokenCache(rdb, clk.Now))
		if err != nil {
			return err
		}
		return plain(fn(cfg, db, a))
	})
}

// pushMenus brings the account's menus up to date, and gives the staff's menu to
// all members of staff who follow the account, and to nobody else.
func pushMenus(ctx context.Context, a *wechat.OfficialAccount, db *store.DB, appID string, m wechat.Menus) error {
	if err := a.SetMenus(ctx, bot.StaffTag, m); err != nil {
		return err
	}
	ids, err := staffFollowers(ctx, db, appID)
	if err != nil {
		return err
	}
	return a.TagOnly(ctx, bot.StaffTag, ids)
}

// staffFollowers are the open ids of the members of staff who can be reached.
func staffFollowers(ctx context.Context, db *store.DB, appID string) ([]string, error) {
	var ids []string
	seen := map[string]bool{}
	for _, r := range order.StaffRoles {
		members, err := db.StaffWithRole(ctx, r)
		if err != nil {
			return nil, err
		}
		for _, m := range members {
			if m.Disabled || seen[m.PersonID] {
				continue
			}
			seen[m.PersonID] = true
			w, err := db.WeChatOf(ctx, appID, m.PersonID)
			if errors.Is(err, order.NotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if w.Subscribed {
				ids = append(ids, w.OpenID)
			}
		}
	}
	return ids, nil
}

// diffMenus prints the lines that only one of two menus has: - as it is, + as it
// shall be.
func diffMenus(out io.Writer, have, want wechat.Menus) (changed bool, err error) {
	for _, part := range []struct {
		name       string
		have, want []wechat.Button
	}{{"everybody", have.Common, want.Common}, {bot.StaffTag, have.Tagged, want.Tagged}} {
		is, shall := menuLines(part.have, ""), menuLines(part.want, "")
		if slices.Equal(is, shall) {
			continue
		}
		changed = true
		if _, err = fmt.Fprintf(out, "menu of %s\n", part.name); err != nil {
			return changed, err
		}
		for _, only := range []struct {
			sign          string
			lines, others []string
		}{{"-", is, shall}, {"+", shall, is}} {
			for _, l := range only.lines {
				if slices.Contains(only.others, l) {
					continue
				}
				if _, err = fmt.Fprintf(out, "%s %s\n", only.sign, l); err != nil {
					return changed, err
				}
			}
		}
	}
	return changed, nil
}

// menuLines is a menu with one line for each entry, its place in front.
func menuLines(buttons []wechat.Button, place string) []string {
	var lines []string
	for i, b := range buttons {
		at := fmt.Sprintf("%s%d", place, i+1)
		if len(b.Sub) > 0 {
			lines = append(append(lines, at+" "+b.Name), menuLines(b.Sub, at+".")...)
			continue
		}
		to := b.URL
		switch {
		case b.Key != "":
			to = "click " + b.Key
		case b.Page != "":
			to = fmt.Sprintf("mini-program %s %s, else %s", b.AppID, b.Page, b.URL)
		}
		lines = append(lines, at+" "+b.Name+" → "+to)
	}
	return lines
}
