// Package apiv3 is the simulator's own side of WeChat Pay APIv3 security: it verifies merchants' WECHATPAY2-SHA256-RSA2048
// requests, signs responses and notifications, and seals notification resources with AEAD_AES_256_GCM.
package apiv3

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Scheme is the only Authorization scheme and signature type.
const Scheme = "WECHATPAY2-SHA256-RSA2048"

// Skew is how far a request's timestamp may be from real time.
const Skew = 5 * time.Minute

// Authorization is what a merchant says about its request.
type Authorization struct {
	MchID, Nonce, Serial, Signature string
	Timestamp                       int64
}

var field = regexp.MustCompile(`^\s*(\w+)="([^"]*)"\s*$`)

// ParseAuthorization reads the header: the scheme and five quoted fields in any order.
func ParseAuthorization(header string) (Authorization, error) {
	scheme, rest, _ := strings.Cut(header, " ")
	if scheme != Scheme {
		return Authorization{}, errors.New("Http头Authorization认证类型不正确")
	}
	values := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		m := field.FindStringSubmatch(part)
		if m == nil {
			return Authorization{}, errors.New("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
		}
		values[m[1]] = m[2]
	}
	for _, name := range []string{"mchid", "nonce_str", "signature", "timestamp", "serial_no"} {
		if values[name] == "" {
			return Authorization{}, errors.New("Http头Authorization缺少" + name)
		}
	}
	ts, err := strconv.ParseInt(values["timestamp"], 10, 64)
	if err != nil {
		return Authorization{}, errors.New("Http头Authorization中的timestamp不正确")
	}
	return Authorization{
		MchID: values["mchid"], Nonce: values["nonce_str"], Serial: values["serial_no"], Signature: values["signature"], Timestamp: ts,
	}, nil
}

// Verify checks the signature over method, URI (path and query as sent to the real host), and body,
// and that the timestamp is fresh in real time.
func (a Authorization) Verify(key *rsa.PublicKey, method, uri string, body []byte, now time.Time) error {
	if d := now.Sub(time.Unix(a.Timestamp, 0)); d > Skew || d < -Skew {
		return errors.New("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
	}
	sig, err := base64.StdEncoding.DecodeString(a.Signature)
	if err != nil {
		return errors.New("签名不是有效的base64")
	}
	sum := digest(method, uri, strconv.FormatInt(a.Timestamp, 10), a.Nonce, string(body))
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, sig) != nil {
		return errors.New("签名错误，请检查后再试")
	}
	return nil
}

// Sign signs the lines timestamp, nonce, body of a response or notification.
func Sign(key *rsa.PrivateKey, timestamp int64, nonce string, body []byte) (string, error) {
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest(strconv.FormatInt(timestamp, 10), nonce, string(body)))
	return base64.StdEncoding.EncodeToString(sig), err
}

// VerifyText checks a signature by the holder of key over lines, such as that of wx.requestPayment.
func VerifyText(key *rsa.PublicKey, signature string, lines ...string) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return errors.New("签名不是有效的base64")
	}
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest(lines...), raw)
}

// Seal encrypts a notification's resource; nonce has 12 bytes.
func Seal(key, nonce, associated string, plain []byte) (string, error) {
	b, err := aes.NewCipher([]byte(key))
	if err != nil {
		return "", err
	}
	gcm, err := cipher.NewGCM(b)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte(nonce), plain, []byte(associated))), nil
}

// digest hashes the lines, each ended by a newline.
func digest(lines ...string) []byte {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
	return sum[:]
}
