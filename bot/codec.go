package bot

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the protocol prescribes SHA-1; it authenticates together with the secret token
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// maxBody bounds a callback. WeChat's longest text is 2048 characters.
	maxBody = 64 << 10
	// freshness is how far a callback's timestamp may lie from our clock.
	freshness = 300 * time.Second
	// padTo is the PKCS#7 block of the protocol (32, not AES's 16).
	padTo = 32
	// headLen precedes the message in the clear text: 16 random bytes and the
	// message's length.
	headLen = 20
)

// Account is what WeChat's console and we agreed on for one official account.
type Account struct {
	AppID      string
	OriginalID string // gh_…, the ToUserName of every callback
	Token      string
	// AESKey is the EncodingAESKey. PreviousAESKey, if any, is still accepted
	// while WeChat rolls over to a new one; an answer uses the key of its question.
	AESKey, PreviousAESKey string
}

// Refusal is why a callback was turned away, with the HTTP status that says so.
type Refusal struct {
	Status int
	Reason string
}

func (r *Refusal) Error() string { return r.Reason }

// The refusals of a callback.
var (
	errTooLarge      = &Refusal{http.StatusRequestEntityTooLarge, "body_too_large"}
	errSignature     = &Refusal{http.StatusForbidden, "bad_signature"}
	errStale         = &Refusal{http.StatusForbidden, "stale"}
	errPlain         = &Refusal{http.StatusForbidden, "plain_body"}
	errMsgSignature  = &Refusal{http.StatusForbidden, "bad_msg_signature"}
	errRecipient     = &Refusal{http.StatusForbidden, "other_account"}
	errTwice         = &Refusal{http.StatusBadRequest, "parameter_given_twice"}
	errUndecryptable = &Refusal{http.StatusBadRequest, "undecryptable"}
	errMalformed     = &Refusal{http.StatusBadRequest, "malformed_xml"}
)

// Codec opens and seals the callbacks of one account in 安全模式 (safe mode). It
// is safe for concurrent use.
type Codec struct {
	appID, originalID, token string
	keys                     []*aesKey
	now                      func() time.Time
	pool                     sync.Pool // of *scratch
}

type aesKey struct {
	block cipher.Block
	iv    []byte
}

// scratch is the working memory of one callback, reused by the next.
type scratch struct {
	hash   hash.Hash
	sum    [sha1.Size]byte
	hexSum [2 * sha1.Size]byte
	enc    []resettable // per key
	dec    []resettable
	plain  []byte // what was received, opened
	reply  []byte // what is answered, in the clear
	sealed []byte // what is answered, sealed
	value  []byte // an XML value put together from pieces
}

// resettable is a CBC mode whose IV can be set again; the standard library's
// modes are, which saves copying the key schedule for every message.
type resettable interface {
	cipher.BlockMode
	SetIV(iv []byte)
}

// NewCodec returns a codec for a. An account without token, key or identifiers
// is refused: silenceper's server, for one, would accept anything from anybody.
func NewCodec(a Account, now func() time.Time) (*Codec, error) {
	var faults []error
	for name, v := range map[string]string{"app id": a.AppID, "original id": a.OriginalID, "token": a.Token, "AES key": a.AESKey} {
		if v == "" {
			faults = append(faults, fmt.Errorf("official account: %s is empty", name))
		}
	}
	c := &Codec{appID: a.AppID, originalID: a.OriginalID, token: a.Token, now: now}
	for _, encoded := range []string{a.AESKey, a.PreviousAESKey} {
		if encoded == "" {
			continue
		}
		key, err := decodeAESKey(encoded)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("official account: %w", err)
		}
		c.keys = append(c.keys, &aesKey{block: block, iv: key[:aes.BlockSize]})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c.pool.New = func() any { return c.newScratch() }
	return c, nil
}

// decodeAESKey decodes an EncodingAESKey: 43 base64 characters for 32 bytes. The
// two bits left over need not be zero (in the documentation's own sample they
// are not).
func decodeAESKey(s string) ([]byte, error) {
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimSuffix(s, "="))
	if err != nil || len(key) != 32 {
		return nil, errors.New("official account: the AES key is not 43 base64 characters")
	}
	return key, nil
}

func (c *Codec) newScratch() *scratch {
	s := &scratch{hash: sha1.New()} //nolint:gosec // see the import
	for _, k := range c.keys {
		s.enc = append(s.enc, cipher.NewCBCEncrypter(k.block, k.iv).(resettable))
		s.dec = append(s.dec, cipher.NewCBCDecrypter(k.block, k.iv).(resettable))
	}
	return s
}

// query is the part of a callback's URL that authenticates it.
type query struct {
	signature, timestamp, nonce, msgSignature, encryptType []byte
}

// authenticate checks the signature over token, timestamp and nonce, and that
// the timestamp is fresh. Only WeChat knows the token.
func (c *Codec) authenticate(s *scratch, q query) error {
	if !c.signed(s, q.signature, q.timestamp, q.nonce, nil) {
		return errSignature
	}
	sec, err := strconv.ParseInt(string(q.timestamp), 10, 64)
	if err != nil {
		return errStale
	}
	if age := c.now().Unix() - sec; age > int64(freshness/time.Second) || age < -int64(freshness/time.Second) {
		return errStale
	}
	return nil
}

// open authenticates, decrypts and parses one POST. key says which key it was
// sealed with, for seal.
func (c *Codec) open(s *scratch, q query, body []byte) (m Message, key int, err error) {
	if len(body) > maxBody {
		return m, 0, errTooLarge
	}
	if err := c.authenticate(s, q); err != nil {
		return m, 0, err
	}
	// The signature does not cover a plain body: whoever saw one URL could forge
	// any message. So nothing but safe mode is let in.
	if string(q.encryptType) != "aes" {
		return m, 0, errPlain
	}
	sealed, err := encrypted(s, body)
	if err != nil {
		return m, 0, err
	}
	if !c.signed(s, q.msgSignature, q.timestamp, q.nonce, sealed) {
		return m, 0, errMsgSignature
	}
	plain, key, err := c.decrypt(s, sealed)
	if err != nil {
		return m, 0, err
	}
	m, err = parseMessage(s, plain, c.originalID)
	return m, key, err
}

// decrypt tries each key; the app id at the end says which was right.
func (c *Codec) decrypt(s *scratch, sealed []byte) (plain []byte, key int, err error) {
	for key := range c.keys {
		s.plain = append(s.plain[:0], sealed...)
		n, err := base64.StdEncoding.Decode(s.plain, s.plain)
		if err != nil || n == 0 || n%padTo != 0 {
			return nil, 0, errUndecryptable
		}
		p := s.plain[:n]
		s.dec[key].SetIV(c.keys[key].iv)
		s.dec[key].CryptBlocks(p, p)
		if msg, ok := c.unwrap(p); ok {
			return msg, key, nil
		}
	}
	return nil, 0, errUndecryptable
}

// unwrap takes random(16) length(4) message appid padding apart.
func (c *Codec) unwrap(p []byte) ([]byte, bool) {
	pad := int(p[len(p)-1])
	if pad < 1 || pad > padTo || pad > len(p)-headLen {
		return nil, false
	}
	for _, b := range p[len(p)-pad:] {
		if int(b) != pad {
			return nil, false
		}
	}
	p = p[16 : len(p)-pad]
	n := int(binary.BigEndian.Uint32(p))
	p = p[4:]
	if n < 0 || n > len(p) || string(p[n:]) != c.appID {
		return nil, false
	}
	return p[:n], true
}

// seal encrypts msg with the given key and returns the signed envelope. The
// result is valid until the scratch is reused.
func (c *Codec) seal(s *scratch, key int, msg []byte) ([]byte, error) {
	n := headLen + len(msg) + len(c.appID)
	pad := padTo - n%padTo
	total := n + pad

	s.plain = grow(s.plain, total)
	p := s.plain
	var random [16 + 8]byte // 16 for the clear text, 8 for the nonce
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("reading random bytes: %w", err)
	}
	copy(p, random[:16])
	binary.BigEndian.PutUint32(p[16:], uint32(len(msg))) //nolint:gosec // a reply is far below 4 GiB
	copy(p[headLen:], msg)
	copy(p[headLen+len(msg):], c.appID)
	for i := n; i < total; i++ {
		p[i] = byte(pad)
	}
	s.enc[key].SetIV(c.keys[key].iv)
	s.enc[key].CryptBlocks(p, p)

	const open = "<xml><Encrypt><![CDATA["
	out := append(s.sealed[:0], open...)
	out = base64.StdEncoding.AppendEncode(out, p)
	sealed := out[len(open):]

	var timestamp, nonce [20]byte
	ts := strconv.AppendInt(timestamp[:0], c.now().Unix(), 10)
	nc := strconv.AppendUint(nonce[:0], binary.BigEndian.Uint64(random[16:])>>32, 10)
	signature := c.sign(s, ts, nc, sealed)

	out = append(out, "]]></Encrypt><MsgSignature><![CDATA["...)
	out = append(out, signature...)
	out = append(out, "]]></MsgSignature><TimeStamp>"...)
	out = append(out, ts...)
	out = append(out, "</TimeStamp><Nonce><![CDATA["...)
	out = append(out, nc...)
	out = append(out, "]]></Nonce></xml>"...)
	s.sealed = out
	return out, nil
}

// signed compares in constant time.
func (c *Codec) signed(s *scratch, signature, timestamp, nonce, sealed []byte) bool {
	return subtle.ConstantTimeCompare(signature, c.sign(s, timestamp, nonce, sealed)) == 1
}

// sign returns hex(SHA-1(the sorted parts, joined)); sealed is nil for the
// signature without a body.
func (c *Codec) sign(s *scratch, timestamp, nonce, sealed []byte) []byte {
	s.value = append(s.value[:0], c.token...)
	parts := [4][]byte{s.value, timestamp, nonce, sealed}
	n := len(parts)
	if sealed == nil {
		n--
	}
	for i := 1; i < n; i++ { // insertion sort: n ≤ 4
		for j := i; j > 0 && string(parts[j]) < string(parts[j-1]); j-- {
			parts[j], parts[j-1] = parts[j-1], parts[j]
		}
	}
	s.hash.Reset()
	for _, p := range parts[:n] {
		s.hash.Write(p)
	}
	hex.Encode(s.hexSum[:], s.hash.Sum(s.sum[:0]))
	return s.hexSum[:]
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}
