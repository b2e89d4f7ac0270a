package main

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"log/slog"
	"strings"
	"testing"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// A development start simulates what it is not told of: not the payment platform whose
// public key it was given.
func TestPlaygroundBesideRealPaymentPlatforms(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := base64.StdEncoding.EncodeToString(der)
	weChatPay := []string{
		"YCD_WECHAT_APP_ID=wx1", "YCD_WECHATPAY_MCH_ID=1900000001", "YCD_WECHATPAY_CERT_SERIAL=0A", "YCD_WECHATPAY_PRIVATE_KEY=" + private,
		"YCD_WECHATPAY_PUBLIC_KEY_ID=PUB_KEY_ID_1", "YCD_WECHATPAY_PUBLIC_KEY=" + public, "YCD_WECHATPAY_API_V3_KEY=" + strings.Repeat("k", 32),
	}
	alipay := []string{
		"YCD_ALIPAY_APP_ID=2021000000000001", "YCD_ALIPAY_SELLER_ID=2088000000000001", "YCD_ALIPAY_PRIVATE_KEY=" + private, "YCD_ALIPAY_PUBLIC_KEY=" + public,
	}
	for name, given := range map[string][]string{"none": nil, "WeChat Pay": weChatPay, "Alipay": alipay} {
		t.Run(name, func(t *testing.T) {
			cfg, err := config.Load(config.Options{Environ: append([]string{"YCD_DATA_DIR=" + t.TempDir()}, given...)})
			if err != nil {
				t.Fatal(err)
			}
			if err := prepare(cfg); err != nil {
				t.Fatal(err)
			}
			a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler)}
			a.links.PublicURL = cfg.PublicURL
			if a.clock, err = openClock(""); err != nil {
				t.Fatal(err)
			}
			out, err := a.simConfig([]sim.Persona{{Name: "王小琪", OpenID: "o1"}})
			if err != nil {
				t.Fatal(err)
			}
			out.Dir = ""
			s, err := sim.New(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if absent := out.Pay == (sim.Pay{}); absent != (name == "WeChat Pay") {
				t.Errorf("WeChat Pay is simulated: %v", !absent)
			}
			if absent := out.Alipay == (sim.Alipay{}); absent != (name == "Alipay") {
				t.Errorf("Alipay is simulated: %v", !absent)
			}
		})
	}
}
