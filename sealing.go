package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/yuncaidun/yuncaidun/evidence"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// sealChain answers with the certificates of the seal key.
func (a *app) sealChain(context.Context, request.Request) ([]byte, error) {
	_, cert := a.ca.Seal()
	return slices.Concat(cert.Raw, a.ca.Issuing[issuance.P256Token].Raw), nil
}

// sealDigest has the seal key in the HSM sign.
func (a *app) sealDigest(ctx context.Context, r request.Request) ([]byte, error) {
	if len(r.Body) != sha256.Size {
		return nil, order.Errorf(order.Invalid, "digest_invalid", "待签章的摘要长度不正确")
	}
	key, _ := a.ca.Seal()
	return key.SignContext(ctx, r.Body, crypto.SHA256)
}

// sealer is the seal key as jobs use it, wherever the issuer runs.
func (a *app) sealer(ctx context.Context, id string) (evidence.Sealer, error) {
	der, err := a.desk.Ask(ctx, id+"-chain", request.SealChain, "seal", nil)
	if err != nil {
		return evidence.Sealer{}, err
	}
	chain, err := x509.ParseCertificates(der)
	if err != nil {
		return evidence.Sealer{}, fmt.Errorf("reading the seal certificate: %w", err)
	}
	return evidence.Sealer{Chain: chain, Sign: func(digest []byte) ([]byte, error) {
		return a.desk.AskOnce(ctx, id+"-"+hex.EncodeToString(digest[:12]), request.SealDigest, "seal", digest)
	}}, nil
}
