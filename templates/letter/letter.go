// Package letter writes the paper authorisation letter (F37–F39): filled in from
// the form, to be printed, stamped with the company's seal and uploaded.
package letter

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"github.com/yuncaidun/yuncaidun/templates/font"
)

// Blanks is what the letter says of one application. Every blank is required:
// the letter never prints a dash (G33).
type Blanks struct {
	CA      string // name of the certification authority
	Company string
	Agent   string // name of the 经办人
	Mobile  string
	Email   string
	Date    time.Time // day of download (G31)
}

// MissingGlyphs is the error of a letter whose text the font cannot draw.
type MissingGlyphs struct{ Runes []rune }

func (e MissingGlyphs) Error() string {
	return fmt.Sprintf("the font has no glyph for %d characters", len(e.Runes))
}

// Detail is the error in words for the applicant.
func (e MissingGlyphs) Detail() string {
	return "授权书暂时无法打印生僻字“" + string(e.Runes) + "”，请联系客服 400-666-3999 领取纸质授权书"
}

// promises are the five promises of the letter (F38).
var promises = []string{
	"我单位为办理本次实名认证所填写的信息和提交的材料真实、准确、完整、有效；信息发生变化时，及时告知贵公司。",
	"因信息不实、材料虚假或者代理人超出授权办理而产生的一切后果，由我单位承担相应的法律责任。",
	"本授权书自我单位盖章之日起生效，在本次实名认证的有效期内持续有效。",
	"我单位提交的照片、扫描件和复印件均与原件内容一致，与原件具有同等效力。",
	"上述代理人是我单位唯一授权办理本次业务的正式员工，其在授权范围内的办理行为代表我单位。",
}

// Measures of the page in millimetres, sizes in points.
const (
	margin     = 24.0
	width      = 210 - 2*margin
	labelWidth = 50.0
	textSize   = 11.0
	lineHeight = 6.4
	cellPad    = 2.2
)

// shanghai is where the day of the letter is told.
var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// PDF returns the letter as a PDF file.
func PDF(f *font.Font, b Blanks) ([]byte, error) {
	for name, v := range map[string]string{"CA": b.CA, "company": b.Company, "agent": b.Agent, "mobile": b.Mobile, "email": b.Email} {
		if strings.TrimSpace(v) == "" {
			return nil, fmt.Errorf("writing the letter: the blank %s is empty", name)
		}
	}
	title := b.CA + "实名认证申请授权书"
	p, err := newPage(f, title, b.Date, b.CA+b.Company+b.Agent+b.Mobile+b.Email)
	if err != nil {
		return nil, err
	}
	p.title(title)
	p.paragraph("致：" + b.CA)
	p.paragraph("我单位授权下列代理人（经办人）向贵公司申请单位实名认证，并办理数字证书及证书存储介质（USBKEY）的申请、确认、领取等事项。")
	p.table([][2]string{{"单位全称", b.Company}, {"代理人姓名", b.Agent}, {"代理人电话（手机）", b.Mobile}, {"代理人电子邮箱", b.Email}})
	p.paragraph("我单位郑重承诺：")
	for i, promise := range promises {
		p.numbered(fmt.Sprintf("%d.", i+1), promise)
	}
	p.stamps(b.Date.In(shanghai).Format("2006年01月02日"))

	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("writing the letter: %w", err)
	}
	return out.Bytes(), nil
}

// page is the one sheet of the letter.
type page struct{ *fpdf.Fpdf }

// newPage begins a sheet on which text is filled in, beside the fixed words of this
// package, which are common characters. It fails where the font cannot draw text.
func newPage(f *font.Font, title string, day time.Time, text string) (page, error) {
	if missing := f.Missing(text); missing != nil {
		return page{}, MissingGlyphs{missing}
	}
	p := page{fpdf.New("P", "mm", "A4", "")}
	p.SetCatalogSort(true)
	p.SetCreationDate(day.UTC())
	p.SetModificationDate(day.UTC())
	p.SetTitle(title, true)
	p.AddUTF8FontFromBytes("hei", "", f.For(text))
	p.SetMargins(margin, 22, margin)
	p.SetAutoPageBreak(false, 0)
	p.AddPage()
	p.SetFont("hei", "", textSize)
	return p, nil
}

func (p page) title(text string) {
	p.SetFont("hei", "", 19)
	for _, l := range p.lines(text, width) {
		p.CellFormat(width, 10, l, "", 1, "C", false, 0, "")
	}
	p.SetFont("hei", "", textSize)
	p.Ln(5)
}

func (p page) paragraph(text string) {
	for _, l := range p.lines(text, width) {
		p.CellFormat(width, lineHeight, l, "", 1, "L", false, 0, "")
	}
	p.Ln(2)
}

func (p page) numbered(no, text string) {
	const indent = 8
	for i, l := range p.lines(text, width-indent) {
		if i > 0 {
			no = ""
		}
		p.CellFormat(indent, lineHeight, no, "", 0, "L", false, 0, "")
		p.CellFormat(width-indent, lineHeight, l, "", 1, "L", false, 0, "")
	}
	p.Ln(1)
}

func (p page) table(rows [][2]string) {
	p.SetLineWidth(0.25)
	for _, row := range rows {
		lines := p.lines(row[1], width-labelWidth-2*cellPad)
		x, y, h := p.GetX(), p.GetY(), float64(len(lines))*lineHeight+2*cellPad
		p.Rect(x, y, labelWidth, h, "D")
		p.Rect(x+labelWidth, y, width-labelWidth, h, "D")
		p.SetXY(x+cellPad, y+(h-lineHeight)/2)
		p.CellFormat(labelWidth-2*cellPad, lineHeight, row[0], "", 0, "L", false, 0, "")
		for i, l := range lines {
			p.SetXY(x+labelWidth+cellPad, y+cellPad+float64(i)*lineHeight)
			p.CellFormat(width-labelWidth-2*cellPad, lineHeight, l, "", 0, "L", false, 0, "")
		}
		p.SetXY(x, y+h)
	}
	p.Ln(5)
}

// stamps draws the two areas to be stamped, and the footer.
func (p page) stamps(day string) {
	const gap, height = 8.0, 50.0
	w := (width - gap) / 2
	p.Ln(2)
	x, y := p.GetX(), p.GetY()
	p.SetDashPattern([]float64{1.2, 1.2}, 0)
	p.Rect(x, y, w, height, "D")
	p.Rect(x+w+gap, y, w, height, "D")
	p.SetDashPattern(nil, 0)
	p.at(x+3, y+3, "代理人信息确认盖章处")
	p.at(x+w+gap+3, y+3, "单位公章：")
	p.at(x+w+gap+3, y+height-lineHeight-2, "日期："+day)
	p.SetFont("hei", "", 8.5)
	p.SetTextColor(95, 95, 95)
	p.at(x+3, y+height-lineHeight-2, "请在此处加盖单位公章，红章须完整清晰")
	p.SetXY(margin, 297-24)
	p.SetLineWidth(0.15)
	p.Line(margin, 297-25, margin+width, 297-25)
	p.at(margin, 297-23.5, "请使用实体公章，电子章和合同章、财务章等无效；盖章后请拍摄或扫描成彩色图片上传。")
	p.at(margin, 297-18.5, "本授权书由电子认证注册机构留存，作为本次实名认证的依据。")
}

// at writes one line at a place.
func (p page) at(x, y float64, text string) {
	p.SetXY(x, y)
	p.CellFormat(width, lineHeight, text, "", 0, "L", false, 0, "")
}

// Characters that may not begin a line.
const noBreakBefore = "，。、；：？！）》”…·,.;:?!)"

// lines breaks text to width: anywhere between Chinese characters, but inside no
// word of letters and digits that fits a line, and never before a closing mark.
func (p page) lines(text string, width float64) []string {
	var lines []string
	rest := []rune(text)
	for len(rest) > 0 {
		n := 0
		for n < len(rest) && p.GetStringWidth(string(rest[:n+1])) <= width {
			n++
		}
		n = max(n, 1)
		if n < len(rest) {
			n = breakAt(rest, n)
		}
		lines = append(lines, strings.TrimSpace(string(rest[:n])))
		rest = rest[n:]
	}
	return lines
}

// breakAt moves a line end at n back to where a line may end.
func breakAt(text []rune, n int) int {
	for i := n; i > 0; i-- {
		inWord := isWord(text[i-1]) && isWord(text[i])
		if !inWord && !strings.ContainsRune(noBreakBefore, text[i]) {
			return i
		}
	}
	return n
}

func isWord(r rune) bool { return r < 0x2E80 && r != ' ' && r != '-' && r != '@' && r != '.' }
