package sim

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // what WeChat Pay sums its bills with
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// billFaults are what a fault of the family "pay.bill.file" or "alipay.bill.file" can do to the next bill, as its code.
var billFaults = map[string]bool{"wrong-sum": true, "line-more": true, "line-less": true, "wrong-amount": true, "cut-off": true}

// billEntry is one line of a bill: a payment, or a refund of one.
type billEntry struct {
	At     time.Time
	Trade  Trade
	Refund Refund // zero: it is the payment
	Amount int64
}

// billOf lists a day's movements of a channel, mangled as the family's fault says, and returns that too: it strikes the
// next bill that there is. The caller holds the lock.
func (s *Server) billOf(via PayChannel, day time.Time, family string) (entries []billEntry, fault string) {
	within := func(t time.Time) bool { return !t.Before(day) && t.Before(day.AddDate(0, 0, 1)) }
	for _, t := range s.trades.find(func(t Trade) bool {
		return (t.Channel == ViaAlipay) == (via == ViaAlipay) && t.PaidAt != nil && within(*t.PaidAt)
	}) {
		entries = append(entries, billEntry{At: *t.PaidAt, Trade: t, Amount: t.Total})
	}
	for _, r := range s.refunds.find(func(r Refund) bool {
		return (r.Channel == ViaAlipay) == (via == ViaAlipay) && r.SuccessAt != nil && within(*r.SuccessAt)
	}) {
		t, _ := s.trade(Trade{Channel: via, OutTradeNo: r.OutTradeNo}.key())
		entries = append(entries, billEntry{At: *r.SuccessAt, Trade: t, Refund: r, Amount: r.Amount})
	}
	if len(entries) == 0 {
		return nil, ""
	}
	switch fault = s.strikeLocked(family).Code; fault {
	case "line-more":
		stray := Trade{Channel: via, OutTradeNo: "OTHER" + token(8), TransactionID: s.transactionID(via), Description: "另一个系统的收款", Total: 8800, Payer: "oStray"}
		entries = append(entries, billEntry{At: day.Add(12 * time.Hour), Trade: stray, Amount: stray.Total})
	case "line-less":
		entries = entries[1:]
	case "wrong-amount":
		entries[0].Amount++
	}
	return entries, fault
}

// billDay reads the day that a bill is asked for and says whether it is over and made: from hour on the day after.
func (s *Server) billDay(text string, hour int) (day time.Time, made bool, err error) {
	day, err = time.ParseInLocation(time.DateOnly, text, shanghai)
	now := s.now().In(shanghai)
	if err == nil && (!now.After(day.AddDate(0, 0, 1)) || now.After(day.AddDate(0, 3, 1))) {
		err = fmt.Errorf("账单日期 %s 不在可下载范围内", text)
	}
	return day, err == nil && !now.Before(day.AddDate(0, 0, 1).Add(time.Duration(hour)*time.Hour)), err
}

// tradeBill says where a day's bill is, and what it sums up to once it is unpacked.
func (s *Server) tradeBill(c payCall) (any, *payError) {
	q := c.r.URL.Query()
	day, made, err := s.billDay(q.Get("bill_date"), 10)
	switch {
	case err != nil:
		return nil, paramError(err.Error())
	case q.Get("bill_type") != "ALL" || q.Get("tar_type") != "GZIP":
		return nil, paramError("本模拟器只提供 ALL、GZIP 账单")
	case !made:
		return nil, &payError{http.StatusBadRequest, "STATEMENT_CREATING", "账单生成中"}
	}
	entries, fault := s.billOf(ViaWeChat, day, "pay.bill.file")
	if len(entries) == 0 {
		return nil, &payError{http.StatusBadRequest, "NO_STATEMENT_EXIST", "账单文件不存在"}
	}
	plain := s.wechatBill(entries)
	sum := sha1.Sum([]byte(plain)) //nolint:gosec // see above
	if fault == "wrong-sum" {
		sum[0] ^= 1
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, plain) // into memory
	_ = w.Close()
	if fault == "cut-off" {
		packed.Truncate(packed.Len() / 2)
	}
	name := s.keepBill(packed.Bytes(), 5*time.Minute)
	return map[string]any{"hash_type": "SHA1", "hash_value": hex.EncodeToString(sum[:]), "download_url": "https://api.mch.weixin.qq.com/v3/billdownload/file?token=" + name + "&tartype=gzip"}, nil
}

const wechatBillHeader = "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额," +
	"微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"

func (s *Server) wechatBill(entries []billEntry) string {
	var b strings.Builder
	b.WriteString("\ufeff" + wechatBillHeader + "\r\n")
	var total, returned int64
	for _, e := range entries {
		t := e.Trade
		kind := t.Type
		if kind == "" {
			kind = "NATIVE"
		}
		row := []string{
			e.At.In(shanghai).Format(time.DateTime), s.cfg.Pay.AppID, s.cfg.Pay.MchID, "0", "", t.TransactionID, t.OutTradeNo, t.Payer, kind, "SUCCESS", "OTHERS", "CNY", goldenYuan(e.Amount), "0.00",
			"0", "0", "0.00", "0.00", "", "", t.Description, t.Attach, "0.00000", "0.60%", goldenYuan(e.Amount), "0.00", "",
		}
		if e.Refund.OutRefundNo != "" {
			row[9], row[12], row[24] = "REFUND", "0.00", "0.00"
			row[14], row[15], row[16], row[18], row[19], row[25] = e.Refund.RefundID, e.Refund.OutRefundNo, goldenYuan(e.Amount), "ORIGINAL", "SUCCESS", goldenYuan(e.Amount)
			returned += e.Amount
		} else {
			total += e.Amount
		}
		b.WriteString("`" + strings.Join(row, ",`") + "\r\n")
	}
	b.WriteString("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n")
	fmt.Fprintf(&b, "`%d,`%s,`%s,`0.00,`0.00000,`%s,`%s\r\n", len(entries), goldenYuan(total), goldenYuan(returned), goldenYuan(total), goldenYuan(returned))
	return b.String()
}

// tradeBillFile gives a bill to the merchant whose token is asked with; what it answers is not signed.
func (s *Server) tradeBillFile(host string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		refusal := s.checkMerchant(r, strings.TrimPrefix(r.URL.RequestURI(), host), nil)
		file, ok := s.bill(r.URL.Query().Get("token"))
		s.mu.Unlock()
		if refusal == nil && !ok {
			refusal = &payError{http.StatusBadRequest, "INVALID_REQUEST", "token 无效或已过期"}
		}
		if refusal != nil {
			writeJSON(w, refusal.status, refusal)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(file)
	}
}

// alipayBill says where a day's bill is.
func (s *Server) alipayBill(c alipayContent) (map[string]any, *alipayError) {
	day, made, err := s.billDay(c.BillDate, 9)
	if err != nil || c.BillType != "trade" {
		return nil, &alipayError{"40004", "Business Failed", "isp.invalid_arguments", "入参不合法"}
	}
	var entries []billEntry
	fault := ""
	if made {
		entries, fault = s.billOf(ViaAlipay, day, "alipay.bill.file")
	}
	if len(entries) == 0 {
		return nil, &alipayError{"40004", "Business Failed", "isp.bill_not_exist", "账单不存在"}
	}
	packed := s.alipayZIP(day, entries)
	if fault == "cut-off" {
		packed = packed[:len(packed)/2]
	}
	return map[string]any{"bill_download_url": c.base + "/downloadBillFile.resource?bizType=trade&userId=" + s.cfg.Alipay.SellerID + "&fileId=" + s.keepBill(packed, 30*time.Second)}, nil
}

const alipayBillHeader = "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）," +
	"商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"

// alipayZIP is a bill as Alipay packs it: a list and a summary, names and contents in GBK.
func (s *Server) alipayZIP(day time.Time, entries []billEntry) []byte {
	stem := s.cfg.Alipay.SellerID + "0156_" + day.Format("20060102")
	head := "#支付宝业务明细查询\r\n#账号：[" + s.cfg.Alipay.SellerID + "0156]\r\n#起始日期：[" + day.Format(time.DateTime) + "]   终止日期：[" + day.AddDate(0, 0, 1).Format(time.DateTime) + "]\r\n"
	var list strings.Builder
	list.WriteString(head + "#-----------------------------------------业务明细列表----------------------------------------\r\n" + alipayBillHeader + "\r\n")
	var paid, back, in, out int64
	for _, e := range entries {
		kind, sign, refund := "交易", "", ""
		if e.Refund.OutRefundNo != "" {
			kind, sign, refund = "退款", "-", e.Refund.OutRefundNo
			back, out = back+1, out+e.Amount
		} else {
			paid, in = paid+1, in+e.Amount
		}
		at := e.At.In(shanghai).Format(time.DateTime)
		list.WriteString(strings.Join([]string{
			e.Trade.TransactionID + "\t", e.Trade.OutTradeNo + "\t", kind, e.Trade.Description, e.Trade.CreatedAt.In(shanghai).Format(time.DateTime), at, "", "", "", "", "*小琪(177****7069)",
			sign + goldenYuan(e.Amount), sign + goldenYuan(e.Amount), "0.00", "0.00", "0.00", "0.00", "0.00", "", "0.00", "0.00", refund + "\t", "0.00", "0.00", "",
		}, ",") + "\r\n")
	}
	fmt.Fprintf(&list, "#-----------------------------------------业务明细列表结束------------------------------------\r\n#交易合计：%d笔，商家实收共%s元，商家优惠共0.00元\r\n#退款合计：%d笔，商家实收退款共-%s元，商家优惠退款共0.00元\r\n#导出时间：[%s]\r\n",
		paid, goldenYuan(in), back, goldenYuan(out), s.now().In(shanghai).Format(time.DateTime))
	summary := head + "#-----------------------------------------业务汇总列表----------------------------------------\r\n门店编号,门店名称,交易订单总笔数\r\n合计,," + fmt.Sprint(paid) + "\r\n#----------------------------------------业务汇总列表结束-------------------------------------\r\n"

	var packed bytes.Buffer
	z := zip.NewWriter(&packed)
	for _, f := range [][2]string{{stem + "_业务明细(汇总).csv", summary}, {stem + "_业务明细.csv", list.String()}} {
		name, _ := simplifiedchinese.GBK.NewEncoder().String(f[0]) // constant text
		text, err := simplifiedchinese.GBK.NewEncoder().String(f[1])
		if err != nil {
			text = strings.ToValidUTF8(f[1], "?") // a product's name outside GBK
		}
		w, _ := z.CreateHeader(&zip.FileHeader{Name: name, NonUTF8: true, Method: zip.Deflate}) // into memory
		_, _ = io.WriteString(w, text)
	}
	_ = z.Close()
	return packed.Bytes()
}

// alipayBillFile gives a bill to anybody who has its address, as Alipay's bill centre does.
func (s *Server) alipayBillFile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	file, ok := s.bill(r.URL.Query().Get("fileId"))
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	_, _ = w.Write(file)
}

// billFile is a bill that somebody may fetch for a while.
type billFile struct {
	file  []byte
	until time.Time // real time
}

// keepBill keeps a bill under a name that nobody guesses. The caller holds the lock.
func (s *Server) keepBill(file []byte, life time.Duration) string {
	for name, b := range s.bills {
		if wireNow().After(b.until) {
			delete(s.bills, name)
		}
	}
	name := token(16)
	s.bills[name] = billFile{file, wireNow().Add(life)}
	return name
}

// bill is one that was kept. The caller holds the lock.
func (s *Server) bill(name string) ([]byte, bool) {
	b, ok := s.bills[name]
	return b.file, ok && !wireNow().After(b.until)
}
