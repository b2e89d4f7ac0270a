package bot

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/silenceper/wechat/v2/util"
	"pgregory.net/rapid"
)

// TestOfficialSample opens the sample of WeChat's own 消息加解密 packages
// (developers.weixin.qq.com, "消息加解密说明", the Python package's Sample.py; the
// same data is in many SDKs' tests, for example fotock/WXbizMsgCrypt-Node). Its
// outer document also carries the fields in the clear.
func TestOfficialSample(t *testing.T) {
	const body = `<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>
<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>
<CreateTime>1409735668</CreateTime>
<MsgType><![CDATA[text]]></MsgType>
<Content><![CDATA[abcdteT]]></Content>
<MsgId>6054768590064713728</MsgId>
<Encrypt><![CDATA[hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=]]></Encrypt>
</xml>`
	const ts, nonce = "1409735669", "1320562132"
	c := newCodec(t, clock)
	s := c.newScratch()
	m, key, err := c.open(s, query{
		signature: []byte(util.Signature("spamtest", ts, nonce)), // not part of the sample
		timestamp: []byte(ts), nonce: []byte(nonce), encryptType: []byte("aes"),
		msgSignature: []byte("5d197aaffba7e9b25a30732f161a50dee96bd5fa"),
	}, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	want := Message{
		OpenID: "oyORnuP8q7ou2gfYjqLzSIWZf0rs", Sent: time.Unix(1409735668, 0), Type: TextMessage,
		ID: 6054768590064713728, Content: "abcdteT",
	}
	if !reflect.DeepEqual(m, want) || key != 0 {
		t.Fatalf("got %+v (key %d), want %+v", m, key, want)
	}
}

// TestOfficialVectors opens the two cipher texts of the Java package's
// WXBizMsgCryptTest (fixed random bytes "aaaabbbbccccdddd").
func TestOfficialVectors(t *testing.T) {
	c, err := NewCodec(Account{AppID: "wxb11529c136998cb6", OriginalID: "gh_x", Token: "pamtest", AESKey: testAESKey}, clock)
	if err != nil {
		t.Fatal(err)
	}
	for sealed, want := range map[string]string{
		"jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==": "我是中文abcd123",
		"jn1L23DB+6ELqJ+6bruv23M2GmYfkv0xBh2h+XTBOKVKcgDFHle6gqcZ1cZrk3e1qjPQ1F4RsLWzQRG9udbKWesxlkupqcEcW7ZQweImX9+wLMa0GaUzpkycA8+IamDBxn5loLgZpnS7fVAbExOkK5DYHBmv5tptA9tklE/fTIILHR8HLXa5nQvFb3tYPKAlHF3rtTeayNf0QuM+UW/wM9enGIDIJHF7CLHiDNAYxr+r+OrJCmPQyTy8cVWlu9iSvOHPT/77bZqJucQHQ04sq7KZI27OcqpQNSto2OdHCoTccjggX5Z9Mma0nMJBU+jLKJ38YB1fBIz+vBzsYjrTmFQ44YfeEuZ+xRTQwr92vhA9OxchWVINGC50qE/6lmkwWTwGX9wtQpsJKhP+oS7rvTY8+VdzETdfakjkwQ5/Xka042OlUb1/slTwo4RscuQ+RdxSGvDahxAJ6+EAjLt9d8igHngxIbf6YyqqROxuxqIeIch3CssH/LqRs+iAcILvApYZckqmA7FNERspKA5f8GoJ9sv8xmGvZ9Yrf57cExWtnX8aCMMaBropU/1k+hKP5LVdzbWCG0hGwx/dQudYR/eXp3P0XxjlFiy+9DMlaFExWUZQDajPkdPrEeOwofJb": "<xml><ToUserName><![CDATA[oia2Tj我是中文jewbmiOUlr6X-1crbLOvLw]]></ToUserName><FromUserName><![CDATA[gh_7f083739789a]]></FromUserName><CreateTime>1407743423</CreateTime><MsgType><![CDATA[video]]></MsgType><Video><MediaId><![CDATA[eYJ1MbwPRJtOvIEabaxHs7TX2D-HV71s79GUxqdUkjm6Gs2Ed1KF3ulAOA9H1xG0]]></MediaId><Title><![CDATA[testCallBackReplyVideo]]></Title><Description><![CDATA[testCallBackReplyVideo]]></Description></Video></xml>",
	} {
		got, _, err := c.decrypt(c.newScratch(), []byte(sealed))
		if err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

// TestAgainstIndependentImplementation: what silenceper seals we open, what we
// seal silenceper opens, for any text and with both keys.
func TestAgainstIndependentImplementation(t *testing.T) {
	c := newCodec(t, clock)
	s := c.newScratch()
	rapid.Check(t, func(t *rapid.T) {
		msg := []byte(rapid.StringN(0, 700, 4000).Draw(t, "msg"))
		key := rapid.IntRange(0, 1).Draw(t, "key")
		encoded := []string{testAESKey, otherAESKey}[key]

		sealed, err := util.EncryptMsg([]byte("0123456789abcdef"), msg, testAccount.AppID, encoded)
		if err != nil {
			t.Fatal(err)
		}
		got, usedKey, err := c.decrypt(s, sealed)
		if err != nil || !bytes.Equal(got, msg) || usedKey != key {
			t.Fatalf("opening silenceper's: %q, key %d, %v", got, usedKey, err)
		}

		envelope, err := c.seal(s, key, msg)
		if err != nil {
			t.Fatal(err)
		}
		var env struct{ Encrypt, MsgSignature, TimeStamp, Nonce string }
		if err := xml.Unmarshal(envelope, &env); err != nil {
			t.Fatal(err)
		}
		if env.MsgSignature != util.Signature(testAccount.Token, env.TimeStamp, env.Nonce, env.Encrypt) {
			t.Fatal("signature of the reply")
		}
		random, plain, err := util.DecryptMsg(testAccount.AppID, env.Encrypt, encoded)
		if err != nil || !bytes.Equal(plain, msg) {
			t.Fatalf("silenceper opens ours: %q, %v", plain, err)
		}
		if bytes.Equal(random, []byte("0123456789abcdef")) {
			t.Fatal("the reply repeats the request's random bytes")
		}
	})
}

func TestNewCodecRefusesAnIncompleteAccount(t *testing.T) {
	for name, spoil := range map[string]func(*Account){
		"no token":      func(a *Account) { a.Token = "" },
		"no key":        func(a *Account) { a.AESKey = "" },
		"no app id":     func(a *Account) { a.AppID = "" },
		"no original":   func(a *Account) { a.OriginalID = "" },
		"short key":     func(a *Account) { a.AESKey = testAESKey[1:] },
		"previous junk": func(a *Account) { a.PreviousAESKey = "?" },
	} {
		t.Run(name, func(t *testing.T) {
			a := testAccount
			spoil(&a)
			if _, err := NewCodec(a, clock); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

// TestDocumentationKeyFailsStrictDecoding says why decoding is lenient.
func TestDocumentationKeyFailsStrictDecoding(t *testing.T) {
	if _, err := base64.RawStdEncoding.Strict().DecodeString(testAESKey); err == nil {
		t.Fatal("strict decoding took the sample's key")
	}
	if _, err := decodeAESKey(testAESKey); err != nil {
		t.Fatal(err)
	}
}

func TestGoldenReplies(t *testing.T) {
	for name, r := range map[string]Reply{
		"text":     {Text: "您的订单 …0152 待配送。\n<a href=\"https://example.com/o?a=1&b=2\">查看</a> 😀"},
		"cdata":    {Text: "a]]>b]]]]>c"},
		"handover": {Handover: true},
	} {
		t.Run(name, func(t *testing.T) {
			app := newApp(t, AnswerFunc(func(context.Context, Message) (Reply, error) { return r, nil }), nil)
			code, body := do(t, app, newClient().request(t, textXML("hi")))
			if code != http.StatusOK {
				t.Fatalf("status %d", code)
			}
			plain := newClient().openReply(t, body)
			golden(t, "reply-"+name+".xml", plain)
			var in struct{ Content string }
			if err := xml.Unmarshal([]byte(plain), &in); err != nil || in.Content != r.Text {
				t.Fatalf("an XML reader sees %q, %v", in.Content, err)
			}
		})
	}
}

// Reliability 5, 28 and the statuses of architecture §2.
func TestRefusals(t *testing.T) {
	query := func(f func(url.Values)) func(testing.TB, *http.Request) *http.Request {
		return func(_ testing.TB, r *http.Request) *http.Request {
			q := r.URL.Query()
			f(q)
			r.URL.RawQuery = q.Encode()
			r.RequestURI = r.URL.RequestURI()
			return r
		}
	}
	body := func(s string) func(testing.TB, *http.Request) *http.Request {
		return func(_ testing.TB, r *http.Request) *http.Request {
			return httptest.NewRequest(http.MethodPost, r.URL.String(), strings.NewReader(s))
		}
	}
	inner := func(s string) func(testing.TB, *http.Request) *http.Request {
		return func(t testing.TB, _ *http.Request) *http.Request { return newClient().request(t, s) }
	}
	at := func(d time.Duration) func(testing.TB, *http.Request) *http.Request {
		return func(t testing.TB, _ *http.Request) *http.Request {
			w := newClient()
			w.at = w.at.Add(d)
			return w.request(t, textXML("hi"))
		}
	}
	nested := strings.Repeat("<a>", 400) + strings.Repeat("</a>", 400)
	for _, tc := range []struct {
		name   string
		mutate func(testing.TB, *http.Request) *http.Request
		want   int
	}{
		{"wrong signature", query(func(q url.Values) { q.Set("signature", strings.Repeat("0", 40)) }), 403},
		{"no signature", query(func(q url.Values) { q.Del("signature") }), 403},
		{"wrong msg_signature", query(func(q url.Values) { q.Set("msg_signature", q.Get("signature")) }), 403},
		{"no msg_signature", query(func(q url.Values) { q.Del("msg_signature") }), 403},
		{"other nonce", query(func(q url.Values) { q.Set("nonce", "nonce2") }), 403},
		{"moved timestamp", query(func(q url.Values) { q.Set("timestamp", "1409735670") }), 403},
		{"301 s old", at(-301 * time.Second), 403},
		{"301 s ahead", at(301 * time.Second), 403},
		{"downgrade: no encrypt_type", query(func(q url.Values) { q.Del("encrypt_type") }), 403},
		{"downgrade: encrypt_type=raw", query(func(q url.Values) { q.Set("encrypt_type", "raw") }), 403},
		{"downgrade: plain body", body(textXML("改成审核通过")), 403},
		{"downgrade: both", func(t testing.TB, r *http.Request) *http.Request {
			r = query(func(q url.Values) { q.Del("encrypt_type"); q.Del("msg_signature") })(t, r)
			return body(textXML("改成审核通过"))(t, r)
		}, 403},
		{"signature given twice", query(func(q url.Values) { q.Add("signature", q.Get("signature")) }), 400},
		{"encrypt_type given twice", query(func(q url.Values) { q.Add("encrypt_type", "raw") }), 400},
		{"empty body", body(""), 400},
		{"not XML", body("{}"), 400},
		{"DOCTYPE outside", body(`<!DOCTYPE x [<!ENTITY a "b">]><xml><Encrypt>&a;</Encrypt></xml>`), 400},
		{"two Encrypt", body("<xml><Encrypt>a</Encrypt><Encrypt>b</Encrypt></xml>"), 400},
		{"too large", body("<xml><Encrypt>" + strings.Repeat("A", 1<<20) + "</Encrypt></xml>"), 413},
		{"wrong key", func(t testing.TB, _ *http.Request) *http.Request {
			w := newClient()
			w.key = "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZA"
			return w.request(t, textXML("hi"))
		}, 400},
		{"wrong app id", func(t testing.TB, _ *http.Request) *http.Request {
			w := newClient()
			w.account.AppID = "wx0000000000000000"
			return w.request(t, textXML("hi"))
		}, 400},
		{"other account", inner(messageXML("gh_other", "hi", "1")), 403},
		{"DOCTYPE inside", inner("<!DOCTYPE xml>" + textXML("hi")), 400},
		{"billion laughs", inner(`<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><xml><Content>&b;</Content></xml>`), 400},
		{"custom entity", inner("<xml><Content>&xxe;</Content></xml>"), 400},
		{"processing instruction", inner("<xml><?php x ?></xml>"), 400},
		{"comment", inner("<xml><!-- x --></xml>"), 400},
		{"attributes", inner(`<xml><Content a="b">x</Content></xml>`), 400},
		{"deep nesting", inner("<xml>" + nested + "</xml>"), 400},
		{"field given twice", inner(strings.Replace(textXML("hi"), "<MsgId>", "<MsgId>1</MsgId><MsgId>", 1)), 400},
		{"recipient given twice", inner(strings.Replace(textXML("hi"), "<FromUserName>", "<ToUserName>gh_x</ToUserName><FromUserName>", 1)), 400},
		{"trailing document", inner(textXML("hi") + textXML("ho")), 400},
		{"cut off", inner(strings.TrimSuffix(textXML("hi"), "</xml>")), 400},
		{"MsgId not a number", inner(messageXML(testAccount.OriginalID, "hi", "abc")), 400},
		{"no sender", inner("<xml><ToUserName>gh_10f6c3c3ac5a</ToUserName><CreateTime>1</CreateTime><MsgType>text</MsgType></xml>"), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApp(t, AnswerFunc(func(context.Context, Message) (Reply, error) {
				t.Error("answered")
				return Reply{}, nil
			}), nil)
			code, _ := do(t, app, tc.mutate(t, newClient().request(t, textXML("hi"))))
			if code != tc.want {
				t.Errorf("status %d, want %d", code, tc.want)
			}
		})
	}
}

// TestAccepted: what people and phones really send must get through.
func TestAccepted(t *testing.T) {
	long := strings.Repeat("证书", 1000)
	for _, tc := range []struct{ name, content, want string }{
		{"chinese", "<![CDATA[我的订单到哪一步了]]>", "我的订单到哪一步了"},
		{"emoji", "<![CDATA[在吗😀👩‍👩‍👧]]>", "在吗😀👩‍👩‍👧"},
		{"control characters", "<![CDATA[a\x01b\x0bc\x1f]]>", "a\x01b\x0bc\x1f"},
		{"split CDATA", "<![CDATA[a]]]]><![CDATA[>b]]>", "a]]>b"},
		{"many pieces", "<![CDATA[a]]><![CDATA[b]]><![CDATA[c]]>", "abc"},
		{"layout around CDATA", "\n  <![CDATA[a]]>\n", "a"},
		{"predefined entities", "a &lt;b&gt; &amp;&quot;&apos; &#x4E2D;&#25991;", `a <b> &"' 中文`},
		{"plain text", "hello", "hello"},
		{"empty", "<![CDATA[]]>", ""},
		{"long", "<![CDATA[" + long + "]]>", long},
		{"invalid UTF-8", "<![CDATA[a\xffb]]>", "a\uFFFDb"},
		{"looks like XML", "<![CDATA[<xml><!DOCTYPE]]>", "<xml><!DOCTYPE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got string
			app := newApp(t, AnswerFunc(func(_ context.Context, m Message) (Reply, error) {
				got = m.Content
				return Reply{Text: "ok"}, nil
			}), nil)
			doc := strings.Replace(textXML("@"), "<![CDATA[@]]>", tc.content, 1)
			if code, body := do(t, app, newClient().request(t, doc)); code != http.StatusOK {
				t.Fatalf("status %d: %s", code, body)
			}
			if got != tc.want {
				t.Errorf("content %q, want %q", got, tc.want)
			}
		})
	}
}

func TestEvents(t *testing.T) {
	head := "<xml><ToUserName>gh_10f6c3c3ac5a</ToUserName><FromUserName>" + testOpenID + "</FromUserName><CreateTime>1409735668</CreateTime><MsgType>event</MsgType>"
	for _, tc := range []struct {
		name, rest string
		want       Message
	}{
		{"click", "<Event>CLICK</Event><EventKey>orders</EventKey></xml>", Message{Event: EventClick, Key: "orders"}},
		{
			"template job", "<Event>TEMPLATESENDJOBFINISH</Event><MsgID>200163836</MsgID><Status>failed:user block</Status></xml>",
			Message{Event: EventTemplateJobDone, JobID: 200163836, JobStatus: "failed:user block"},
		},
		{
			"nested", "<Event>pic_sysphoto</Event><EventKey>6</EventKey><SendPicsInfo><Count>1</Count><PicList><item><PicMd5Sum><![CDATA[1b5f]]></PicMd5Sum></item></PicList></SendPicsInfo></xml>",
			Message{Event: "pic_sysphoto", Key: "6"},
		},
		{
			"subscribe popup",
			"<Event><![CDATA[subscribe_msg_popup_event]]></Event><SubscribeMsgPopupEvent><List><TemplateId><![CDATA[A]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>2</PopupScene></List>" +
				"<List><TemplateId><![CDATA[B]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene>2</PopupScene></List></SubscribeMsgPopupEvent></xml>",
			Message{Event: EventSubscribePopup, Subscriptions: []Subscription{{TemplateID: "A", Status: "accept"}, {TemplateID: "B", Status: "reject"}}},
		},
		{
			"subscribe sent",
			"<Event>subscribe_msg_sent_event</Event><SubscribeMsgSentEvent><List><TemplateId>A</TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>3</ErrorCode><ErrorStatus>user refuse</ErrorStatus></List></SubscribeMsgSentEvent></xml>",
			Message{Event: EventSubscribeSent, Subscriptions: []Subscription{{TemplateID: "A", MsgID: 1700827132819554304, Failure: "user refuse"}}},
		},
		{
			"too many subscriptions", "<Event>subscribe_msg_change_event</Event><E>" + strings.Repeat("<List><TemplateId>A</TemplateId></List>", 100) + "</E></xml>",
			Message{Event: EventSubscribeChange, Subscriptions: slices.Repeat([]Subscription{{TemplateID: "A"}}, maxItems)},
		},
		{"scan", "<Event>SCAN</Event><EventKey>bind_1</EventKey><Ticket>T</Ticket></xml>", Message{Event: EventScan, Key: "bind_1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got Message
			app := newApp(t, AnswerFunc(func(_ context.Context, m Message) (Reply, error) {
				got = m
				return Reply{}, nil
			}), nil)
			code, body := do(t, app, newClient().request(t, head+tc.rest))
			if code != http.StatusOK || string(body) != "success" {
				t.Fatalf("%d %q", code, body)
			}
			tc.want.OpenID, tc.want.Type, tc.want.Sent = testOpenID, EventMessage, time.Unix(1409735668, 0)
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestVerifyURL(t *testing.T) {
	app := newApp(t, AnswerFunc(echo), nil)
	get := func(at time.Time, token, echostr string) (int, []byte) {
		ts := strconv.FormatInt(at.Unix(), 10)
		q := url.Values{"signature": {util.Signature(token, ts, "n")}, "timestamp": {ts}, "nonce": {"n"}, "echostr": {echostr}}
		return do(t, app, httptest.NewRequest(http.MethodGet, "/wechat/official?"+q.Encode(), nil))
	}
	if code, body := get(testNow, "spamtest", "5838479218127813673"); code != 200 || string(body) != "5838479218127813673" {
		t.Errorf("%d %q", code, body)
	}
	if code, _ := get(testNow, "guess", "1"); code != 403 {
		t.Errorf("wrong token: %d", code)
	}
	if code, _ := get(testNow.Add(-time.Hour), "spamtest", "1"); code != 403 {
		t.Errorf("stale: %d", code)
	}
}

func TestReplyUsesTheKeyOfItsQuestion(t *testing.T) {
	w := newClient()
	w.key = otherAESKey
	_, body := do(t, newApp(t, AnswerFunc(echo), nil), w.request(t, textXML("hi")))
	if got := w.openReply(t, body); !strings.Contains(got, "收到：hi") {
		t.Errorf("reply %q", got)
	}
}

// A key is taken as long as it is configured: before, while and after WeChat rolls
// over to another (flows 2.4), and the answer always opens with the question's.
func TestKeyRotation(t *testing.T) {
	for _, phase := range []struct {
		name              string
		current, previous string
		taken             map[string]bool
	}{
		{"before", otherAESKey, "", map[string]bool{otherAESKey: true, testAESKey: false}},
		{"while", testAESKey, otherAESKey, map[string]bool{otherAESKey: true, testAESKey: true}},
		{"after", testAESKey, "", map[string]bool{otherAESKey: false, testAESKey: true}},
		{"back again", otherAESKey, testAESKey, map[string]bool{otherAESKey: true, testAESKey: true}},
	} {
		t.Run(phase.name, func(t *testing.T) {
			account := testAccount
			account.AESKey, account.PreviousAESKey = phase.current, phase.previous
			codec, err := NewCodec(account, clock)
			if err != nil {
				t.Fatal(err)
			}
			app := fiber.New(fiber.Config{DisableStartupMessage: true})
			app.Post("/wechat/official", Handler(codec, AnswerFunc(echo), newMemoryTalks(), quiet))
			for key, taken := range phase.taken {
				w := newClient()
				w.key = key
				for range 2 { // a retry opens with the same key
					code, body := do(t, app, w.request(t, messageXML(testAccount.OriginalID, "hi", strconv.Itoa(len(key)+int(key[0])))))
					switch {
					case taken && code == http.StatusOK:
						w.openReply(t, body)
					case taken || code == http.StatusOK:
						t.Errorf("key %s…: %d", key[:4], code)
					}
				}
			}
		})
	}
}

// TestForgeries tries a thousand requests of somebody who has seen true ones and
// knows the public parts, but neither token nor key: none is answered.
func TestForgeries(t *testing.T) {
	answered := 0
	app := newApp(t, AnswerFunc(func(context.Context, Message) (Reply, error) {
		answered++
		return Reply{Text: "ok"}, nil
	}), nil)
	r := rand.New(rand.NewPCG(7, 8))
	seen := make([]*http.Request, 10)
	bodies := make([]string, len(seen))
	for i := range seen {
		seen[i] = newClient().request(t, messageXML(testAccount.OriginalID, "hi", strconv.Itoa(i+1)))
		raw, err := io.ReadAll(seen[i].Body)
		if err != nil {
			t.Fatal(err)
		}
		bodies[i] = string(raw)
	}
	wanted := textXML("把订单改成审核通过")
	forge := []func(q url.Values, body string) string{
		func(_ url.Values, _ string) string { return wanted },                               // plain, with a true URL
		func(q url.Values, _ string) string { q.Del("encrypt_type"); return wanted },        // downgraded
		func(q url.Values, _ string) string { q.Set("encrypt_type", "raw"); return wanted }, // downgraded
		func(q url.Values, b string) string { q.Set("encrypt_type", "AES"); return b },      // near
		func(q url.Values, b string) string { q.Add("encrypt_type", ""); q.Del("msg_signature"); return b },
		func(_ url.Values, _ string) string { return bodies[(r.IntN(9)+1)%10] + " " }, // another message's body
		func(q url.Values, b string) string { q.Set("msg_signature", q.Get("signature")); return b },
		func(q url.Values, b string) string {
			q.Set("msg_signature", strings.ToUpper(q.Get("msg_signature")))
			return b
		},
		func(q url.Values, b string) string {
			q.Set("timestamp", strconv.Itoa(1409735669+r.IntN(200)+1))
			return b
		},
		func(q url.Values, b string) string { q.Set("nonce", q.Get("nonce")+"0"); return b },
		func(q url.Values, b string) string {
			q.Set("nonce", "")
			q.Set("timestamp", q.Get("timestamp")+"nonce1")
			return b
		}, // parts moved
		func(q url.Values, _ string) string { // sealed with a key of one's own
			sealed, err := util.EncryptMsg([]byte("aaaabbbbccccdddd"), []byte(wanted), testAccount.AppID, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZA")
			if err != nil {
				t.Fatal(err)
			}
			q.Set("msg_signature", util.Signature("guess", q.Get("timestamp"), q.Get("nonce"), string(sealed)))
			return "<xml><Encrypt>" + string(sealed) + "</Encrypt></xml>"
		},
		func(_ url.Values, b string) string { // wrapped in more XML
			return strings.Replace(b, "<Encrypt>", "<Encrypt><![CDATA[]]></Encrypt><Encrypt>", 1)
		},
	}
	for n := range 1000 {
		i := n % len(seen)
		q := seen[i].URL.Query()
		body := forge[n%len(forge)](q, bodies[i])
		if body == bodies[i]+" " {
			continue // the true body after all
		}
		code, _ := do(t, app, httptest.NewRequest(http.MethodPost, "/wechat/official?"+q.Encode(), strings.NewReader(body)))
		if code != 400 && code != 403 {
			t.Errorf("forgery %d (%d): status %d", n, n%len(forge), code)
		}
	}
	if answered != 0 {
		t.Errorf("%d forgeries were answered", answered)
	}
}

func TestFaultsAreNotSilent(t *testing.T) {
	for name, a := range map[string]AnswerFunc{
		"error": func(context.Context, Message) (Reply, error) { return Reply{}, errors.New("database is away") },
		"panic": func(context.Context, Message) (Reply, error) { panic("oops") },
	} {
		t.Run(name, func(t *testing.T) {
			_, body := do(t, newApp(t, a, nil), newClient().request(t, textXML("hi")))
			if got := newClient().openReply(t, body); !strings.Contains(got, textFault) {
				t.Errorf("reply %q", got)
			}
		})
	}
}

// A panic's value may hold anything: the log has the runtime's own words and no more.
func TestPanicsAreLoggedWithoutTheirValue(t *testing.T) {
	for want, a := range map[string]AnswerFunc{
		"panic: string":                   func(context.Context, Message) (Reply, error) { panic("17712347069") },
		"panic: *errors.errorString":      func(context.Context, Message) (Reply, error) { panic(errors.New("17712347069")) },
		"panic: runtime error: index out": func(context.Context, Message) (Reply, error) { return Reply{Text: strings.Split("", ",")[1:][0]}, nil },
	} {
		var logged bytes.Buffer
		app := fiber.New()
		app.Post("/wechat/official", Handler(newCodec(t, clock), a, nil, slog.New(slog.NewTextHandler(&logged, nil))))
		do(t, app, newClient().request(t, textXML("hi")))
		if got := logged.String(); !strings.Contains(got, want) || strings.Contains(got, "17712347069") || !strings.Contains(got, "callback_test.go") {
			t.Errorf("want %q and where: %s", want, got)
		}
	}
}

// TestMutantsAreRefused changes one byte of a true request, in the URL or in the
// sealed message, 20,000 times: none is taken for anything but the true message.
func TestMutantsAreRefused(t *testing.T) {
	req := newClient().request(t, textXML("hi"))
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	params := req.URL.Query()
	open, end := bytes.Index(raw, []byte("<Encrypt>")), bytes.Index(raw, []byte("</Encrypt>"))
	c := newCodec(t, clock)
	s := c.newScratch()
	try := func(get func(string) []byte, body []byte) error {
		_, _, err := c.open(s, query{
			signature: get("signature"), timestamp: get("timestamp"), nonce: get("nonce"),
			msgSignature: get("msg_signature"), encryptType: get("encrypt_type"),
		}, body)
		return err
	}
	unchanged := func(name string) []byte { return []byte(params.Get(name)) }
	if err := try(unchanged, raw); err != nil {
		t.Fatalf("the true request: %v", err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	names := []string{"signature", "msg_signature", "timestamp", "nonce", "encrypt_type"}
	for range 10_000 {
		body := bytes.Clone(raw)
		at := open + r.IntN(end-open)
		body[at] ^= byte(1 + r.IntN(127))
		if try(unchanged, body) == nil {
			t.Errorf("accepted a body with another byte at %d: %s", at, body)
		}
		name := names[r.IntN(len(names))]
		v := unchanged(name)
		v[r.IntN(len(v))] ^= byte(1 + r.IntN(127))
		if try(func(n string) []byte {
			if n == name {
				return v
			}
			return unchanged(n)
		}, raw) == nil {
			t.Errorf("accepted %s=%s", name, v)
		}
	}
}

func FuzzCallback(f *testing.F) {
	for _, doc := range []string{
		textXML("hi"), "<xml/>", "<xml><Content>&#x4E2D;</Content></xml>", "<xml><a><b><c/></b></a></xml>",
		"<xml><Content><![CDATA[a]]]]><![CDATA[>b]]></Content></xml>", "<?xml version=\"1.0\"?>" + textXML("\x00"),
		"<xml><E><List><TemplateId>A</TemplateId></List><List/></E></xml>", textXML("]]]]><![CDATA[>"), textXML("😀\u202e\x1b[2J"),
	} {
		f.Add([]byte(doc), true)
		f.Add([]byte(doc), false)
	}
	app := newApp(f, AnswerFunc(echo), nil)
	f.Fuzz(func(t *testing.T, doc []byte, sealed bool) {
		req := newClient().request(t, string(doc))
		if !sealed {
			req = httptest.NewRequest(http.MethodPost, req.URL.String(), bytes.NewReader(doc))
		}
		code, body := do(t, app, req)
		switch {
		case code == http.StatusOK && sealed:
			newClient().openReply(t, body)
		case code == http.StatusOK:
			t.Fatalf("a body that nobody sealed was answered: %q", doc)
		case code != 400 && code != 403 && code != 413:
			t.Fatalf("status %d for %q", code, doc)
		}
	})
}

// Reliability 28: a hostile body costs less than 5 ms and twice its size, also
// when somebody who can sign sends it.
func TestHostileBodiesAreCheap(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, (maxBody-100)/len(s)) }
	c := newCodec(t, clock)
	for name, body := range map[string]string{
		"pieces":     "<xml><Encrypt>" + fill("<![CDATA[a]]>") + "</Encrypt></xml>",
		"references": "<xml><Encrypt>" + fill("&lt;") + "</Encrypt></xml>",
		"nesting":    "<xml>" + fill("<a>") + "</xml>",
		"siblings":   "<xml>" + fill("<a></a>") + "</xml>",
		"long name":  "<xml><" + fill("a") + "></xml>",
		"text":       "<xml><Encrypt>" + fill("A") + "</Encrypt></xml>",
		"declared":   "<?xml" + fill("?") + "?><xml></xml>",
	} {
		t.Run(name, func(t *testing.T) {
			ts := strconv.FormatInt(testNow.Unix(), 10)
			q := query{
				signature: []byte(util.Signature(testAccount.Token, ts, "n")), timestamp: []byte(ts), nonce: []byte("n"),
				msgSignature: []byte(strings.Repeat("0", 40)), encryptType: []byte("aes"),
			}
			s := c.newScratch()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, _, err := c.open(s, q, []byte(body))
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			var refused *Refusal
			if !errors.As(err, &refused) {
				t.Fatalf("got %v", err)
			}
			if cost := after.TotalAlloc - before.TotalAlloc; cost > 3*uint64(len(body)) { // one of the three is the []byte above
				t.Errorf("%d bytes allocated for a body of %d", cost, len(body))
			}
			if took > 50*time.Millisecond { // ten times the bar, for a busy machine
				t.Errorf("took %s", took)
			}
		})
	}
}
