package wxcrypt_test

import (
	"bytes"
	"testing"

	"github.com/silenceper/wechat/v2/util"

	"github.com/yuncaidun/yuncaidun/provider/sim/wxcrypt"
)

const (
	token = "spamtest"
	appID = "wx2c2769f8efd9abc2"
	key   = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG" // the documentation's sample; its last character has stray bits
)

func codec(t testing.TB) *wxcrypt.Codec {
	t.Helper()
	c, err := wxcrypt.New(token, key, appID)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The published SDK opens what we seal, and we open what it seals.
func TestAgreesWithTheSDK(t *testing.T) {
	c := codec(t)
	for name, message := range map[string]string{
		"empty":         "",
		"text":          "<xml><Content><![CDATA[我的订单到哪一步了😀]]></Content></xml>",
		"full block":    string(bytes.Repeat([]byte("x"), 32*3-16-4-len(appID))),
		"control chars": "a\x00b\x1fc]]>",
	} {
		t.Run(name, func(t *testing.T) {
			sealed, err := c.Seal([]byte(message))
			if err != nil {
				t.Fatal(err)
			}
			_, got, err := util.DecryptMsg(appID, sealed, key)
			if err != nil || string(got) != message {
				t.Errorf("SDK opened %q, %v", got, err)
			}
			theirs, err := util.EncryptMsg([]byte("0123456789abcdef"), []byte(message), appID, key)
			if err != nil {
				t.Fatal(err)
			}
			got, err = c.Open(string(theirs))
			if err != nil || string(got) != message {
				t.Errorf("opened %q, %v", got, err)
			}
			if ours, theirs := c.Signature("1409304348", "xxxxxx", sealed), util.Signature(token, "1409304348", "xxxxxx", sealed); ours != theirs {
				t.Errorf("signature %s, SDK says %s", ours, theirs)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	c := codec(t)
	foreign, err := wxcrypt.New(token, key, "wx-somebody-else")
	if err != nil {
		t.Fatal(err)
	}
	other, _ := foreign.Seal([]byte("hello"))
	for name, envelope := range map[string]string{
		"not base64":      "%%%",
		"empty":           "",
		"half a block":    "AAAAAAAAAAA=",
		"zero blocks":     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"another account": other,
	} {
		if got, err := c.Open(envelope); err == nil {
			t.Errorf("%s: opened as %q", name, got)
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := codec(f)
	sealed, _ := c.Seal([]byte("<xml/>"))
	f.Add(sealed)
	f.Add("")
	f.Fuzz(func(t *testing.T, envelope string) {
		if m, err := c.Open(envelope); err == nil {
			if _, again := c.Seal(m); again != nil {
				t.Fatal(again)
			}
		}
	})
}
