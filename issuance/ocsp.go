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
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certID names a certificate (RFC 6960 §4.1.1).
type certID struct {
	Raw      asn1.RawContent // as the client wrote it
	Hash     pkix.AlgorithmIdentifier
	NameHash []byte
	KeyHash  []byte
	Serial   *big.Int
}

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
	b := cryptobyte.NewBuilder(make([]byte, 0, usualResponse))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(ocspSuccessful)
		explicit(b, 0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidBasicResponse)
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						b.AddBytes(iss.how.der)
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

// usualResponse is room for a response about one certificate, in bytes.
const usualResponse = 512

// responseData is the ResponseData of RFC 6960 §4.2.1 about one certificate, by
// the issuer's name.
func responseData(responder []byte, id certID, of *CertStatus, now time.Time, nonce []byte) ([]byte, error) {
	until := now.Add(statusLife)
	if of == nil {
		until = now.Add(time.Minute)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, usualResponse))
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
	b.AddASN1(explicitTag(tag), add)
}

func explicitTag(tag uint8) cbasn1.Tag { return cbasn1.Tag(tag).ContextSpecific().Constructed() }

// question is an OCSP request as far as we answer it.
type question struct {
	id    certID
	hash  crypto.Hash
	nonce []byte // the value of the extension; nil for none
}

// MaxOCSPRequest bounds a request; a usual one has 80 to 120 bytes.
const MaxOCSPRequest = 4 << 10

var (
	errNotOCSP      = errors.New("not an OCSP request")
	errManyRequests = errors.New("more than one certificate asked about")
)

// parseOCSPRequest reads a request about one certificate (RFC 6960 §4.1.1). Who
// asks, and his signature, are skipped. The question shares der's memory.
func parseOCSPRequest(der []byte) (question, error) {
	input := cryptobyte.String(der)
	var request, tbs, list, extensions, single, raw cryptobyte.String
	switch {
	case !input.ReadASN1(&request, cbasn1.SEQUENCE) || !input.Empty(),
		!request.ReadASN1(&tbs, cbasn1.SEQUENCE) || !request.SkipOptionalASN1(explicitTag(0)) || !request.Empty(),
		!tbs.SkipOptionalASN1(explicitTag(0)) || !tbs.SkipOptionalASN1(explicitTag(1)),
		!tbs.ReadASN1(&list, cbasn1.SEQUENCE) || !tbs.ReadOptionalASN1(&extensions, nil, explicitTag(2)) || !tbs.Empty():
		return question{}, errNotOCSP
	case !list.ReadASN1(&single, cbasn1.SEQUENCE) || !list.Empty():
		return question{}, errManyRequests
	case !single.ReadASN1Element(&raw, cbasn1.SEQUENCE) || !single.SkipOptionalASN1(explicitTag(0)) || !single.Empty():
		return question{}, errNotOCSP
	}
	q := question{id: certID{Raw: asn1.RawContent(raw), Serial: new(big.Int)}}
	var id, algorithm cryptobyte.String
	var hash asn1.ObjectIdentifier
	if !raw.ReadASN1(&id, cbasn1.SEQUENCE) || !id.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&hash) ||
		!id.ReadASN1Bytes(&q.id.NameHash, cbasn1.OCTET_STRING) || !id.ReadASN1Bytes(&q.id.KeyHash, cbasn1.OCTET_STRING) ||
		!id.ReadASN1Integer(q.id.Serial) || !id.Empty() {
		return question{}, errNotOCSP
	}
	if q.id.Serial.Sign() <= 0 || q.id.Serial.BitLen() > 160 {
		q.id.Serial.SetInt64(0) // never issued
	}
	for _, h := range certHashes {
		if h.oid.Equal(hash) {
			q.hash = h.hash
		}
	}
	var err error
	q.nonce, err = readNonce(extensions)
	return q, err
}

// readNonce returns the nonce of a request's extensions, nil when there is none.
func readNonce(extensions cryptobyte.String) (nonce []byte, err error) {
	if len(extensions) == 0 {
		return nil, nil
	}
	var list cryptobyte.String
	if !extensions.ReadASN1(&list, cbasn1.SEQUENCE) || !extensions.Empty() {
		return nil, errNotOCSP
	}
	for !list.Empty() {
		var one cryptobyte.String
		var name asn1.ObjectIdentifier
		var value []byte
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&name) ||
			!one.SkipOptionalASN1(cbasn1.BOOLEAN) || !one.ReadASN1Bytes(&value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, errNotOCSP
		}
		// RFC 9654 §2.1: 1 to 128 octets; what is longer is nobody's nonce.
		if name.Equal(oidNonce) && len(value) > 0 && len(value) <= 130 && nonce == nil {
			nonce = value
		}
	}
	return nonce, nil
}

// Responder answers OCSP requests.
type Responder struct {
	names  map[issuerName]string // to the label of the issuing CA
	ca     *CA
	ledger StatusLedger
	now    func() time.Time
}

// NewResponder returns a Responder. With a CA it signs what must be fresh, such
// as answers that repeat a nonce; without (nil) it gives out what the Publisher
// has signed.
func NewResponder(chain Chain, ca *CA, ledger StatusLedger, now func() time.Time) *Responder {
	r := &Responder{map[issuerName]string{}, ca, ledger, now}
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
	serial := fmt.Sprintf("%040X", q.id.Serial)
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
	der, err = iss.respond(ctx, iss.signInTurn, q.id, about, r.now(), q.nonce)
	if errors.Is(err, errBusy) {
		return unsigned(ocspTryLater), true, nil
	}
	der, _, err = orInternalError(der, err)
	return der, true, err
}

var errBusy = errors.New("no turn to sign came")

// signInTurn is signAnswer for strangers, of whom no more than half of the
// token's sessions sign at once, so that issuing keeps the HSM.
func (iss *issuer) signInTurn(ctx context.Context, tbs []byte) ([]byte, error) {
	select {
	case iss.turns <- struct{}{}:
		defer func() { <-iss.turns }()
		return iss.signAnswer(ctx, tbs)
	case <-ctx.Done():
		return nil, errBusy
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
