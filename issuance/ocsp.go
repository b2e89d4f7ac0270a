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

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The structures of a request, RFC 6960 §4.1.
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
		Raw      asn1.RawContent // as the client wrote it
		Hash     pkix.AlgorithmIdentifier
		NameHash []byte
		KeyHash  []byte
		Serial   *big.Int
	}
)

var (
	oidBasicResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidNonce         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
)

// The kinds of answers of RFC 6960 §4.2.1; all but the first are unsigned.
const (
	ocspSuccessful    = 0
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
	return certID{Hash: pkix.AlgorithmIdentifier{Algorithm: oidSHA1, Parameters: asn1.NullRawValue}, NameHash: name, KeyHash: key, Serial: serialNumber(of.Serial)}, err
}

// signer makes a signature over a TBS.
type signer func(ctx context.Context, tbs []byte) ([]byte, error)

// signOCSP signs a response about id; of is nil for a serial that the CA never
// issued.
func (ca *CA) signOCSP(ctx context.Context, issuer string, id certID, of *CertStatus, now time.Time, nonce []byte) ([]byte, error) {
	iss, ok := ca.issuers[issuer]
	if !ok {
		return nil, fmt.Errorf("no issuing CA %s", issuer)
	}
	return iss.respond(ctx, iss.signTBS, id, of, now, nonce)
}

// respond encodes a response (RFC 6960 §4.2) that sign signs. The encoder is ours
// because a nonce goes into the response's own extensions, which
// golang.org/x/crypto/ocsp does not write. nonce is the whole value of the
// extension, nil for none.
func (iss *issuer) respond(ctx context.Context, sign signer, id certID, of *CertStatus, now time.Time, nonce []byte) ([]byte, error) {
	tbs, err := responseData(iss.cert.RawSubject, id, of, now.UTC().Truncate(time.Second), nonce)
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP response: %w", err)
	}
	sig, err := sign(ctx, tbs)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(ocspSuccessful)
		explicit(b, 0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasicResponse)
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.MarshalASN1(iss.how.der)
						b.AddASN1BitString(sig)
					})
				})
			})
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encoding OCSP response: %w", err)
	}
	return der, nil
}

// responseData is the ResponseData of RFC 6960 §4.2.1 about one certificate, by
// the issuer's name.
func responseData(responder []byte, id certID, of *CertStatus, now time.Time, nonce []byte) ([]byte, error) {
	until := now.Add(statusLife)
	if of == nil {
		until = now.Add(time.Minute)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		explicit(b, 1, func(b *cryptobyte.Builder) { b.AddBytes(responder) })
		b.AddASN1GeneralizedTime(now)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				if id.Raw != nil {
					b.AddBytes(id.Raw)
				} else {
					b.MarshalASN1(id)
				}
				addStatus(b, of)
				b.AddASN1GeneralizedTime(now)
				explicit(b, 0, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(until) })
			})
		})
		if nonce == nil {
			return
		}
		explicit(b, 1, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidNonce)
					b.AddASN1OctetString(nonce)
				})
			})
		})
	})
	return b.Bytes()
}

// addStatus writes a CertStatus: good, revoked or unknown.
func addStatus(b *cryptobyte.Builder, of *CertStatus) {
	switch tag := cbasn1.Tag.ContextSpecific; {
	case of == nil:
		b.AddASN1(tag(2), func(*cryptobyte.Builder) {})
	case of.RevokedAt.IsZero():
		b.AddASN1(tag(0), func(*cryptobyte.Builder) {})
	default:
		explicit(b, 1, func(b *cryptobyte.Builder) { // RevokedInfo, IMPLICIT: a SEQUENCE by another name
			b.AddASN1GeneralizedTime(of.RevokedAt.UTC().Truncate(time.Second))
			explicit(b, 0, func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(of.Reason)) })
		})
	}
}

// explicit writes [tag] around what add writes.
func explicit(b *cryptobyte.Builder, tag uint8, add func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.Tag(tag).ContextSpecific().Constructed(), add)
}

// question is an OCSP request as far as we answer it.
type question struct {
	id    certID
	hash  crypto.Hash
	nonce []byte // the value of the extension; nil for none
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
			q.nonce = e.Value
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
		return unsigned(ocspMalformed), true, nil //nolint:nilerr // the client hears it; it is nothing for our log
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
	of, err := r.ledger.CertStatus(ctx, serial)
	var about *CertStatus
	switch {
	case err == nil && of.Issuer == issuer:
		about = &of
	case err != nil && !errors.Is(err, ErrUnknownIssue):
		return orInternalError(nil, err)
	}
	iss := r.ca.issuers[issuer]
	der, err = iss.respond(ctx, r.inTurn(iss.signAnswer), q.id, about, r.now(), q.nonce)
	if errors.Is(err, errBusy) {
		return unsigned(ocspTryLater), true, nil
	}
	der, _, err = orInternalError(der, err)
	return der, true, err
}

var errBusy = errors.New("no turn to sign came")

// inTurn bounds how many sign at once.
func (r *Responder) inTurn(sign signer) signer {
	return func(ctx context.Context, tbs []byte) ([]byte, error) {
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
			return sign(ctx, tbs)
		case <-ctx.Done():
			return nil, errBusy
		}
	}
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
