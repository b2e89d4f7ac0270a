package config

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/knadh/koanf/parsers/yaml"
)

// fontFile stands in for the font, which need not be installed for these tests.
func fontFile(t *testing.T) string {
	t.Helper()
	return writeFile(t, "font.ttc", "font", 0o644)
}

func writeFile(t *testing.T, name, text string, perm os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), perm); err != nil {
		t.Fatal(err)
	}
	return path
}

func environ(vars map[string]string) []string {
	var e []string
	for k, v := range vars {
		e = append(e, k+"="+v)
	}
	return e
}

// development is an environment that loads without a fault on any machine.
func development(t *testing.T) map[string]string {
	f := fontFile(t)
	return map[string]string{"YCD_FONT": f, "YCD_HSM_MODULE": f, "YCD_TOKEN_MODULE": f}
}

// production is a complete production environment.
func production(t *testing.T) map[string]string {
	t.Helper()
	private, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := publicPEM(NewSecret(private))
	if err != nil {
		t.Fatal(err)
	}
	key := func(b byte) string { return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }
	env := development(t)
	maps.Copy(env, map[string]string{
		"YCD_ENV": "production", "YCD_PUBLIC_URL": "https://ca.example.cn", "YCD_DATA_DIR": t.TempDir(),
		"YCD_DATABASE_URL": "postgres://ycd:canary-db@db.example.cn/ycd", "YCD_REDIS_URL": "rediss://:canary-redis@redis.example.cn:6379/0",
		"YCD_CA_NAME": "某某电子认证有限公司", "YCD_CA_POLICY_OID": "1.2.156.1.2.3", "YCD_HSM_PIN": "canary-pin", "YCD_PII_KEY": key(1), "YCD_PII_INDEX_KEY": key(2),
		"YCD_WECHAT_APP_ID": "wx1", "YCD_WECHAT_APP_SECRET": "canary-oa", "YCD_WECHAT_TOKEN": "canary-token",
		"YCD_WECHAT_AES_KEY": strings.Repeat("a", 43), "YCD_WECHAT_ORIGINAL_ID": "gh_1",
		"YCD_MINIPROGRAM_APP_ID": "wx2", "YCD_MINIPROGRAM_APP_SECRET": "canary-mini",
		"YCD_WECHATPAY_MCH_ID": "1900000001", "YCD_WECHATPAY_CERT_SERIAL": "0A", "YCD_WECHATPAY_PRIVATE_KEY": private,
		"YCD_WECHATPAY_PUBLIC_KEY_ID": "PUB_KEY_ID_1", "YCD_WECHATPAY_PUBLIC_KEY": public,
		"YCD_WECHATPAY_API_V3_KEY": strings.Repeat("k", 32),
		"YCD_SMS_SECRET_ID":        "canary-sms-id", "YCD_SMS_SECRET_KEY": "canary-sms-key", "YCD_SMS_SDK_APP_ID": "1400000001", "YCD_SMS_SIGN_NAME": "某某",
		"YCD_REALNAME_SECRET_ID": "canary-rn-id", "YCD_REALNAME_SECRET_KEY": "canary-rn-key",
		"YCD_COURIER_KEY": "canary-courier-key", "YCD_COURIER_SALT": "canary-courier-salt",
		"YCD_INVOICE_APP_KEY": "gd_1", "YCD_INVOICE_APP_SECRET": "canary-invoice", "YCD_INVOICE_SELLER_TAX_NO": "91110108MA00TEN18F",
		"YCD_INVOICE_TYPE_CODE": "082", "YCD_INVOICE_TAX_CODE": "3040203000000000000",
	})
	return env
}

// bucket is all that a bucket needs, with changes.
func bucket(changes map[string]string) map[string]string {
	env := map[string]string{
		"YCD_OBJECTS_ENDPOINT_URL": "https://s3.cn-north-1.amazonaws.com.cn", "YCD_OBJECTS_REGION": "cn-north-1", "YCD_OBJECTS_BUCKET": "ycd-objects",
		"YCD_OBJECTS_ACCESS_KEY": "canary-s3-key", "YCD_OBJECTS_SECRET_KEY": "canary-s3-secret",
	}
	maps.Copy(env, changes)
	return env
}

// base64Key is a private key as Alipay's tool writes it.
func base64Key(t *testing.T) string {
	t.Helper()
	text, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

// names are the faults' names, in order.
func names(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var fs Faults
	if !errors.As(err, &fs) {
		t.Fatalf("error is %T, want Faults: %v", err, err)
	}
	var ns []string
	for _, f := range fs {
		if f.Problem == "" {
			t.Errorf("%s: a fault that does not say what to do", f.Name)
		}
		ns = append(ns, f.Name)
	}
	return ns
}

func TestDefaultsRunWithoutAnySetting(t *testing.T) {
	c, err := Load(Options{Environ: environ(development(t))})
	if err != nil {
		t.Fatal(err)
	}
	for what, pair := range map[string][2]any{
		"env":        {c.Env, Development},
		"listen":     {c.Listen, "127.0.0.1:8080"},
		"public url": {c.PublicURL, "http://127.0.0.1:8080"},
		"database":   {c.DatabaseURL.Reveal(), "sqlite:var/yuncaidun.db"},
		"redis":      {c.RedisURL.Empty(), true},
		"station":    {c.Station.Auto, true},
		"code ttl":   {c.SMS.CodeTTL, time.Minute},
		"ca name":    {c.CA.Name, "云采示范电子认证有限公司"},
		"all roles":  {c.HasRole(RoleWeb) && c.HasRole(RoleJobs) && c.HasRole(RoleIssuer), true},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestStrongerSourceWins(t *testing.T) {
	file := writeFile(t, "ycd.yaml", `
listen: 127.0.0.1:1001
helper_url: http://127.0.0.1:27181
roles: [web, jobs]
database_url: postgres://localhost/ycd
redis_url: redis://localhost:6379
sms: {sign_name: 文件, code_ttl: 2m, templates: {code: 1001}}
`, 0o600)
	env := development(t)
	env["YCD_CONFIG"] = file
	env["YCD_LISTEN"] = "0.0.0.0:1002"
	env["YCD_HELPER_URL"] = "" // empty counts as not set
	env["YCD_WECHAT_TEMPLATES"] = "review=abc, paid=def"
	c, err := Load(Options{Environ: environ(env), Flags: map[string]string{"roles": "issuer", "listen": ""}})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Listen, c.PublicURL, c.HelperURL, c.Roles, c.SMS.SignName, c.SMS.CodeTTL, c.SMS.Templates, c.WeChat.Templates}
	want := []any{
		"0.0.0.0:1002", "http://127.0.0.1:1002", "http://127.0.0.1:27181",
		[]string{"issuer"},
		"文件", 2 * time.Minute,
		map[string]string{"code": "1001"},
		map[string]string{"review": "abc", "paid": "def"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOptionFileWinsOverVariable(t *testing.T) {
	env := development(t)
	env["YCD_CONFIG"] = writeFile(t, "a.yaml", "helper_url: http://127.0.0.1:1", 0o600)
	c, err := Load(Options{File: writeFile(t, "b.yaml", "helper_url: http://127.0.0.1:2", 0o600), Environ: environ(env)})
	if err != nil || c.HelperURL != "http://127.0.0.1:2" {
		t.Errorf("helper URL %q, %v; want the file of --config", c.HelperURL, err)
	}
}

func TestFaults(t *testing.T) {
	const split = "web,jobs"
	for name, tc := range map[string]struct {
		base func(*testing.T) map[string]string
		set  map[string]string
		want []string
	}{
		"a complete production":                    {production, nil, nil},
		"a misspelt variable":                      {development, map[string]string{"YCD_LISTN": ":1"}, []string{"YCD_LISTN"}},
		"a misspelt empty variable":                {development, map[string]string{"YCD_LISTN": ""}, []string{"YCD_LISTN"}},
		"a file for what is no secret":             {development, map[string]string{"YCD_LISTEN_FILE": "x"}, []string{"YCD_LISTEN_FILE"}},
		"another program's variable":               {development, map[string]string{"XYCD_LISTN": "x"}, nil},
		"an unknown environment":                   {development, map[string]string{"YCD_ENV": "prod"}, []string{"YCD_ENV"}},
		"no duration":                              {development, map[string]string{"YCD_SMS_CODE_TTL": "60"}, []string{"YCD_SMS_CODE_TTL"}},
		"a helper elsewhere":                       {development, map[string]string{"YCD_HELPER_URL": "http://ra.example.cn:27180"}, []string{"YCD_HELPER_URL"}},
		"a helper and more":                        {development, map[string]string{"YCD_HELPER_URL": "http://127.0.0.1:27180/ https://evil.example"}, []string{"YCD_HELPER_URL"}},
		"too long a code":                          {development, map[string]string{"YCD_SMS_CODE_TTL": "11m"}, []string{"YCD_SMS_CODE_TTL"}},
		"no boolean":                               {development, map[string]string{"YCD_STATION_AUTO": "maybe"}, []string{"YCD_STATION_AUTO"}},
		"no number":                                {development, map[string]string{"YCD_MAX_DRAFTS": "many"}, []string{"YCD_MAX_DRAFTS"}},
		"a number below nothing":                   {development, map[string]string{"YCD_MAX_DRAFTS": "-1"}, []string{"YCD_MAX_DRAFTS"}},
		"a number":                                 {development, map[string]string{"YCD_MAX_DRAFTS": "0"}, nil},
		"no pairs":                                 {development, map[string]string{"YCD_SMS_TEMPLATES": "code"}, []string{"YCD_SMS_TEMPLATES"}},
		"an unknown role":                          {development, map[string]string{"YCD_ROLES": "web,jobs,issuer,cook"}, []string{"YCD_ROLES"}},
		"a role twice":                             {development, map[string]string{"YCD_ROLES": "web,jobs,web"}, []string{"YCD_ROLES"}},
		"SQLite with some roles":                   {development, map[string]string{"YCD_ROLES": split, "YCD_REDIS_URL": "redis://h:1"}, []string{"YCD_DATABASE_URL"}},
		"in-process Redis with some roles":         {development, map[string]string{"YCD_ROLES": split, "YCD_DATABASE_URL": "postgres://h/d"}, []string{"YCD_REDIS_URL"}},
		"servers with some roles":                  {development, map[string]string{"YCD_ROLES": split, "YCD_DATABASE_URL": "postgres://h/d", "YCD_REDIS_URL": "redis://h:1"}, nil},
		"another database":                         {development, map[string]string{"YCD_DATABASE_URL": "mysql://h/d"}, []string{"YCD_DATABASE_URL"}},
		"PostgreSQL without a database":            {development, map[string]string{"YCD_DATABASE_URL": "postgres://h"}, []string{"YCD_DATABASE_URL"}},
		"a short AES key":                          {development, map[string]string{"YCD_WECHAT_AES_KEY": "abc"}, []string{"YCD_WECHAT_AES_KEY"}},
		"the documentation's AES key":              {development, map[string]string{"YCD_WECHAT_AES_KEY": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}, nil},
		"a short index key":                        {development, map[string]string{"YCD_PII_INDEX_KEY": "YWJj"}, []string{"YCD_PII_INDEX_KEY"}},
		"a key that is no PEM":                     {development, map[string]string{"YCD_WECHATPAY_PRIVATE_KEY": "MII"}, []string{"YCD_WECHATPAY_PRIVATE_KEY"}},
		"half of Alipay in production":             {production, map[string]string{"YCD_ALIPAY_APP_ID": "2021000000000001"}, []string{"YCD_ALIPAY_SELLER_ID", "YCD_ALIPAY_PRIVATE_KEY", "YCD_ALIPAY_PUBLIC_KEY"}},
		"an Alipay key that is none":               {development, map[string]string{"YCD_ALIPAY_PRIVATE_KEY": "MII"}, []string{"YCD_ALIPAY_PRIVATE_KEY"}},
		"Alipay's keys mixed up":                   {production, map[string]string{"YCD_ALIPAY_APP_ID": "2021000000000001", "YCD_ALIPAY_SELLER_ID": "2088000000000001", "YCD_ALIPAY_PRIVATE_KEY": base64Key(t), "YCD_ALIPAY_PUBLIC_KEY": base64Key(t)}, []string{"YCD_ALIPAY_PUBLIC_KEY"}},
		"the real Alipay, half":                    {development, map[string]string{"YCD_ALIPAY_GATEWAY_URL": "https://openapi-sandbox.dl.alipaydev.com/gateway.do", "YCD_ALIPAY_SELLER_ID": "2088000000000001"}, []string{"YCD_ALIPAY_APP_ID", "YCD_ALIPAY_PRIVATE_KEY", "YCD_ALIPAY_PUBLIC_KEY"}},
		"the real WeChat Pay, only its key":        {development, map[string]string{"YCD_WECHATPAY_PUBLIC_KEY": publicKey(t)}, []string{"YCD_WECHAT_APP_ID", "YCD_WECHATPAY_MCH_ID", "YCD_WECHATPAY_CERT_SERIAL", "YCD_WECHATPAY_PRIVATE_KEY", "YCD_WECHATPAY_PUBLIC_KEY_ID", "YCD_WECHATPAY_API_V3_KEY"}},
		"a simulator of one's own":                 {development, map[string]string{"YCD_PLAYGROUND_ALIPAY_KEY": base64Key(t), "YCD_ALIPAY_GATEWAY_URL": "http://127.0.0.1:9/gateway.do"}, nil},
		"an Alipay key in base64":                  {development, map[string]string{"YCD_ALIPAY_PRIVATE_KEY": base64Key(t)}, nil},
		"a bucket":                                 {production, bucket(nil), nil},
		"a bucket, half":                           {development, map[string]string{"YCD_OBJECTS_PATH_STYLE": "true"}, []string{"YCD_OBJECTS_ENDPOINT_URL", "YCD_OBJECTS_REGION", "YCD_OBJECTS_BUCKET", "YCD_OBJECTS_ACCESS_KEY", "YCD_OBJECTS_SECRET_KEY"}},
		"a bucket, half, at the issuer":            {production, map[string]string{"YCD_ROLES": "issuer", "YCD_OBJECTS_BUCKET": "ycd-objects"}, nil},
		"a bucket in clear":                        {production, bucket(map[string]string{"YCD_OBJECTS_ENDPOINT_URL": "http://s3.example.cn"}), []string{"YCD_OBJECTS_ENDPOINT_URL"}},
		"a bucket on this machine":                 {development, bucket(map[string]string{"YCD_OBJECTS_ENDPOINT_URL": "http://127.0.0.1:9000/"}), nil},
		"a bucket in the address and a wrong name": {development, bucket(map[string]string{"YCD_OBJECTS_ENDPOINT_URL": "https://s3.example.cn/ycd", "YCD_OBJECTS_BUCKET": "YCD.objects"}), []string{"YCD_OBJECTS_BUCKET", "YCD_OBJECTS_ENDPOINT_URL"}},
		"a bucket's secret in a missing file":      {development, bucket(map[string]string{"YCD_OBJECTS_SECRET_KEY": "", "YCD_OBJECTS_SECRET_KEY_FILE": "/nonexistent/key"}), []string{"YCD_OBJECTS_SECRET_KEY_FILE", "YCD_OBJECTS_SECRET_KEY"}},
		"a relative gateway":                       {production, map[string]string{"YCD_ALIPAY_GATEWAY_URL": "openapi.alipay.com"}, []string{"YCD_ALIPAY_GATEWAY_URL"}},
		"a relative address":                       {development, map[string]string{"YCD_WECHAT_BASE_URL": "api.weixin.qq.com"}, []string{"YCD_WECHAT_BASE_URL"}},
		"a secret's file that is missing":          {development, map[string]string{"YCD_HSM_PIN_FILE": "/nonexistent/pin"}, []string{"YCD_HSM_PIN_FILE"}},
		"a font that is missing":                   {development, map[string]string{"YCD_FONT": "/nonexistent/font"}, []string{"YCD_FONT"}},
		"a configuration that is missing":          {development, map[string]string{"YCD_CONFIG": "/nonexistent/ycd.yaml"}, []string{"YCD_CONFIG"}},
		"production on SQLite":                     {production, map[string]string{"YCD_DATABASE_URL": "sqlite:x.db"}, []string{"YCD_DATABASE_URL"}},
		"production without Redis":                 {production, map[string]string{"YCD_REDIS_URL": ""}, []string{"YCD_REDIS_URL"}},
		"production behind proxies":                {production, map[string]string{"YCD_TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,fd00::1"}, nil},
		"a proxy by its name":                      {production, map[string]string{"YCD_TRUSTED_PROXIES": "10.0.0.5,proxy.internal"}, []string{"YCD_TRUSTED_PROXIES"}},
		"production in clear":                      {production, map[string]string{"YCD_PUBLIC_URL": "http://ca.example.cn"}, []string{"YCD_PUBLIC_URL"}},
		"production behind a local proxy":          {production, map[string]string{"YCD_SMS_BASE_URL": "http://127.0.0.1:9"}, nil},
		"production under the demo's name":         {production, map[string]string{"YCD_CA_NAME": demoCAName}, []string{"YCD_CA_NAME"}},
		"production under the example policy":      {production, map[string]string{"YCD_CA_POLICY_OID": demoPolicyOID}, []string{"YCD_CA_POLICY_OID"}},
		"a policy that is no identifier":           {development, map[string]string{"YCD_CA_POLICY_OID": "1.x"}, []string{"YCD_CA_POLICY_OID"}},
		"production with a simulator":              {production, map[string]string{"YCD_PLAYGROUND_WECHATPAY_KEY": "x"}, []string{"YCD_PLAYGROUND_WECHATPAY_KEY", "YCD_PLAYGROUND_WECHATPAY_KEY"}},
		"production without one secret":            {production, map[string]string{"YCD_WECHAT_TOKEN": ""}, []string{"YCD_WECHAT_TOKEN"}},
		"production's issuer needs no WeChat": {production, map[string]string{
			"YCD_ROLES": "issuer", "YCD_WECHAT_TOKEN": "", "YCD_SMS_SECRET_KEY": "",
		}, nil},
		"production's web needs no HSM": {production, map[string]string{
			"YCD_ROLES": split, "YCD_HSM_MODULE": "", "YCD_HSM_PIN": "", "YCD_TOKEN_MODULE": "",
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			env := tc.base(t)
			maps.Copy(env, tc.set)
			_, err := Load(Options{Environ: environ(env)})
			if d := cmp.Diff(tc.want, names(t, err)); d != "" {
				t.Errorf("faults (-want +got):\n%s%v", d, err)
			}
		})
	}
}

func TestFileFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"unknown key":            {"listn: x", []string{"listn"}},
		"unknown key in section": {"wechat: {apid: x}", []string{"wechat.apid"}},
		"text for a section":     {"wechat: x", []string{"wechat"}},
		"not YAML":               {"a: [", []string{"YCD_CONFIG"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Options{File: writeFile(t, "c.yaml", tc.text, 0o600), Environ: environ(development(t))})
			if d := cmp.Diff(tc.want, names(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestEveryFaultIsListedAtOnce(t *testing.T) {
	env := development(t)
	env["YCD_ENV"] = Production
	env["YCD_LISTN"] = "typo"
	env["YCD_SMS_CODE_TTL"] = "soon"
	_, err := Load(Options{Environ: environ(env)})
	got := names(t, err)
	for _, want := range []string{
		"YCD_LISTN", "YCD_SMS_CODE_TTL", "YCD_PUBLIC_URL", "YCD_DATABASE_URL", "YCD_REDIS_URL", "YCD_CA_NAME",
		"YCD_PII_KEY", "YCD_PII_INDEX_KEY", "YCD_HSM_PIN", "YCD_WECHAT_APP_ID", "YCD_WECHAT_APP_SECRET",
		"YCD_WECHAT_TOKEN", "YCD_WECHAT_AES_KEY", "YCD_WECHAT_ORIGINAL_ID", "YCD_MINIPROGRAM_APP_ID",
		"YCD_MINIPROGRAM_APP_SECRET", "YCD_WECHATPAY_MCH_ID", "YCD_WECHATPAY_PRIVATE_KEY",
		"YCD_WECHATPAY_PUBLIC_KEY", "YCD_WECHATPAY_API_V3_KEY", "YCD_SMS_SECRET_ID", "YCD_SMS_SECRET_KEY",
		"YCD_REALNAME_SECRET_ID", "YCD_REALNAME_SECRET_KEY", "YCD_INVOICE_APP_KEY", "YCD_INVOICE_APP_SECRET", "YCD_INVOICE_SELLER_TAX_NO",
		"YCD_INVOICE_TYPE_CODE", "YCD_INVOICE_TAX_CODE", "YCD_COURIER_KEY", "YCD_COURIER_SALT",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no fault for %s in:\n%v", want, err)
		}
		if !strings.Contains(err.Error(), "\n  "+want+": ") {
			t.Errorf("%s has no line of its own in:\n%v", want, err)
		}
	}
}

func TestSecretFromFile(t *testing.T) {
	pin := writeFile(t, "pin", "from-file\n", 0o600)
	t.Run("is read without its line end", func(t *testing.T) {
		env := development(t)
		env["YCD_HSM_PIN_FILE"] = pin
		c, err := Load(Options{Environ: environ(env)})
		if err != nil || c.HSM.PIN.Reveal() != "from-file" {
			t.Errorf("PIN %q, %v", c.HSM.PIN.Reveal(), err)
		}
	})
	for name, yaml := range map[string]string{
		"both in the environment":      "",
		"one in the configuration":     "hsm: {pin: x}",
		"the file in YAML, other here": "hsm: {pin_file: " + pin + "}",
	} {
		t.Run(name, func(t *testing.T) {
			env := development(t)
			if yaml == "" || strings.Contains(yaml, "pin_file") {
				env["YCD_HSM_PIN"] = "direct"
			}
			if !strings.Contains(yaml, "pin_file") {
				env["YCD_HSM_PIN_FILE"] = pin
			}
			o := Options{Environ: environ(env)}
			if yaml != "" {
				o.File = writeFile(t, "c.yaml", yaml, 0o600)
			}
			_, err := Load(o)
			if d := cmp.Diff([]string{"YCD_HSM_PIN"}, names(t, err)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSecretNeverShows(t *testing.T) {
	const plain = "canary-4711"
	s := NewSecret(plain)
	type holder struct{ S Secret }
	var out []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		out = append(out, fmt.Sprintf(verb, s), fmt.Sprintf(verb, holder{s}), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, []Secret{s}))
	}
	j, err := json.Marshal(holder{s})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "s", s, "h", holder{s}, "p", &holder{s})
	}
	for _, o := range append(out, string(j), log.String()) {
		if strings.Contains(o, plain) || strings.Contains(o, fmt.Sprintf("%x", plain)) || strings.Contains(o, fmt.Sprintf("%X", plain)) {
			t.Errorf("shows itself: %s", o)
		}
	}
	if s.Reveal() != plain || s.String() != mask || NewSecret("").String() != "" {
		t.Error("Reveal or the mask is wrong")
	}
}

func TestPrintMasksAndNamesOrigins(t *testing.T) {
	env := production(t)
	token := env["YCD_WECHAT_TOKEN"]
	delete(env, "YCD_WECHAT_TOKEN")
	env["YCD_WECHAT_TOKEN_FILE"] = writeFile(t, "token", token, 0o600)
	maps.Copy(env, bucket(nil))
	file := writeFile(t, "c.yaml", "helper_url: http://127.0.0.1:12345", 0o600)
	c, err := Load(Options{File: file, Environ: environ(env), Flags: map[string]string{"roles": "web,jobs"}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, v := range variables(c) {
		if s, ok := v.field.Interface().(Secret); ok && !s.Empty() && strings.Contains(text, s.Reveal()) {
			t.Errorf("%s is shown", v.env())
		}
	}
	for _, want := range []string{
		`env: "production"  # environment YCD_ENV`,
		`helper_url: "http://127.0.0.1:12345"  # ` + file + ` helper_url`,
		`roles: ["web","jobs"]  # command line --roles`,
		`  app_secret: "******"  # environment YCD_WECHAT_APP_SECRET`,
		`  token: "******"  # file ` + env["YCD_WECHAT_TOKEN_FILE"],
		`  region: "ap-guangzhou"  # default`,
		`database_url: "postgres://ycd:masked@db.example.cn/ycd"  # environment`,
		`redis_url: "rediss://:masked@redis.example.cn:6379/0"  # environment`,
		`  code_ttl: "1m0s"  # default`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in:\n%s", want, text)
		}
	}
	if strings.Contains(text, "canary") {
		t.Errorf("a secret is shown:\n%s", text)
	}
	parsed, err := yaml.Parser().Unmarshal(b.Bytes())
	if err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	if got := parsed["sms"].(map[string]any)["sign_name"]; got != "某某" {
		t.Errorf("sign_name reads back as %v", got)
	}
}

// What development makes for itself is effective, too: it is shown where it comes from,
// masked, before the first start, which makes it, and after.
func TestPrintShowsWhatDevelopmentMakes(t *testing.T) {
	env := development(t)
	dir := filepath.Join(t.TempDir(), "var")
	env["YCD_DATA_DIR"] = dir
	printed := func() string {
		t.Helper()
		c, err := Load(Options{Environ: environ(env)})
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := errors.Join(c.ForeseeDevelopment(), c.Print(&b)); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	holds := func(text string, lines ...string) {
		t.Helper()
		for _, want := range lines {
			if !strings.Contains(text, want) {
				t.Errorf("no line %q in:\n%s", want, text)
			}
		}
	}
	file := filepath.Join(dir, "secrets", "wechat_aes_key")
	holds(printed(), `  aes_key: ""  # development `+file+", which the first start makes\n", `  public_key: ""  # from playground.wechatpay_key`,
		`  open_url: "http://127.0.0.1:8080/playground/open.weixin.qq.com"  # simulator`, `  base_url: "http://127.0.0.1:PORT/playground/api.weixin.qq.com"  # simulator`)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking made the data folder: %v", err)
	}
	c, err := Load(Options{Environ: environ(env)})
	if err := errors.Join(err, os.MkdirAll(dir, 0o700), c.EnsureDevelopment()); err != nil {
		t.Fatal(err)
	}
	text := printed()
	holds(text, `  aes_key: "`+mask+`"  # development `+file+"\n", `  public_key: "`+mask+`"  # from playground.wechatpay_key`)
	if strings.Contains(text, c.WeChat.AESKey.Reveal()) {
		t.Error("a secret is shown")
	}
}

func TestPrintHidesPasswordInQuery(t *testing.T) {
	for _, dsn := range []string{"postgres://h/d?password=canary", "postgres://h/d?sslpassword=canary", "postgres://u:canary%zz@h/d"} {
		if got := withoutPassword(NewSecret(dsn)); strings.Contains(got, "canary") {
			t.Errorf("%s is printed as %s", dsn, got)
		}
	}
}

// A PIN does not belong into a URI, and is refused there; who looks why sees it masked.
func TestPrintHidesPINInURI(t *testing.T) {
	c, err := Load(Options{Environ: environ(development(t))})
	if err != nil {
		t.Fatal(err)
	}
	c.HSM.URI, c.HSM.Tokens = "pkcs11:token=a?pin-value=canary&module-path=/m.so", map[string]string{"ycd-root": "pkcs11:token=b?pin-value=canary"}
	var b bytes.Buffer
	if err := c.Print(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "canary") || !strings.Contains(text, "pin-value="+mask+"&module-path=/m.so") {
		t.Errorf("printed:\n%s", text)
	}
}

func TestFaultsNeverQuoteValues(t *testing.T) {
	env := development(t)
	for _, v := range variables(&Config{}) {
		if v.secret {
			env[v.env()] = "canary%zz"
		}
	}
	if _, err := Load(Options{Environ: environ(env)}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("want faults without values: %v", err)
	}
}

func TestVariableNamesAreUnique(t *testing.T) {
	seen := map[string]string{"YCD_CONFIG": "config"}
	for _, v := range variables(&Config{}) {
		for _, n := range []string{v.env(), v.env() + "_FILE"} {
			if other, ok := seen[n]; ok {
				t.Errorf("%s means %s and %s", n, other, v.path)
			}
			seen[n] = v.path
		}
	}
}

func TestEnsureDevelopment(t *testing.T) {
	load := func(dir string) *Config {
		t.Helper()
		env := development(t)
		env["YCD_DATA_DIR"] = dir
		env["YCD_WECHAT_TOKEN"] = "chosen"
		c, err := Load(Options{Environ: environ(env)})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	reveal := func(c *Config) map[string]string {
		m := map[string]string{}
		for _, v := range variables(c) {
			if s, ok := v.field.Interface().(Secret); ok {
				m[v.path] = s.Reveal()
			}
		}
		return m
	}
	dir := t.TempDir()
	first := load(dir)
	if err := first.EnsureDevelopment(); err != nil {
		t.Fatal(err)
	}

	t.Run("fills every secret with a valid value", func(t *testing.T) {
		if err := first.Validate(); err != nil {
			t.Error(err)
		}
		for path := range generated {
			if reveal(first)[path] == "" {
				t.Errorf("%s is empty", path)
			}
		}
		if n := len(first.WeChat.AESKey.Reveal()); n != 43 {
			t.Errorf("AES key of %d characters", n)
		}
		if first.WeChat.Token.Reveal() != "chosen" {
			t.Error("a given secret was replaced")
		}
	})
	t.Run("the simulated platform's keys belong together", func(t *testing.T) {
		public, err := publicPEM(first.Playground.WeChatPayKey)
		if err != nil || public != first.WeChatPay.PublicKey.Reveal()+"\n" && public != first.WeChatPay.PublicKey.Reveal() {
			t.Errorf("public key does not match: %v", err)
		}
		if first.Playground.WeChatPayKey == first.WeChatPay.PrivateKey {
			t.Error("merchant and platform share a key")
		}
		k, err := RSAKey(first.WeChatPay.PrivateKey)
		if err != nil || k.N.BitLen() != 2048 {
			t.Errorf("merchant key: %v", err)
		}
	})
	t.Run("files are the owner's only", func(t *testing.T) {
		files, err := os.ReadDir(filepath.Join(dir, "secrets"))
		if err != nil || len(files) != len(generated)-1 { // the token was given
			t.Fatalf("%d files, want %d: %v", len(files), len(generated)-1, err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v: %v", f.Name(), info.Mode(), err)
			}
		}
	})
	t.Run("a second start has the same secrets", func(t *testing.T) {
		second := load(dir)
		if err := second.EnsureDevelopment(); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(reveal(first), reveal(second)) {
			t.Error("secrets changed")
		}
	})
	t.Run("another folder has others", func(t *testing.T) {
		other := load(t.TempDir())
		if err := other.EnsureDevelopment(); err != nil {
			t.Fatal(err)
		}
		for path := range generated {
			if path != "wechat.token" && reveal(first)[path] == reveal(other)[path] {
				t.Errorf("%s is the same in both", path)
			}
		}
	})
	t.Run("a file that others can read is refused", func(t *testing.T) {
		pin := filepath.Join(dir, "secrets", "hsm_pin")
		if err := os.Chmod(pin, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := load(dir).EnsureDevelopment(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("production creates nothing", func(t *testing.T) {
		env := production(t)
		c, err := Load(Options{Environ: environ(env)})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.EnsureDevelopment(); err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(env["YCD_DATA_DIR"]); err != nil || len(left) != 0 {
			t.Errorf("created %v, %v", left, err)
		}
	})
}

// Who tries the product with a payment platform's own sandbox gives what the platform
// gave him; the rest stays simulated.
func TestRealPaymentPlatformsInDevelopment(t *testing.T) {
	env := development(t)
	public := publicKey(t)
	maps.Copy(env, map[string]string{
		"YCD_DATA_DIR": t.TempDir(), "YCD_WECHAT_APP_ID": "wx1", "YCD_WECHATPAY_MCH_ID": "1900000001", "YCD_WECHATPAY_CERT_SERIAL": "0A", "YCD_WECHATPAY_PRIVATE_KEY": base64Key(t),
		"YCD_WECHATPAY_PUBLIC_KEY_ID": "PUB_KEY_ID_1", "YCD_WECHATPAY_PUBLIC_KEY": public, "YCD_WECHATPAY_API_V3_KEY": strings.Repeat("k", 32),
		"YCD_ALIPAY_APP_ID": "2021000000000001", "YCD_ALIPAY_SELLER_ID": "2088000000000001", "YCD_ALIPAY_PRIVATE_KEY": base64Key(t), "YCD_ALIPAY_PUBLIC_KEY": public,
		"YCD_ALIPAY_GATEWAY_URL": "https://openapi-sandbox.dl.alipaydev.com/gateway.do",
	})
	c, err := Load(Options{Environ: environ(env)})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureDevelopment(); err != nil {
		t.Fatal(err)
	}
	c.PointAtSimulator("http://127.0.0.1:9")
	got := []string{c.WeChatPay.PublicKey.Reveal(), c.Playground.WeChatPayKey.Reveal(), c.WeChatPay.BaseURL, c.Alipay.PublicKey.Reveal(), c.Playground.AlipayKey.Reveal(), c.Alipay.GatewayURL}
	want := []string{public, "", "https://api.mch.weixin.qq.com", public, "", "https://openapi-sandbox.dl.alipaydev.com/gateway.do"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if !strings.HasPrefix(c.SMS.BaseURL, "http://127.0.0.1:9/") || c.PII.Key.Empty() {
		t.Error("the rest is not simulated")
	}
}

// publicKey is one of somebody else, in PEM as Print and Load trim it.
func publicKey(t *testing.T) string {
	t.Helper()
	text, err := rsaKey()
	if err != nil {
		t.Fatal(err)
	}
	public, err := publicPEM(NewSecret(text))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(public)
}

func TestTwoFirstStartsAgree(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	const starts = 32
	got := make([]string, starts)
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			text, err := readOrCreate(file, func() (string, error) { return rand.Text(), nil })
			if err != nil {
				t.Error(err)
			}
			got[i] = text
		})
	}
	wg.Wait()
	if len(slices.Compact(slices.Clone(got))) != 1 {
		t.Errorf("different secrets: %v", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// The twin of TestTwoFirstStartsAgree that does not depend on luck: the other
// process finishes while ours is still generating.
func TestSecondToFinishTakesTheFirstSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	text, err := readOrCreate(file, func() (string, error) {
		_, err := readOrCreate(file, func() (string, error) { return "theirs", nil })
		return "ours", err
	})
	if err != nil || text != "theirs" {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestPointAtSimulator(t *testing.T) {
	env := development(t)
	env["YCD_SMS_BASE_URL"] = "https://sms.tencentcloudapi.com"
	c, err := Load(Options{Environ: environ(env)})
	if err != nil {
		t.Fatal(err)
	}
	c.PointAtSimulator("http://127.0.0.1:9")
	got := []string{c.WeChat.BaseURL, c.WeChat.OpenURL, c.WeChat.MPURL, c.WeChatPay.BaseURL, c.Alipay.GatewayURL, c.SMS.BaseURL, c.RealName.BaseURL}
	want := []string{
		"http://127.0.0.1:9/playground/api.weixin.qq.com",
		"http://127.0.0.1:8080/playground/open.weixin.qq.com",
		"http://127.0.0.1:8080/playground/mp.weixin.qq.com",
		"http://127.0.0.1:9/playground/api.mch.weixin.qq.com",
		"http://127.0.0.1:9/playground/openapi.alipay.com/gateway.do",
		"https://sms.tencentcloudapi.com",
		"http://127.0.0.1:9/playground/faceid.tencentcloudapi.com",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestPrivateKeyForms(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(ed)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		kind string
		der  []byte
		ok   bool
	}{
		"PKCS#8":  {"PRIVATE KEY", pkcs8, true},
		"PKCS#1":  {"RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k), true},
		"half":    {"PRIVATE KEY", pkcs8[:600], false},
		"not RSA": {"PRIVATE KEY", other, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := RSAKey(NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: tc.kind, Bytes: tc.der}))))
			if (err == nil) != tc.ok || tc.ok && !got.Equal(k) {
				t.Errorf("accepted: %v, want %v (%v)", err == nil, tc.ok, err)
			}
		})
	}
}

// The addresses in certificates are http, whatever the public address is.
func TestPKIAddressIsHTTP(t *testing.T) {
	for public, want := range map[string]string{"https://ca.example.cn": "http://ca.example.cn/pki", "http://127.0.0.1:8080": "http://127.0.0.1:8080/pki"} {
		c := &Config{PublicURL: public, origins: map[string]string{}}
		if c.derive(); c.CA.PKI != want {
			t.Errorf("%s: %s", public, c.CA.PKI)
		}
	}
}
