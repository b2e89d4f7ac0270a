// Package wxcrypt is the simulator's own WXBizMsgCrypt, the safe-mode envelope of official-account callbacks:
// AES-256-CBC over random(16) ∥ length(4) ∥ message ∥ appid, and SHA-1 signatures over sorted parts. It is written
// from the documentation, independently of the product's codec, so that each checks the other.
package wxcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the protocol's own signature
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// block is the PKCS#7 block size the protocol uses (32, not AES's 16).
const block = 32

// ErrEnvelope is returned for everything that is not an envelope made with this key for this account.
var ErrEnvelope = errors.New("wxcrypt: not an envelope of this account")

// Codec seals and opens messages of one official account.
type Codec struct {
	token, appID string
	key          []byte
}

// New reads the 43-character key leniently: the documentation's own sample has non-zero trailing bits.
func New(token, encodingAESKey, appID string) (*Codec, error) {
	key, err := base64.StdEncoding.DecodeString(encodingAESKey + "=")
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("wxcrypt: EncodingAESKey must be 43 base64 characters: %w", err)
	}
	return &Codec{token: token, appID: appID, key: key}, nil
}

// Signature is the lower-case hex SHA-1 over the sorted token and parts: (timestamp, nonce) for "signature",
// (timestamp, nonce, encrypted) for "msg_signature".
func (c *Codec) Signature(parts ...string) string {
	all := append([]string{c.token}, parts...)
	slices.Sort(all)
	sum := sha1.Sum([]byte(strings.Join(all, ""))) //nolint:gosec // see import
	return hex.EncodeToString(sum[:])
}

// Seal returns the base64 envelope of a message.
func (c *Codec) Seal(message []byte) (string, error) {
	plain := make([]byte, 16, 16+4+len(message)+len(c.appID)+block)
	if _, err := rand.Read(plain); err != nil {
		return "", err
	}
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(message))) //nolint:gosec // messages are small
	plain = append(append(plain, message...), c.appID...)
	pad := block - len(plain)%block
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)

	b, err := aes.NewCipher(c.key)
	if err != nil {
		return "", err
	}
	cipher.NewCBCEncrypter(b, c.key[:aes.BlockSize]).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain), nil
}

// Open returns the message of a base64 envelope, refusing one for another account.
func (c *Codec) Open(envelope string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(envelope)
	if err != nil || len(data) == 0 || len(data)%aes.BlockSize != 0 {
		return nil, ErrEnvelope
	}
	b, err := aes.NewCipher(c.key)
	if err != nil {
		return nil, err
	}
	cipher.NewCBCDecrypter(b, c.key[:aes.BlockSize]).CryptBlocks(data, data)

	pad := int(data[len(data)-1])
	if pad < 1 || pad > block || pad > len(data)-20 {
		return nil, ErrEnvelope
	}
	data = data[:len(data)-pad]
	size := int64(binary.BigEndian.Uint32(data[16:20]))
	if size > int64(len(data)-20) || string(data[20+size:]) != c.appID {
		return nil, ErrEnvelope
	}
	return data[20 : 20+size], nil
}
