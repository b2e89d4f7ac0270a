package sim

import (
	"bytes"
	"time"

	"github.com/go-pdf/fpdf"
)

// printInvoice makes the PDF of an invoice, or of the red one. It says on its face that it is none.
func (s *Server) printInvoice(i Invoice, red bool) ([]byte, error) {
	p, total, tax, kind := i.Blue, i.Total, i.Tax, "电子发票（普通发票）"
	if red {
		p, total, tax, kind = i.Red, -total, -tax, "电子发票（普通发票）红字"
	}
	pdf := fpdf.New("L", "mm", "A5", "")
	pdf.SetTitle("TEST INVOICE "+p.Number, true)
	pdf.SetCreationDate(time.Unix(0, 0))
	face := "Helvetica"
	if len(s.cfg.Golden.TTF) > 0 {
		face = "cjk"
		pdf.AddUTF8FontFromBytes(face, "", s.cfg.Golden.TTF)
	}
	latin := func(chinese, english string) string {
		if face == "cjk" {
			return chinese
		}
		return english
	}
	pdf.AddPage()
	pdf.SetFont(face, "", 30)
	pdf.SetTextColor(210, 60, 60)
	pdf.SetXY(10, 59)
	pdf.CellFormat(190, 14, latin("测试发票 · 不得报销 · TEST", "TEST INVOICE - NOT A TAX DOCUMENT"), "", 0, "C", false, 0, "")
	pdf.SetTextColor(130, 40, 30)
	pdf.SetXY(10, 10)
	pdf.SetFont(face, "", 17)
	pdf.CellFormat(190, 10, latin(kind, "TEST INVOICE"), "", 0, "C", false, 0, "")
	pdf.SetTextColor(30, 30, 30)
	date := ""
	if p.At != nil {
		date = p.At.In(shanghai).Format(latin("2006年01月02日", "2006-01-02"))
	}
	for n, line := range [][2]string{
		{latin("发票号码", "Number"), p.Number},
		{latin("开票日期", "Date"), date},
		{latin("购买方名称", "Buyer"), latin(i.Title, i.TaxNo)},
		{latin("购买方税号", "Buyer's tax number"), i.TaxNo},
		{latin("销售方名称", "Seller"), latin(s.cfg.Golden.SellerName, s.cfg.Golden.SellerTaxNo)},
		{latin("销售方税号", "Seller's tax number"), s.cfg.Golden.SellerTaxNo},
		{latin("项目名称", "Item"), latin(i.Item, "certificate")},
		{latin("不含税金额", "Without tax"), "CNY " + goldenYuan(total-tax)},
		{latin("税额", "Tax"), "CNY " + goldenYuan(tax)},
		{latin("价税合计", "Total"), "CNY " + goldenYuan(total)},
	} {
		y := 26 + float64(n)*8
		if n >= 4 {
			y += 18 // the stamp across the middle stays free
		}
		pdf.SetFont(face, "", 9)
		pdf.SetXY(14, y)
		pdf.CellFormat(40, 7, line[0], "", 0, "L", false, 0, "")
		pdf.SetFont(face, "", 11)
		pdf.CellFormat(140, 7, line[1], "", 0, "L", false, 0, "")
	}
	var out bytes.Buffer
	err := pdf.Output(&out)
	return out.Bytes(), err
}
