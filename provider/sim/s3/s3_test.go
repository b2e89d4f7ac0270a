package s3

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The worked example of GET Object in Amazon's documentation of Signature Version 4
// (Authenticating Requests: Using the Authorization Header).
func example() (*Bucket, *http.Request) {
	b := &Bucket{
		Name: "ignored", Region: "us-east-1", AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		Now: func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	}
	r := httptest.NewRequest(http.MethodGet, "http://examplebucket.s3.amazonaws.com/test.txt", nil)
	r.Header.Set("Range", "bytes=0-9")
	r.Header.Set("X-Amz-Content-Sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	r.Header.Set("X-Amz-Date", "20130524T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"+
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
	return b, r
}

func TestDocumentedExample(t *testing.T) {
	b, r := example()
	if code := b.verify(r, nil); code != "" {
		t.Error(code)
	}
}

func TestVerifyRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Bucket, *http.Request)
		body   string
		want   string
	}{
		"no signature":    {func(_ *Bucket, r *http.Request) { r.Header.Del("Authorization") }, "", "AccessDenied"},
		"another secret":  {func(b *Bucket, _ *http.Request) { b.SecretKey = "another" }, "", "SignatureDoesNotMatch"},
		"another key":     {func(b *Bucket, _ *http.Request) { b.AccessKey = "another" }, "", "InvalidAccessKeyId"},
		"another region":  {func(b *Bucket, _ *http.Request) { b.Region = "cn-north-1" }, "", "SignatureDoesNotMatch"},
		"another path":    {func(_ *Bucket, r *http.Request) { r.URL.Path = "/test2.txt" }, "", "SignatureDoesNotMatch"},
		"another query":   {func(_ *Bucket, r *http.Request) { r.URL.RawQuery = "acl" }, "", "SignatureDoesNotMatch"},
		"another method":  {func(_ *Bucket, r *http.Request) { r.Method = http.MethodDelete }, "", "SignatureDoesNotMatch"},
		"another header":  {func(_ *Bucket, r *http.Request) { r.Header.Set("Range", "bytes=0-99") }, "", "SignatureDoesNotMatch"},
		"another body":    {func(*Bucket, *http.Request) {}, "x", "XAmzContentSHA256Mismatch"},
		"a long time ago": {func(b *Bucket, _ *http.Request) { b.Now = time.Now }, "", "RequestTimeTooSkewed"},
		"the digest unsigned": {func(_ *Bucket, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "x-amz-content-sha256;", "", 1))
		}, "", "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := example()
			tc.change(b, r)
			if code := b.verify(r, []byte(tc.body)); code != tc.want {
				t.Errorf("got %q, want %s", code, tc.want)
			}
		})
	}
}
