package issuance

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// VerifyChallenge checks that the key of the certificate (DER) answered the
// challenge on the token of that serial.
func VerifyChallenge(certificate []byte, tokenSerial string, challenge, signature []byte) error {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return fmt.Errorf("verifying challenge: %w", err)
	}
	if !token.Verify(cert.PublicKey, crypto.SHA256, token.ChallengeDigest(tokenSerial, challenge), signature) {
		return errors.New("verifying challenge: the signature is not by the certificate's key")
	}
	return nil
}

func answer(t *token.Token, rec TokenRecord, challenge []byte) ([]byte, error) {
	key, err := t.Key(containerID(rec.IssueID))
	if err != nil {
		return nil, err
	}
	return key.Sign(nil, token.ChallengeDigest(rec.Serial, challenge), crypto.SHA256)
}

// InitialPIN returns the user PIN that a USBKEY of ours left the station with.
func (p *Pipeline) InitialPIN(ctx context.Context, tokenSerial string) (token.PIN, error) {
	rec, err := p.ledger.Token(ctx, tokenSerial)
	if err != nil {
		return "", err
	}
	s, err := openToken(p.ca.keyset, rec)
	return s.userPIN, err
}

// TellPIN is InitialPIN for its holder: it answers one request (by its ID, again and
// again) and refuses all others with ErrPINTold.
func (p *Pipeline) TellPIN(ctx context.Context, tokenSerial, request string) (token.PIN, error) {
	pin, err := p.InitialPIN(ctx, tokenSerial) // first, so that nothing is told that cannot be opened
	if err != nil {
		return "", err
	}
	return pin, p.ledger.TellPIN(ctx, tokenSerial, request, p.instant())
}
