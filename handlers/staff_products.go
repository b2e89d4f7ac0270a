package handlers

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

const productsPath = "/staff/products"

// productRoutes are the admin's: projects, products and prices, and when a second
// reviewer must agree (F126).
func (k *console) productRoutes() {
	k.get(productsPath, OfStaff, k.products, order.Admin)
	k.post(productsPath+"/project", OfStaff, k.setProject, order.Admin)
	k.post(productsPath+"/second", OfStaff, k.setSecondRule, order.Admin)
	k.get(productsPath+"/edit", OfStaff, k.product, order.Admin)
	k.post(productsPath+"/edit", OfStaff, k.setProduct, order.Admin)
}

type productsView struct {
	Projects []projectProducts
	Version  int
	Second   []settingField
	Changes  []settingChange
	Typed    string // name of a new project, after a refusal
}

type projectProducts struct {
	order.Project
	Products []productRow
	Add      string // address of the form of a new product
}

type productRow struct {
	order.Product
	Short, Business, Years, Edit string
}

func (k *console) products(c *fiber.Ctx) error { return k.showProducts(c, nil) }

func (k *console) showProducts(c *fiber.Ctx, refusal error) error {
	catalogue := k.Settings.Catalogue()
	v := productsView{Version: k.Settings.Version(order.CatalogueSetting), Second: secondFields(catalogue.SecondApproval)}
	switch {
	case refusal != nil && c.FormValue("min_quantity") != "":
		v.Second = refilled(c, v.Second, refusal)
	case refusal != nil && c.FormValue("key") == "":
		v.Typed = c.FormValue("name")
	}
	for _, p := range catalogue.Projects {
		_, products, err := catalogue.Project(p.Key)
		if err != nil {
			return err
		}
		of := projectProducts{Project: p, Add: productsPath + "/edit?project=" + url.QueryEscape(p.Key)}
		for _, q := range products {
			var years []string
			for _, y := range q.Years {
				years = append(years, strconv.Itoa(y))
			}
			of.Products = append(of.Products, productRow{q, catalogue.ShortName(q), q.Business.Label(), strings.Join(years, "、"), productsPath + "/edit?code=" + url.QueryEscape(q.Code)})
		}
		v.Projects = append(v.Projects, of)
	}
	var err error
	if v.Changes, err = k.changesOf(c, order.CatalogueSetting); err != nil {
		return err
	}
	return k.show(c, "products", "产品与价格", v, refusal)
}

// setProject names a project, or adds one.
func (k *console) setProject(c *fiber.Ctx) error {
	p := order.Project{Key: c.FormValue("key"), Name: c.FormValue("name")}
	if p.Key == "" {
		p.Key = strings.ToLower(k.NewID())
	}
	return k.setCatalogue(c, k.showProducts, func(now order.Catalogue) (order.Catalogue, error) { return now.WithProject(p) })
}

func secondFields(r order.SecondRule) []settingField {
	return []settingField{
		{Name: "min_amount_fen", Label: "订单金额达到（元）", Hint: "0 表示不按金额", Input: "text", Value: r.MinAmount.Yuan()},
		{Name: "min_quantity", Label: "购买数量达到（个）", Hint: "0 表示不按数量", Input: "number", Value: strconv.Itoa(r.MinQuantity)},
		{Name: "paper_new_company", Label: "首次办理的单位使用纸质授权书", Input: "tick", Value: yes(r.PaperNewCompany)},
	}
}

func (k *console) setSecondRule(c *fiber.Ctx) error {
	return k.setCatalogue(c, k.showProducts, func(now order.Catalogue) (order.Catalogue, error) {
		var f formReader
		now.SecondApproval = order.SecondRule{MinAmount: f.fen(c, "min_amount_fen"), MinQuantity: f.number(c, "min_quantity"), PaperNewCompany: c.FormValue("paper_new_company") != ""}
		return now, f.refusal()
	})
}

func (k *console) setCatalogue(c *fiber.Ctx, show func(*fiber.Ctx, error) error, change func(order.Catalogue) (order.Catalogue, error)) error {
	return k.settingDone(c, k.Settings.SetCatalogue(c.UserContext(), actor(c, order.Admin), seenVersion(c), change), productsPath, show)
}

type productForm struct {
	Project order.Project
	Name    string
	Fresh   bool
	Code    string // of one that there is
	Version int
	Fields  []settingField
}

func (k *console) product(c *fiber.Ctx) error { return k.showProduct(c, nil) }

// showProduct is the form of a product that there is, or of a new one of a project.
func (k *console) showProduct(c *fiber.Ctx, refusal error) error {
	catalogue, fresh := k.Settings.Catalogue(), c.FormValue("project") != ""
	p := order.Product{Project: c.FormValue("project"), Business: order.Initial, IssueMode: order.ByAdmin, Algorithm: order.P256, Authorizations: []string{order.AuthPaper}, Years: []int{1}, MaxKeys: 20, OnSale: true}
	if !fresh {
		var err error
		if p, err = catalogue.Product(c.FormValue("code")); err != nil {
			return err
		}
	}
	project, _, err := catalogue.Project(p.Project)
	if err != nil {
		return err
	}
	v := productForm{Project: project, Name: p.Name, Fresh: fresh, Version: k.Settings.Version(order.CatalogueSetting)}
	if !fresh {
		v.Code = p.Code
	}
	v.Fields = refilled(c, productFields(p, fresh), refusal)
	title := "添加产品"
	if !fresh {
		title = v.Name
	}
	return k.show(c, "product", title, v, refusal)
}

func (k *console) setProduct(c *fiber.Ctx) error {
	fresh := c.FormValue("project") != ""
	return k.setCatalogue(c, k.showProduct, func(now order.Catalogue) (order.Catalogue, error) {
		was := order.Product{Code: c.FormValue("code"), Project: c.FormValue("project"), Business: order.Business(c.FormValue("business"))}
		if !fresh {
			var err error
			if was, err = now.Product(was.Code); err != nil {
				return now, err
			}
		}
		p, err := typedProduct(c, was)
		if err != nil {
			return now, err
		}
		return now.WithProduct(p, fresh)
	})
}

// productFields is the form of a product. The business of one that there is stays: its
// drafts and orders are of that business.
func productFields(p order.Product, fresh bool) []settingField {
	var years []string
	for _, y := range p.Years {
		years = append(years, strconv.Itoa(y))
	}
	seals := order.Seals[1:]
	express := order.Express{Hours: 8}
	if p.Express != nil {
		express = *p.Express
	}
	fields := []settingField{
		{Name: "name", Label: "产品名称", Hint: "用户在订单和发票上看到的全称", Input: "text", Value: p.Name},
		{Name: "price_fen", Label: "价格（元）", Hint: "每个 UKEY 每年的价格", Input: "text", Value: p.Price.Yuan()},
		{Name: "on_sale", Label: "在售", Hint: "停售后不能再申请，已提交的订单照常办理", Input: "tick", Value: yes(p.OnSale)},
		{Name: "years", Label: "可选年限", Input: "checks", Choices: choices([]string{"1", "2", "3", "4", "5"}, func(y string) string { return y + " 年" }, years...)},
		{Name: "max_keys", Label: "一个订单最多购买（个）", Hint: "针对一张证书、或由用户下载到自己 UKEY 的，须为 1", Input: "number", Value: strconv.Itoa(p.MaxKeys)},
		{Name: "seals", Label: "可选印章类型", Hint: "不选表示只有「无」", Input: "checks", Choices: choices(seals, order.Seal.Label, p.Seals...)},
		{Name: "authorizations", Label: "授权方式", Input: "checks", Choices: choices([]string{order.AuthPaper, order.AuthMiniProgram}, wayLabel, p.Authorizations...)},
		{Name: "issue_mode", Label: "制证方式", Input: "radio", Choices: choices([]order.IssueMode{order.ByAdmin, order.BySelf}, modeLabel, p.IssueMode)},
		{Name: "algorithm", Label: "密钥算法", Input: "radio", Choices: choices([]order.Algorithm{order.P256, order.RSA2048}, algorithmLabel, p.Algorithm)},
		{Name: "label", Label: "规格标签", Hint: "选填，显示在产品规格的【】内，不影响办理方式", Input: "text", Value: p.Label},
		{Name: "express_fee_fen", Label: "加急费（元）", Hint: "每个订单另收的加急费，没有按时办好自动退还；0 表示不提供加急", Input: "text", Value: express.Fee.Yuan()},
		{Name: "express_hours", Label: "加急时限（工作小时）", Hint: "从提交到寄出、可领取或完成审核；工作时间 9:00 至 17:30", Input: "number", Value: strconv.Itoa(express.Hours)},
		{Name: "hint", Label: "选购提示", Hint: "选填，帮助用户在几个产品中选择", Input: "text", Value: p.Hint},
		{Name: "verification", Label: "认证类型", Hint: "选填，默认为「基本信息认证」", Input: "text", Value: p.Verification},
		{Name: "four_eyes", Label: "审核和制证须由不同的人完成", Input: "tick", Value: yes(p.FourEyes)},
		{Name: "test", Label: "测试产品", Hint: "证书标注「测试专用」", Input: "tick", Value: yes(p.Test)},
	}
	if fresh {
		fields = slices.Insert(fields, 0,
			settingField{Name: "code", Label: "产品代码", Hint: "内部使用，添加后不能修改，例如 yd-initial", Input: "text", Value: p.Code},
			settingField{Name: "business", Label: "业务", Hint: "添加后不能修改", Input: "radio", Choices: choices(order.Businesses, order.Business.Label, p.Business)})
	}
	return fields
}

// typedProduct is was with what the form says. Years, seals and ways stand in the order
// in which they are offered.
func typedProduct(c *fiber.Ctx, was order.Product) (order.Product, error) {
	var f formReader
	p := was
	p.Name, p.Label, p.Hint, p.Verification = trimmed(c, "name"), trimmed(c, "label"), trimmed(c, "hint"), trimmed(c, "verification")
	p.Price, p.MaxKeys = f.fen(c, "price_fen"), f.number(c, "max_keys")
	p.Express = nil
	if e := (order.Express{Fee: f.fen(c, "express_fee_fen"), Hours: f.number(c, "express_hours")}); e.Fee > 0 {
		p.Express = &e
	}
	p.OnSale, p.FourEyes, p.Test = c.FormValue("on_sale") != "", c.FormValue("four_eyes") != "", c.FormValue("test") != ""
	p.IssueMode, p.Algorithm = order.IssueMode(c.FormValue("issue_mode")), order.Algorithm(c.FormValue("algorithm"))
	p.Authorizations, p.Seals, p.Years = formValues(c, "authorizations"), nil, nil
	for _, y := range formValues(c, "years") {
		if n, err := strconv.Atoi(y); err == nil {
			p.Years = append(p.Years, n)
		}
	}
	for _, s := range formValues(c, "seals") {
		p.Seals = append(p.Seals, order.Seal(s))
	}
	if len(p.Seals) > 0 {
		p.Seals = slices.Insert(p.Seals, 0, order.NoSeal)
	}
	return p, f.refusal()
}

// formReader reads numbers of a form and gathers what is none.
type formReader struct{ faults []order.FieldError }

func (f *formReader) refusal() error {
	if len(f.faults) == 0 {
		return nil
	}
	return order.FormFaults(f.faults)
}

func (f *formReader) fen(c *fiber.Ctx, field string) order.Fen {
	fen, err := order.ParseYuan(c.FormValue(field))
	if err != nil {
		f.faults = append(f.faults, order.FieldError{Field: order.Field(field), Detail: "请填写金额，例如 300 或 300.50"})
	}
	return fen
}

func (f *formReader) number(c *fiber.Ctx, field string) int {
	n, err := strconv.Atoi(trimmed(c, field))
	if err != nil || n < 0 {
		f.faults = append(f.faults, order.FieldError{Field: order.Field(field), Detail: "请填写整数"})
	}
	return n
}

func trimmed(c *fiber.Ctx, field string) string { return strings.TrimSpace(c.FormValue(field)) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func wayLabel(w string) string {
	return map[string]string{order.AuthPaper: "纸质授权书", order.AuthMiniProgram: "小程序法人授权"}[w]
}

func modeLabel(m order.IssueMode) string {
	return map[order.IssueMode]string{order.ByAdmin: "管理员制作 UKEY 并寄出", order.BySelf: "用户写入自己的 UKEY，或不制作 UKEY"}[m]
}

func algorithmLabel(a order.Algorithm) string {
	return map[order.Algorithm]string{order.P256: "ECC P-256", order.RSA2048: "RSA 2048"}[a]
}
