package letter

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/font"
)

// Receipt is what a progress receipt says on paper.
type Receipt struct {
	CA string
	order.Statement
	IssuedAt  time.Time
	ExpiresAt time.Time
	Code      string // as it is printed
	Page      string // address of the page to check it on, without the code
	QR        []byte // PNG, leads to that page
}

// ReceiptPDF returns the progress receipt as a PDF file, ready to be sealed.
func ReceiptPDF(f *font.Font, r Receipt) ([]byte, error) {
	title := "数字证书办理进度凭证"
	moment := func(t time.Time) string { return t.In(shanghai).Format(time.DateTime) } // as the page writes it
	p, err := newPage(f, title, r.IssuedAt, r.CA+r.Company+r.Product+r.State)
	if err != nil {
		return nil, err
	}
	p.title(title)
	p.paragraph(fmt.Sprintf("兹证明，截至 %s，下列单位向%s申请办理电子招标投标数字证书的进度如下：", moment(r.IssuedAt), r.CA))
	p.table([][2]string{
		{"单位名称", r.Company},
		{"统一社会信用代码", r.USCC},
		{"办理业务", r.Product},
		{"订单号", r.OrderNo},
		{"办理状态", r.State},
		{"进入该状态的时间", moment(r.Since)},
		{"凭证出具时间", moment(r.IssuedAt)},
		{"凭证有效期至", moment(r.ExpiresAt)},
	})
	p.check(r)
	p.SetFont("hei", "", 8.5)
	p.SetTextColor(95, 95, 95)
	p.SetXY(margin, 297-24)
	p.SetLineWidth(0.15)
	p.Line(margin, 297-25, margin+width, 297-25)
	p.at(margin, 297-23.5, "本凭证由"+r.CA+"以签章密钥签署（PAdES），任何改动都会使电子签名失效。")
	p.at(margin, 297-18.5, "本凭证只说明出具时的办理进度，不是数字证书，不代替证书的申请、审核和签发结果。")
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("writing a progress receipt: %w", err)
	}
	return out.Bytes(), nil
}

// check draws how whoever gets the receipt checks it.
func (p page) check(r Receipt) {
	const side, gap = 36.0, 8.0
	x, y := p.GetX(), p.GetY()+2
	p.RegisterImageOptionsReader("qr", fpdf.ImageOptions{ImageType: "PNG"}, bytes.NewReader(r.QR))
	p.ImageOptions("qr", x, y, side, side, false, fpdf.ImageOptions{ImageType: "PNG"}, 0, "")
	line := y
	for _, text := range []string{
		"如何核对（招标人、招标代理机构）",
		"1. 扫描左侧二维码，或打开 " + r.Page + " 输入凭证编号；",
		"凭证编号：" + r.Code,
		"2. 核对网址，并核对页面上“凭证出具时”的内容与本页一致，不一致即为伪造；",
		"3. 以页面上显示的当前状态为准。凭证撤回或过期后不再有效。",
	} {
		for _, l := range p.lines(text, width-side-gap) {
			p.at(x+side+gap, line, strings.TrimSpace(l))
			line += lineHeight
		}
	}
}
