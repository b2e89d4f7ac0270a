package objects

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/sim/s3"
)

// What a server says that is not about the object is never taken for its absence: an
// erasure would believe it.
func TestServerInTroubleIsUnavailable(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"fails": func(w http.ResponseWriter, _ *http.Request) {
			s3.Refuse(w, http.StatusInternalServerError, "InternalError")
		},
		"is busy":             func(w http.ResponseWriter, _ *http.Request) { s3.Refuse(w, http.StatusServiceUnavailable, "SlowDown") },
		"denies":              func(w http.ResponseWriter, _ *http.Request) { s3.Refuse(w, http.StatusForbidden, "AccessDenied") },
		"has lost the bucket": func(w http.ResponseWriter, _ *http.Request) { s3.Refuse(w, http.StatusNotFound, "NoSuchBucket") },
		"is another server":   http.NotFound,
		"leads elsewhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"is slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the client left
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := newBucket(S3Config{EndpointURL: listen(t, answer), Region: "cn-north-1", Bucket: "ycd-objects", PathStyle: true, AccessKey: "a", SecretKey: "canary-secret"})
			if err != nil {
				t.Fatal(err)
			}
			b.timeout = 100 * time.Millisecond // the retries end with it
			s := &Store{b, newSealer(t)}
			_, reading := s.Get(t.Context(), idA)
			for op, err := range map[string]error{"put": s.Put(t.Context(), idA, []byte("x")), "get": reading, "delete": s.Delete(t.Context(), idA)} {
				if !errors.Is(err, order.Unavailable) {
					t.Errorf("%s: %v", op, err)
					continue
				}
				if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "http://") {
					t.Errorf("%s: the error tells too much: %v", op, err)
				}
			}
		})
	}
}

func TestOpeningSaysWhatToDo(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*s3.Bucket, *S3Config)
		want   string
	}{
		"another secret":   {func(_ *s3.Bucket, c *S3Config) { c.SecretKey = "canary-other" }, "YCD_OBJECTS_SECRET_KEY"},
		"an unknown key":   {func(_ *s3.Bucket, c *S3Config) { c.AccessKey = "AKOTHER" }, "YCD_OBJECTS_ACCESS_KEY"},
		"another region":   {func(_ *s3.Bucket, c *S3Config) { c.Region = "cn-south-1" }, "YCD_OBJECTS_REGION"},
		"a slow clock":     {func(b *s3.Bucket, _ *S3Config) { b.Now = func() time.Time { return time.Now().Add(time.Hour) } }, "clock"},
		"no such bucket":   {func(_ *s3.Bucket, c *S3Config) { c.Bucket = "another" }, "create it"},
		"nobody listens":   {func(_ *s3.Bucket, c *S3Config) { c.EndpointURL = "http://127.0.0.1:1" }, "YCD_OBJECTS_ENDPOINT_URL"},
		"versions":         {func(b *s3.Bucket, _ *S3Config) { b.Versioning = "Enabled" }, "versioning"},
		"versions of past": {func(b *s3.Bucket, _ *S3Config) { b.Versioning = "Suspended" }, "versioning"},
	} {
		t.Run(name, func(t *testing.T) {
			server, cfg := newServer(t)
			tc.change(server, &cfg)
			_, err := OpenS3(t.Context(), cfg, newSealer(t))
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want something about %s", err, tc.want)
			}
		})
	}
}

// Where the path does not name the bucket, the host does.
func TestBucketInTheHost(t *testing.T) {
	b, err := newBucket(S3Config{EndpointURL: "https://oss.example.cn", Region: "cn-hangzhou", Bucket: "ycd-objects", AccessKey: "a", SecretKey: "b"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.s3.PresignedGetObject(context.Background(), b.cfg.Bucket, nameA, time.Minute, nil)
	if err != nil || u.Host != "ycd-objects.oss.example.cn" || u.Path != "/"+nameA || u.Scheme != "https" {
		t.Errorf("got %v, %v", u, err)
	}
}

func TestTooLargeAnObjectIsNotStored(t *testing.T) {
	server, cfg := newServer(t)
	s, err := OpenS3(t.Context(), cfg, newSealer(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), idA, make([]byte, maxBytes)); err == nil || len(server.Objects()) != 0 { // sealed it is larger
		t.Errorf("stored %q, %v", server.Objects(), err)
	}
}
