package notice

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/order"
)

func sample() order.Order {
	return order.Order{
		ID: "01HORDER", No: "SAAS120261123103000000152", Business: order.Initial, Amount: 30000, Lines: []order.Line{{Quantity: 2}},
		Company: "新疆云岭测试科技有限责任公司乌鲁木齐第一分公司", Carrier: "sf", TrackingNo: "SF1234567890123", Submission: 2,
		Reasons: []order.Reason{{Code: "R03"}, {Code: "R07"}}, DueAt: time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC),
		Form: order.NewForm(map[order.Field]string{
			order.AgentName: "王小琪", order.AgentMobile: "17700007069", order.IDNo: "110101199003070011", order.LegalName: "李建国",
			order.ShipName: "赵大山", order.ShipMobile: "13800000001", order.ShipAddress: "测试路 1 号", order.PickUpCode: "246810",
		}),
	}
}

// Every notice of the table has a text, its SMS takes exactly the parameters it
// gets, and its card fits WeChat's limits.
func TestEveryNoticeHasAText(t *testing.T) {
	holes := regexp.MustCompile(`\{\d+\}`)
	for n := range order.Notices {
		if slices.Contains([]order.Notice{order.NoticeDaySummary, order.NoticeBillDiffers}, n) || AboutRenewal(n) {
			continue // see the tests of their words
		}
		name, params, err := SMS(n, sample(), Links{PublicURL: "https://ra.example.cn"})
		if err != nil {
			t.Error(err)
			continue
		}
		text := SMSTemplates()[name]
		if got := len(holes.FindAllString(text, -1)); got != len(params) {
			t.Errorf("%s: %d holes, %d parameters", n, got, len(params))
		}
		card, err := WeChat(n, sample(), Links{PublicURL: "https://ra.example.cn"})
		if err != nil {
			t.Error(err)
		}
		for key, v := range card.Data {
			limit := 20
			switch {
			case strings.HasPrefix(key, "phrase"):
				limit = 5
			case strings.HasPrefix(key, "character_string"):
				limit = 32
			}
			if c := utf8.RuneCountInString(v); c == 0 || c > limit {
				t.Errorf("%s: %s = %q, %d characters", n, key, v, c)
			}
			if !strings.Contains(WeChatTemplates()[card.Template][1], "{{"+key+".DATA}}") {
				t.Errorf("%s: template %s has no %s", n, card.Template, key)
			}
		}
	}
}

// Flows 4.7: each reminder has a card within WeChat's limits, and an SMS when its
// notice goes out as one; one message names one key and counts the others.
func TestRenewals(t *testing.T) {
	holes := regexp.MustCompile(`\{\d+\}`)
	end := time.Date(2026, 12, 22, 3, 0, 0, 0, time.UTC)
	for _, keys := range []int{1, 12} {
		r := Renewal{Keys: keys, Token: "TW11782207000008", NotAfter: end, Until: end.AddDate(0, 0, 90)}
		for n, spec := range order.Notices {
			if !AboutRenewal(n) {
				continue
			}
			name, params, err := RenewalSMS(n, r, Links{PublicURL: "https://ra.example.cn"})
			if (err == nil) != slices.Contains(spec.Media, order.SMS) {
				t.Errorf("%s: media %v, SMS %v", n, spec.Media, err)
			}
			if err == nil && len(holes.FindAllString(SMSTemplates()[name], -1)) != len(params) {
				t.Errorf("%s: parameters %v of %s", n, params, SMSTemplates()[name])
			}
			card, err := RenewalCard(n, r, Links{PublicURL: "https://ra.example.cn"})
			if err != nil || card.URL != "https://ra.example.cn/certificates" {
				t.Errorf("%s: %+v, %v", n, card, err)
			}
			for key, v := range card.Data {
				if c := utf8.RuneCountInString(v); c > map[bool]int{true: 5, false: 20}[strings.HasPrefix(key, "phrase")] {
					t.Errorf("%s: %s = %q, %d characters", n, key, v, c)
				}
			}
		}
	}
	_, params, _ := RenewalSMS(order.NoticeRenewExpired, Renewal{Keys: 3, Token: "TW11782207000008", NotAfter: end, Until: end.AddDate(0, 0, 90)}, Links{PublicURL: "https://x"})
	if fmt.Sprint(params) != "[UKEY 尾号 0008 等 3 个 3月22日 https://x/certificates]" {
		t.Errorf("expired: %v", params)
	}
}

// F109 and flows.md 4.4: no personal data in any message.
func TestNoPersonalData(t *testing.T) {
	o := sample()
	for n := range order.Notices {
		_, params, _ := SMS(n, o, Links{PublicURL: "https://ra.example.cn"})
		card, _ := WeChat(n, o, Links{PublicURL: "https://ra.example.cn"})
		all := fmt.Sprint(params, card)
		for _, f := range []order.Field{order.AgentName, order.AgentMobile, order.IDNo, order.LegalName, order.ShipName, order.ShipMobile, order.ShipAddress} {
			if strings.Contains(all, o.Form.Get(f)) {
				t.Errorf("%s: contains %s", n, f)
			}
		}
		if strings.Contains(fmt.Sprint(card), o.Form.Get(order.PickUpCode)) {
			t.Errorf("%s: the card shows the pick-up code", n)
		}
	}
}

// Telephones make a link of everything up to the next space.
func TestLinksStandAlone(t *testing.T) {
	const at = "https://ra.example.cn"
	for n, text := range texts {
		if text.params == nil {
			continue
		}
		for i, param := range text.params(sample(), Links{PublicURL: at, Authorization: at, Web: at}) {
			slot := fmt.Sprintf("{%d}", i+1)
			_, after, found := strings.Cut(text.sms, slot)
			if found && strings.HasPrefix(param, at) && after != "" && after[0] != ' ' {
				t.Errorf("%s: %s", n, text.sms)
			}
		}
	}
}

// F108: the rejection carries a short reason and a link, the shipment the number.
func TestTextsSayWhatMatters(t *testing.T) {
	_, params, _ := SMS(order.NoticeRejected, sample(), Links{PublicURL: "https://ra.example.cn"})
	if want := []string{"0152", "授权书公章不清晰或不完整等 2 处", "https://ra.example.cn/orders/01HORDER"}; fmt.Sprint(params) != fmt.Sprint(want) {
		t.Errorf("rejected: %v", params)
	}
	_, params, _ = SMS(order.NoticeShipped, sample(), Links{})
	if want := []string{"0152", "顺丰速运", "SF1234567890123"}; fmt.Sprint(params) != fmt.Sprint(want) {
		t.Errorf("shipped: %v", params)
	}
	if text := SMSTemplates()["express_missed"]; strings.Contains(text, "继续") { // it may be posted, refused or done by the very move that was late
		t.Errorf("express missed: %s", text)
	}
	card, _ := WeChat(order.NoticeReviewTask, sample(), Links{PublicURL: "https://ra.example.cn"})
	if card.URL != "https://ra.example.cn/staff/review/01HORDER" || card.Data["thing1"] != "待审核 · 初购 · ¥300.00" || card.Data["thing4"] != "纸质授权书 · 第 2 次提交" {
		t.Errorf("task card: %+v", card)
	}
}

// An opening goes with its certificate: whoever is reminded may not have registered it.
func TestOpeningIsTheCertificates(t *testing.T) {
	if got := texts[order.NoticeOpeningAhead].sms; !strings.Contains(got, "证书登记的投标") || strings.Contains(got, "您登记") {
		t.Error(got)
	}
}

// F84: an unlock names no company, and neither does the line about its task.
func TestBriefOfATask(t *testing.T) {
	unlock := sample()
	unlock.Business, unlock.Company = order.UnlockApproval, ""
	for _, tt := range []struct {
		name string
		of   order.Order
		want string
	}{
		{"a purchase", sample(), "待审核：初购 · 新疆云岭测试科技有限责任公司乌鲁木齐第一分公司"},
		{"an unlock", unlock, "待审核：审批解锁"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := Brief(order.NoticeReviewTask, tt.of, Links{}); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
