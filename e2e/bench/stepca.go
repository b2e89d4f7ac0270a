package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance"
)

// stepCA is the peer: step-ca with its badger database, signing with the very key
// of our issuing CA in the same SoftHSM. It is a program of its own and its client,
// which is this process, talks HTTPS with it, as its users do; our pipeline is
// called in this process, as our issuer does.
type stepCA struct {
	url    string
	client *http.Client
	key    *ecdsa.PrivateKey // of the provisioner
	id     string            // of that key
	issuer *x509.Certificate
}

const provisioner = "bench"

// openStepCA starts the program on the CA in dir.
func (w *world) openStepCA(ctx context.Context, program, dir string, a *authority) (*stepCA, error) {
	if _, err := os.Stat(program); err != nil {
		return nil, fmt.Errorf("step-ca is missing, `make bench` builds it: %w", err)
	}
	s := &stepCA{issuer: a.issuer}
	var err error
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s.url = "https://" + address
	home := filepath.Join(dir, "step-ca")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(home, "ca.json")
	if err := s.configure(file, home, address, a); err != nil {
		return nil, err
	}
	if err := w.startStepCA(ctx, program, file); err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.ca.Root)
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 64,
	}}
	w.closers = append(w.closers, func() error { s.client.CloseIdleConnections(); return nil })
	return s, s.ready(ctx)
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// configure writes what step-ca reads.
func (s *stepCA) configure(file, home, address string, a *authority) error {
	certificates := map[string]*x509.Certificate{"root.pem": a.ca.Root, "issuing.pem": a.issuer}
	for name, c := range certificates {
		if err := os.WriteFile(filepath.Join(home, name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}), 0o600); err != nil {
			return err
		}
	}
	point, err := s.key.PublicKey.Bytes()
	if err != nil {
		return err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	jwk := map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	// RFC 7638: the members in order, without spaces.
	thumbprint := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, jwk["x"], jwk["y"]))
	s.id = b64(thumbprint[:])
	jwk["kid"], jwk["alg"], jwk["use"] = s.id, "ES256", "sig"
	config, err := json.Marshal(map[string]any{
		"root": filepath.Join(home, "root.pem"), "crt": filepath.Join(home, "issuing.pem"), "key": "pkcs11:token=" + issuance.P256Token + ";object=" + caKey,
		"kms":     map[string]string{"type": "pkcs11", "uri": "pkcs11:module-path=" + softHSM + ";token=" + issuance.P256Token + "?pin-value=" + caPIN.Reveal()},
		"address": address, "dnsNames": []string{"127.0.0.1"}, "logger": map[string]string{"format": "text"},
		"db":        map[string]string{"type": "badgerv2", "dataSource": filepath.Join(home, "db")},
		"authority": map[string]any{"provisioners": []any{map[string]any{"type": "JWK", "name": provisioner, "key": jwk}}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, config, 0o600)
}

func (w *world) startStepCA(ctx context.Context, program, file string) error {
	log, err := os.Create(file + ".log") //nolint:gosec // in the folder of this run
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, file) //nolint:gosec // our own build of the peer
	cmd.Stdout, cmd.Stderr = log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	w.closers = append(w.closers, func() error {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // it says how it ended; that it did is enough
		return nil
	})
	return nil
}

// ready waits until it answers.
func (s *stepCA) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/health", nil)
		if err != nil {
			return err
		}
		if resp, err := s.client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("step-ca is not ready: %w", ctx.Err())
		}
	}
}

// row asks for certificates by POST /1.0/sign, each with a one-time token.
func (s *stepCA) row(ctx context.Context, name string, workers, perRound int) row {
	var bodies [][]byte
	return row{
		name: name, workers: workers,
		prepare: func() (int, error) {
			bodies = make([][]byte, perRound)
			for i := range bodies {
				var err error
				if bodies[i], err = s.request(); err != nil {
					return 0, err
				}
			}
			return perRound, nil
		},
		do: func(_, n int) error { return s.sign(ctx, bodies[n]) },
	}
}

func (s *stepCA) sign(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/1.0/sign", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("step-ca: %s: %s", resp.Status, text)
	}
	var answer struct {
		Crt string `json:"crt"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(answer.Crt))
	if block == nil {
		return errors.New("step-ca: no certificate in the answer")
	}
	return nil
}

// request is a certificate request with its token.
func (s *stepCA) request() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	subject := newID() + ".test"
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: subject}, DNSNames: []string{subject}, SignatureAlgorithm: x509.ECDSAWithSHA256,
	}, key)
	if err != nil {
		return nil, err
	}
	ott, err := s.token(subject)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{
		"csr": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), "ott": ott,
	})
}

// token is a JWT (RFC 7519) by the provisioner's key.
func (s *stepCA) token(subject string) (string, error) {
	at := now()
	header, err := json.Marshal(map[string]string{"alg": "ES256", "kid": s.id, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": provisioner, "sub": subject, "sans": []string{subject}, "aud": s.url + "/1.0/sign", "jti": newID(),
		"iat": at.Unix(), "nbf": at.Unix() - 5, "exp": at.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64(header) + "." + b64(claims)
	digest := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return signed + "." + b64(signature[:]), nil
}
