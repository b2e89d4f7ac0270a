package apiv3_test

import (
	"testing"

	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/yuncaidun/yuncaidun/provider/sim/apiv3"
)

const header = `WECHATPAY2-SHA256-RSA2048 mchid="1900000001",nonce_str="n",signature="c2ln",timestamp="1554208460",serial_no="AB"`

func TestParseAuthorization(t *testing.T) {
	got, err := apiv3.ParseAuthorization(header)
	want := apiv3.Authorization{MchID: "1900000001", Nonce: "n", Signature: "c2ln", Timestamp: 1554208460, Serial: "AB"}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	for name, bad := range map[string]string{
		"empty":         "",
		"other scheme":  "Bearer x",
		"unquoted":      `WECHATPAY2-SHA256-RSA2048 mchid=1`,
		"field missing": `WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="n",signature="s",timestamp="1"`,
		"not a time":    `WECHATPAY2-SHA256-RSA2048 mchid="1",nonce_str="n",signature="s",timestamp="now",serial_no="A"`,
	} {
		if got, err := apiv3.ParseAuthorization(bad); err == nil {
			t.Errorf("%s: parsed as %+v", name, got)
		}
	}
}

// What we seal, the published SDK opens.
func TestSeal(t *testing.T) {
	const key, nonce = "0123456789abcdef0123456789abcdef", "abcdefghijkl"
	sealed, err := apiv3.Seal(key, nonce, "transaction", []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := utils.DecryptAES256GCM(key, "transaction", nonce, sealed)
	if err != nil || plain != `{"a":1}` {
		t.Errorf("opened %q, %v", plain, err)
	}
}

func FuzzParseAuthorization(f *testing.F) {
	f.Add(header)
	f.Fuzz(func(t *testing.T, h string) {
		if a, err := apiv3.ParseAuthorization(h); err == nil && (a.MchID == "" || a.Signature == "") {
			t.Errorf("%q parsed without its fields", h)
		}
	})
}
