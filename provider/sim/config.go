package sim

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// Config is everything the simulator shares with the product, as plain values: the product's effective
// configuration, so that overriding one of its keys keeps both ends talking.
type Config struct {
	ProductURL string // where the product listens; callbacks go there, e.g. http://127.0.0.1:8080
	PublicURL  string // the product's address as browsers see it; OAuth redirects only to this host
	Dir        string // holds sim.jsonl, from which a second run continues; empty keeps nothing

	WeChat      WeChat
	MiniProgram MiniProgram // zero: there is none
	Pay         Pay         // zero: it knows no merchant
	Alipay      Alipay      // zero: it knows no application
	SMS         SMS
	FaceID      FaceID
	Courier     Courier // zero: it knows no account
	Golden      Golden  // zero: nobody issues invoices

	Personas []Persona

	Now             func() time.Time // nil: time.Now
	CallbackTimeout time.Duration    // how long a push waits for the product; 0: WeChat's 5 s
	RetryScale      float64          // multiplies the schedules of notifications (WeChat Pay's: 15 s, 15 s, 30 s, 3 min, …); 0: 0.02
	Log             *slog.Logger     // nil: discards
}

// WeChat is the official account and the server settings both ends share.
type WeChat struct {
	Name           string // the account's display name; empty: 云采盾
	AppID          string
	AppSecret      string
	Token          string
	EncodingAESKey string // 43 base64 characters
	OriginalID     string // gh_…

	Templates     map[string]Template // by template id; any other id is refused with 40037
	Subscriptions map[string]Template // the same of subscription notices
}

// MiniProgram is the mini-program, bound to the same open-platform account as the official account, so that a
// persona has one union id in both, and linked to the official account, so that its menu may open it.
type MiniProgram struct {
	AppID     string
	AppSecret string
	Pages     []string // what it declares; WeChat opens no other page

	Subscriptions map[string]Template // of subscription messages, by template id
}

// Template is one message template of the official account.
type Template struct {
	Title   string
	Content string // one line per field, e.g. "单号：{{character_string1.DATA}}\n状态：{{phrase2.DATA}}"
}

// Pay is the merchant and the platform side of WeChat Pay in public-key mode.
type Pay struct {
	MchID          string
	AppID          string
	APIv3Key       string // 32 bytes
	MerchantSerial string // serial of the merchant's API certificate
	MerchantKey    *rsa.PublicKey
	PlatformKeyID  string // PUB_KEY_ID_…
	PlatformKey    *rsa.PrivateKey
}

// Alipay is the merchant's application at Alipay and the platform side of it, in public key mode.
type Alipay struct {
	AppID       string
	SellerID    string // the merchant's account, 2088…
	AppKey      *rsa.PublicKey
	PlatformKey *rsa.PrivateKey
}

// SMS is the Tencent Cloud SMS application.
type SMS struct {
	SecretID  string
	SecretKey string
	SdkAppID  string
	SignName  string            // the approved signature, without 【】; empty accepts any
	Templates map[string]string // by template id: text with {1}, {2} … ; any other id is refused
}

// FaceID is the Tencent Cloud account that may call faceid.
type FaceID struct {
	SecretID  string
	SecretKey string
	RuleID    string // of the face check; empty: the account has none
}

// Role says what a persona does in the stories.
type Role string

// The roles personas can have.
const (
	Applicant Role = "applicant"
	Reviewer  Role = "reviewer"
	Issuer    Role = "issuer"
	Shipper   Role = "shipper"
	Finance   Role = "finance"
	Admin     Role = "admin"
	LegalRep  Role = "legal_rep"
)

// Persona is an obviously invented person with a phone.
type Persona struct {
	Name       string `json:"name"`
	Role       Role   `json:"role"`
	OpenID     string `json:"openid"`
	UnionID    string `json:"unionid"`
	Mobile     string `json:"mobile"`
	IDNumber   string `json:"id_number"` // for faceid; empty: nobody passes the three-element check as this persona
	TOTPSecret string `json:"-"`         // base32; empty for who has no console login
}

// wireNow is real time, which APIv3 signatures carry and ids are made from.
func wireNow() time.Time { return time.Now() } //nolint:forbidigo // the one real clock here

// withDefaults fills what may be left out and refuses what cannot work, naming every fault at once.
func (c Config) withDefaults() (Config, error) {
	if c.Now == nil {
		c.Now = wireNow
	}
	if c.CallbackTimeout == 0 {
		c.CallbackTimeout = 5 * time.Second
	}
	if c.RetryScale == 0 {
		c.RetryScale = 0.02
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.WeChat.Name == "" {
		c.WeChat.Name = "云采盾"
	}
	c.ProductURL = strings.TrimRight(c.ProductURL, "/")
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	return c, c.faults()
}

func (c Config) faults() error {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New(what))
		}
	}
	for name, raw := range map[string]string{"ProductURL": c.ProductURL, "PublicURL": c.PublicURL} {
		u, err := url.Parse(raw)
		need(err == nil && u.Host != "", name+" is not an absolute URL")
	}
	need(c.WeChat.AppID != "" && c.WeChat.AppSecret != "", "WeChat.AppID and AppSecret are needed")
	need((c.MiniProgram.AppID == "") == (c.MiniProgram.AppSecret == ""), "MiniProgram.AppID and AppSecret belong together")
	need(c.WeChat.Token != "" && c.WeChat.OriginalID != "", "WeChat.Token and OriginalID are needed")
	need(len(c.WeChat.EncodingAESKey) == 43, "WeChat.EncodingAESKey must have 43 characters")
	if c.Pay != (Pay{}) {
		need(c.Pay.MchID != "" && c.Pay.AppID != "", "Pay.MchID and AppID are needed")
		need(len(c.Pay.APIv3Key) == 32, "Pay.APIv3Key must have 32 bytes")
		need(c.Pay.MerchantSerial != "" && c.Pay.MerchantKey != nil, "Pay.MerchantSerial and MerchantKey are needed")
		need(c.Pay.PlatformKeyID != "" && c.Pay.PlatformKey != nil, "Pay.PlatformKeyID and PlatformKey are needed")
	}
	need((c.Alipay.AppID == "") == (c.Alipay.AppKey == nil) && (c.Alipay.AppID == "") == (c.Alipay.PlatformKey == nil), "Alipay.AppID, AppKey and PlatformKey belong together")
	need(c.SMS.SecretID != "" && c.SMS.SecretKey != "" && c.SMS.SdkAppID != "", "SMS.SecretID, SecretKey and SdkAppID are needed")
	need(c.FaceID.SecretID != "" && c.FaceID.SecretKey != "", "FaceID.SecretID and SecretKey are needed")
	need((c.Golden.AppKey == "") == (c.Golden.AppSecret == "") && (c.Golden.AppKey == "") == (c.Golden.SellerTaxNo == ""), "Golden.AppKey, AppSecret and SellerTaxNo belong together")
	need(len(c.Personas) > 0, "Personas is empty")
	seen := map[string]bool{}
	for _, p := range c.Personas {
		need(p.OpenID != "" && p.Name != "" && !seen[p.OpenID], fmt.Sprintf("persona %q needs a name and an OpenID of its own", p.Name))
		seen[p.OpenID] = true
		_, err := totp.GenerateCode(p.TOTPSecret, time.Unix(0, 0))
		need(p.TOTPSecret == "" || err == nil, fmt.Sprintf("persona %q has a TOTP secret that is not base32", p.Name))
	}
	return errors.Join(faults...)
}
