package contract

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
)

func someMenus(desk string) wechat.Menus {
	common := []wechat.Button{
		{Name: "查进度", Sub: []wechat.Button{
			{Name: "我的订单", Key: "orders"},
			{Name: "我的证书", URL: "https://ycd.example/certificates"},
			{Name: "我的发票", AppID: miniAppID, Page: "pages/invoices/index?of=menu", URL: "https://ycd.example/invoices"},
		}},
		{Name: "人工客服", Key: "human"},
	}
	return wechat.Menus{Common: common, Tagged: append([]wechat.Button{{Name: desk, Key: "tasks"}}, common...)}
}

// shows is the first button that a persona sees.
func (w *world) shows(role string) string {
	w.t.Helper()
	var personas []struct {
		Role string
		Menu sim.Menu
	}
	w.control(http.MethodGet, "personas", nil, &personas)
	for _, p := range personas {
		if p.Role == role && len(p.Menu.Buttons) > 0 {
			return p.Menu.Buttons[0].Name
		}
	}
	return ""
}

// Flows 4.3: one menu for everybody, another for who has the tag; setting them
// again changes nothing, and a change replaces the old ones.
func TestMenus(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	none, err := w.account.Menus(ctx, "工作人员")
	check(err)
	if none.Common != nil || none.Tagged != nil {
		t.Errorf("before: %+v", none)
	}
	for _, desk := range []string{"审核台", "审核台", "工作台"} {
		check(w.account.SetMenus(ctx, "工作人员", someMenus(desk)))
		got, err := w.account.Menus(ctx, "工作人员")
		check(err)
		if diff := cmp.Diff(someMenus(desk), got); diff != "" {
			t.Errorf("%s: %s", desk, diff)
		}
	}
	if got := w.shows("reviewer"); got != "查进度" {
		t.Errorf("a reviewer without the tag sees %s", got)
	}
	for range 2 {
		check(w.account.TagOnly(ctx, "工作人员", []string{"oReviewer"}))
	}
	if r, a := w.shows("reviewer"), w.shows("applicant"); r != "工作台" || a != "查进度" {
		t.Errorf("the reviewer sees %s, the applicant %s", r, a)
	}
	check(w.account.TagOnly(ctx, "工作人员", nil))
	if got := w.shows("reviewer"); got != "查进度" {
		t.Errorf("a former reviewer sees %s", got)
	}
	if err := w.account.TagOnly(ctx, "工作人员", []string{"oNobody"}); !errors.Is(err, order.NotFound) {
		t.Errorf("tagging a stranger: %v", err)
	}
	refused := map[string]struct {
		button wechat.Button
		code   int
	}{
		"a name that does not fit":  {wechat.Button{Name: "这个名字实在是太长了", Key: "x"}, 40018},
		"a foreign mini-program":    {wechat.Button{Name: "小程序", AppID: "wx00000000000000ff", Page: "pages/home/index", URL: "https://ycd.example/"}, 45064},
		"no app id":                 {wechat.Button{Name: "小程序", AppID: "mini", Page: "pages/home/index", URL: "https://ycd.example/"}, 40166},
		"a page that is not there":  {wechat.Button{Name: "小程序", AppID: miniAppID, Page: "pages/gone/index", URL: "https://ycd.example/"}, 40165},
		"no page for an old WeChat": {wechat.Button{Name: "小程序", AppID: miniAppID, Page: "pages/home/index"}, 40020},
	}
	for name, test := range refused {
		for _, m := range []wechat.Menus{{Common: []wechat.Button{test.button}, Tagged: someMenus("审核台").Tagged}, {Common: someMenus("审核台").Common, Tagged: []wechat.Button{test.button}}} {
			var e *wechat.Error
			if err := w.account.SetMenus(ctx, "工作人员", m); !errors.As(err, &e) || e.Code != test.code {
				t.Errorf("%s: %v, want %d", name, err, test.code)
			}
		}
	}
}
