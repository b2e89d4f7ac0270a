package order

import (
	"bytes"
	"strings"
	"testing"
)

// F126: projects, products and prices are a file of staff; every slip in it is named,
// and nothing starts with it. F85: whoever unlocks alone pays nothing.
func TestCatalogueRefusesSlips(t *testing.T) {
	if _, err := ReadCatalogue(bytes.NewReader(SeededCatalogue())); err != nil {
		t.Fatal(err)
	}
	product := func(change ...string) string {
		text := `{"code": "c", "project": "p", "name": "n", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 1, "years": [1], "max_keys": 1}`
		return `{"projects": [{"key": "p", "name": "n"}], "products": [` + strings.NewReplacer(change...).Replace(text) + `]}`
	}
	for says, file := range map[string]string{
		"":                 product(),
		"unknown field":    product(`"code"`, `"prise": 1, "code"`),
		"code: 代码为":        product(`"code": "c"`, `"code": ""`),
		"请填写产品名称":          product(`"name": "n"`, `"name": " "`),
		"unknown project":  product(`"project": "p"`, `"project": "q"`),
		"请选择业务":            product("initial", "gift"),
		"issue_mode: 请":    product("admin", "nobody"),
		"algorithm: ":      product("p256", "sm2"),
		"authorizations: ": product("paper", "word"),
		"价格不能小于 0":         product(`"price_fen": 1`, `"price_fen": -1`),
		"1 到 5 年":          product(`"years": [1]`, `"years": [6]`),
		"1 到 1000":         product(`"max_keys": 1`, `"max_keys": -1`),
		"针对一张证书":           product("initial", "renewal", `"max_keys": 1`, `"max_keys": 2`),
		"下载到自己 UKEY":       product(`"issue_mode": "admin"`, `"issue_mode": "self"`, `"max_keys": 1`, `"max_keys": 2`),
		"自助解锁免费":           product("initial", "unlock_self", "admin", "self"),
		"不制作 UKEY":         product("initial", "resume"),
	} {
		_, err := ReadCatalogue(strings.NewReader(file))
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q: %v", says, err)
		}
	}
	both := strings.NewReplacer(`"price_fen": 1`, `"price_fen": -1`, `"years": [1]`, `"years": []`, "p256", "sm2").Replace(product())
	if _, err := ReadCatalogue(strings.NewReader(both)); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("three faults: %v", err)
	}
}

// F6, F8: what a catalogue leaves open is what the design says: at most 20 keys, one
// where a certificate is named or is downloaded, and 基本信息认证.
func TestCatalogueDefaults(t *testing.T) {
	c, err := ReadCatalogue(strings.NewReader(`{"projects": [{"key": "p", "name": "n"}], "products": [
		{"code": "a", "project": "p", "name": "n", "business": "initial", "issue_mode": "admin", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 1, "years": [1]},
		{"code": "d", "project": "p", "name": "n", "business": "initial", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 1, "years": [1]},
		{"code": "b", "project": "p", "name": "n", "business": "renewal", "issue_mode": "self", "algorithm": "p256", "authorizations": ["paper"], "price_fen": 0, "years": [1], "verification": "扩展信息认证"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if n := c.Products[1].MaxKeys; n != 1 {
		t.Errorf("%d keys to download", n)
	}
	if a, b := c.Products[0], c.Products[2]; a.MaxKeys != 20 || b.MaxKeys != 1 || a.VerifiedAs() != "基本信息认证" || b.VerifiedAs() != "扩展信息认证" {
		t.Errorf("%d keys %s, %d keys %s", a.MaxKeys, a.VerifiedAs(), b.MaxKeys, b.VerifiedAs())
	}
}
