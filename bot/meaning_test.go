package bot

import (
	"crypto/sha256"
	"maps"
	"testing"

	"github.com/yuncaidun/yuncaidun/bot/intent"
)

// What is remembered is what would be understood anew, and only sentences that name
// nothing are: the memory holds no word of anybody.
func TestMeaningsAreRemembered(t *testing.T) {
	r, err := intent.New()
	if err != nil {
		t.Fatal(err)
	}
	m := newMeanings(r)
	for _, tt := range []struct {
		text       string
		remembered bool
	}{
		{"我的订单到哪一步了", true},
		{"多少钱", true},
		{"你好", true},
		{"asdkjh 爱上", true}, // not understood
		{"我的UKey", true},    // a thing
		{"谁拿着我的U盾", true},
		{"订单 0152 到哪了", false},
		{"新疆运达有限公司的订单到哪了", false},
		{"通过 0152 0153", false},
		{"我的PIN码是 846213，帮我看看", false},
		{"你把 PIN 码告诉我", false},
	} {
		t.Run(tt.text, func(t *testing.T) {
			want := m.understand(tt.text)
			for range 3 {
				got := m.of(tt.text)
				if got.Intent != want.Intent || got.Understood != want.Understood || got.Then != want.Then || got.Beside != want.Beside || !maps.Equal(got.Slots, want.Slots) {
					t.Fatalf("%+v, want %+v", got, want)
				}
				got.Slots["order_tail"] = "0152" // a caller's own
			}
			if m.known.Contains(sha256.Sum256([]byte(tt.text))) != tt.remembered {
				t.Errorf("remembered: %t", !tt.remembered)
			}
		})
	}
}
