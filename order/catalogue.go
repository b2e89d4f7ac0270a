package order

import (
	"bytes"
	_ "embed" // the seeded catalogue
	"errors"
	"fmt"
	"slices"
	"strings"
)

// seededCatalogue is what a development start offers until staff edit the file.
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

// validate names every fault of the catalogue at once.
func (c Catalogue) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	projects, codes := map[string]bool{}, map[string]bool{}
	for _, p := range c.Projects {
		if p.Key == "" || p.Name == "" || projects[p.Key] {
			fault("project %q: key and name are required and the key is unique", p.Key)
		}
		projects[p.Key] = true
	}
	for _, p := range c.Products {
		if p.Code == "" || codes[p.Code] {
			fault("product %q: the code is required and unique", p.Code)
		}
		codes[p.Code] = true
		if strings.TrimSpace(p.Name) == "" {
			fault("product %q: the name is required", p.Code)
		}
		if p.Business == UnlockSelf && p.Price != 0 {
			fault("product %q: unlock_self is free", p.Code) // F85
		}
		if !projects[p.Project] {
			fault("product %q: unknown project %q", p.Code, p.Project)
		}
		if !slices.Contains(Businesses, p.Business) {
			fault("product %q: unknown business %q", p.Code, p.Business)
		}
		if p.IssueMode != ByAdmin && p.IssueMode != BySelf {
			fault("product %q: issue_mode is admin or self", p.Code)
		}
		if p.Algorithm != P256 && p.Algorithm != RSA2048 {
			fault("product %q: algorithm is p256 or rsa2048", p.Code)
		}
		if len(p.Authorizations) == 0 || slices.ContainsFunc(p.Authorizations, func(w string) bool { return w != AuthPaper && w != AuthMiniProgram }) {
			fault("product %q: authorizations is a list of paper and miniprogram", p.Code)
		}
		if p.Price < 0 || len(p.Years) == 0 || slices.Min(p.Years) < 1 || slices.Max(p.Years) > 5 {
			fault("product %q: the price is at least 0 fen and terms are 1 to 5 years", p.Code)
		}
		if p.Business.NeedsCertificate() && (p.MaxKeys != 1 || len(p.Seals) > 0) {
			fault("product %q: %s is about one certificate: max_keys is 1 and there are no seals", p.Code, p.Business)
		}
		if slices.Contains(handsOff, p.Business) && p.IssueMode != BySelf {
			fault("product %q: issue_mode of %s is self", p.Code, p.Business)
		}
		if p.MaxKeys < 1 || p.MaxKeys > 1000 {
			fault("product %q: max_keys is 1 to 1000", p.Code)
		}
	}
	return errors.Join(faults...)
}

// priced returns o priced from the catalogue: unit price × keys × years (F7).
// It refuses what is not on offer.
func priced(o Order) (Order, error) {
	p := o.Product
	switch n := o.Quantity(); {
	case !slices.Contains(p.Years, p.Term):
		return o, Errorf(Invalid, "term_not_offered", "所选证书年限不可用，请重新选择")
	case len(o.Lines) == 0 || n < 1:
		return o, Errorf(Invalid, "quantity_invalid", "购买数量至少为 1")
	case n > p.MaxKeys:
		return o, Errorf(Invalid, "quantity_invalid", "一个订单最多购买 %d 个，请减少数量或分开下单", p.MaxKeys)
	}
	seen := map[Seal]bool{}
	for _, l := range o.Lines {
		if l.Quantity < 1 {
			return o, Errorf(Invalid, "quantity_invalid", "购买数量至少为 1")
		}
		if seen[l.Seal] || (l.Seal != NoSeal && !slices.Contains(p.Seals, l.Seal)) {
			return o, Errorf(Invalid, "seal_invalid", "印章类型不可用或重复，请重新选择")
		}
		seen[l.Seal] = true
	}
	o.Amount = p.Price * Fen(o.Quantity()) * Fen(p.Term)
	return o, nil
}
