package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/bot"
	"github.com/yuncaidun/yuncaidun/miniprogram"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
)

// The difference names what is gone and what is new; none between equal menus. An
// account whose menu still has the entries of before the mini-program differs, and
// so does one with another mini-program's, page or link.
func TestDiffMenus(t *testing.T) {
	want := menus("https://ycd.example", "wxmini")
	var out strings.Builder
	if changed, err := diffMenus(&out, want, want); changed || err != nil || out.Len() > 0 {
		t.Errorf("equal menus differ: %t %v %s", changed, err, out.String())
	}
	have := menus("https://ycd.example", "wxmini")
	have.Common[0].Sub[0] = menus("https://ycd.example", "").Common[0].Sub[0]
	have.Common[0].Sub[1].AppID = "wxother"
	have.Common[0].Sub[2].Page = "pages/home/index"
	have.Common[0].Sub[3].URL = "https://old.example/"
	have.Common[2].Sub = have.Common[2].Sub[:4]
	have.Tagged = []wechat.Button{{Name: "旧", Key: "old"}}
	changed, err := diffMenus(&out, have, want)
	if !changed || err != nil {
		t.Errorf("%t %v", changed, err)
	}
	for _, line := range []string{
		"- 1.1 新办证书 → https://ycd.example/\n", "+ 1.1 新办证书 → mini-program wxmini pages/home/index, else https://ycd.example/\n",
		"- 1.2 更新续期 → mini-program wxother pages/guide/index?of=renew, else https://ycd.example/certificates\n", "+ 1.2 更新续期 → mini-program wxmini pages/guide/index?of=renew, else https://ycd.example/certificates\n",
		"- 1.3 解锁重设 → mini-program wxmini pages/home/index, else https://ycd.example/unlock\n",
		"- 1.4 丢失补办 → mini-program wxmini pages/certificates/index, else https://old.example/\n",
		"menu of everybody\n", "+ 3.5 人工客服 → click human\n", "menu of " + bot.StaffTag + "\n", "- 1 旧 → click old\n", "+ 1 审核台\n", "+ 1.3 制证任务 → https://ycd.example/staff/making\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}

// Who was hired or has left since the last push is a difference, too.
func TestDiffTagged(t *testing.T) {
	for _, tt := range []struct {
		have, want []string
		says       string
	}{
		{[]string{"a", "b"}, []string{"b", "a"}, ""},
		{nil, nil, ""},
		{[]string{"a", "left"}, []string{"a", "new", "newer"}, "followers with the menu of 工作人员\n- 1\n+ 2\n"},
	} {
		var out strings.Builder
		changed, err := diffTagged(&out, tt.have, tt.want)
		if changed != (tt.says != "") || err != nil || out.String() != tt.says {
			t.Errorf("%v, %v: %t %v %s", tt.have, tt.want, changed, err, out.String())
		}
	}
}

// Every entry of flows 4.3 that is the mini-program's opens a page which the
// mini-program declares; without a mini-program none does.
func TestMiniProgramEntries(t *testing.T) {
	var opened []string
	for _, column := range menus("https://ycd.example", "wxmini").Common {
		for _, b := range column.Sub {
			if page, _, _ := strings.Cut(b.Page, "?"); page != "" {
				opened = append(opened, b.Name)
				if !slices.Contains(miniprogram.Pages(), page) || b.AppID != "wxmini" || !strings.HasPrefix(b.URL, "https://ycd.example/") {
					t.Errorf("%+v", b)
				}
			}
		}
	}
	if want := []string{"新办证书", "更新续期", "解锁重设", "丢失补办", "法人授权", "我的证书", "我的发票"}; !slices.Equal(opened, want) {
		t.Errorf("the mini-program's entries are %v, want %v", opened, want)
	}
	for _, column := range menus("https://ycd.example", "").Common {
		for _, b := range column.Sub {
			if b.Page != "" || b.AppID != "" || (b.Key == "") == (b.URL == "") {
				t.Errorf("without a mini-program: %+v", b)
			}
		}
	}
}
