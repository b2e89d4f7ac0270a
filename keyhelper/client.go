package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/issuance/token"
)

// client talks to the server on behalf of one ticket.
type client struct {
	server string // without a trailing slash
	ticket string
	http   *http.Client
}

// patience bounds one call; the server itself waits ten seconds for its issuer.
const patience = 20 * time.Second

func newClient(server, ticket string) (*client, error) {
	if !private(server) {
		return nil, usageError{errors.New("--server 须是网站的地址，以 https:// 开头，例如 https://ra.example.cn")}
	}
	if ticket == "" || len(ticket) > 64 {
		return nil, usageError{errors.New("--ticket 须是网页上显示的办理凭证")}
	}
	return &client{server: strings.TrimRight(server, "/"), ticket: ticket, http: &http.Client{Timeout: patience}}, nil
}

// private tells whether an address is one that nobody on the line can answer for: what
// it says opens USBKEYs. Only this PC may be talked to without TLS.
func private(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || net.ParseIP(u.Hostname()).IsLoopback())
}

// problem is a refusal of the server, in its own words.
type problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (p *problem) Error() string { return p.Detail }

// call posts in and reads the answer into out. Its errors name no ticket.
func (c *client) call(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("asking the server: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, bytes.NewReader(body)) //nolint:gosec // the address is the person's own choice
	if err != nil {
		return fmt.Errorf("asking the server: %w", err)
	}
	req.Header.Set("Authorization", "Ticket "+c.ticket)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req) //nolint:gosec // likewise
	if err != nil {
		return &problem{Code: "network", Detail: "连接不上网站 " + c.server + "，请检查网络后重试"}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return &problem{Code: "network", Detail: "与网站的连接中断，请重试"}
	}
	if resp.StatusCode >= http.StatusBadRequest {
		p := &problem{Status: resp.StatusCode, Detail: "网站暂时无法办理，请稍后重试"}
		if json.Unmarshal(answer, p) != nil || p.Detail == "" {
			p.Detail = "网站暂时无法办理，请稍后重试"
		}
		return p
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &problem{Code: "answer", Detail: "网站的回答看不懂，请更新证书助手"}
	}
	return nil
}

// errand is what the ticket is for.
type errand struct {
	ID          string `json:"id"`
	Purpose     string `json:"purpose"`
	TokenSerial string `json:"token_serial"`
	Holder      string `json:"holder"`
	Certificate []byte `json:"certificate"`
	Challenge   []byte `json:"challenge"`
}

// open shows the ticket with our ephemeral key.
func (c *client) open(ctx context.Context, e *token.Ephemeral) (errand, error) {
	var out errand
	err := c.call(ctx, "/helper/v1/open", map[string]any{"public_key": e.Public()}, &out)
	return out, err
}

// step tells the page that watches what we are doing; it may get lost.
func (c *client) step(ctx context.Context, name string) {
	_ = c.call(ctx, "/helper/v1/step", map[string]any{"step": name}, nil)
}

// report hands the proof in. Where the answer got lost it does so again, which is
// harmless.
func (c *client) report(ctx context.Context, path string, proof any) (orderNo string, err error) {
	var done struct {
		OrderNo string `json:"order_no"`
	}
	if err = c.call(ctx, path, proof, &done); lostAnswer(err) {
		err = c.call(ctx, path, proof, &done)
	}
	return done.OrderNo, err
}

func lostAnswer(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && (p.Code == "network" || p.Status >= 500)
}

// fail gives the ticket up.
func (c *client) fail(ctx context.Context, err error) { c.failAt(ctx, "/helper/v1/fail", err) }

func (c *client) failAt(ctx context.Context, path string, err error) {
	code := "other"
	if e, ok := errors.AsType[*token.Error](err); ok {
		code = string(e.Kind)
	}
	// Also when we were told to stop.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	_ = c.call(ctx, path, map[string]any{"code": code}, nil)
}
