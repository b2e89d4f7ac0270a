package handlers

import (
	"strings"
	"testing"
)

// The whole first part of a purchase, as a browser does it: draft, pictures,
// submission, SMS, payment (F19, F54–F59).
func TestPurchase(t *testing.T) {
	b := newWeb(t).browser()
	path := b.paid()
	if got := b.get(path + "/pay/state"); got.Status != stopPolling || !strings.Contains(got.Body, "已支付") {
		t.Errorf("payment page after payment: %d %s", got.Status, got.Body)
	}
	page := b.get(path)
	for _, want := range []string{"待审核", "新疆云岭能源科技有限公司", "138****8000", "王*琪", "110***********002X"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("order page lacks %q", want)
		}
	}
	for _, secret := range []string{agentMobile, "王小琪", "11010519491231002X", "中关村大街", "wang@example.com", "李明"} {
		if strings.Contains(page.Body, secret) {
			t.Errorf("order page shows %q", secret)
		}
	}
}
