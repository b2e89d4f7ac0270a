package pay

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1" //nolint:gosec // what WeChat Pay sums its bills with, in a reply that it signed
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/smartwalle/alipay/v3"
	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/yuncaidun/yuncaidun/order"
)

const (
	billTimeout = time.Minute
	maxBill     = 32 << 20  // as it comes
	maxPlain    = 512 << 20 // unpacked
)

var (
	_ order.BillSource = (*WeChat)(nil)
	_ order.BillSource = (*Alipay)(nil)
)

// billMissing says that a platform has no bill of a day, or none yet: both say one thing
// for both.
func billMissing(cause error) error {
	return &order.Error{Kind: order.NotFound, Code: "bill_missing", Detail: "平台还没有这一天的账单", Err: cause}
}

// billBroken is a bill that says something we cannot use. Its text is never quoted: it
// names people.
func billBroken(op, why string) error {
	return &order.Error{Kind: order.Unavailable, Code: "bill_unusable", Detail: "平台的账单不能使用，请稍后再试", RetryAfter: 30 * time.Second, Err: fmt.Errorf("%s: %s", op, why)}
}

// Bill is the trade bill of a day (交易账单): where it is comes signed, with the SHA-1 sum
// of the file once it is unpacked; the file itself is not signed.
func (w *WeChat) Bill(ctx context.Context, day time.Time) ([]order.BillLine, error) {
	const op = "wechat pay bill"
	var at struct {
		HashType string `json:"hash_type"`
		Hash     string `json:"hash_value"`
		URL      string `json:"download_url"`
	}
	query := url.Values{"bill_date": {day.In(order.Shanghai).Format(time.DateOnly)}, "bill_type": {"ALL"}, "tar_type": {"GZIP"}}
	err := w.call("bill", func() error {
		result, err := w.native.Client.Get(ctx, "https://"+apiHost+"/v3/bill/tradebill?"+query.Encode())
		if err != nil {
			return err
		}
		return core.UnMarshalResponse(result.Response, &at)
	})
	switch {
	case codeOf(err) == "NO_STATEMENT_EXIST":
		return nil, billMissing(err)
	case codeOf(err) == "STATEMENT_CREATING":
		return nil, unavailable(op, err)
	case err != nil:
		return nil, err
	case at.HashType != "SHA1":
		return nil, billBroken(op, "its sum is of an unknown kind")
	}
	var lines []order.BillLine
	err = observe(w.cfg.Latency, "bill_file", func() error {
		result, err := w.files.Get(ctx, at.URL)
		if err != nil {
			return classify(op, err)
		}
		defer result.Response.Body.Close()
		unpacked, err := gzip.NewReader(result.Response.Body)
		if err != nil {
			return billBroken(op, "it is not packed as asked for")
		}
		sum := sha1.New() //nolint:gosec // see above
		plain, err := io.ReadAll(io.TeeReader(io.LimitReader(unpacked, maxPlain), sum))
		if err != nil {
			return billBroken(op, "it ends too early")
		}
		if hex.EncodeToString(sum.Sum(nil)) != strings.ToLower(at.Hash) {
			return billBroken(op, "its sum is another")
		}
		lines, err = w.readBill(string(plain))
		return err
	})
	return lines, err
}

// readBill reads the lines of a trade bill. Each value has a ` before it, so that only
// ",`" separates two; the header and the title of the totals have none.
func (w *WeChat) readBill(text string) ([]order.BillLine, error) {
	const op = "wechat pay bill"
	rows := strings.Split(strings.TrimSpace(strings.TrimPrefix(text, "\ufeff")), "\n")
	if len(rows) < 3 {
		return nil, billBroken(op, "it has no totals")
	}
	column := columns(strings.Split(strings.TrimSpace(rows[0]), ","))
	var lines []order.BillLine
	for _, row := range rows[1 : len(rows)-2] {
		at := column(strings.Split(strings.TrimPrefix(strings.TrimSpace(row), "`"), ",`"))
		if at("商户号") != w.cfg.MchID || at("货币种类") != currency {
			return nil, billBroken(op, "a line is not this merchant's, or not in CNY")
		}
		l := order.BillLine{TradeNo: at("商户订单号")}
		amount := at("订单金额", "应结订单金额", "总金额")
		switch at("交易状态") {
		case "SUCCESS":
		case "REFUND":
			if at("退款状态") == "FAIL" {
				continue // no money moved
			}
			l.RefundNo, amount = at("商户退款单号"), at("申请退款金额", "退款金额")
			if l.RefundNo == "" {
				return nil, billBroken(op, "a refund has no number")
			}
		default:
			return nil, billBroken(op, "a line has an unknown state")
		}
		var err error
		if l.Amount, err = fen(amount); err != nil || l.TradeNo == "" {
			return nil, billBroken(op, "a line has no number or amount")
		}
		lines = append(lines, l)
	}
	count, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(rows[len(rows)-1]), "`"), ",")
	if n, err := strconv.Atoi(count); err != nil || n != len(rows)-3 {
		return nil, billBroken(op, "it does not have as many lines as it says")
	}
	return lines, nil
}

// columns finds values by what the header calls them, the first name that it has.
func columns(header []string) func(row []string) func(names ...string) string {
	return func(row []string) func(names ...string) string {
		return func(names ...string) string {
			for _, name := range names {
				if i := slices.IndexFunc(header, func(h string) bool { return strings.TrimSpace(h) == name }); i >= 0 && i < len(row) {
					return strings.TrimSpace(row[i])
				}
			}
			return ""
		}
	}
}

// Bill is the trade bill of a day (业务明细): where it is comes signed, and holds for half a
// minute. The file is a ZIP of CSV in GBK; nothing but that address vouches for it.
func (a *Alipay) Bill(ctx context.Context, day time.Time) ([]order.BillLine, error) {
	const op = "alipay bill"
	r, err := a.ask(ctx, "bill", alipay.BillDownloadURLQuery{BillType: "trade", BillDate: day.In(order.Shanghai).Format(time.DateOnly)})
	switch strings.ToUpper(strings.TrimPrefix(codeOf(err), "isp.")) {
	case "BILL_NOT_EXIST", "BILL-NOT-EXIST": // the documentation says one, Alipay another
		return nil, billMissing(err)
	}
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(r.BillURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, billBroken(op, "it has no usable address")
	}
	var lines []order.BillLine
	err = observe(a.cfg.Latency, "bill_file", func() error {
		packed, err := a.fetch(ctx, r.BillURL)
		if err != nil {
			return err
		}
		lines, err = readAlipayBill(packed)
		return err
	})
	return lines, err
}

// fetch loads a file. Its errors do not quote the address, which gives it to anybody.
func (a *Alipay) fetch(ctx context.Context, address string) ([]byte, error) {
	const op = "alipay bill_file"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, billBroken(op, "it has no usable address")
	}
	resp, err := a.files.Do(req)
	if err != nil {
		return nil, unavailable(op, transportFault(err))
	}
	defer resp.Body.Close()
	packed, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, unavailable(op, &Error{Status: resp.StatusCode, Code: "FILE"})
	}
	return packed, nil
}

// readAlipayBill finds the list of trades in a ZIP; the file beside it sums up.
func readAlipayBill(packed []byte) ([]order.BillLine, error) {
	const op = "alipay bill"
	files, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, billBroken(op, "it is no ZIP")
	}
	for _, f := range files.File {
		r, err := f.Open()
		if err != nil {
			return nil, billBroken(op, "it cannot be unpacked")
		}
		text, err := io.ReadAll(simplifiedchinese.GB18030.NewDecoder().Reader(io.LimitReader(r, maxPlain)))
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, billBroken(op, "it cannot be unpacked")
		}
		if _, list, ok := strings.Cut(string(text), "业务明细列表"); ok {
			return readAlipayList(list)
		}
	}
	return nil, billBroken(op, "it has no list of trades")
}

var (
	alipayCounts = regexp.MustCompile(`(交易|退款)合计[:：](\d+)笔`)
	bracketed    = strings.NewReplacer("(", "（", ")", "）")
)

// readAlipayList reads what follows the line that begins the list: the header, a line for
// each payment and refund, and, after the line that ends it, how many there are of each.
// Lines that are no values begin with a #, which what was bought may have in its name.
func readAlipayList(list string) ([]order.BillLine, error) {
	const op = "alipay bill"
	_, list, _ = strings.Cut(list, "\n")
	list, totals, ok := strings.Cut("\n"+list, "\n#")
	if !ok {
		return nil, billBroken(op, "it has no end")
	}
	rows := csv.NewReader(strings.NewReader(list))
	rows.FieldsPerRecord, rows.LazyQuotes, rows.TrimLeadingSpace = -1, true, true
	header, err := rows.Read()
	if err != nil {
		return nil, billBroken(op, "it has no header")
	}
	for i, h := range header {
		header[i] = bracketed.Replace(strings.TrimSpace(h))
	}
	column := columns(header)
	var lines []order.BillLine
	counts := map[string]int{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(row) < len(header) {
			return nil, billBroken(op, "a line is cut off")
		}
		at := column(row)
		l, kind := order.BillLine{TradeNo: at("商户订单号")}, at("业务类型")
		amount := at("订单金额（元）")
		switch kind {
		case "交易":
		case "退款":
			l.RefundNo, amount = at("退款批次号/请求号"), strings.TrimPrefix(amount, "-")
			if l.RefundNo == "" {
				return nil, billBroken(op, "a refund has no number")
			}
		default:
			return nil, billBroken(op, "a line is of an unknown kind")
		}
		if l.Amount, err = fen(amount); err != nil || l.TradeNo == "" {
			return nil, billBroken(op, "a line has no number or amount")
		}
		counts[kind]++
		lines = append(lines, l)
	}
	for _, m := range alipayCounts.FindAllStringSubmatch(totals, -1) {
		if n, err := strconv.Atoi(m[2]); err != nil || n != counts[m[1]] {
			return nil, billBroken(op, "it does not have as many lines as it says")
		}
	}
	return lines, nil
}
