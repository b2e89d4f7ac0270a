package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

// noKeyset says what to do when the keyset of personal data is not there.
const noKeyset = "restore it from the backup, without it no personal data can be read; a new installation makes it with: yuncaidun keyset init"

// lacking adds to the faults of the configuration what serve in production needs
// besides: production creates nothing, and the operator hears of everything at once.
func lacking(cfg *config.Config, err error) error {
	faults, ok := errors.AsType[config.Faults](err)
	if err != nil && !ok {
		return err
	}
	if cfg != nil && cfg.HasRole(config.RoleIssuer) {
		_, _, broken := hsmURIs(cfg)
		faults = append(faults, broken...)
	}
	if cfg != nil && cfg.Production() {
		faults = append(faults, missingFiles(cfg)...)
		faults = append(faults, missingTemplates(cfg)...)
	}
	if len(faults) == 0 {
		return nil
	}
	return usageError{faults}
}

// checkSchema refuses a database that lacks a migration.
func checkSchema(ctx context.Context, db *store.DB) error {
	ok, err := db.Migrated(ctx)
	if err == nil && !ok {
		err = usageError{errors.New("the database lacks tables that this version needs; run: yuncaidun migrate")}
	}
	return err
}

func missingFiles(cfg *config.Config) (faults config.Faults) {
	need := func(name, path, remedy string) {
		if _, err := os.Stat(path); err != nil {
			faults = append(faults, config.Fault{Name: name, Problem: path + " is missing: " + remedy})
		}
	}
	if cfg.HandlesPeople() {
		need("YCD_DATA_DIR", keysetFile(cfg), noKeyset)
		if cfg.Catalogue == "" {
			need("YCD_CATALOGUE", filepath.Join(cfg.DataDir, catalogueFile), "write what is on offer, or set the path of the file")
		}
	}
	if cfg.HasRole(config.RoleIssuer) {
		need("YCD_DATA_DIR", caDir(cfg), "restore it from the backup; a new CA is made with: yuncaidun ca init")
	}
	return faults
}

// missingTemplates names the messages for which the provider's template id is not
// configured; development uses the simulators' ids.
func missingTemplates(cfg *config.Config) (faults config.Faults) {
	if !cfg.HandlesPeople() {
		return nil
	}
	need := func(variable string, names []string, ids map[string]string) {
		var missing []string
		for _, n := range names {
			if ids[n] == "" {
				missing = append(missing, n)
			}
		}
		if len(missing) > 0 {
			faults = append(faults, config.Fault{Name: variable, Problem: "lacks the provider's template id of " + strings.Join(missing, ", ")})
		}
	}
	need("YCD_SMS_TEMPLATES", slices.Sorted(maps.Keys(notice.SMSTemplates())), cfg.SMS.Templates)
	need("YCD_WECHAT_TEMPLATES", slices.Sorted(maps.Keys(notice.WeChatTemplates())), cfg.WeChat.Templates)
	need("YCD_WECHAT_SUBSCRIPTIONS", slices.Sorted(maps.Keys(notice.WeChatTemplates())), cfg.WeChat.Subscriptions)
	need("YCD_MINIPROGRAM_SUBSCRIPTIONS", slices.Sorted(maps.Keys(notice.WeChatTemplates())), cfg.MiniProgram.Subscriptions)
	return faults
}

// writable reports whether a folder takes a file of some size: not when the disk
// is full or was remounted read-only.
func writable(dir string) error {
	const enough = 64 << 10
	f, err := os.CreateTemp(dir, ".ready-*")
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Repeat([]byte{'.'}, enough))
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}
