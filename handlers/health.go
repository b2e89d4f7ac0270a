package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one part that the process needs, such as the database.
type Check struct {
	Name string
	Run  func(ctx context.Context) error
}

// Health returns the app of a process that has no web, and of an address that no
// stranger reaches: liveness, readiness and metrics.
func Health(checks []Check, metrics *prometheus.Registry, log *slog.Logger) *fiber.App {
	s := &Server{Deps: Deps{Checks: checks, Metrics: metrics, Log: log}, App: fiber.New(fiber.Config{
		AppName: "yuncaidun", DisableStartupMessage: true, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
	})}
	s.alive()
	s.Watched()
	return s.App
}

// alive says that the process lives; it tells strangers nothing else.
func (s *Server) alive() {
	s.get("/healthz", Plain, func(c *fiber.Ctx) error { return c.SendString("ok\n") })
}

// Watched adds readiness and metrics, which are for who operates it.
func (s *Server) Watched() {
	s.get("/readyz", Plain, s.ready)
	s.get("/metrics", Plain, adaptor.HTTPHandler(promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{})))
}

// ready names the parts that fail. Their errors go to the log only.
func (s *Server) ready(c *fiber.Ctx) error {
	ctx, cancel := context.WithTimeout(c.UserContext(), 3*time.Second)
	defer cancel()
	failed := []string{}
	for _, check := range s.Checks {
		if err := check.Run(ctx); err != nil {
			s.Log.WarnContext(ctx, "not ready", slog.String("part", check.Name), slog.Any("err", err))
			failed = append(failed, check.Name)
		}
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	if len(failed) > 0 {
		return c.Status(http.StatusServiceUnavailable).JSON(fiber.Map{"status": "unavailable", "failed": failed})
	}
	return c.JSON(fiber.Map{"status": "ready", "failed": failed})
}
