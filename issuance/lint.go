package issuance

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"
)

// lints are the rules that apply to certificates of organisations: the RFCs and
// the community's, not the CA/Browser Forum's for web sites.
var lints = sync.OnceValues(func() (lint.Registry, error) {
	return lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC8813, lint.Community,
	}})
})

// lintCertificate refuses a certificate (DER) in which zlint finds anything.
func lintCertificate(der []byte) error {
	registry, err := lints()
	if err != nil {
		return fmt.Errorf("choosing lints: %w", err)
	}
	cert, err := zx509.ParseCertificate(der)
	if err != nil {
		return refuse("lint", "证书内容不符合规范，已停止签发。", "%v", err)
	}
	var found []string
	for name, r := range zlint.LintCertificateEx(cert, registry).Results {
		if r.Status > lint.Pass {
			found = append(found, fmt.Sprintf("%s (%s)", name, r.Status))
		}
	}
	if len(found) > 0 {
		slices.Sort(found)
		return refuse("lint", "证书内容不符合规范，已停止签发。", "%s", strings.Join(found, ", "))
	}
	return nil
}
