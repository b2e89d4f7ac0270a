// Package config reads the one typed configuration of the product: defaults,
// then a YAML file, then the environment (YCD_…), then the command line.
// Every fault is found before anything starts and all are listed at once.
// Only main.go imports this package; the rooms get plain values.
package config

import (
	"slices"
	"time"
)

// The environments. Outside production the product creates what it lacks.
const (
	Development = "development"
	Production  = "production"
)

// The roles a process can play (serve --roles).
const (
	RoleWeb    = "web"
	RoleJobs   = "jobs"
	RoleIssuer = "issuer"
)

// AllRoles is what one process plays unless told otherwise.
func AllRoles() []string { return []string{RoleWeb, RoleJobs, RoleIssuer} }

// Config is the whole configuration. A field's path in the YAML file is made of
// the koanf tags (wechat.app_id), its environment variable of the same words
// (YCD_WECHAT_APP_ID). Each Secret can also be given as a file: wechat.app_secret_file,
// YCD_WECHAT_APP_SECRET_FILE.
type Config struct {
	Env    string   `koanf:"env"`
	Roles  []string `koanf:"roles"`
	Listen string   `koanf:"listen"`
	// WatchListen is where a process with the web answers /readyz and /metrics, see WatchApart.
	WatchListen string `koanf:"watch_listen"`
	PublicURL   string `koanf:"public_url"`
	DataDir     string `koanf:"data_dir"`
	DatabaseURL Secret `koanf:"database_url"` // sqlite:PATH or postgres://…
	RedisURL    Secret `koanf:"redis_url"`    // empty: in-process
	// TrustedProxies are the addresses or networks of the proxies in front, which say in
	// X-Real-IP who asked.
	TrustedProxies []string `koanf:"trusted_proxies"`
	MaxDrafts      int      `koanf:"max_drafts"` // unsubmitted applications of one person or browser; 0 is no limit
	HelperURL      string   `koanf:"helper_url"` // where key helpers listen on their own PCs
	Catalogue      string   `koanf:"catalogue"`  // empty: catalogue.json of the data directory
	Font           string   `koanf:"font"`       // TrueType font of the PDFs

	PII         PII         `koanf:"pii"`
	CA          CA          `koanf:"ca"`
	HSM         HSM         `koanf:"hsm"`
	Token       Token       `koanf:"token"`
	Station     Station     `koanf:"station"`
	WeChat      WeChat      `koanf:"wechat"`
	MiniProgram MiniProgram `koanf:"miniprogram"`
	WeChatPay   WeChatPay   `koanf:"wechatpay"`
	Alipay      Alipay      `koanf:"alipay"`
	SMS         SMS         `koanf:"sms"`
	RealName    RealName    `koanf:"realname"`
	Courier     Courier     `koanf:"courier"`
	Invoice     Invoice     `koanf:"invoice"`
	Objects     Objects     `koanf:"objects"`
	Playground  Playground  `koanf:"playground"`

	origins map[string]string // path → where the value came from
	given   map[string]bool   // paths that somebody has set
}

// PII holds the keys under which personal data is sealed and indexed, each 32
// bytes in base64.
type PII struct {
	Key      Secret `koanf:"key"`       // master key of the Tink keyset "pii"
	IndexKey Secret `koanf:"index_key"` // HMAC key of the blind indexes
}

// CA describes the certification authority.
type CA struct {
	Name      string `koanf:"name"`       // organisation in the CA's own certificates
	PolicyOID string `koanf:"policy_oid"` // certificate policy in every certificate, dotted
	// PKI is the address in certificates below which CA certificates, lists and OCSP
	// are found. It is http: what it gives is signed, and who checks a certificate
	// for https must not need https for it (RFC 5280 §8).
	PKI string `koanf:"pki"`
}

// HSM is the module that holds the CA's keys; only the issuer role loads it.
type HSM struct {
	Module string `koanf:"module"`
	PIN    Secret `koanf:"pin"`
	// URI names module and PIN file as a pkcs11: URI (RFC 7512), instead of the two above.
	URI string `koanf:"uri"`
	// Tokens name the CA's tokens, by the label that each has by default, where they
	// are called something else or need a module or a PIN of their own.
	Tokens map[string]string `koanf:"tokens"`
}

// Token is the PKCS#11 module of the subscribers' USBKEYs.
type Token struct {
	Module string `koanf:"module"`
}

// Station is the desk where USBKEYs are written.
type Station struct {
	Auto   bool `koanf:"auto"`   // take blank keys at once, without a person
	Remote bool `koanf:"remote"` // keys are made by `yuncaidun station` on other PCs
}

// WeChat is the official account. The URLs replace those of WeChat; empty means
// the simulator outside production.
type WeChat struct {
	AppID          string            `koanf:"app_id"`
	AppSecret      Secret            `koanf:"app_secret"`
	Token          Secret            `koanf:"token"`
	AESKey         Secret            `koanf:"aes_key"`
	AESKeyPrevious Secret            `koanf:"aes_key_previous"` // still accepted while WeChat changes over
	OriginalID     string            `koanf:"original_id"`
	BaseURL        string            `koanf:"base_url"`      // api.weixin.qq.com
	OpenURL        string            `koanf:"open_url"`      // open.weixin.qq.com, seen by the browser
	MPURL          string            `koanf:"mp_url"`        // mp.weixin.qq.com, seen by the browser
	Templates      map[string]string `koanf:"templates"`     // of template messages
	Subscriptions  map[string]string `koanf:"subscriptions"` // of subscription notices
	// CustomerService: people sit in WeChat's customer service (微信客服) during office hours
	// and take the conversations that the bot hands over.
	CustomerService bool `koanf:"customer_service"`
}

// MiniProgram is the WeChat mini-program.
type MiniProgram struct {
	AppID         string            `koanf:"app_id"`
	AppSecret     Secret            `koanf:"app_secret"`
	Subscriptions map[string]string `koanf:"subscriptions"` // template ids of subscription messages
}

// WeChatPay is the merchant account. The keys are PEM.
type WeChatPay struct {
	MchID       string `koanf:"mch_id"`
	CertSerial  string `koanf:"cert_serial"`
	PrivateKey  Secret `koanf:"private_key"`
	PublicKeyID string `koanf:"public_key_id"`
	PublicKey   Secret `koanf:"public_key"`
	APIV3Key    Secret `koanf:"api_v3_key"`
	BaseURL     string `koanf:"base_url"`
}

// Alipay is the merchant's application there, in public key mode. Production offers
// Alipay when it is configured. The keys are base64, as Alipay's tool writes them, or PEM.
type Alipay struct {
	AppID      string `koanf:"app_id"`
	SellerID   string `koanf:"seller_id"`   // the merchant's own account, 2088…
	PrivateKey Secret `koanf:"private_key"` // the application's
	PublicKey  Secret `koanf:"public_key"`  // Alipay's, not the application's
	GatewayURL string `koanf:"gateway_url"`
}

// Configured tells whether the merchant has said anything about Alipay.
func (a Alipay) Configured() bool {
	return a.AppID != "" || a.SellerID != "" || !a.PrivateKey.Empty() || !a.PublicKey.Empty()
}

// SMS is the Tencent Cloud SMS account.
type SMS struct {
	SecretID  Secret            `koanf:"secret_id"`
	SecretKey Secret            `koanf:"secret_key"`
	SDKAppID  string            `koanf:"sdk_app_id"`
	SignName  string            `koanf:"sign_name"`
	Region    string            `koanf:"region"`
	BaseURL   string            `koanf:"base_url"`
	CodeTTL   time.Duration     `koanf:"code_ttl"`
	Templates map[string]string `koanf:"templates"` // our name → the provider's approved template id
}

// RealName is the Tencent Cloud faceid account that checks name, ID number and mobile.
type RealName struct {
	SecretID  Secret `koanf:"secret_id"`
	SecretKey Secret `koanf:"secret_key"`
	BaseURL   string `koanf:"base_url"`
	// FaceRuleID is the id of the account's H5 face check; empty: it is not offered.
	FaceRuleID string `koanf:"face_rule_id"`
}

// Courier is the 快递100 account that follows parcels.
type Courier struct {
	Key     Secret `koanf:"key"`
	Salt    Secret `koanf:"salt"` // signs what it pushes to /callbacks/courier
	BaseURL string `koanf:"base_url"`
}

// Invoice is the agreement with 高灯云 (GoldenCloud), which issues electronic invoices.
type Invoice struct {
	AppKey      string `koanf:"app_key"`
	AppSecret   Secret `koanf:"app_secret"`
	SellerTaxNo string `koanf:"seller_tax_no"`
	TypeCode    string `koanf:"type_code"` // 开具发票类型 of 数电普票, as the agreement names it
	TaxCode     string `koanf:"tax_code"`  // 税收商品编码 of what is sold
	TaxRate     int    `koanf:"tax_rate"`  // in thousandths; prices include it
	BaseURL     string `koanf:"base_url"`
}

// Objects is the bucket of an S3-compatible service where uploaded pictures and documents
// are kept, sealed; without one they are in objects/ of the data directory.
type Objects struct {
	EndpointURL string `koanf:"endpoint_url"` // of the service, without the bucket
	Region      string `koanf:"region"`
	Bucket      string `koanf:"bucket"`
	AccessKey   Secret `koanf:"access_key"`
	SecretKey   Secret `koanf:"secret_key"`
	PathStyle   bool   `koanf:"path_style"` // the bucket is named in the path, not in the host
}

// Configured tells whether anything was said about a bucket.
func (o Objects) Configured() bool { return o != Objects{} }

// Playground is what only the simulators need; absent in production.
type Playground struct {
	WeChatPayKey Secret `koanf:"wechatpay_key"` // the simulated platform's private key, PEM
	AlipayKey    Secret `koanf:"alipay_key"`    // the same of Alipay
}

// Production tells whether the product must find everything instead of creating it.
func (c *Config) Production() bool { return c.Env == Production }

// HasRole tells whether this process plays the role.
func (c *Config) HasRole(role string) bool { return slices.Contains(c.Roles, role) }

// HandlesPeople tells whether this process reads personal data and calls providers,
// and needs what that takes. One that is an issuer only does not.
func (c *Config) HandlesPeople() bool { return c.HasRole(RoleWeb) || c.HasRole(RoleJobs) }
