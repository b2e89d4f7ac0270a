package config

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Validate returns a Faults with everything wrong, or nil. Outside production a
// missing secret is no fault: EnsureDevelopment makes it.
func (c *Config) Validate() error {
	var fs Faults
	if c.Env != Development && c.Env != Production {
		fs.add("YCD_ENV", "must be %s or %s", Development, Production)
	}
	c.checkProcess(&fs)
	c.checkKeys(&fs)
	c.checkURLs(&fs)
	c.checkFiles(&fs)
	c.checkPlatforms(&fs)
	c.checkObjects(&fs)
	if c.Production() {
		c.checkProduction(&fs)
	}
	return fs.err()
}

// checkProcess looks at what this process is and what it shares with others.
func (c *Config) checkProcess(fs *Faults) {
	for i, r := range c.Roles {
		if !slices.Contains(AllRoles(), r) || slices.Contains(c.Roles[:i], r) {
			fs.add("YCD_ROLES", "must list each of web, jobs, issuer at most once")
			break
		}
	}
	if len(c.Roles) == 0 {
		fs.add("YCD_ROLES", "must name at least one of web, jobs, issuer")
	}
	alone := len(c.Roles) >= len(AllRoles())
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || port == "" {
		fs.add("YCD_LISTEN", "must be an address such as 127.0.0.1:8080")
	}
	if _, port, err := net.SplitHostPort(c.WatchListen); c.WatchListen != "" && (err != nil || port == "") {
		fs.add("YCD_WATCH_LISTEN", "must be an address such as 127.0.0.1:8081")
	}
	if c.DataDir == "" {
		fs.add("YCD_DATA_DIR", "is required: the folder for data that is not in the database")
	}
	switch db := c.DatabaseURL.Reveal(); {
	case db == "":
		if !c.Production() {
			fs.add("YCD_DATABASE_URL", "is required: sqlite:PATH or postgres://…")
		}
	case isPostgres(db):
		if u, err := url.Parse(db); err != nil || u.Path == "" || u.Path == "/" {
			fs.add("YCD_DATABASE_URL", "must name a database: postgres://user@host:5432/yuncaidun")
		}
	case strings.HasPrefix(db, "sqlite:") && db != "sqlite:":
		if !alone {
			fs.add("YCD_DATABASE_URL", "SQLite serves one process with all roles; use postgres://… or drop --roles")
		}
	default:
		fs.add("YCD_DATABASE_URL", "must be sqlite:PATH or postgres://…")
	}
	switch u, err := url.Parse(c.RedisURL.Reveal()); {
	case c.RedisURL.Empty():
		if !alone && !c.Production() {
			fs.add("YCD_REDIS_URL", "in-process Redis serves one process with all roles; set redis://… or drop --roles")
		}
	case err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Host == "":
		fs.add("YCD_REDIS_URL", "must be redis://host:6379/0 or rediss://…")
	}
	for _, p := range c.TrustedProxies {
		if _, _, err := net.ParseCIDR(p); err != nil && net.ParseIP(p) == nil {
			fs.add("YCD_TRUSTED_PROXIES", "must list addresses or networks, such as 10.0.0.5,10.1.0.0/16")
			break
		}
	}
	if c.MaxDrafts < 0 {
		fs.add("YCD_MAX_DRAFTS", "must not be negative")
	}
	// It goes into the security policy of a page: this PC and a port, nothing else.
	if u, err := url.Parse(c.HelperURL); err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Port() == "" || u.String() != "http://127.0.0.1:"+u.Port() {
		fs.add("YCD_HELPER_URL", "must be http://127.0.0.1:PORT")
	}
	if c.Invoice.TaxRate < 0 || c.Invoice.TaxRate > 200 {
		fs.add("YCD_INVOICE_TAX_RATE", "must be in thousandths, such as 60 for 6 %%")
	}
	if c.SMS.CodeTTL < 30*time.Second || c.SMS.CodeTTL > 10*time.Minute {
		fs.add("YCD_SMS_CODE_TTL", "must be between 30s and 10m")
	}
}

func isPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

// checkKeys looks at the form of the keys that are there.
func (c *Config) checkKeys(fs *Faults) {
	for _, v := range variables(c) {
		key, ok := v.field.Interface().(Secret)
		if !ok || key.Empty() {
			continue
		}
		switch v.path {
		case "pii.key", "pii.index_key":
			if raw, err := base64.StdEncoding.DecodeString(key.Reveal()); err != nil || len(raw) != 32 {
				fs.add(v.env(), "must be 32 random bytes in base64: openssl rand -base64 32")
			}
		case "wechat.aes_key", "wechat.aes_key_previous":
			// Lenient on purpose: the last character may carry spare bits, as in the
			// documentation's own sample.
			if raw, err := base64.RawStdEncoding.DecodeString(key.Reveal()); err != nil || len(raw) != 32 {
				fs.add(v.env(), "must be the 43 characters shown as EncodingAESKey in the official account's console")
			}
		case "wechatpay.api_v3_key":
			if len(key.Reveal()) != 32 {
				fs.add(v.env(), "must be 32 characters")
			}
		case "wechatpay.private_key", "alipay.private_key", "playground.wechatpay_key", "playground.alipay_key":
			if _, err := RSAKey(key); err != nil {
				fs.add(v.env(), "must be an RSA private key: %v", err)
			}
		case "wechatpay.public_key", "alipay.public_key":
			if !isRSAPublicKey(key) {
				fs.add(v.env(), "must be the platform's RSA public key")
			}
		}
	}
	if !c.PII.Key.Empty() && c.PII.Key == c.PII.IndexKey {
		fs.add("YCD_PII_INDEX_KEY", "must differ from YCD_PII_KEY")
	}
}

// RSAKey reads a private key: PKCS#8 or the older PKCS#1, in PEM or, as Alipay hands
// it out, in base64 alone. Its errors never quote the key.
func RSAKey(s Secret) (*rsa.PrivateKey, error) {
	raw, err := der(s)
	if err != nil {
		return nil, err
	}
	if k, err := x509.ParsePKCS1PrivateKey(raw); err == nil {
		return k, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return nil, errors.New("it is neither PKCS#8 nor PKCS#1")
	}
	k, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is not RSA")
	}
	return k, nil
}

func isRSAPublicKey(s Secret) bool {
	raw, err := der(s)
	if err != nil {
		return false
	}
	k, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return false
	}
	_, ok := k.(*rsa.PublicKey)
	return ok
}

func der(s Secret) ([]byte, error) {
	if block, _ := pem.Decode([]byte(s.Reveal())); block != nil {
		return block.Bytes, nil
	}
	raw, err := base64.StdEncoding.DecodeString(s.Reveal())
	if err != nil {
		return nil, errors.New("neither PEM nor base64")
	}
	return raw, nil
}

// checkURLs wants absolute addresses, encrypted in production unless they stay on this machine.
func (c *Config) checkURLs(fs *Faults) {
	for _, v := range variables(c) {
		address, ok := v.field.Interface().(string)
		if !ok || address == "" || !strings.HasSuffix(v.path, "_url") {
			continue
		}
		u, err := url.Parse(address)
		switch {
		case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "":
			fs.add(v.env(), "must be an address such as https://ca.example.cn")
		case c.Production() && u.Scheme == "http" && !IsLoopback(u.Hostname()):
			fs.add(v.env(), "must be https:// in production")
		}
	}
}

// IsLoopback tells whether a host is this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkFiles looks for the files that this process will open.
func (c *Config) checkFiles(fs *Faults) {
	exists := func(name, path, remedy string) {
		if path == "" {
			return
		}
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			fs.add(name, "no file at %s; %s", filepath.Clean(path), remedy)
		}
	}
	exists("YCD_CATALOGUE", c.Catalogue, "correct the path, or leave it empty for catalogue.json in the data directory")
	exists("YCD_FONT", c.Font, "install fonts-wqy-microhei (make setup) or set the path")
	if c.HandlesPeople() && c.Font == "" {
		fs.add("YCD_FONT", "is required: a TrueType font with Chinese glyphs for the PDFs")
	}
	if c.HasRole(RoleIssuer) {
		if _, err := x509.ParseOID(c.CA.PolicyOID); err != nil {
			fs.add("YCD_CA_POLICY_OID", "is not an object identifier such as 1.2.156.1.2.3")
		}
		if u, err := url.Parse(c.CA.PKI); c.CA.PKI != "" && (err != nil || u.Scheme != "http" || u.Host == "" || u.RawQuery != "") {
			fs.add("YCD_CA_PKI", "must be an address such as http://ca.example.cn/pki, without s")
		}
		if c.HSM.URI == "" {
			exists("YCD_HSM_MODULE", c.HSM.Module, "install softhsm2 (make setup) or set the path of the PKCS#11 module")
		} else if c.origins["hsm.module"] != "" || c.origins["hsm.pin"] != "" {
			fs.add("YCD_HSM_URI", "replaces YCD_HSM_MODULE and YCD_HSM_PIN; drop those or this")
		}
		exists("YCD_TOKEN_MODULE", c.Token.Module, "install softhsm2 (make setup) or set the path of the PKCS#11 module")
	}
}

// bucketName is what every S3 service takes; without dots, which certificates of hosts do not cover.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// checkObjects wants all of a bucket or nothing, so that no picture lands in a folder by mistake.
func (c *Config) checkObjects(fs *Faults) {
	if !c.Objects.Configured() || !c.HandlesPeople() {
		return
	}
	for _, v := range variables(c) {
		if strings.HasPrefix(v.path, "objects.") && v.field.IsZero() && v.field.Kind() != reflect.Bool {
			fs.add(v.env(), "is required with the other YCD_OBJECTS_ settings; remove them all to keep pictures in the data directory")
		}
	}
	if c.Objects.Bucket != "" && !bucketName.MatchString(c.Objects.Bucket) {
		fs.add("YCD_OBJECTS_BUCKET", "must be 3 to 63 lower-case letters, digits and dashes, such as yuncaidun-objects")
	}
	if u, err := url.Parse(c.Objects.EndpointURL); err == nil && strings.Trim(u.Path, "/") != "" {
		fs.add("YCD_OBJECTS_ENDPOINT_URL", "must not have a path: the bucket's name belongs in YCD_OBJECTS_BUCKET")
	}
}

// checkProduction wants everything that development would create or simulate.
func (c *Config) checkProduction(fs *Faults) {
	required := []string{"public_url", "database_url", "redis_url", "ca.name"}
	if c.HasRole(RoleIssuer) {
		required = append(required, "token.module")
		if c.HSM.URI == "" {
			required = append(required, "hsm.module", "hsm.pin")
		}
	}
	if c.HandlesPeople() {
		required = append(required, "pii.key", "pii.index_key",
			"wechat.app_id", "wechat.app_secret", "wechat.token", "wechat.aes_key", "wechat.original_id",
			"miniprogram.app_id", "miniprogram.app_secret",
			"wechatpay.mch_id", "wechatpay.cert_serial", "wechatpay.private_key", "wechatpay.public_key_id",
			"wechatpay.public_key", "wechatpay.api_v3_key",
			"sms.secret_id", "sms.secret_key", "sms.sdk_app_id", "sms.sign_name",
			"realname.secret_id", "realname.secret_key", "courier.key", "courier.salt",
			"invoice.app_key", "invoice.app_secret", "invoice.seller_tax_no", "invoice.type_code", "invoice.tax_code")
		if c.Alipay.Configured() {
			required = append(required, "alipay.app_id", "alipay.seller_id", "alipay.private_key", "alipay.public_key")
		}
	}
	for _, v := range variables(c) {
		switch {
		case v.secret && v.field.Interface().(Secret).Empty() && slices.Contains(required, v.path):
			fs.add(v.env(), "is required in production: set it, or %s_FILE with the path of a file", v.env())
		case v.field.IsZero() && slices.Contains(required, v.path):
			fs.add(v.env(), "is required in production")
		case strings.HasPrefix(v.path, "playground.") && !v.field.IsZero():
			fs.add(v.env(), "belongs to the simulators, which production does not have; remove it")
		}
	}
	if strings.HasPrefix(c.DatabaseURL.Reveal(), "sqlite:") {
		fs.add("YCD_DATABASE_URL", "production needs PostgreSQL: postgres://…")
	}
	if c.HasRole(RoleIssuer) && c.CA.PolicyOID == demoPolicyOID {
		fs.add("YCD_CA_POLICY_OID", "is the example identifier; production needs that of the CA's certificate policy")
	}
	if c.CA.Name == demoCAName {
		fs.add("YCD_CA_NAME", "is the invented demonstration name; production needs the CA's own")
	}
}
