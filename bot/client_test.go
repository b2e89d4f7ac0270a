package bot

import (
	"context"
	"encoding/xml"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/silenceper/wechat/v2/util"
)

var update = flag.Bool("update", false, "rewrite golden files")

const (
	testAESKey  = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	otherAESKey = "QkFDS1VQLUtFWS1PRi1USEUtT0ZGSUNJQUwtQUNDVDA"
	testOpenID  = "oyORnuP8q7ou2gfYjqLzSIWZf0rs"
)

var testAccount = Account{
	AppID: "wx2c2769f8efd9abc2", OriginalID: "gh_10f6c3c3ac5a", Token: "spamtest",
	AESKey: testAESKey, PreviousAESKey: otherAESKey,
}

// testNow is within 300 s of the official sample's timestamp, 1409735669.
var testNow = time.Unix(1409735669, 0)

func clock() time.Time { return testNow }

// client is WeChat's side, built on an independent implementation (silenceper's).
type client struct {
	account Account
	key     string
	at      time.Time
}

func newClient() client { return client{account: testAccount, key: testAESKey, at: testNow} }

// request seals an inner document the way WeChat does.
func (w client) request(t testing.TB, inner string) *http.Request {
	t.Helper()
	sealed, err := util.EncryptMsg([]byte("aaaabbbbccccdddd"), []byte(inner), w.account.AppID, w.key)
	if err != nil {
		t.Fatal(err)
	}
	body := "<xml>\n<ToUserName><![CDATA[" + w.account.OriginalID + "]]></ToUserName>\n<Encrypt><![CDATA[" + string(sealed) + "]]></Encrypt>\n</xml>"
	ts := strconv.FormatInt(w.at.Unix(), 10)
	q := url.Values{
		"signature":     {util.Signature(w.account.Token, ts, "nonce1")},
		"msg_signature": {util.Signature(w.account.Token, ts, "nonce1", string(sealed))},
		"timestamp":     {ts}, "nonce": {"nonce1"}, "encrypt_type": {"aes"}, "openid": {testOpenID},
	}
	return httptest.NewRequest(http.MethodPost, "/wechat/official?"+q.Encode(), strings.NewReader(body))
}

// openReply checks the envelope's signature and returns the inner document.
func (w client) openReply(t testing.TB, body []byte) string {
	t.Helper()
	var env struct {
		Encrypt, MsgSignature, TimeStamp, Nonce string
	}
	if err := xml.Unmarshal(body, &env); err != nil {
		t.Fatalf("reply %q: %v", body, err)
	}
	if got := util.Signature(w.account.Token, env.TimeStamp, env.Nonce, env.Encrypt); got != env.MsgSignature {
		t.Fatalf("reply's signature is %s, want %s", env.MsgSignature, got)
	}
	_, plain, err := util.DecryptMsg(w.account.AppID, env.Encrypt, w.key)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

func textXML(content string) string {
	return messageXML(testAccount.OriginalID, content, "6054768590064713728")
}

func messageXML(to, content, id string) string {
	return "<xml><ToUserName><![CDATA[" + to + "]]></ToUserName><FromUserName><![CDATA[" + testOpenID +
		"]]></FromUserName><CreateTime>1409735668</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[" +
		content + "]]></Content><MsgId>" + id + "</MsgId></xml>"
}

func newCodec(t testing.TB, now func() time.Time) *Codec {
	t.Helper()
	c, err := NewCodec(testAccount, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var quiet = slog.New(slog.DiscardHandler)

func newApp(t testing.TB, a Answerer, r Talks) *fiber.App {
	t.Helper()
	app := fiber.New(fiber.Config{DisableStartupMessage: true, BodyLimit: 4 << 20})
	app.Add(http.MethodGet, "/wechat/official", Handler(newCodec(t, clock), a, r, quiet))
	app.Add(http.MethodPost, "/wechat/official", Handler(newCodec(t, clock), a, r, quiet))
	return app
}

func do(t testing.TB, app *fiber.App, r *http.Request) (int, []byte) {
	t.Helper()
	resp, err := app.Test(r, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

func echo(_ context.Context, m Message) (Reply, error) {
	return Reply{Text: "收到：" + m.Content}, nil
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}
