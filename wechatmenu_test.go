package main

import (
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/bot"
	"github.com/yuncaidun/yuncaidun/provider/wechat"
)

// The difference names what is gone and what is new; none between equal menus.
func TestDiffMenus(t *testing.T) {
	want := menus("https://ycd.example")
	var out strings.Builder
	if changed, err := diffMenus(&out, want, want); changed || err != nil || out.Len() > 0 {
		t.Errorf("equal menus differ: %t %v %s", changed, err, out.String())
	}
	have := menus("https://ycd.example")
	have.Common[2].Sub = have.Common[2].Sub[:4]
	have.Tagged = []wechat.Button{{Name: "旧", Key: "old"}}
	changed, err := diffMenus(&out, have, want)
	if !changed || err != nil {
		t.Errorf("%t %v", changed, err)
	}
	for _, line := range []string{"menu of everybody\n", "+ 3.5 人工客服 → click human\n", "menu of " + bot.StaffTag + "\n", "- 1 旧 → click old\n", "+ 1 审核台\n", "+ 1.3 制证任务 → https://ycd.example/staff/making\n"} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}
