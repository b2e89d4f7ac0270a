package handlers

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/order"
)

// policy is the content security policy of every page: nothing inline, nothing
// foreign. Pictures of the page's own making (previews) are blobs.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; manifest-src 'self'"

// harden sets the headers of every response; a handler may tighten them.
func (s *Server) harden(c *fiber.Ctx) error {
	c.Set("Content-Security-Policy", policy)
	c.Set("X-Content-Type-Options", "nosniff")
	c.Set("X-Frame-Options", "DENY")
	c.Set("Referrer-Policy", "same-origin")
	c.Set("Cross-Origin-Opener-Policy", "same-origin")
	c.Set("Cross-Origin-Resource-Policy", "same-origin")
	c.Set("Permissions-Policy", "camera=(self), geolocation=(), microphone=(), payment=()")
	if s.secure() {
		c.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	return c.Next()
}

// observe gives the request its id and its time, measures it and writes the access log. The
// log names the route, never the path: paths hold tokens.
func (s *Server) observe(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), answerTime)
	defer cancel()
	c.SetUserContext(ctx)
	start := s.Now()
	id := ulid.Make().String()
	c.Set(fiber.HeaderXRequestID, id)
	err := c.Next()
	if err != nil { // write the answer now, so that its status can be recorded
		if err = s.failed(c, err); err != nil {
			return err
		}
	}
	took, route, status := s.Now().Sub(start), c.Route().Path, c.Response().StatusCode()
	s.requests.WithLabelValues(c.Method(), route, strconv.Itoa(status)).Observe(took.Seconds())
	s.Log.LogAttrs(c.UserContext(), slog.LevelInfo, "request", slog.String("method", c.Method()), slog.String("route", route),
		slog.Int("status", status), slog.Duration("took", took), slog.String("request_id", id))
	return nil
}

// recovered turns a panic into an error. Its value may hold anything, so only
// the runtime's own words are kept.
func recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %s\n%s", order.PanicText(r), debug.Stack())
		}
	}()
	return c.Next()
}

func newRequestHistogram(reg prometheus.Registerer) (*prometheus.HistogramVec, error) {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ycd_http_request_duration_seconds", Help: "Time to answer a request, by route.",
		Buckets: []float64{.001, .005, .02, .1, .5, 2, 10},
	}, []string{"method", "route", "status"})
	return h, reg.Register(h)
}

// oneLength refuses a request that says its length twice, in chunks and in a header: a
// proxy before us may believe the other one, and what it takes for a body would be
// somebody's next request here (RFC 9112 §6.3).
func oneLength(c *fiber.Ctx) error {
	raw := bytes.ToLower(c.Request().Header.RawHeaders())
	if bytes.Contains(raw, []byte("transfer-encoding:")) && bytes.Contains(raw, []byte("content-length:")) {
		c.Context().SetConnectionClose()
		return order.Errorf(order.Invalid, "two_lengths", "请求格式有误")
	}
	return c.Next()
}
