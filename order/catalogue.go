package order

import (
	"bytes"
	_ "embed" // the seeded catalogue
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// seededCatalogue is what a development start offers until staff change it.
// Its project is invented; prices are those of the manual. It switches the
// condition "paper letter and new company" of the second approval off, so that
// a demonstration needs one reviewer.
//
//go:embed catalogue.json
var seededCatalogue []byte

// SeededCatalogue returns the catalogue file of a first start.
func SeededCatalogue() []byte { return bytes.Clone(seededCatalogue) }

// handsOff are the businesses that make no key.
var handsOff = []Business{UnlockSelf, UnlockApproval, Resume, Rebind}

// productRules are what must be true of a product, by the field of the catalogue's file,
// and what an admin reads when it is not.
var productRules = []struct {
	field Field
	holds func(Product) bool
	says  string
}{
	{"code", func(p Product) bool { return productCode.MatchString(p.Code) }, "代码为 1 到 40 个字母、数字、连字符或下划线"},
	{"name", func(p Product) bool { return strings.TrimSpace(p.Name) != "" }, "请填写产品名称"},
	{"business", func(p Product) bool { return slices.Contains(Businesses, p.Business) }, "请选择业务"},
	{"issue_mode", func(p Product) bool { return p.IssueMode == ByAdmin || p.IssueMode == BySelf }, "请选择 admin（管理员制证）或 self（用户自己的 UKEY）"},
	{"issue_mode", func(p Product) bool { return !slices.Contains(handsOff, p.Business) || p.IssueMode == BySelf }, "该业务不制作 UKEY，请选择 self"},
	{"algorithm", func(p Product) bool { return p.Algorithm == P256 || p.Algorithm == RSA2048 }, "请选择 p256 或 rsa2048"},
	{"authorizations", func(p Product) bool {
		return len(p.Authorizations) > 0 && !slices.ContainsFunc(p.Authorizations, func(w string) bool { return w != AuthPaper && w != AuthMiniProgram })
	}, "请至少选择一种授权方式：paper（纸质授权书）、miniprogram（小程序法人授权）"},
	{"price_fen", func(p Product) bool { return p.Price >= 0 }, "价格不能小于 0"},
	{"price_fen", func(p Product) bool { return p.Business != UnlockSelf || p.Price == 0 }, "自助解锁免费，价格须为 0"}, // F85
	{"years", func(p Product) bool { return len(p.Years) > 0 && slices.Min(p.Years) >= 1 && slices.Max(p.Years) <= 5 }, "年限为 1 到 5 年，至少一种"},
	{"seals", func(p Product) bool {
		return !slices.ContainsFunc(p.Seals, func(s Seal) bool { return !slices.Contains(Seals, s) })
	}, "请选择印章类型"},
	{"max_keys", func(p Product) bool { return p.MaxKeys >= 1 && p.MaxKeys <= 1000 }, "最多购买数量为 1 到 1000"},
	{"express_fee_fen", func(p Product) bool { return p.Express == nil || p.Express.Fee > 0 }, "加急费须大于 0"},
	{"express_hours", func(p Product) bool {
		return p.Express == nil || p.Express.Hours >= 1 && p.Express.Hours <= maxExpressHours
	}, fmt.Sprintf("加急时限为 1 到 %d 个工作小时", maxExpressHours)},
	{"express_fee_fen", func(p Product) bool { return p.Express == nil || p.Business != UnlockSelf }, "该业务不需要审核，不能提供加急"},
	{"max_keys", func(p Product) bool { return !p.oneKey() || p.MaxKeys == 1 }, "针对一张证书办理、或由用户下载到自己 UKEY 的产品，最多购买数量须为 1"},
	{"seals", func(p Product) bool { return !p.Business.NeedsCertificate() || len(p.Seals) == 0 }, "该业务针对一张证书办理，不能选择印章类型"},
}

// oneKey reports whether an order of the product is about one key: that of a certificate, or
// the one onto which its user downloads.
func (p Product) oneKey() bool { return p.Business.NeedsCertificate() || p.IssueMode == BySelf }

var productCode = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// faults are the fields of the product that are wrong.
func (p Product) faults() (faults []FieldError) {
	for _, r := range productRules {
		if !r.holds(p) {
			faults = append(faults, FieldError{r.field, r.says})
		}
	}
	return faults
}

// validate names every fault of the catalogue at once.
func (c Catalogue) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	projects, codes := map[string]bool{}, map[string]bool{}
	for _, p := range c.Projects {
		if p.Key == "" || strings.TrimSpace(p.Name) == "" || projects[p.Key] {
			fault("project %q: key and name are required and the key is unique", p.Key)
		}
		projects[p.Key] = true
	}
	for _, p := range c.Products {
		if codes[p.Code] {
			fault("product %q: the code is not unique", p.Code)
		}
		codes[p.Code] = true
		if !projects[p.Project] {
			fault("product %q: unknown project %q", p.Code, p.Project)
		}
		for _, f := range p.faults() {
			fault("product %q: %s: %s", p.Code, f.Field, f.Detail)
		}
	}
	return errors.Join(faults...)
}

// WithProduct returns the catalogue with a product changed or, when fresh, added behind
// the others of its project. The error names the fields that are wrong.
func (c Catalogue) WithProduct(p Product, fresh bool) (Catalogue, error) {
	faults := p.faults()
	i := slices.IndexFunc(c.Products, func(q Product) bool { return q.Code == p.Code })
	if fresh && i >= 0 {
		faults = append(faults, FieldError{"code", "该代码已被「" + c.Products[i].Name + "」使用，请换一个"})
	}
	if _, _, err := c.Project(p.Project); err != nil {
		faults = append(faults, FieldError{"project", "没有找到该项目"})
	}
	switch {
	case len(faults) > 0:
		return c, FormFaults(faults)
	case fresh:
		c.Products = append(slices.Clone(c.Products), p)
	case i < 0:
		return c, productNotFound
	default:
		c.Products = slices.Clone(c.Products)
		c.Products[i] = p
	}
	return c, nil
}

// WithProject returns the catalogue with a project of that key named so, or added.
func (c Catalogue) WithProject(p Project) (Catalogue, error) {
	p.Name = strings.TrimSpace(p.Name)
	if p.Name == "" {
		return c, FormFaults([]FieldError{{"project", "请填写项目名称"}})
	}
	c.Projects = slices.Clone(c.Projects)
	if i := slices.IndexFunc(c.Projects, func(q Project) bool { return q.Key == p.Key }); i >= 0 {
		c.Projects[i] = p
	} else {
		c.Projects = append(c.Projects, p)
	}
	return c, nil
}

// priced returns o priced from the catalogue: unit price × keys × years (F7), and what
// is asked for hurrying.
// It refuses what is not on offer.
func priced(o Order) (Order, error) {
	p := o.Product
	if !slices.Contains(p.Years, p.Term) {
		return o, Errorf(Invalid, "term_not_offered", "所选证书年限不可用，请重新选择")
	}
	tooFew := Errorf(Invalid, "quantity_invalid", "购买数量至少为 1")
	tooMany := Errorf(Invalid, "quantity_invalid", "一个订单最多购买 %d 个，请减少数量或分开下单", p.MaxKeys)
	seen := map[Seal]bool{}
	for _, l := range o.Lines {
		switch {
		case l.Quantity < 1:
			return o, tooFew
		case l.Quantity > p.MaxKeys: // alone, before a sum that could overflow
			return o, tooMany
		case seen[l.Seal] || (l.Seal != NoSeal && !slices.Contains(p.Seals, l.Seal)):
			return o, Errorf(Invalid, "seal_invalid", "印章类型不可用或重复，请重新选择")
		}
		seen[l.Seal] = true
	}
	switch n := o.Quantity(); {
	case n < 1:
		return o, tooFew
	case n > p.MaxKeys:
		return o, tooMany
	}
	o.Amount = p.Price*Fen(o.Quantity())*Fen(p.Term) + o.ExpressFee()
	o.Express = NotExpress
	if o.ExpressFee() > 0 {
		o.Express = ExpressPromised
	}
	return o, nil
}

// Offered returns the product of a business that a project has on sale (F86).
func (c Catalogue) Offered(project string, b Business) (Product, bool) {
	i := slices.IndexFunc(c.Products, func(p Product) bool { return p.Project == project && p.Business == b && p.OnSale })
	if i < 0 {
		return Product{}, false
	}
	return c.Products[i], true
}
