package main

import (
	"context"
	"encoding/json"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/jobs"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// issueForCSR certifies a key pair on the subscriber's own USBKEY. The issue's id
// is that of an approval, so asking again returns the certificate that was made; for
// another key pair there is none.
func (a *app) issueForCSR(ctx context.Context, r request.Request) ([]byte, error) {
	in, err := decode[request.CSRBody](r.Body)
	if err != nil {
		return nil, err
	}
	is, err := a.pipeline.Make(ctx, issuance.Request{
		ID: in.Issue, Item: in.Item, SnapshotHash: in.Snapshot, Profile: in.Profile, Subject: issuance.Subject{Company: in.Company, USCC: in.USCC},
		Years: in.Years, Continues: in.Continues, Renews: in.Renews, CSR: in.CSR,
	})
	if err != nil {
		return nil, err
	}
	if !is.SameKey(in.CSR) {
		return nil, order.Errorf(order.Conflict, "key_changed", "UKEY 上的新密钥已不是之前的那一对，请致电 400-666-3999 处理")
	}
	return json.Marshal(request.Issued{Serial: is.Serial, Certificate: is.Certificate})
}

// runs wires the writing of certificates onto the subscriber's own USBKEY.
func (a *app) runs() *certificate.Runs {
	return certificate.NewRuns(certificate.RunDeps{
		Certificates: a.certificates, Orders: a.orders, Issuer: a.desk, DER: a.der, Verify: issuance.VerifyChallenge,
		Profile: jobs.Profile, Container: issuance.ContainerID,
		Subject: func(profile, company, uscc string) ([]byte, error) {
			return issuance.RawSubject(profile, issuance.Subject{Company: company, USCC: uscc})
		},
	})
}
