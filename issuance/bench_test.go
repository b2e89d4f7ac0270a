package issuance

import (
	"crypto"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkRawSign is the floor under BenchmarkIssue: C_Sign through the pool.
func BenchmarkRawSign(b *testing.B) {
	p := newFixture(b).mustPipeline(b)
	signer := p.ca.issuers[P256Token].signer
	digest := sha256.Sum256([]byte("message"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := signer.Sign(nil, digest[:], crypto.SHA256); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkIssue is the CA's half of an issue, for keys that the subscribers
// bring: check the request, plan, lint, sign, verify.
func BenchmarkIssue(b *testing.B) {
	p := newFixture(b).mustPipeline(b)
	requests := make([]Request, b.N)
	for i := range requests {
		requests[i] = request(fmt.Sprint(i, ".1"), fmt.Sprint(i), CompanyP256)
		_, requests[i].CSR = softwareCSR(b)
	}
	var next atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := requests[next.Add(1)-1]
			is := Issue{Profile: r.Profile, Company: r.Subject.Company, USCC: r.Subject.USCC, Years: 1, CSR: r.CSR}
			is, err := p.ca.plan(is, time.Now())
			if err == nil {
				_, err = p.ca.sign(b.Context(), is)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
}
