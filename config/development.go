package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// generated are the secrets that development makes for itself.
var generated = map[string]func() (string, error){
	"pii.key":                  random(32, base64.StdEncoding.EncodeToString),
	"pii.index_key":            random(32, base64.StdEncoding.EncodeToString),
	"hsm.pin":                  random(8, hex.EncodeToString),
	"wechat.app_secret":        random(16, hex.EncodeToString),
	"wechat.token":             random(16, hex.EncodeToString),
	"wechat.aes_key":           random(32, base64.RawStdEncoding.EncodeToString),
	"miniprogram.app_secret":   random(16, hex.EncodeToString),
	"wechatpay.private_key":    rsaKey,
	"wechatpay.api_v3_key":     random(16, hex.EncodeToString),
	"alipay.private_key":       rsaKey,
	"sms.secret_id":            random(16, hex.EncodeToString),
	"sms.secret_key":           random(16, hex.EncodeToString),
	"realname.secret_id":       random(16, hex.EncodeToString),
	"realname.secret_key":      random(16, hex.EncodeToString),
	"courier.key":              random(16, hex.EncodeToString),
	"courier.salt":             random(16, hex.EncodeToString),
	"invoice.app_secret":       random(16, hex.EncodeToString),
	"playground.wechatpay_key": rsaKey,
	"playground.alipay_key":    rsaKey,
}

// platform is a payment platform, which development simulates unless it is told of the
// real one: what signs in the simulator, what the product checks that with, and where it is.
type platform struct {
	path            string // of the simulator's private key
	private, public *Secret
	publicPath      string
	address         *string
	addressPath     string
	host            string   // the real one's address
	agreed          []string // what only the merchant can say about the real one
}

func (c *Config) platforms() []platform {
	return []platform{
		{
			"playground.wechatpay_key", &c.Playground.WeChatPayKey, &c.WeChatPay.PublicKey, "wechatpay.public_key", &c.WeChatPay.BaseURL, "wechatpay.base_url", weChatPayHost,
			[]string{"wechat.app_id", "wechatpay.mch_id", "wechatpay.cert_serial", "wechatpay.private_key", "wechatpay.public_key_id", "wechatpay.public_key", "wechatpay.api_v3_key"},
		},
		{
			"playground.alipay_key", &c.Playground.AlipayKey, &c.Alipay.PublicKey, "alipay.public_key", &c.Alipay.GatewayURL, "alipay.gateway_url", alipayHost,
			[]string{"alipay.app_id", "alipay.seller_id", "alipay.private_key", "alipay.public_key"},
		},
	}
}

// isReal tells that development uses the platform itself: somebody said whose signature
// to believe or whom to ask, and did not give the simulator's key for it.
func (c *Config) isReal(p platform) bool {
	return !c.Production() && !c.given[p.path] && (c.given[p.publicPath] || c.given[p.addressPath])
}

// checkPlatforms wants all of the merchant's agreement with a real platform: what
// development would make up instead is unknown there.
func (c *Config) checkPlatforms(fs *Faults) {
	if !c.HandlesPeople() {
		return
	}
	for _, p := range c.platforms() {
		why := p.publicPath
		if !c.given[why] {
			why = p.addressPath
		}
		for _, path := range p.agreed {
			if c.isReal(p) && !c.given[path] {
				fs.add(envName(path), "is required beside %s, which is about the real platform; without that, the platform is simulated", envName(why))
			}
		}
	}
}

// EnsureDevelopment fills every empty secret from DataDir/secrets, creating what
// is not there, readable by the owner only. It may run again and beside another
// process: both end with the same secrets. In production it does nothing.
func (c *Config) EnsureDevelopment() error {
	if c.Production() {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(c.DataDir, "secrets"), 0o700); err != nil {
		return fmt.Errorf("creating the folder for secrets: %w", err)
	}
	return c.fill(readOrCreate)
}

// ForeseeDevelopment fills in what a start would, as far as it is there already, and
// creates nothing: what is effective can be shown before the first start and beside a
// running one. In production it does nothing.
func (c *Config) ForeseeDevelopment() error {
	if c.Production() {
		return nil
	}
	c.PointAtSimulator("http://127.0.0.1:PORT") // a start takes a free one
	return c.fill(func(file string, _ func() (string, error)) (string, error) {
		text, err := readOwn(file)
		if errors.Is(err, os.ErrNotExist) {
			return "", nil
		}
		return text, err
	})
}

// fill gives every empty secret what read finds in its file below DataDir/secrets.
func (c *Config) fill(read func(file string, generate func() (string, error)) (string, error)) error {
	for _, v := range variables(c) {
		generate, ok := generated[v.path]
		if !ok || !v.field.Interface().(Secret).Empty() {
			continue
		}
		if slices.ContainsFunc(c.platforms(), func(p platform) bool { return p.path == v.path && c.isReal(p) }) {
			continue
		}
		file := filepath.Join(c.DataDir, "secrets", strings.ReplaceAll(v.path, ".", "_"))
		text, err := read(file, generate)
		if err != nil {
			return fmt.Errorf("secret %s: %w", v.env(), err)
		}
		_ = v.set(text) // a secret takes any text
		c.origins[v.path] = "development " + file
		if text == "" {
			c.origins[v.path] += ", which the first start makes"
		}
	}
	for _, p := range c.platforms() {
		if c.isReal(p) || !p.public.Empty() {
			continue
		}
		c.origins[p.publicPath] = "from " + p.path
		if p.private.Empty() {
			continue
		}
		public, err := publicPEM(*p.private)
		if err != nil {
			return fmt.Errorf("secret %s: %w", envName(p.path), err)
		}
		*p.public = NewSecret(public)
	}
	return nil
}

// readOrCreate returns the secret in file. A new one appears whole or not at all
// and never replaces one that is there: whoever comes second reads the first's.
func readOrCreate(file string, generate func() (string, error)) (string, error) {
	text, err := readOwn(file)
	if !errors.Is(err, os.ErrNotExist) {
		return text, err
	}
	if text, err = generate(); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*") // 0600
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(text + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	if err := os.Link(tmp.Name(), file); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return readOwn(file)
}

// readOwn reads a file that nobody else may read.
func readOwn(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read by others; run: chmod 600 %s", file, file)
	}
	b, err := os.ReadFile(file) //nolint:gosec // inside our own data folder
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("%s is empty; delete it to get a new one", file)
	}
	return text, nil
}

func random(bytes int, encode func([]byte) string) func() (string, error) {
	return func() (string, error) {
		b := make([]byte, bytes)
		if _, err := rand.Read(b); err != nil {
			return "", err
		}
		return encode(b), nil
	}
}

func rsaKey() (string, error) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

func publicPEM(private Secret) (string, error) {
	k, err := RSAKey(private)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(&k.PublicKey)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
