package pay

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	appID  = "wx0000000000000001"
	mchID  = "1900000001"
	serial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	keyID  = "PUB_KEY_ID_0000000000000024101100397200000006"
	apiKey = "0123456789abcdef0123456789ABCDEF"
	prefix = "/playground/api.mch.weixin.qq.com"
)

// keys are made once. They are short because thousands of mutants get signed; who
// signs is under test, not how hard the signature is to break.
var keys = sync.OnceValue(func() (k struct{ merchant, platform, foreign *rsa.PrivateKey }) {
	for _, p := range []**rsa.PrivateKey{&k.merchant, &k.platform, &k.foreign} {
		key, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			panic(err)
		}
		*p = key
	}
	return k
})

// reply is what the fake gateway answers to one "METHOD /path".
type reply struct {
	status int
	body   string
	sign   func(h http.Header, body string) // nil: genuine
}

// gateway is a minimal WeChat Pay that verifies the merchant's signature.
type gateway struct {
	t       *testing.T
	mu      sync.Mutex
	replies map[string]reply
	seen    []string // "METHOD /path body"
}

func newMerchant(t *testing.T, replies map[string]reply) (*WeChat, *gateway) {
	t.Helper()
	g := &gateway{t: t, replies: replies}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	w, err := NewWeChat(config(srv.URL + prefix))
	if err != nil {
		t.Fatal(err)
	}
	return w, g
}

func config(baseURL string) WeChatConfig {
	private, _ := x509.MarshalPKCS8PrivateKey(keys().merchant)
	public, _ := x509.MarshalPKIXPublicKey(&keys().platform.PublicKey)
	return WeChatConfig{
		AppID: appID, MchID: mchID, CertSerial: serial, PublicKeyID: keyID, APIv3Key: apiKey,
		PrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		PublicKey:  string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		NotifyURL:  "https://shop.example/callbacks/wechatpay", BaseURL: baseURL,
	}
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path, ok := strings.CutPrefix(r.URL.RequestURI(), prefix)
	if !ok {
		g.t.Errorf("request outside the base URL: %s", r.URL)
	}
	g.checkSignature(r, path, body)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen = append(g.seen, r.Method+" "+path+" "+string(body))
	a, ok := g.replies[r.Method+" "+r.URL.Path[len(prefix):]]
	if !ok {
		a = reply{status: http.StatusNotFound, body: `{"code":"ORDER_NOT_EXIST","message":"canary"}`}
	}
	w.Header().Set("Request-Id", "req-7")
	if a.sign == nil {
		a.sign = genuine
	}
	if a.status < 300 {
		a.sign(w.Header(), a.body)
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

// checkSignature verifies WECHATPAY2-SHA256-RSA2048 over the path without the
// prefix of the base URL.
func (g *gateway) checkSignature(r *http.Request, path string, body []byte) {
	fields := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for part := range strings.SplitSeq(rest, ",") {
		k, v, _ := strings.Cut(part, "=")
		fields[k] = strings.Trim(v, `"`)
	}
	sum := sha256.Sum256([]byte(r.Method + "\n" + path + "\n" + fields["timestamp"] + "\n" + fields["nonce_str"] + "\n" + string(body) + "\n"))
	sig, err := base64.StdEncoding.DecodeString(fields["signature"])
	if err == nil {
		err = rsa.VerifyPKCS1v15(&keys().merchant.PublicKey, crypto.SHA256, sum[:], sig)
	}
	if err != nil || scheme != "WECHATPAY2-SHA256-RSA2048" || fields["mchid"] != mchID || fields["serial_no"] != serial {
		g.t.Errorf("merchant signature of %s %s: %v", r.Method, path, err)
	}
}

func genuine(h http.Header, body string) { signAs(keys().platform, keyID, time.Now(), h, body) }

func signAs(key *rsa.PrivateKey, id string, at time.Time, h http.Header, body string) {
	const nonce = "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
	stamp := fmt.Sprint(at.Unix())
	sum := sha256.Sum256([]byte(stamp + "\n" + nonce + "\n" + body + "\n"))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	h.Set("Wechatpay-Timestamp", stamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", id)
	h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(sig))
}

// transaction is a paid trade of 300.00 yuan with fields overridden; nil removes.
func transaction(tradeNo string, with map[string]any) string {
	tx := map[string]any{
		"appid": appID, "mchid": mchID, "out_trade_no": tradeNo, "transaction_id": "4200000000202611230000000001",
		"trade_type": "NATIVE", "trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "",
		"success_time": "2026-11-23T12:00:00+08:00",
		"payer":        map[string]any{"openid": "oPayer"},
		"amount":       map[string]any{"total": 30000, "payer_total": 30000, "currency": "CNY", "payer_currency": "CNY"},
	}
	maps.Copy(tx, with)
	for k, v := range tx {
		if v == nil {
			delete(tx, k)
		}
	}
	b, _ := json.Marshal(tx)
	return string(b)
}

// notification seals content as WeChat Pay does.
func notification(key, event, content string) string {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		panic(err)
	}
	gcm, _ := cipher.NewGCM(block)
	nonce := "fdasflkja484"
	b, _ := json.Marshal(map[string]any{
		"id": "EV-2018022511223320873", "create_time": "2026-11-23T12:00:01+08:00", "resource_type": "encrypt-resource",
		"event_type": event, "summary": "支付成功",
		"resource": map[string]any{
			"original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "associated_data": "transaction", "nonce": nonce,
			"ciphertext": base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), []byte(content), []byte("transaction"))),
		},
	})
	return string(b)
}
