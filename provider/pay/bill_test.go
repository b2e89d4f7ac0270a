package pay

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/yuncaidun/yuncaidun/order"
)

const weChatHead = "\ufeff交易时间,公众账号ID,商户号,微信订单号,商户订单号,用户标识,交易状态,货币种类,应结订单金额,商户退款单号,退款金额,退款状态,商品名称,订单金额,申请退款金额\r\n"

func weChatRow(merchant, state, currency, refund, refundState, amount string) string {
	return "`" + strings.Join([]string{"2026-11-23 10:00:00", "wx1", merchant, "4200", "T1", "oPayer", state, currency, "1.00", refund, amount, refundState, "证书,一年`期, 套餐", amount, amount}, ",`") + "\r\n"
}

// What WeChat Pay's bills can hold, and what makes one unusable; what was bought may have
// commas in its name.
func TestWeChatBill(t *testing.T) {
	w := &WeChat{cfg: WeChatConfig{MchID: "1900000001"}}
	const totals = "总交易单数,应结订单总金额\r\n"
	paid := weChatRow("1900000001", "SUCCESS", "CNY", "0", "", "300.00")
	refunded := weChatRow("1900000001", "REFUND", "CNY", "RT1", "SUCCESS", "0.01")
	for name, test := range map[string]struct {
		text string
		want []order.BillLine // nil: unusable
	}{
		"payment and refund": {weChatHead + paid + refunded + totals + "`2,`1.00\r\n", []order.BillLine{{TradeNo: "T1", Amount: 30000}, {TradeNo: "T1", RefundNo: "RT1", Amount: 1}}},
		"refund that failed": {weChatHead + paid + weChatRow("1900000001", "REFUND", "CNY", "RT1", "FAIL", "0.01") + totals + "`2,`1.00\r\n", []order.BillLine{{TradeNo: "T1", Amount: 30000}}},
		"old names":          {strings.NewReplacer(",应结订单金额", ",代金券金额", ",订单金额", ",总金额", ",申请退款金额", ",费率").Replace(weChatHead) + paid + totals + "`1,`1.00", []order.BillLine{{TradeNo: "T1", Amount: 30000}}},
		"nothing":            {"", nil},
		"no totals":          {weChatHead + paid, nil},
		"a line less":        {weChatHead + paid + totals + "`2,`1.00", nil},
		"another merchant":   {weChatHead + weChatRow("1900000002", "SUCCESS", "CNY", "0", "", "1.00") + totals + "`1,`1.00", nil},
		"another currency":   {weChatHead + weChatRow("1900000001", "SUCCESS", "USD", "0", "", "1.00") + totals + "`1,`1.00", nil},
		"another state":      {weChatHead + weChatRow("1900000001", "WHAT", "CNY", "0", "", "1.00") + totals + "`1,`1.00", nil},
		"no amount":          {weChatHead + weChatRow("1900000001", "SUCCESS", "CNY", "0", "", "-1.00") + totals + "`1,`1.00", nil},
		"no refund number":   {weChatHead + weChatRow("1900000001", "REFUND", "CNY", "", "SUCCESS", "1.00") + totals + "`1,`1.00", nil},
		"no header":          {paid + paid + totals + "`1,`1.00", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := w.readBill(test.text)
			wantBill(t, test.want, got, err)
		})
	}
}

// The same of Alipay's.
func TestAlipayBill(t *testing.T) {
	const (
		head = "----\r\n支付宝交易号,商户订单号,业务类型,商品名称,对方账户,订单金额(元),退款批次号/请求号,备注\r\n"
		end  = "#----业务明细列表结束----\r\n#交易合计：1笔，商家实收共1.00元\r\n#退款合计：1笔，商家实收退款共-1.00元\r\n"
		paid = "2026\t,T1\t ,交易,证书,*小琪(177****7069),300.00,\t,\r\n"
		back = "2026\t,T1\t ,退款,证书,*小琪(177****7069),-0.01,RT1\t,\r\n"
	)
	for name, test := range map[string]struct {
		text string
		want []order.BillLine
	}{
		"payment and refund": {head + paid + back + end, []order.BillLine{{TradeNo: "T1", Amount: 30000}, {TradeNo: "T1", RefundNo: "RT1", Amount: 1}}},
		"# in a name":        {head + strings.Replace(paid, "证书", "#1 证书", 1) + back + end, []order.BillLine{{TradeNo: "T1", Amount: 30000}, {TradeNo: "T1", RefundNo: "RT1", Amount: 1}}},
		"nothing":            {"", nil},
		"no header":          {"----\r\n" + end, nil},
		"no end":             {head + paid + back, nil},
		"a line less":        {head + paid + end, nil},
		"a line cut off":     {head + paid + "2026,T1,退款\r\n" + end, nil},
		"another kind":       {head + paid + strings.Replace(back, "退款", "转账", 1) + end, nil},
		"no refund number":   {head + paid + strings.Replace(back, "RT1", "", 1) + end, nil},
		"no amount":          {head + strings.Replace(paid, "300.00", "-300.00", 1) + back + end, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readAlipayList(test.text)
			wantBill(t, test.want, got, err)
		})
	}
	if _, err := readAlipayBill([]byte("no zip")); !errors.Is(err, order.Unavailable) {
		t.Errorf("no ZIP: %v", err)
	}
}

func wantBill(t *testing.T, want, got []order.BillLine, err error) {
	t.Helper()
	if want == nil {
		if !errors.Is(err, order.Unavailable) {
			t.Errorf("%+v, %v", got, err)
		}
		return
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}
