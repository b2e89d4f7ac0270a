package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"

	"github.com/miekg/pkcs11" //nolint:depguard // what our pool is measured against

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/store"
)

const (
	softHSM = "/usr/lib/softhsm/libsofthsm2.so"
	caPIN   = token.PIN("12345678")
	caKey   = "ca" // the label of the key on each of the CA's tokens
)

// authority is a CA on SoftHSM whose ledger is the world's database.
type authority struct {
	ca       *issuance.CA
	hsm      *token.Module
	pipeline *issuance.Pipeline
	signer   *token.Signer
	issuer   *x509.Certificate
}

// openAuthority makes a CA below dir.
func (w *world) openAuthority(ctx context.Context, dir string) (*authority, error) {
	if err := token.ConfigureSoftHSM(dir); err != nil {
		return nil, err
	}
	hsm, err := token.Load(softHSM)
	if err != nil {
		return nil, err
	}
	w.closers = append(w.closers, hsm.Close)
	cfg := issuance.Config{
		Dir: filepath.Join(dir, "ca"), HSM: hsm, PIN: caPIN, Name: "云采盾", BaseURL: "http://127.0.0.1:8080/pki",
		PolicyOID: "2.999.1.1", Sessions: 2 * writers, Now: now,
	}
	if err := issuance.InitCA(ctx, cfg); err != nil {
		return nil, err
	}
	a := &authority{hsm: hsm}
	if a.ca, err = issuance.OpenCA(ctx, cfg); err != nil {
		return nil, err
	}
	w.closers = append(w.closers, func() error { a.ca.Close(); return nil })
	a.issuer = a.ca.Issuing[issuance.P256Token]
	pool := hsm.NewPool(issuance.P256Token, caPIN, writers)
	w.closers = append(w.closers, func() error { pool.Close(); return nil })
	if a.signer, err = pool.Signer(ctx, caKey); err != nil {
		return nil, err
	}
	a.pipeline = issuance.NewPipeline(a.ca, hsm, store.NewLedger(w.db), now)
	return a, nil
}

// rawSign is C_Sign and nothing else: one logged-in session per worker.
func (w *world) rawSign(name string, workers int) (row, error) {
	p := pkcs11.New(softHSM) // initialised by the CA above
	slot, err := slotOf(p, issuance.P256Token)
	if err != nil {
		return row{}, err
	}
	var sessions []pkcs11.SessionHandle
	var keys []pkcs11.ObjectHandle
	for range workers {
		s, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION)
		if err != nil {
			return row{}, err
		}
		if err := p.Login(s, pkcs11.CKU_USER, caPIN.Reveal()); err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
			return row{}, err
		}
		err = p.FindObjectsInit(s, []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY), pkcs11.NewAttribute(pkcs11.CKA_LABEL, caKey),
		})
		if err != nil {
			return row{}, err
		}
		found, _, err := p.FindObjects(s, 2)
		if err = errors.Join(err, p.FindObjectsFinal(s)); err != nil || len(found) != 1 {
			return row{}, fmt.Errorf("finding the CA key: %d found, %w", len(found), err)
		}
		sessions, keys = append(sessions, s), append(keys, found[0])
	}
	digest := sha256.Sum256([]byte(name))
	return row{
		name: at(name, workers), workers: workers,
		do: func(worker, _ int) error {
			if err := p.SignInit(sessions[worker], []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil)}, keys[worker]); err != nil {
				return err
			}
			_, err := p.Sign(sessions[worker], digest[:])
			return err
		},
	}, nil
}

func slotOf(p *pkcs11.Ctx, label string) (uint, error) {
	slots, err := p.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	for _, s := range slots {
		if info, err := p.GetTokenInfo(s); err == nil && info.Label == label {
			return s, nil
		}
	}
	return 0, fmt.Errorf("no token %s", label)
}

// poolSign is the same signature through our pool.
func (a *authority) poolSign(name string) row {
	digest := sha256.Sum256([]byte(name))
	return row{
		name: name, workers: writers,
		do: func(int, int) error {
			_, err := a.signer.Sign(nil, digest[:], crypto.SHA256)
			return err
		},
	}
}

// createCertificate is the standard library's way to a certificate over our pool.
func (a *authority) createCertificate(name string, workers int) (row, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return row{}, err
	}
	return row{
		name: at(name, workers), workers: workers,
		do: func(_, n int) error {
			_, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
				SerialNumber: big.NewInt(int64(n + 1)), Subject: pkix.Name{CommonName: company}, NotBefore: now(), NotAfter: now().AddDate(1, 0, 0),
				KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment, BasicConstraintsValid: true,
			}, a.issuer, &key.PublicKey, a.signer)
			return err
		},
	}, nil
}

// issuingRows add what signs: bare signatures, certificates, ours and step-ca's
// (unless program is empty), and OCSP.
func (w *world) issuingRows(ctx context.Context, dir string, rows []row, a *authority, servers *world, program string) ([]row, error) {
	var peer *stepCA
	if program != "" {
		var err error
		if peer, err = w.openStepCA(ctx, program, dir, a); err != nil {
			return nil, err
		}
	}
	kept, signed, err := w.ocspRows(ctx, a)
	if err != nil {
		return nil, err
	}
	for _, n := range crowds {
		raw, err := w.rawSign(rawSign, n)
		if err != nil {
			return nil, err
		}
		create, err := a.createCertificate(createCert, n)
		if err != nil {
			return nil, err
		}
		rows = append(rows, raw)
		if n == signers {
			rows = append(rows, a.poolSign(poolSign), signed)
		}
		rows = append(rows, create, issueRow(ctx, issue, a.pipeline, n, issuesPerRound))
		if peer != nil {
			rows = append(rows, peer.row(ctx, at(peerIssue, n), n, issuesPerRound))
		}
	}
	big := issuance.NewPipeline(a.ca, a.hsm, store.NewLedger(servers.db), now)
	unlocks, err := w.unlockRows(ctx, a)
	if err != nil {
		return nil, err
	}
	return append(append(rows, unlocks...), issueRow(ctx, issueServers, big, writers, issuesPerRound), kept), nil
}

const (
	company = "云岭测试科技（昆明）有限公司"
	uscc    = "91110108MA00TEN18F"
)

// issueRow takes subscribers' requests through the whole pipeline: checked,
// recorded, planned, linted, signed in the HSM, stored.
func issueRow(ctx context.Context, name string, pipeline *issuance.Pipeline, workers, perRound int) row {
	var requests []issuance.Request
	return row{
		name: at(name, workers), workers: workers,
		prepare: func() (int, error) {
			requests = make([]issuance.Request, perRound)
			for i := range requests {
				csr, err := newCSR()
				if err != nil {
					return 0, err
				}
				id := newID()
				hash := sha256.Sum256([]byte(id))
				requests[i] = issuance.Request{
					ID: id + "-1", Item: id, SnapshotHash: hash[:], Profile: issuance.CompanyP256,
					Subject: issuance.Subject{Company: company, USCC: uscc}, Years: 1, CSR: csr,
				}
			}
			return perRound, nil
		},
		do: func(_, n int) error {
			is, err := pipeline.Make(ctx, requests[n])
			if err == nil && is.Stage != issuance.StageStored {
				err = fmt.Errorf("%s: %s", name, is.Stage)
			}
			return err
		},
	}
}

// newCSR is a subscriber's request for a key pair of their own.
func newCSR() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	var name pkix.RDNSequence
	for _, a := range []pkix.AttributeTypeAndValue{
		{Type: asn1.ObjectIdentifier{2, 5, 4, 6}, Value: "CN"},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: company},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 97}, Value: "USCC-" + uscc},
		{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: company},
	} {
		name = append(name, pkix.RelativeDistinguishedNameSET{a})
	}
	raw, err := asn1.Marshal(name)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{RawSubject: raw, SignatureAlgorithm: x509.ECDSAWithSHA256}, key)
}
