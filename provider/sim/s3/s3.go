// Package s3 is a bucket that speaks what the product uses of the S3 API, addressed by
// path, and believes only requests signed with Signature Version 4 over their whole body.
package s3

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	skew    = 15 * time.Minute
	maxBody = 128 << 20

	unsigned = "UNSIGNED-PAYLOAD"
)

// Bucket is the one bucket of a server.
type Bucket struct {
	Name, Region, AccessKey, SecretKey string
	Versioning                         string // "", Enabled or Suspended
	Now                                func() time.Time

	mu      sync.Mutex
	objects map[string][]byte
}

// Objects are the names of what the bucket holds, sorted.
func (b *Bucket) Objects() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make([]string, 0, len(b.objects))
	for name := range b.objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Read gives the bytes that lie there.
func (b *Bucket) Read(name string) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.objects[name])
}

// Write puts bytes there, as who administers the server could.
func (b *Bucket) Write(name string, content []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.objects == nil {
		b.objects = map[string][]byte{}
	}
	b.objects[name] = slices.Clone(content)
}

func (b *Bucket) remove(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, name)
}

// ServeHTTP implements http.Handler.
func (b *Bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amz-Request-Id", rand.Text())
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		Refuse(w, http.StatusBadRequest, "IncompleteBody")
		return
	}
	if code := b.verify(r, body); code != "" {
		Refuse(w, http.StatusForbidden, code)
		return
	}
	name, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	_, versioning := r.URL.Query()["versioning"]
	switch {
	case name != b.Name:
		Refuse(w, http.StatusNotFound, "NoSuchBucket")
	case object == "" && r.Method == http.MethodHead:
	case object == "" && r.Method == http.MethodGet && versioning:
		reply(w, struct {
			XMLName xml.Name `xml:"VersioningConfiguration"`
			Status  string   `xml:",omitempty"`
		}{Status: b.Versioning})
	case object != "" && r.Method == http.MethodPut:
		b.Write(object, body)
		w.Header().Set("ETag", etag(body))
	case object != "" && r.Method == http.MethodDelete:
		b.remove(object)
		w.WriteHeader(http.StatusNoContent)
	case object != "" && r.Method == http.MethodGet:
		if !slices.Contains(b.Objects(), object) {
			Refuse(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		content := b.Read(object)
		w.Header().Set("ETag", etag(content))
		w.Header().Set("Last-Modified", b.Now().UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(content)
	default:
		Refuse(w, http.StatusNotImplemented, "NotImplemented")
	}
}

func etag(content []byte) string {
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:16]) + `"`
}

// Refuse answers as S3 words a refusal.
func Refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	reply(w, struct {
		XMLName                  xml.Name `xml:"Error"`
		Code, Message, RequestID string
	}{Code: code, Message: "The request was refused.", RequestID: w.Header().Get("X-Amz-Request-Id")})
}

func reply(w io.Writer, document any) {
	_, _ = io.WriteString(w, xml.Header)
	_ = xml.NewEncoder(w).Encode(document)
}

// verify signs the request anew, with the SDK of those who invented the signature, and
// gives the code of a refusal, or nothing.
func (b *Bucket) verify(r *http.Request, body []byte) string {
	given := r.Header.Get("Authorization")
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || !strings.HasPrefix(given, "AWS4-HMAC-SHA256 ") {
		return "AccessDenied"
	}
	if b.Now().Sub(at).Abs() > skew {
		return "RequestTimeTooSkewed"
	}
	if !strings.Contains(given, "Credential="+b.AccessKey+"/") {
		return "InvalidAccessKeyId"
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(body))
	if len(body) == 0 && r.Header.Get("X-Amz-Content-Sha256") == unsigned {
		digest = unsigned // nothing to sign
	}
	if r.Header.Get("X-Amz-Content-Sha256") != digest {
		return "XAmzContentSHA256Mismatch"
	}
	_, rest, _ := strings.Cut(given, "SignedHeaders=")
	signed, _, _ := strings.Cut(rest, ",")
	again := &http.Request{Method: r.Method, Host: r.Host, Header: http.Header{}, URL: &url.URL{
		Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery,
	}}
	for name := range strings.SplitSeq(signed, ";") {
		switch name {
		case "host":
		case "content-length":
			again.ContentLength = r.ContentLength
		default:
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: b.AccessKey, SecretAccessKey: b.SecretKey}, again, digest, "s3", b.Region, at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil || again.Header.Get("X-Amz-Content-Sha256") == "" || !hmac.Equal([]byte(compact(again.Header.Get("Authorization"))), []byte(compact(given))) {
		return "SignatureDoesNotMatch"
	}
	return ""
}

// compact drops the blanks that one implementation puts between the parts and another does not.
func compact(authorization string) string { return strings.ReplaceAll(authorization, ", ", ",") }
