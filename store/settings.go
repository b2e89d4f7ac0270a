package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

type settingRow struct {
	Name    order.SettingName `db:"name"`
	Version int               `db:"version"`
	Body    string            `db:"body"`
	By      string            `db:"set_by"`
	At      time.Time         `db:"set_at"`
}

func (r settingRow) setting() order.Setting {
	return order.Setting{Name: r.Name, Version: r.Version, Body: []byte(r.Body), By: r.By, At: r.At.UTC()}
}

// SettingVersions implements [order.Queries].
func (q queries) SettingVersions(ctx context.Context) (map[order.SettingName]int, error) {
	var rows []settingRow
	if err := q.all(ctx, &rows, `SELECT name, max(version) AS version FROM settings GROUP BY name`); err != nil {
		return nil, failed(err, "reading the versions of settings")
	}
	versions := map[order.SettingName]int{}
	for _, r := range rows {
		versions[r.Name] = r.Version
	}
	return versions, nil
}

// Setting implements [order.Queries].
func (q queries) Setting(ctx context.Context, name order.SettingName, version int) (order.Setting, error) {
	var r settingRow
	err := q.get(ctx, &r, `SELECT name, version, body, set_by, set_at FROM settings WHERE name = ? AND version = ?`, name, version)
	if errors.Is(err, sql.ErrNoRows) {
		return order.Setting{}, order.Errorf(order.NotFound, "setting_not_found", "没有找到该设置")
	}
	return r.setting(), failed(err, "reading setting %s", name)
}

// SettingHistory implements [order.Queries].
func (q queries) SettingHistory(ctx context.Context, name order.SettingName, limit int) ([]order.Setting, error) {
	var rows []settingRow
	err := q.all(ctx, &rows, `SELECT name, version, '' AS body, set_by, set_at FROM settings WHERE name = ? ORDER BY version DESC LIMIT ?`, name, limit)
	return convert(rows, settingRow.setting), failed(err, "listing the versions of setting %s", name)
}

// InsertSetting implements [order.Tx]. The primary key is the guarantee: of two who
// change the same version at once, one does.
func (tx *Tx) InsertSetting(ctx context.Context, s order.Setting) error {
	_, err := tx.exec(ctx, `INSERT INTO settings (name, version, body, set_by, set_at) VALUES (?, ?, ?, ?, ?)`, s.Name, s.Version, string(s.Body), s.By, dbTime(s.At))
	if isUnique(err) {
		return order.SettingChanged
	}
	return failed(err, "setting %s", s.Name)
}
