// Package tencent calls Tencent Cloud API 3.0 (signature method v3), the one
// protocol behind the products that provider/sms and provider/realname use.
//
// Messages of the provider never travel further than this package: some quote
// the mobile or the ID number of the request. Errors carry the code and the
// request ID, which is what Tencent's support asks for.
package tencent

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/outbound"
)

// Config says which product to call, where, and as whom.
type Config struct {
	Service string // "sms", "faceid"
	Version string // "2021-01-11"
	Region  string // "ap-guangzhou"; empty where the product has none
	BaseURL string // default https://<service>.tencentcloudapi.com

	SecretID, SecretKey string

	// Now dates the signature; Tencent refuses more than five minutes.
	Now func() time.Time
	// Latency observes each call in seconds by "op" and "outcome"; may be nil.
	Latency prometheus.ObserverVec
}

const (
	contentType = "application/json; charset=utf-8"
	timeout     = 5 * time.Second
	maxReply    = 1 << 20
)

// Client calls the actions of one product. It is safe for concurrent use.
type Client struct {
	cfg  Config
	base *url.URL
	http *http.Client
}

// NewClient checks the address and returns a client.
func NewClient(cfg Config) (*Client, error) {
	base, err := url.Parse(cmp.Or(cfg.BaseURL, "https://"+cfg.Service+".tencentcloudapi.com"))
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("tencent %s: base URL %q is not absolute", cfg.Service, cfg.BaseURL)
	}
	if cfg.SecretID == "" || cfg.SecretKey == "" {
		return nil, fmt.Errorf("tencent %s: no credentials", cfg.Service)
	}
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	return &Client{cfg: cfg, base: base, http: &http.Client{Timeout: timeout, CheckRedirect: stay}}, nil
}

// stay refuses redirects, which API 3.0 does not know: what is asked names people.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Error is a refusal by the provider. Its kind tells what to do about it.
type Error struct {
	Code      string // "LimitExceeded.PhoneNumberDailyLimit"
	RequestID string
}

// ProviderCode is the code as the record of a delivery keeps it.
func (e *Error) ProviderCode() string { return e.Code }

func (e *Error) Error() string { return fmt.Sprintf("%s (request %s)", e.Code, e.RequestID) }

// Call posts in to an action and decodes the reply into out. The error is an
// *order.Error of kind Unavailable or RateLimited where waiting helps, and
// wraps *Error whenever the provider answered.
//
// A call that timed out may have been carried out: Call never repeats one.
func (c *Client) Call(ctx context.Context, action string, in, out any) (err error) {
	done := outbound.Timed(c.cfg.Latency, action)
	defer func() { done(outcome(err)) }()
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", action, err)
	}
	req, err := c.request(ctx, action, body)
	if err != nil {
		return fmt.Errorf("preparing %s: %w", action, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unavailable(action, outbound.WithoutURL(err))
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return c.unavailable(action, outbound.WithoutURL(err))
	}
	// API 3.0 answers 200 even to refusals; anything else is a proxy or an outage.
	if resp.StatusCode != http.StatusOK {
		return c.unavailable(action, fmt.Errorf("HTTP status %d", resp.StatusCode))
	}
	return c.decode(action, reply, out)
}

func (c *Client) request(ctx context.Context, action string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := c.cfg.Now()
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-TC-Action", action)
	req.Header.Set("X-TC-Version", c.cfg.Version)
	req.Header.Set("X-TC-Timestamp", strconv.FormatInt(now.Unix(), 10))
	if c.cfg.Region != "" {
		req.Header.Set("X-TC-Region", c.cfg.Region)
	}
	req.Header.Set("Authorization", signature{
		secretID: c.cfg.SecretID, secretKey: c.cfg.SecretKey,
		service: c.cfg.Service, host: c.base.Host,
		contentType: contentType, action: action, at: now, body: body,
	}.authorization())
	return req, nil
}

func (c *Client) decode(action string, reply []byte, out any) error {
	var envelope struct {
		Response json.RawMessage
	}
	var refusal struct {
		Error     *struct{ Code string }
		RequestID string `json:"RequestId"`
	}
	if json.Unmarshal(reply, &envelope) != nil || json.Unmarshal(envelope.Response, &refusal) != nil {
		return c.unavailable(action, errors.New("reply is not API 3.0 JSON"))
	}
	if refusal.Error != nil {
		return c.Refused(action, refusal.Error.Code, refusal.RequestID)
	}
	if err := json.Unmarshal(envelope.Response, out); err != nil {
		return c.unavailable(action, errors.New("reply has unexpected fields"))
	}
	return nil
}

// Refused turns a provider's code into the error Call returns for it. It is for
// actions that put further codes inside a successful reply, such as SendSms.
func (c *Client) Refused(action, code, requestID string) error {
	err := fmt.Errorf("calling %s %s: %w", c.cfg.Service, action, &Error{Code: code, RequestID: requestID})
	family, _, _ := strings.Cut(code, ".")
	switch family {
	case "RequestLimitExceeded", "LimitExceeded":
		return &order.Error{Kind: order.RateLimited, Code: "provider_rate_limited", Detail: "操作过于频繁，请稍后再试", RetryAfter: time.Minute, Err: err}
	case "InternalError", "ResourceUnavailable", "ResourceInsufficient":
		return c.unavailable(action, err)
	}
	return err
}

func (c *Client) unavailable(action string, cause error) error {
	return &order.Error{
		Kind: order.Unavailable, Code: "provider_unavailable", Detail: "服务暂时不可用，请稍后再试",
		RetryAfter: 30 * time.Second, Err: fmt.Errorf("calling %s %s: %w", c.cfg.Service, action, cause),
	}
}

func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "timeout"
	}
	return "error"
}
