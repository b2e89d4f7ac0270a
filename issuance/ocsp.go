package issuance

import (
	"context"
	"crypto"
	_ "crypto/sha1" //nolint:gosec // names certificates in OCSP (RFC 5019), protects nothing
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// The structures of RFC 6960 §4. The encoder is ours because a nonce goes into
// the response's own extensions, which golang.org/x/crypto/ocsp does not write.
type (
	ocspRequest struct {
		TBS       tbsRequest
		Signature asn1.RawValue `asn1:"explicit,tag:0,optional"`
	}
	tbsRequest struct {
		Version    int           `asn1:"explicit,tag:0,default:0,optional"`
		Requestor  asn1.RawValue `asn1:"explicit,tag:1,optional"`
		Requests   []singleRequest
		Extensions []pkix.Extension `asn1:"explicit,tag:2,optional"`
	}
	singleRequest struct {
		ID         certID
		Extensions []pkix.Extension `asn1:"explicit,tag:0,optional"`
	}
	certID struct {
		Hash     pkix.AlgorithmIdentifier
		NameHash []byte
		KeyHash  []byte
		Serial   *big.Int
	}
	ocspResponse struct {
		Status asn1.Enumerated
		Body   responseBytes `asn1:"explicit,tag:0,optional"`
	}
	responseBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	basicResponse struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	responseData struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []singleResponse
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	singleResponse struct {
		ID         certID
		Good       asn1.Flag   `asn1:"tag:0,optional"`
		Revoked    revokedInfo `asn1:"tag:1,optional"`
		Unknown    asn1.Flag   `asn1:"tag:2,optional"`
		ThisUpdate time.Time   `asn1:"generalized"`
		NextUpdate time.Time   `asn1:"generalized,explicit,tag:0,optional"`
	}
	revokedInfo struct {
		At     time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
	}
)

var (
	oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
)

// The unsigned answers of RFC 6960 §4.2.1.
const (
	ocspMalformed     = 1
	ocspInternalError = 2
	ocspTryLater      = 3
	ocspUnauthorized  = 6
)

func unsigned(status byte) []byte { return []byte{0x30, 3, 0x0a, 1, status} }

// certHashes are the algorithms that may name an issuer.
var certHashes = []struct {
	oid  asn1.ObjectIdentifier
	hash crypto.Hash
}{
	{oidSHA1, crypto.SHA1},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA384},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}, crypto.SHA512},
}

// issuerHashes are the two hashes by which an OCSP client names an issuer.
func issuerHashes(cert *x509.Certificate, h crypto.Hash) (name, key []byte, err error) {
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(cert.RawSubjectPublicKeyInfo, &spki); err != nil {
		return nil, nil, fmt.Errorf("reading the issuer's key: %w", err)
	}
	sum := func(b []byte) []byte {
		d := h.New()
		d.Write(b)
		return d.Sum(nil)
	}
	return sum(cert.RawSubject), sum(spki.Key.RightAlign()), nil
}

// certID names a certificate as every client does that asks without a nonce
// (RFC 5019: SHA-1).
func (ca *CA) certID(of CertStatus) (certID, error) {
	cert := ca.Issuing[of.Issuer]
	if cert == nil {
		return certID{}, fmt.Errorf("status of %s: no issuing CA %s", of.Serial, of.Issuer)
	}
	name, key, err := issuerHashes(cert, crypto.SHA1)
	return certID{pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, name, key, serialNumber(of.Serial)}, err
}

// signOCSP signs a response about id; of is nil for a serial that the CA never
// issued.
func (ca *CA) signOCSP(ctx context.Context, issuer string, id certID, of *CertStatus, now time.Time, extensions []pkix.Extension) ([]byte, error) {
	iss, ok := ca.issuers[issuer]
	if !ok {
		return nil, fmt.Errorf("no issuing CA %s", issuer)
	}
	now = now.UTC().Truncate(time.Second)
	single := singleResponse{ID: id, ThisUpdate: now, NextUpdate: now.Add(statusLife)}
	switch {
	case of == nil:
		single.Unknown = true
		single.NextUpdate = now.Add(time.Minute)
	case of.RevokedAt.IsZero():
		single.Good = true
	default:
		single.Revoked = revokedInfo{of.RevokedAt.UTC().Truncate(time.Second), asn1.Enumerated(of.Reason)}
	}
	tbs, err := asn1.Marshal(responseData{
		Responder:  asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, IsCompound: true, Bytes: iss.cert.RawSubject},
		ProducedAt: now, Responses: []singleResponse{single}, Extensions: extensions,
	})
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP response: %w", err)
	}
	sig, err := iss.signTBS(ctx, tbs)
	if err != nil {
		return nil, err
	}
	basic, err := asn1.Marshal(basicResponse{asn1.RawValue{FullBytes: tbs}, iss.how.der, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP response: %w", err)
	}
	return asn1.Marshal(ocspResponse{Body: responseBytes{oidBasicResponse, basic}})
}

// question is an OCSP request as far as we answer it.
type question struct {
	id    certID
	hash  crypto.Hash
	nonce []pkix.Extension // at most one
}

// MaxOCSPRequest bounds a request; a usual one has 80 to 120 bytes.
const MaxOCSPRequest = 4 << 10

var errManyRequests = errors.New("more than one certificate asked about")

// parseOCSPRequest reads a request about one certificate.
func parseOCSPRequest(der []byte) (question, error) {
	var r ocspRequest
	rest, err := asn1.Unmarshal(der, &r)
	switch {
	case err != nil:
		return question{}, err
	case len(rest) > 0:
		return question{}, errTrailing(rest)
	case len(r.TBS.Requests) != 1:
		return question{}, errManyRequests
	}
	q := question{id: r.TBS.Requests[0].ID}
	if q.id.Serial == nil || q.id.Serial.Sign() <= 0 || q.id.Serial.BitLen() > 160 {
		q.id.Serial = new(big.Int) // never issued
	}
	for _, h := range certHashes {
		if h.oid.Equal(q.id.Hash.Algorithm) {
			q.hash = h.hash
		}
	}
	for _, e := range r.TBS.Extensions {
		// RFC 9654 §2.1: 1 to 128 octets; what is longer is nobody's nonce.
		if e.Id.Equal(oidNonce) && len(e.Value) > 0 && len(e.Value) <= 130 && q.nonce == nil {
			q.nonce = []pkix.Extension{{Id: oidNonce, Value: e.Value}}
		}
	}
	return q, nil
}

// Responder answers OCSP requests.
type Responder struct {
	names  map[issuerName]string // to the label of the issuing CA
	ca     *CA
	ledger StatusLedger
	now    func() time.Time
	turns  chan struct{}
}

// signingTurns bounds the signatures that strangers can have at once, so that
// issuing keeps the HSM.
const signingTurns = 2

// NewResponder returns a Responder. With a CA it signs what must be fresh, such
// as answers that repeat a nonce; without (nil) it gives out what the Publisher
// has signed.
func NewResponder(chain Chain, ca *CA, ledger StatusLedger, now func() time.Time) *Responder {
	r := &Responder{map[issuerName]string{}, ca, ledger, now, make(chan struct{}, signingTurns)}
	for label, cert := range chain.Issuing {
		for _, h := range certHashes {
			if name, key, err := issuerHashes(cert, h.hash); err == nil {
				r.names[issuerName{h.hash, string(name), string(key)}] = label
			}
		}
	}
	return r
}

// issuerName is how a request names an issuing CA.
type issuerName struct {
	hash      crypto.Hash
	name, key string
}

// Answer returns the response to a request; fresh says that it was signed for
// this request alone.
func (r *Responder) Answer(ctx context.Context, request []byte) (der []byte, fresh bool, err error) {
	if len(request) > MaxOCSPRequest {
		return unsigned(ocspMalformed), true, nil
	}
	q, err := parseOCSPRequest(request)
	if err != nil {
		return unsigned(ocspMalformed), true, nil // the client hears it; it is nothing for our log
	}
	issuer, ok := r.issuerOf(q)
	if !ok { // RFC 5019 §2.2.3: not ours to answer
		return unsigned(ocspUnauthorized), true, nil
	}
	serial := strings.ToUpper(fmt.Sprintf("%040x", q.id.Serial))
	plain := q.nonce == nil && q.hash == crypto.SHA1
	if plain || r.ca == nil {
		if q.hash == crypto.SHA1 {
			der, err = r.ledger.Response(ctx, serial)
			if err == nil || !errors.Is(err, ErrUnknownIssue) {
				return orInternalError(der, err)
			}
		}
		if r.ca == nil {
			return unsigned(ocspUnauthorized), true, nil
		}
	}
	select {
	case r.turns <- struct{}{}:
		defer func() { <-r.turns }()
	case <-ctx.Done():
		return unsigned(ocspTryLater), true, nil
	}
	of, err := r.ledger.CertStatus(ctx, serial)
	var about *CertStatus
	switch {
	case err == nil && of.Issuer == issuer:
		about = &of
	case err != nil && !errors.Is(err, ErrUnknownIssue):
		return orInternalError(nil, err)
	}
	der, err = r.ca.signOCSP(ctx, issuer, q.id, about, r.now(), q.nonce)
	der, _, err = orInternalError(der, err)
	return der, true, err
}

// orInternalError answers the client even when err is for the log.
func orInternalError(der []byte, err error) ([]byte, bool, error) {
	if err != nil {
		return unsigned(ocspInternalError), true, err
	}
	return der, false, nil
}

func (r *Responder) issuerOf(q question) (string, bool) {
	label, ok := r.names[issuerName{q.hash, string(q.id.NameHash), string(q.id.KeyHash)}]
	return label, ok
}
