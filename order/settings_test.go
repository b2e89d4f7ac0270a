package order_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// settings are those of two processes on one database.
func settings(t *testing.T, h *house) (one, other *order.Settings, admin order.Actor) {
	t.Helper()
	end := func(context.Context, string) error { return nil }
	m, err := order.NewStaffing(h.db, end, h.now, h.newID).Add(t.Context(), order.BySystem, order.NewMember{Name: "赵管理", Mobile: "13800000002", Roles: []order.Role{order.Admin}, TOTPSecret: "A"})
	must(t, err)
	process := func() *order.Settings {
		catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
		must(t, err)
		calendar, err := order.DefaultCalendar()
		must(t, err)
		s := order.NewSettings(h.db, catalogue, calendar, map[string]string{"code": "1001", "shipped": "1002"}, h.now)
		must(t, s.Refresh(t.Context()))
		return s
	}
	return process(), process(), m.Actor(order.Admin, order.Web, "192.0.2.1")
}

// F126: what an admin sets up is true at once where he did it, and everywhere once it
// is read again; who did it when is kept.
func TestSettings(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		one, other, admin := settings(t, h)
		dearer := func(c order.Catalogue) (order.Catalogue, error) {
			p, err := c.Product("yd-initial")
			must(t, err)
			p.Price = 36000
			return c.WithProduct(p, false)
		}
		must(t, one.SetCatalogue(t.Context(), admin, 0, dearer))
		price := func(s *order.Settings) order.Fen {
			p, err := s.Catalogue().Product("yd-initial")
			must(t, err)
			return p.Price
		}
		if price(one) != 36000 || price(other) != 30000 {
			t.Errorf("here %d, elsewhere %d before it is read again", price(one), price(other))
		}
		must(t, other.Refresh(t.Context()))
		if price(other) != 36000 || other.Version(order.CatalogueSetting) != 1 {
			t.Errorf("elsewhere %d, version %d", price(other), other.Version(order.CatalogueSetting))
		}

		// 2027-11-25 is a Thursday; three working days later is Tuesday, unless Monday is off.
		noon := time.Date(2027, 11, 25, 4, 0, 0, 0, time.UTC)
		before := other.Calendar().Due(noon, 3)
		year := other.Calendar().WorkYear(2027)
		year.Off = append(year.Off, "2027-11-29")
		must(t, one.SetWorkYear(t.Context(), admin, 0, year))
		must(t, other.Refresh(t.Context()))
		if after := other.Calendar().Due(noon, 3); after.Sub(before) != 24*time.Hour {
			t.Errorf("due %s, before %s", after, before)
		}
		if w := other.Calendar().WorkYear(2027); !slices.Contains(w.Off, "2027-11-29") || w.Year != 2027 {
			t.Errorf("year %+v", w)
		}

		must(t, one.SetSMSTemplates(t.Context(), admin, 0, map[string]string{"code": "2001"}))
		must(t, other.Refresh(t.Context()))
		if other.SMSTemplate("code") != "2001" || other.SMSTemplate("shipped") != "1002" || other.SMSTemplate("nope") != "" {
			t.Errorf("templates %q %q", other.SMSTemplate("code"), other.SMSTemplate("shipped"))
		}

		history, err := one.History(t.Context(), order.CatalogueSetting, 10)
		if err != nil || len(history) != 1 || history[0].By != admin.StaffID || history[0].Version != 1 || !history[0].At.Equal(h.now()) {
			t.Errorf("history %+v, %v", history, err)
		}
		must(t, h.db.VerifyAudit(t.Context(), nil))
	})
}

func TestSettingsRefuse(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		s, _, admin := settings(t, h)
		same := func(c order.Catalogue) (order.Catalogue, error) { return c, nil }
		must(t, s.SetCatalogue(t.Context(), admin, 0, same))
		with := func(change func(*order.Product), fresh bool) error {
			return s.SetCatalogue(t.Context(), admin, 1, func(c order.Catalogue) (order.Catalogue, error) {
				p, err := c.Product("yd-initial")
				must(t, err)
				change(&p)
				return c.WithProduct(p, fresh)
			})
		}
		for name, c := range map[string]struct {
			err   error
			kind  order.Kind
			field order.Field
		}{
			"what somebody changed since":  {s.SetCatalogue(t.Context(), admin, 0, same), order.Conflict, ""},
			"a version that nobody saw":    {s.SetCatalogue(t.Context(), admin, 7, same), order.Conflict, ""},
			"whom nobody made an admin":    {s.SetCatalogue(t.Context(), order.Actor{Role: order.Admin, StaffID: "nope"}, 1, same), order.Forbidden, ""},
			"a negative price":             {with(func(p *order.Product) { p.Price = -1 }, false), order.Invalid, "price_fen"},
			"no years":                     {with(func(p *order.Product) { p.Years = nil }, false), order.Invalid, "years"},
			"a code twice":                 {with(func(*order.Product) {}, true), order.Invalid, "code"},
			"a code that is none":          {with(func(p *order.Product) { p.Code = "初购" }, true), order.Invalid, "code"},
			"a project that there is not":  {with(func(p *order.Product) { p.Code, p.Project = "x", "nope" }, true), order.Invalid, "project"},
			"a product that there is not":  {with(func(p *order.Product) { p.Code = "x" }, false), order.NotFound, ""},
			"a day of another year":        {s.SetWorkYear(t.Context(), admin, 0, order.WorkYear{Year: 2027, Off: []string{"2026-01-01"}}), order.Invalid, "off"},
			"no day":                       {s.SetWorkYear(t.Context(), admin, 0, order.WorkYear{Year: 2027, Off: []string{"元旦"}}), order.Invalid, "off"},
			"a run backwards":              {s.SetWorkYear(t.Context(), admin, 0, order.WorkYear{Year: 2027, Off: []string{"2027-01-03/2027-01-01"}}), order.Invalid, "off"},
			"a Monday worked in exchange":  {s.SetWorkYear(t.Context(), admin, 0, order.WorkYear{Year: 2027, Work: []string{"2027-01-04"}}), order.Invalid, "work"},
			"confirmed by nothing":         {s.SetWorkYear(t.Context(), admin, 0, order.WorkYear{Year: 2027, Confirmed: true}), order.Invalid, "source"},
			"a template number that is no": {s.SetSMSTemplates(t.Context(), admin, 0, map[string]string{"code": "12a"}), order.Invalid, "code"},
		} {
			e, ok := order.AsError(c.err)
			if !ok || e.Kind != c.kind || c.field != "" && (len(e.Fields) == 0 || e.Fields[0].Field != c.field) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if s.Version(order.CatalogueSetting) != 1 || s.Version(order.WorkYearSetting(2027)) != 0 {
			t.Error("what was refused is set")
		}
	})
}

// Two admins change the same version at once: one does.
func TestOneOfTwoSettings(t *testing.T) {
	eachDB(t, func(t *testing.T, h *house) {
		one, other, admin := settings(t, h)
		for version := range 8 {
			var (
				errs [2]error
				wg   sync.WaitGroup
				gate = make(chan struct{})
			)
			for i, s := range []*order.Settings{one, other} {
				wg.Go(func() {
					<-gate
					errs[i] = s.SetCatalogue(t.Context(), admin, version, func(c order.Catalogue) (order.Catalogue, error) { return c, nil })
				})
			}
			close(gate)
			wg.Wait()
			if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), order.Conflict) {
				t.Fatalf("version %d: %v", version+1, errs)
			}
		}
	})
}

// Money is typed in yuan and kept in fen.
func TestParseYuan(t *testing.T) {
	for text, want := range map[string]order.Fen{"300": 30000, "300.5": 30050, " 0.01 ": 1, "9999999.99": 999999999, "0": 0} {
		if got, err := order.ParseYuan(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "三百", "-1", "1.005", "1e3", "10000000", "1,000", ".5"} {
		if got, err := order.ParseYuan(text); err == nil {
			t.Errorf("%q: %d", text, got)
		}
	}
}
