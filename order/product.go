package order

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// Algorithm is a key algorithm a product offers.
type Algorithm string

// The algorithms an issuing CA exists for.
const (
	P256    Algorithm = "p256"
	RSA2048 Algorithm = "rsa2048"
)

// Product is one thing a bidding project sells. Orders keep a copy, so that a
// later change of the catalogue changes no order.
type Product struct {
	Code      string    `json:"code"`
	Project   string    `json:"project"` // opaque project key of the URL (F2)
	Name      string    `json:"name"`
	Business  Business  `json:"business"`
	Label     string    `json:"label,omitempty"` // free text such as 管理员制证; decides nothing (F9)
	Hint      string    `json:"hint,omitempty"`  // tells it from others on offer, e.g. whom it suits
	IssueMode IssueMode `json:"issue_mode"`
	Algorithm Algorithm `json:"algorithm"`
	Price     Fen       `json:"price_fen"` // per key and year
	Years     []int     `json:"years"`     // terms offered; the first is the default
	Term      int       `json:"term,omitempty"`
	// Authorizations are the ways the legal representative may agree (F36), of
	// AuthPaper and AuthMiniProgram.
	Authorizations []string `json:"authorizations"`
	Seals          []Seal   `json:"seals,omitempty"`   // seal types offered (F10)
	MaxKeys        int      `json:"max_keys"`          // most keys in one order (F6)
	Express        *Express `json:"express,omitempty"` // offered to who cannot wait; nil: not offered
	// Verification is the 认证类型 that the form shows, when it is another than usual (F8).
	Verification string `json:"verification,omitempty"`
	OnSale       bool   `json:"on_sale"`
	Test         bool   `json:"test,omitempty"`      // certificates are tagged 测试专用
	FourEyes     bool   `json:"four_eyes,omitempty"` // the issuer differs from the approver
}

// Project is one bidding project with its own home page (F1, F2).
type Project struct {
	Key  string `json:"key"`
	Name string `json:"name"`
}

// SecondRule says when a second reviewer must agree (flows.md 4.4). Zero
// values switch a condition off.
type SecondRule struct {
	MinAmount       Fen  `json:"min_amount_fen"`
	MinQuantity     int  `json:"min_quantity"`
	PaperNewCompany bool `json:"paper_new_company"`
}

// Catalogue is what is on offer and the review conditions: a file, or what admins have
// set up since ([Settings]).
type Catalogue struct {
	Projects       []Project  `json:"projects"`
	Products       []Product  `json:"products"`
	SecondApproval SecondRule `json:"second_approval"`
}

// ReadCatalogue reads and checks a catalogue file; the error names every fault.
func ReadCatalogue(r io.Reader) (Catalogue, error) {
	var c Catalogue
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Catalogue{}, fmt.Errorf("reading the catalogue: %w", err)
	}
	for i := range c.Products {
		if p := &c.Products[i]; p.MaxKeys == 0 {
			p.MaxKeys = usualMaxKeys
			if p.oneKey() {
				p.MaxKeys = 1
			}
		}
	}
	return c, c.validate()
}

// usualMaxKeys is how many keys one order may have where the catalogue does not say (F6), and
// more than one is possible.
const usualMaxKeys = 20

// VerifiedAs is the 认证类型 of the product (F8).
func (p Product) VerifiedAs() string { return cmp.Or(p.Verification, "基本信息认证") }

// Product returns the product with that code.
func (c Catalogue) Product(code string) (Product, error) {
	for _, p := range c.Products {
		if p.Code == code {
			return p, nil
		}
	}
	return Product{}, productNotFound
}

var productNotFound = Errorf(NotFound, "product_not_found", "没有找到该产品，请返回首页重新选择")

// ShortName is a product's name without that of its project, for places that
// name the project already.
func (c Catalogue) ShortName(p Product) string {
	for _, project := range c.Projects {
		if project.Key == p.Project {
			return strings.TrimPrefix(p.Name, project.Name+"-")
		}
	}
	return p.Name
}

// Project returns a project and its products in catalogue order.
func (c Catalogue) Project(key string) (Project, []Product, error) {
	for _, p := range c.Projects {
		if p.Key != key {
			continue
		}
		var of []Product
		for _, q := range c.Products {
			if q.Project == key {
				of = append(of, q)
			}
		}
		return p, of, nil
	}
	return Project{}, nil, Errorf(NotFound, "project_not_found", "没有找到该项目，请核对网址")
}

var yuanForm = regexp.MustCompile(`^([0-9]{1,7})(?:\.([0-9]{1,2}))?$`)

// ParseYuan reads an amount of at most 9,999,999.99 yuan as people type it.
func ParseYuan(text string) (Fen, error) {
	m := yuanForm.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, fmt.Errorf("%q is no amount", text)
	}
	n, err := strconv.Atoi(m[1] + (m[2] + "00")[:2])
	return Fen(n), err
}

// Yuan is an amount as people read it, without a sign of currency: 300.00.
func (f Fen) Yuan() string {
	sign := ""
	if f < 0 {
		sign, f = "-", -f
	}
	return fmt.Sprintf("%s%d.%02d", sign, f/100, f%100)
}
