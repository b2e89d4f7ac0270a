package order

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// SettingName says what a [Setting] sets up.
type SettingName string

// What admins set up. The days of a year are a setting of their own each.
const (
	CatalogueSetting    SettingName = "catalogue"
	SMSTemplatesSetting SettingName = "sms_templates"

	workYearSetting = "workdays/"
)

// WorkYearSetting is the name of a year's days.
func WorkYearSetting(year int) SettingName { return SettingName(workYearSetting + strconv.Itoa(year)) }

// Setting is one version of something that admins set up (F126). Versions begin at 1
// and are kept: they are the history, too.
type Setting struct {
	Name    SettingName
	Version int
	Body    []byte // JSON
	By      string // staff id
	At      time.Time
}

// Settings are the catalogue, the calendar and the numbers of SMS templates: what the
// files and the configuration of the start say, and on top of it what admins have set up
// in the console since. Every process reads them again and again ([Settings.Refresh]),
// so that a change is true everywhere soon, without a restart.
type Settings struct {
	store    Store
	now      func() time.Time
	calendar *Calendar
	first    firstSettings
	current  atomic.Pointer[currentSettings]
	refresh  sync.Mutex // so that what was read earlier does not replace what was read later
}

// firstSettings is the first layer.
type firstSettings struct {
	catalogue    Catalogue
	smsTemplates map[string]string
}

type currentSettings struct {
	catalogue    Catalogue
	smsTemplates map[string]string
	versions     map[SettingName]int
}

// NewSettings returns settings over a first layer: a catalogue, a calendar, which changes
// in place, and the provider's SMS template numbers by our names.
func NewSettings(store Store, catalogue Catalogue, calendar *Calendar, smsTemplates map[string]string, now func() time.Time) *Settings {
	s := &Settings{store: store, now: now, calendar: calendar, first: firstSettings{catalogue, smsTemplates}}
	s.current.Store(&currentSettings{catalogue: catalogue, smsTemplates: smsTemplates})
	return s
}

// Catalogue is what is on offer now.
func (s *Settings) Catalogue() Catalogue { return s.current.Load().catalogue }

// Calendar is the calendar that the settings keep true.
func (s *Settings) Calendar() *Calendar { return s.calendar }

// SMSTemplate is the provider's number of one of our SMS texts, "" when it has none.
func (s *Settings) SMSTemplate(name string) string { return s.current.Load().smsTemplates[name] }

// Version is the version of a setting that is true now; 0 is the first layer's.
func (s *Settings) Version(name SettingName) int { return s.current.Load().versions[name] }

// Refresh reads what was set up since. What cannot be understood leaves everything as
// it is.
func (s *Settings) Refresh(ctx context.Context) error {
	s.refresh.Lock()
	defer s.refresh.Unlock()
	was := s.current.Load()
	versions, err := s.store.SettingVersions(ctx)
	if err != nil || maps.Equal(versions, was.versions) {
		return err
	}
	next := *was
	next.versions = versions
	var years []workYear
	for name, version := range versions {
		if version == was.versions[name] {
			continue
		}
		set, err := s.store.Setting(ctx, name, version)
		if err != nil {
			return err
		}
		switch {
		case name == CatalogueSetting:
			next.catalogue, err = ReadCatalogue(bytes.NewReader(set.Body))
		case name == SMSTemplatesSetting:
			next.smsTemplates = maps.Clone(s.first.smsTemplates)
			err = json.Unmarshal(set.Body, &next.smsTemplates)
		case strings.HasPrefix(string(name), workYearSetting):
			var w WorkYear
			err = json.Unmarshal(set.Body, &w)
			y, faults := w.check()
			if len(faults) > 0 {
				err = errors.Join(err, FormFaults(faults))
			}
			years = append(years, y)
		}
		if err != nil {
			return fmt.Errorf("setting %s, version %d: %w", name, version, err)
		}
	}
	s.calendar.put(years)
	s.current.Store(&next)
	return nil
}

// History is who set something up when, the newest first.
func (s *Settings) History(ctx context.Context, name SettingName, limit int) ([]Setting, error) {
	return s.store.SettingHistory(ctx, name, limit)
}

// SetCatalogue has the catalogue be what change makes of the one now on offer; was is the
// version that the admin saw.
func (s *Settings) SetCatalogue(ctx context.Context, by Actor, was int, change func(Catalogue) (Catalogue, error)) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	c, err := change(s.Catalogue())
	if err != nil {
		return err
	}
	if err := c.validate(); err != nil {
		return err
	}
	return s.set(ctx, by, CatalogueSetting, was, c)
}

// SetWorkYear sets the days of a year. Promises that were made stay as they are.
func (s *Settings) SetWorkYear(ctx context.Context, by Actor, was int, w WorkYear) error {
	if _, faults := w.check(); len(faults) > 0 {
		return FormFaults(faults)
	}
	return s.set(ctx, by, WorkYearSetting(w.Year), was, w)
}

var templateNumber = regexp.MustCompile(`^[0-9]{1,20}$`)

// SetSMSTemplates sets the provider's template numbers by our names; a text without one
// cannot be sent.
func (s *Settings) SetSMSTemplates(ctx context.Context, by Actor, was int, numbers map[string]string) error {
	var faults []FieldError
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if numbers[name] != "" && !templateNumber.MatchString(numbers[name]) {
			faults = append(faults, FieldError{Field(name), "模板编号为 1 到 20 位数字"})
		}
	}
	if len(faults) > 0 {
		return FormFaults(faults)
	}
	return s.set(ctx, by, SMSTemplatesSetting, was, numbers)
}

// SettingChanged refuses a change of what somebody else has changed since it was seen.
var SettingChanged = Errorf(Conflict, "setting_changed", "其他管理员刚刚修改过，请核对后再保存")

// set writes the next version, which nobody may have written since.
func (s *Settings) set(ctx context.Context, by Actor, name SettingName, was int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding setting %s: %w", name, err)
	}
	err = s.store.InTx(ctx, func(tx Tx) error {
		held, err := tx.HoldStaff(ctx, by.StaffID)
		if err != nil {
			return err
		}
		if !held[by.StaffID].Has(Admin) {
			return Errorf(Forbidden, "not_admin", "只有管理员可以修改设置")
		}
		versions, err := tx.SettingVersions(ctx)
		if err != nil {
			return err
		}
		if versions[name] != was {
			return SettingChanged
		}
		if err := tx.InsertSetting(ctx, Setting{Name: name, Version: was + 1, Body: body, By: by.StaffID, At: s.now()}); err != nil {
			return err
		}
		return tx.AppendAudit(ctx, by.Did("", fmt.Sprintf("setting:%s:%d", name, was+1), s.now()))
	})
	return errors.Join(err, s.Refresh(ctx))
}
