package letter

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/go-pdf/fpdf"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/templates/font"
)

// TextVersion names the words of the letter that is signed online. It changes
// with every change of the words, so that a signature says which ones it is under.
const TextVersion = "legal-rep 2026-11"

// Consent is what the separate tick under the letter says (rules.md §3.2: sensitive
// personal data needs a consent of its own). ConsentVersion changes with it.
const (
	ConsentVersion = "sensitive 2026-11"
	Consent        = "我单独同意：为核验法定代表人身份并留存授权证据，处理我的手写签名图像、证件号码及核验结果；上述信息加密保存至证书失效后五年，期满删除。"
)

// ConsentHash is the SHA-256 (hex) of the consent's words.
func ConsentHash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(Consent))) }

// Authorization is what the letter to be signed online says.
type Authorization struct {
	CA      string
	Company string
	USCC    string
	Signer  string // the legal representative
	DocNo   string // the end of the document's number; never all of it
	Agent   string
	Mobile  string // of the agent, masked
	Order   string // number
	Product string
	Keys    int
	Term    int // years
	Amount  string
	Until   time.Time // zero: this application only
}

// ForOrder is the letter of an authorisation of an order; until is zero for this
// application only.
func ForOrder(ca string, o order.Order, a order.Authorization, until time.Time) Authorization {
	no := []rune(a.Signer.No)
	return Authorization{
		CA: ca, Company: o.Company, USCC: o.USCC, Signer: a.Signer.Name, DocNo: string(no[max(0, len(no)-4):]),
		Agent: o.Form.Get(order.AgentName), Mobile: o.Form.Masked(order.AgentMobile), Order: o.No, Product: o.Product.Name,
		Keys: o.Quantity(), Term: o.Product.Term, Amount: o.Amount.Yuan(), Until: until,
	}
}

// Title is the letter's heading.
func (a Authorization) Title() string { return a.CA + "法定代表人授权书" }

// Scope says how far the letter goes.
func (a Authorization) Scope() string {
	if a.Until.IsZero() {
		return "授权范围：仅限本次申请。"
	}
	return "授权范围：本次申请，以及自签署之日起至 " + a.Until.In(shanghai).Format("2006年01月02日") + " 止，上述经办人为本单位向贵公司提交的其他申请。本人可随时撤销，撤销后提交的申请不再适用。"
}

// Paragraphs are the words, the promises last: the same five as on paper.
func (a Authorization) Paragraphs() []string {
	out := []string{
		"致：" + a.CA,
		fmt.Sprintf("本人%s（证件号码后四位 %s）系%s（统一社会信用代码 %s）的法定代表人，代表本单位授权经办人%s（手机号 %s）向贵公司申请单位实名认证，并办理数字证书及证书存储介质（USBKEY）的申请、确认、领取等事项。",
			a.Signer, a.DocNo, a.Company, a.USCC, a.Agent, a.Mobile),
		fmt.Sprintf("本次申请：%s，%d 个，%d 年期，金额 %s 元，订单号 %s。", a.Product, a.Keys, a.Term, a.Amount, a.Order),
		a.Scope(),
		"我单位郑重承诺：",
	}
	for i, p := range promises {
		out = append(out, fmt.Sprintf("%d. %s", i+1, strings.ReplaceAll(p, "我单位盖章之日", "本人签署之日")))
	}
	return out
}

// Text is the letter as plain text: what the SHA-256 is taken of.
func (a Authorization) Text() string {
	return a.Title() + "\n\n" + strings.Join(a.Paragraphs(), "\n") + "\n"
}

// SHA256 is the hash (hex) of the letter's words.
func (a Authorization) SHA256() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(a.Text()))) }

// Signing is what was added to the letter by its signature.
type Signing struct {
	Picture []byte // PNG of the handwritten signature; may be empty for a letter under a mandate
	At      time.Time
	Receipt string
	// Proofs are lines about how it was signed, for readers of the paper.
	Proofs []string
}

// AuthorizationPDF returns the signed letter as a PDF file, ready to be sealed.
func AuthorizationPDF(f *font.Font, a Authorization, s Signing) ([]byte, error) {
	p, err := newPage(f, a.Title(), s.At, strings.ReplaceAll(a.Text(), "\n", "")+strings.Join(s.Proofs, ""))
	if err != nil {
		return nil, err
	}
	p.title(a.Title())
	for _, text := range a.Paragraphs() {
		if no, rest, ok := strings.Cut(text, ". "); ok && len(no) == 1 {
			p.numbered(no+".", rest)
			continue
		}
		p.paragraph(text)
	}
	p.signature(s)
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("writing the authorisation letter: %w", err)
	}
	return out.Bytes(), nil
}

// signature draws the signature, when and how it was given.
func (p page) signature(s Signing) {
	const height = 34.0
	p.Ln(3)
	x, y := p.GetX(), p.GetY()
	p.SetLineWidth(0.2)
	p.Rect(x, y, width, height, "D")
	p.at(x+4, y+3, "法定代表人签名：")
	if len(s.Picture) > 0 {
		p.RegisterImageOptionsReader("signature", fpdf.ImageOptions{ImageType: "PNG"}, bytes.NewReader(s.Picture))
		p.ImageOptions("signature", x+40, y+3, 0, height-6, false, fpdf.ImageOptions{ImageType: "PNG"}, 0, "")
	} else {
		p.at(x+40, y+3, "依据本人先前签署的长期授权")
	}
	p.at(x+96, y+height-2*lineHeight-2, "签署时间："+s.At.In(shanghai).Format("2006-01-02 15:04"))
	p.at(x+96, y+height-lineHeight-2, "回执号："+s.Receipt)
	p.SetXY(x, y+height+4)
	p.SetFont("hei", "", 8.5)
	p.SetTextColor(95, 95, 95)
	for _, proof := range s.Proofs {
		for _, l := range p.lines(proof, width) {
			p.CellFormat(width, 4.6, l, "", 1, "L", false, 0, "")
		}
	}
	p.SetXY(margin, 297-24)
	p.SetLineWidth(0.15)
	p.Line(margin, 297-25, margin+width, 297-25)
	p.at(margin, 297-23.5, "本授权书由电子认证注册机构以授权书签章密钥签署（PAdES），任何改动都会使电子签名失效。")
	p.at(margin, 297-18.5, "文本版本 "+TextVersion+"，由电子认证注册机构留存，作为本次实名认证的依据。")
}
