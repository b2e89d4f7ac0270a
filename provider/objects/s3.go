package objects

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// S3Config is a bucket and who may use it.
type S3Config struct {
	EndpointURL          string // https://s3.cn-north-1.amazonaws.com.cn, without the bucket
	Region               string
	Bucket               string
	PathStyle            bool // the bucket goes into the path instead of the host
	AccessKey, SecretKey string

	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

const (
	timeout  = 15 * time.Second // of an operation with its retries
	attempts = 3
	maxBytes = 64 << 20 // of an object
)

// bucket keeps objects in an S3 bucket.
type bucket struct {
	cfg     S3Config
	s3      *minio.Core
	timeout time.Duration
}

// OpenS3 opens the store in a bucket, and looks whether the bucket is there and forgets
// what is deleted. Its errors say what to do.
func OpenS3(ctx context.Context, cfg S3Config, sealer Sealer) (*Store, error) {
	b, err := newBucket(cfg)
	if err != nil {
		return nil, err
	}
	if err := b.check(ctx); err != nil {
		return nil, err
	}
	return &Store{b, sealer}, nil
}

func newBucket(cfg S3Config) (*bucket, error) {
	endpoint, err := url.Parse(cfg.EndpointURL)
	if err != nil || endpoint.Host == "" {
		return nil, fmt.Errorf("objects: endpoint URL %q is not absolute", cfg.EndpointURL)
	}
	lookup := minio.BucketLookupDNS
	if cfg.PathStyle {
		lookup = minio.BucketLookupPath
	}
	client, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Secure: endpoint.Scheme == "https",
		Region: cfg.Region, BucketLookup: lookup, MaxRetries: attempts, Transport: outbound.Limited(maxBytes),
	})
	if err != nil {
		return nil, fmt.Errorf("objects: %w", err)
	}
	return &bucket{cfg, client, timeout}, nil
}

// check refuses a bucket that keeps versions: what is erased would stay in it.
func (b *bucket) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	there, err := b.s3.BucketExists(ctx, b.cfg.Bucket)
	switch code := minio.ToErrorResponse(err).Code; {
	case err != nil && slices.Contains([]string{minio.AccessDenied, minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch}, code):
		return fmt.Errorf("bucket %q refuses this key: check YCD_OBJECTS_ACCESS_KEY, YCD_OBJECTS_SECRET_KEY, YCD_OBJECTS_REGION, the clock of this host, and that the key's policy allows s3:ListBucket: %w", b.cfg.Bucket, err)
	case err != nil:
		return fmt.Errorf("bucket %q cannot be reached: check YCD_OBJECTS_ENDPOINT_URL and YCD_OBJECTS_PATH_STYLE, and that this host may connect there: %w", b.cfg.Bucket, err)
	case !there:
		return fmt.Errorf("there is no bucket %q: create it, or correct YCD_OBJECTS_BUCKET, YCD_OBJECTS_ENDPOINT_URL or YCD_OBJECTS_REGION", b.cfg.Bucket)
	}
	versions, err := b.s3.GetBucketVersioning(ctx, b.cfg.Bucket)
	switch {
	case minio.ToErrorResponse(err).Code == minio.NotImplemented: // no versions at all
		return nil
	case err != nil:
		return fmt.Errorf("bucket %q does not say whether it keeps versions: have the key's policy allow s3:GetBucketVersioning: %w", b.cfg.Bucket, err)
	case versions.Status != "":
		return fmt.Errorf("bucket %q keeps or has kept versions, so that erased pictures would stay in it: use a bucket that never had versioning on", b.cfg.Bucket)
	}
	return nil
}

func (b *bucket) close() error { return nil }

// write sends one signed request with the digest of the whole: some servers take
// neither parts nor chunks, and an upload in parts could leave some behind.
func (b *bucket) write(ctx context.Context, name string, sealed []byte) error {
	if len(sealed) > maxBytes {
		return fmt.Errorf("%d bytes are more than an object may have", len(sealed))
	}
	digest := sha256.Sum256(sealed)
	return b.call(ctx, "put", func(ctx context.Context) error {
		_, err := b.s3.PutObject(ctx, b.cfg.Bucket, name, bytes.NewReader(sealed), int64(len(sealed)), "", hex.EncodeToString(digest[:]),
			minio.PutObjectOptions{ContentType: "application/octet-stream", DisableContentSha256: true})
		return err
	})
}

func (b *bucket) read(ctx context.Context, name string) (sealed []byte, err error) {
	err = b.call(ctx, "get", func(ctx context.Context) error {
		body, _, _, err := b.s3.GetObject(ctx, b.cfg.Bucket, name, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		sealed, err = io.ReadAll(body)
		return errors.Join(err, body.Close())
	})
	return sealed, err
}

func (b *bucket) remove(ctx context.Context, name string) error {
	err := b.call(ctx, "delete", func(ctx context.Context) error {
		return b.s3.RemoveObject(ctx, b.cfg.Bucket, name, minio.RemoveObjectOptions{})
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// call bounds and measures an operation. Its error is fs.ErrNotExist where the object,
// not the bucket, is missing, and else of kind Unavailable.
func (b *bucket) call(ctx context.Context, op string, do func(context.Context) error) (err error) {
	done := outbound.Timed(b.cfg.Latency, op)
	defer func() { done(outcome(err)) }()
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	err = do(ctx)
	refusal := minio.ToErrorResponse(err)
	switch {
	case err == nil:
		return nil
	case refusal.StatusCode == http.StatusNotFound && refusal.Code == minio.NoSuchKey && refusal.RequestID != "": // a proxy's 404 has no id
		return fs.ErrNotExist
	}
	return &order.Error{
		Kind: order.Unavailable, Code: "objects_unavailable", Detail: "文件服务暂时不可用，请稍后再试",
		RetryAfter: 30 * time.Second, Err: fmt.Errorf("bucket: %s: %w", op, outbound.WithoutURL(err)),
	}
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error"
}
