package e2e

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	_ "modernc.org/sqlite"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

// The official account of the forgeries: a key, the one before it, and the one
// before that, which is no longer taken.
const (
	forgedApp, forgedAccount = "wx00000000000000f1", "gh_0000000000f1"
	forgedToken              = "forgery-test-token"
	currentKey               = "Q3VycmVudC1FbmNvZGluZ0FFU0tleS1vZi1hLXRlc3Q"
	previousKey              = "UHJldmlvdXMtRW5jb2RpbmdBRVNLZXktb2YtdGVzdC4"
	retiredKey               = "UmV0aXJlZC1FbmNvZGluZ0FFU0tleS1vZi1hLXRlc3Q"
)

// sealing is how a message is put into its envelope, by the protocol as WeChat
// documents it and in code of this test's own. A forgery changes one thing.
type sealing struct {
	key, token, app string
	openID, plain   string
	at              time.Time
	nonce           string
	length          int                 // added to the length that the clear text tells
	pad             func(n int) []byte  // after a clear text of n bytes
	cut             func([]byte) []byte // of the cipher text
}

// envelope is a callback: the parameters of its URL, in order, and its body.
type envelope struct {
	query [][2]string
	body  string
}

// padded fills up to a whole number of blocks of 32, each byte telling how many.
func padded(n int) []byte {
	k := 32 - n%32
	return bytes.Repeat([]byte{byte(k)}, k)
}

func digest(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// cipherText is the message, sealed.
func (s sealing) cipherText(t *testing.T) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(s.key + "=")
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	n := len(s.plain) + s.length
	plain := append([]byte("0123456789abcdef"), byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	plain = append(plain, s.plain+s.app...)
	plain = append(plain, s.pad(len(plain))...)
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(plain, plain)
	if s.cut != nil {
		plain = s.cut(plain)
	}
	return base64.StdEncoding.EncodeToString(plain)
}

// envelope seals and signs.
func (s sealing) envelope(t *testing.T) envelope { return s.signed(s.cipherText(t)) }

func (s sealing) signed(sealed string) envelope {
	at := strconv.FormatInt(s.at.Unix(), 10)
	return envelope{[][2]string{
		{"signature", digest(s.token, at, s.nonce)},
		{"timestamp", at},
		{"nonce", s.nonce},
		{"openid", s.openID},
		{"encrypt_type", "aes"},
		{"msg_signature", digest(s.token, at, s.nonce, sealed)},
	}, wrapped(sealed)}
}

func wrapped(sealed string) string {
	return "<xml><ToUserName><![CDATA[" + forgedAccount + "]]></ToUserName><Encrypt><![CDATA[" + sealed + "]]></Encrypt></xml>"
}

func (e *envelope) get(name string) string {
	for _, p := range e.query {
		if p[0] == name {
			return p[1]
		}
	}
	return ""
}

func (e *envelope) set(name, value string) {
	for i := range e.query {
		if e.query[i][0] == name {
			e.query[i][1] = value
		}
	}
}

func (e *envelope) drop(names ...string) {
	e.query = slices.DeleteFunc(e.query, func(p [2]string) bool { return slices.Contains(names, p[0]) })
}

// sealed is what the body's <Encrypt> holds.
func (e *envelope) sealed() string {
	_, rest, _ := strings.Cut(e.body, "<Encrypt><![CDATA[")
	sealed, _, _ := strings.Cut(rest, "]]>")
	return sealed
}

func (e envelope) url(base string) string {
	var b strings.Builder
	for i, p := range e.query {
		b.WriteString(map[bool]string{true: "?", false: "&"}[i == 0] + p[0] + "=" + url.QueryEscape(p[1]))
	}
	return base + "/wechat/official" + b.String()
}

// forger makes forgeries of true messages from a fixed seed.
type forger struct {
	t   *testing.T
	r   *rand.Rand
	now time.Time
	n   int
}

// genuine is the next true message, of somebody who binds a mobile: answered, it
// leaves a code, a text message and a conversation.
func (f *forger) genuine() sealing {
	f.n++
	openID := fmt.Sprintf("oForgery%020d", f.n)
	return sealing{
		key: []string{currentKey, previousKey}[f.n%2], token: forgedToken, app: forgedApp, openID: openID, at: f.now,
		nonce: strconv.Itoa(100_000_000 + f.r.IntN(900_000_000)), pad: padded, plain: f.document(openID, forgedAccount),
	}
}

func (f *forger) document(openID, account string) string {
	return fmt.Sprintf("<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>text</MsgType><Content>%s</Content><MsgId>%d</MsgId>%s</xml>",
		account, openID, f.now.Unix(), fmt.Sprint(13_000_000_000+f.n), 7_000_000_000+f.n, strings.Repeat(" ", f.r.IntN(32)))
}

// another puts a different hexadecimal digit somewhere into a digest.
func (f *forger) another(digest string) string {
	b := []byte(digest)
	i := f.r.IntN(len(b))
	b[i] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", b[i])+1+f.r.IntN(15))%16]
	return string(b)
}

// A class of forgeries is made with what somebody may have: only envelopes that were
// seen, or the token too, which signs anything, or even the key.
type class struct {
	name  string
	forge func(f *forger, s sealing) envelope
}

// seen are forgeries by somebody who knows neither token nor key.
var seen = []class{
	{"a bit of the cipher text flipped", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		raw, err := base64.StdEncoding.DecodeString(e.sealed())
		if err != nil {
			f.t.Fatal(err)
		}
		raw[f.r.IntN(len(raw))] ^= 1 << f.r.IntN(8)
		e.body = wrapped(base64.StdEncoding.EncodeToString(raw))
		return e
	}},
	{"a digit of msg_signature changed", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.set("msg_signature", f.another(e.get("msg_signature")))
		return e
	}},
	{"a digit of signature changed", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.set("signature", f.another(e.get("signature")))
		return e
	}},
	{"signatures cut or stretched", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		name := []string{"signature", "msg_signature"}[f.r.IntN(2)]
		e.set(name, (e.get(name) + "00")[:[]int{0, 1, 20, 39, 41, 42}[f.r.IntN(6)]])
		return e
	}},
	{"the signature of another field", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.set("msg_signature", e.get("signature"))
		return e
	}},
	{"the two signatures exchanged", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		one, other := e.get("signature"), e.get("msg_signature")
		e.set("signature", other)
		e.set("msg_signature", one)
		return e
	}},
	{"msg_signature missing", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.drop("msg_signature")
		return e
	}},
	{"signature missing", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.drop("signature")
		return e
	}},
	{"timestamp, nonce or both missing", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.drop([][]string{{"timestamp"}, {"nonce"}, {"timestamp", "nonce"}}[f.r.IntN(3)]...)
		return e
	}},
	{"a true URL around another true message", func(f *forger, s sealing) envelope {
		e, other := s.envelope(f.t), f.genuine()
		other.nonce = s.nonce
		e.body = other.envelope(f.t).body
		return e
	}},
	{"a true URL around a message sealed with a key of one's own", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		s.key = strings.Repeat("F", 42) + "A"
		e.body = s.envelope(f.t).body
		return e
	}},
	{"a fresher timestamp or another nonce than was signed", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		if f.r.IntN(2) == 0 {
			e.set("timestamp", strconv.FormatInt(s.at.Unix()+1+f.r.Int64N(200), 10))
		} else {
			e.set("nonce", s.nonce+strconv.Itoa(f.r.IntN(10)))
		}
		return e
	}},
	{"digits moved between timestamp and nonce", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		at, k := e.get("timestamp"), 1+f.r.IntN(9)
		if f.r.IntN(2) == 0 {
			e.set("timestamp", at[:k])
			e.set("nonce", at[k:]+s.nonce)
		} else {
			e.set("timestamp", s.nonce)
			e.set("nonce", at)
		}
		return e
	}},
	{"plain text without encrypt_type", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.body = s.plain
		e.drop("encrypt_type", "msg_signature")
		return e
	}},
	{"plain text with encrypt_type raw or none", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.body = s.plain
		e.set("encrypt_type", []string{"raw", ""}[f.r.IntN(2)])
		return e
	}},
	{"plain text that says it is encrypted", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.body = []string{s.plain, strings.Replace(s.plain, "</xml>", "<Encrypt></Encrypt></xml>", 1)}[f.r.IntN(2)]
		return e
	}},
	{"encrypted, with a downgraded encrypt_type", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		if types := []string{"raw", "", "AES", "aes ", "aes\x00", "none"}; f.r.IntN(4) > 0 {
			e.set("encrypt_type", types[f.r.IntN(len(types))])
		} else {
			e.drop("encrypt_type")
		}
		return e
	}},
	{"a parameter given twice", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		i := []int{0, 1, 2, 4, 5}[f.r.IntN(5)]
		twin := [2]string{e.query[i][0], []string{"", "0", "raw", f.another(digest("x")), e.query[i][1]}[f.r.IntN(5)]}
		e.query = slices.Insert(e.query, f.r.IntN(len(e.query)+1), twin)
		return e
	}},
	{"<Encrypt> twice", func(f *forger, s sealing) envelope {
		e, other := s.envelope(f.t), f.genuine()
		both := []string{e.sealed(), other.cipherText(f.t)}
		k := f.r.IntN(2)
		e.body = strings.Replace(wrapped(both[k]), "</xml>", "<Encrypt>"+both[1-k]+"</Encrypt></xml>", 1)
		return e
	}},
	{"the body cut off", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		e.body = e.body[:f.r.IntN(len(e.body))]
		return e
	}},
}

// insiders are forgeries by somebody who has the token, or token and key: the layers
// behind the signature refuse what WeChat would never send to this account.
var insiders = []class{
	{"a key of neither slot", func(f *forger, s sealing) envelope {
		s.key = retiredKey
		return s.envelope(f.t)
	}},
	{"another token", func(f *forger, s sealing) envelope {
		s.token = []string{"", "forgery-test-tokem", "forgery-test-token ", "FORGERY-TEST-TOKEN"}[f.r.IntN(4)]
		return s.envelope(f.t)
	}},
	{"another app id", func(f *forger, s sealing) envelope {
		s.app = []string{"wx00000000000000f2", "", forgedApp[:17], forgedApp + "0", "\x00" + forgedApp}[f.r.IntN(5)]
		return s.envelope(f.t)
	}},
	{"another account as recipient", func(f *forger, s sealing) envelope {
		s.plain = f.document(s.openID, []string{"gh_0000000000f2", "", forgedApp}[f.r.IntN(3)])
		return s.envelope(f.t)
	}},
	{"wrong padding", func(f *forger, s sealing) envelope {
		s.pad = func(n int) []byte {
			b := padded(n)
			k := len(b)
			switch f.r.IntN(4) {
			case 0: // more than a block
				k += 32
				b = bytes.Repeat([]byte{byte(k)}, k)
			case 3: // tells nothing, or what is not there
				b[k-1] = []byte{0, 33, 64, 255}[f.r.IntN(4)]
			case 1: // tells one less: the rest is no part of the app id
				b[k-1]--
			default: // tells right, but another byte differs
				b[f.r.IntN(max(k-1, 1))] ^= byte(64 + f.r.IntN(64))
			}
			return b
		}
		return s.envelope(f.t)
	}},
	{"a length that is not the message's", func(f *forger, s sealing) envelope {
		s.length = []int{-len(s.plain), -1, 1, len(forgedApp), 1 << 20, 1<<31 - 1 - len(s.plain)}[f.r.IntN(6)]
		return s.envelope(f.t)
	}},
	{"cipher text truncated", func(f *forger, s sealing) envelope {
		s.cut = func(b []byte) []byte { return b[:f.r.IntN(len(b))] }
		return s.envelope(f.t)
	}},
	{"no base64", func(f *forger, s sealing) envelope {
		b := []byte(s.cipherText(f.t))
		b[f.r.IntN(len(b)-2)] = "-_!.= "[f.r.IntN(6)]
		return s.signed(string(b))
	}},
	{"a timestamp too old", func(f *forger, s sealing) envelope {
		s.at = s.at.Add(-time.Duration(310+f.r.IntN(1e6)) * time.Second)
		return s.envelope(f.t)
	}},
	{"a timestamp too far ahead", func(f *forger, s sealing) envelope {
		s.at = s.at.Add(time.Duration(330+f.r.IntN(1e6)) * time.Second)
		return s.envelope(f.t)
	}},
	{"a timestamp that is none", func(f *forger, s sealing) envelope {
		e := s.envelope(f.t)
		at := []string{"", "0", "now", "1e9", "-" + e.get("timestamp"), e.get("timestamp") + ".0", e.get("timestamp") + "000", "99999999999999999999"}[f.r.IntN(8)]
		e.set("timestamp", at)
		e.set("signature", digest(s.token, at, s.nonce))
		e.set("msg_signature", digest(s.token, at, s.nonce, e.sealed()))
		return e
	}},
}

// forgeries is how many are tried.
const forgeries = 1000

// Of a thousand forged, changed or downgraded callbacks, made from a fixed seed, none is
// accepted by the product's own server, and none leaves anything behind: not in the
// database, not in Redis, and nothing is texted. The messages that they are made
// from are accepted, with the current and with the previous key.
func TestForgedCallbacks(t *testing.T) {
	t.Parallel()
	redisURL, dir := emptyRedis(t, 11), t.TempDir()
	i, world := productIn(t, dir, "YCD_REDIS_URL="+redisURL, "YCD_WECHAT_APP_ID="+forgedApp, "YCD_WECHAT_ORIGINAL_ID="+forgedAccount,
		"YCD_WECHAT_TOKEN="+forgedToken, "YCD_WECHAT_AES_KEY="+currentKey, "YCD_WECHAT_AES_KEY_PREVIOUS="+previousKey)
	f := &forger{t: t, r: rand.New(rand.NewPCG(20261126, 1)), now: time.Now()}

	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	left := func() string { return leftBy(t, rdb, filepath.Join(dir, "yuncaidun.db"), world) }

	before := left()
	classes := slices.Concat(seen, insiders)
	for n := range forgeries {
		c := classes[n%len(classes)]
		if status, said := post(t, i.URL, c.forge(f, f.genuine())); status != http.StatusBadRequest && status != http.StatusForbidden || strings.Contains(said, "<") {
			t.Errorf("%d, %s: HTTP %d %q", n, c.name, status, said)
		}
	}
	if after := left(); after != before {
		t.Errorf("the forgeries left something:\nbefore %s\nafter  %s", before, after)
	}

	for _, key := range []string{currentKey, previousKey} {
		s := f.genuine()
		s.key = key
		if status, said := post(t, i.URL, s.envelope(t)); status != http.StatusOK || !strings.Contains(said, "<Encrypt>") {
			t.Errorf("the untouched message under the key %.8s…: HTTP %d %q", key, status, said)
		}
		now := left()
		if now == before {
			t.Errorf("the untouched message under the key %.8s… left nothing, so this test sees nothing", key)
		}
		before = now
	}
}

func post(t *testing.T, base string, e envelope) (status int, said string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.url(base), strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "text/xml")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// leftBy describes what callbacks can leave: the rows of each table, the keys
// in Redis, what was texted. What the job queue keeps about itself is left out, and so are
// jobs, and the bills that are waited for, which come with the clock.
func leftBy(t *testing.T, rdb *redis.Client, file string, world story.Playground) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'river_%' AND name NOT LIKE 'sqlite_%' AND name <> 'bills' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM "`+table+`"`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(table, " ", n))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(keys)
	texts, err := world.SMS(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(out, " Redis ", keys, " SMS ", len(texts))
}
