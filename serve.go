package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/jobs"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/font"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

type serveCmd struct {
	Roles       string `help:"What this process does: any of web,jobs,issuer (default all)." placeholder:"ROLES"`
	PrintConfig bool   `help:"Print the effective configuration, secrets masked, and exit."`
}

// Run serves until it is told to stop.
func (s serveCmd) Run(ctx context.Context, c *cli) error {
	cfg, err := c.load(map[string]string{"roles": s.Roles})
	if s.PrintConfig {
		if cfg != nil {
			return errors.Join(cfg.ForeseeDevelopment(), cfg.Print(os.Stdout), err)
		}
		return err
	}
	if err := lacking(cfg, err); err != nil {
		return err
	}
	a := &app{cfg: cfg, log: newLog()}
	defer a.close()
	if err := a.open(ctx); err != nil {
		return err
	}
	return a.serve(ctx)
}

// prepare makes the data directory and, in development, the missing secrets.
func prepare(cfg *config.Config) error {
	if cfg.Production() {
		return nil
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return err
	}
	return cfg.EnsureDevelopment()
}

// app is one running process: the parts that its roles need.
type app struct {
	cfg     *config.Config
	log     *slog.Logger
	clock   *clock
	metrics *prometheus.Registry

	db       *store.DB
	rdb      redis.UniversalClient
	out      *outside
	typeface *font.Font // see font
	links    notice.Links
	settings *order.Settings
	orders   *order.Service
	books    *order.Reconciler

	certificates *certificate.Service
	statuses     *issuance.Remembering
	reminders    *certificate.Reminders

	ca       *issuance.CA       // issuer only
	pipeline *issuance.Pipeline // issuer only
	office   *request.Office    // issuer only
	desk     *request.Desk
	jobs     *store.Jobs
	web      *handlers.Server
	dev      *playground // development only

	closers []func() error
}

// onClose runs f when the process ends, last opened first.
func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

func (a *app) close() {
	for _, closer := range slices.Backward(a.closers) {
		if err := closer(); err != nil {
			a.log.Error("closing", "err", err)
		}
	}
}

// open connects and builds everything; nothing runs yet.
func (a *app) open(ctx context.Context) (err error) {
	cfg := a.cfg
	if err := prepare(cfg); err != nil {
		return err
	}
	if a.clock, err = openClock(devDir(cfg)); err != nil {
		return err
	}
	a.metrics = prometheus.NewRegistry()
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.links = notice.Links{PublicURL: strings.TrimRight(cfg.PublicURL, "/")}

	if a.db, err = openStore(ctx, cfg); err != nil {
		return err
	}
	a.onClose(a.db.Close)
	upToDate := a.db.Migrate
	if cfg.Production() {
		upToDate = func(ctx context.Context) error { return checkSchema(ctx, a.db) }
	}
	if err := upToDate(ctx); err != nil {
		return err
	}
	rdb, closeRedis, err := openRedis(ctx, cfg, a.clock.Now)
	if err != nil {
		return err
	}
	a.rdb = rdb
	a.onClose(closeRedis)
	if !cfg.Production() {
		if err := a.openPlayground(ctx); err != nil {
			return err
		}
	}
	if cfg.HandlesPeople() { // an issuer calls no provider and has none of their secrets
		if err := a.openSettings(ctx); err != nil {
			return err
		}
		if a.out, err = a.openOutside(ctx); err != nil {
			return err
		}
	}
	a.statuses = issuance.Remember(store.NewLedger(a.db), a.clock.Now)
	if cfg.HandlesPeople() {
		if err := a.openOrders(); err != nil {
			return err
		}
	}
	if cfg.HasRole(config.RoleIssuer) {
		if err := a.openIssuer(ctx); err != nil {
			return err
		}
	}
	a.desk = request.NewDesk(store.Requests{DB: a.db}, a.clock.Now, time.After, a.office)
	if err := a.openJobs(); err != nil {
		return err
	}
	if cfg.HasRole(config.RoleWeb) {
		return a.openWeb()
	}
	return nil
}

// openSettings reads what is set up: the files and the configuration, and what admins
// have set up since.
func (a *app) openSettings(ctx context.Context) error {
	cal, err := calendar(a.cfg)
	if err != nil {
		return err
	}
	cat, err := catalogue(a.cfg)
	if err != nil {
		return err
	}
	a.settings = order.NewSettings(a.db, cat, cal, smsTemplateIDs(a.cfg.SMS.Templates), a.clock.Now)
	return a.settings.Refresh(ctx)
}

func (a *app) openOrders() error {
	index, err := key(a.cfg.PII.IndexKey, "YCD_PII_INDEX_KEY")
	if err != nil {
		return err
	}
	linkKey, err := derive(index, "authorization links")
	if err != nil {
		return err
	}
	a.reminders = certificate.NewReminders(store.Certificates{DB: a.db}, a.settings.Calendar(), a.clock.Now, newID(a.clock.Now))
	lost := lostRefusals(a.metrics, a.log)
	a.certificates = certificate.NewService(store.Certificates{DB: a.db}, a.clock.Now, newID(a.clock.Now), lost)
	a.orders = order.NewService(order.Deps{
		Store:        a.db,
		Gateways:     a.out.gateways(),
		Mini:         a.out.pay,
		Courier:      a.out.courier,
		Fulfilments:  a.out.mini,
		Certificates: a.certificates,
		Calendar:     a.settings.Calendar(),
		Catalogue:    a.settings.Catalogue,
		Now:          a.clock.Now,
		NewID:        newID(a.clock.Now),
		LinkKey:      linkKey,
		MaxDrafts:    a.cfg.MaxDrafts,
		Lost:         lost,
	})
	a.books = order.NewReconciler(a.db, a.out.bills(), a.clock.Now, newID(a.clock.Now))
	a.measureBooks()
	return nil
}

// lostRefusals logs and counts the refusals that are missing on the audit trail.
func lostRefusals(metrics prometheus.Registerer, log *slog.Logger) func(context.Context, error) {
	count := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "ycd_audit_lost_total", Help: "Refusals that are not on the audit trail because they could not be written there; the log names them.",
	})
	metrics.MustRegister(count)
	return func(ctx context.Context, err error) {
		count.Inc()
		log.ErrorContext(ctx, "a refusal is not on the audit trail", "err", err)
	}
}

// measureBooks shows how many differences wait for finance and how many bills for their
// comparison, as they are when somebody looks.
func (a *app) measureBooks() {
	for name, m := range map[string]struct {
		help  string
		count func(context.Context) (int, error)
	}{
		"ycd_differences_open": {"Differences between the payment platforms' bills and our books that wait for finance.", a.db.OpenDifferences},
		"ycd_bills_waiting":    {"Bills of payment platforms that are due and not compared yet.", a.db.WaitingBills},
	} {
		a.metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: m.help}, func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			n, err := m.count(ctx)
			if err != nil {
				return math.NaN()
			}
			return float64(n)
		}))
	}
}

func caDir(cfg *config.Config) string { return filepath.Join(cfg.DataDir, "ca") }

func caConfig(cfg *config.Config, h *hsm, now func() time.Time) issuance.Config {
	return issuance.Config{
		Dir: caDir(cfg), HSM: h.module, PIN: h.pin, Tokens: h.tokens, Name: cfg.CA.Name,
		BaseURL: strings.TrimRight(cfg.CA.PKI, "/"), PolicyOID: cfg.CA.PolicyOID, Now: now,
	}
}

func (a *app) openIssuer(ctx context.Context) error {
	h, err := openHSM(a.cfg)
	if err != nil {
		return err
	}
	a.onClose(h.close)
	h.observe(a.metrics)
	cc := caConfig(a.cfg, h, a.clock.Now)
	if !a.cfg.Production() {
		if err := issuance.InitCA(ctx, cc); err != nil {
			return err
		}
	}
	if a.ca, err = issuance.OpenCA(ctx, cc); err != nil {
		return err
	}
	a.onClose(func() error { a.ca.Close(); return nil })
	tokens, err := token.Load(a.cfg.Token.Module)
	if err != nil {
		return err
	}
	a.onClose(tokens.Close)
	a.pipeline = issuance.NewPipeline(a.ca, tokens, store.NewLedger(a.db), a.clock.Now)
	a.office = request.NewOffice(store.Requests{DB: a.db}, a.clock.Now, a.issuerRequests())
	return nil
}

// endSessions logs a person out of the portal and the mini-program, or a member of staff
// out of the console, where he logged in before that moment. No two of them share an id.
func (a *app) endSessions(ctx context.Context, id string, before time.Time) (err error) {
	sessions := session.NewSessions(a.rdb, a.clock.Now)
	for _, kind := range []session.Kind{session.Applicant, session.Mini, session.Staff} {
		err = errors.Join(err, sessions.DeleteBefore(ctx, kind, id, before))
	}
	return err
}

// linkDays is how long the mini-program's link in an SMS works: longer than the
// legal representative has, since the token in it decides.
const linkDays = 30

// openJobs registers the workers of this process's roles: the issuer executes
// requests, jobs does everything else.
func (a *app) openJobs() (err error) {
	queues := map[string]int{}
	var d jobs.Deps
	if a.cfg.HasRole(config.RoleJobs) {
		for _, q := range []string{store.QueueSMS, store.QueueWechat, store.QueueMail, store.QueueDefault} {
			queues[q] = 10
		}
		queues[store.QueueIssue] = 4
		if d, err = a.jobDeps(); err != nil {
			return err
		}
	}
	d.Wall, d.Log = time.Now, a.log
	if a.office != nil {
		d.Office = a.office
		queues[store.QueueIssuer] = 4
	}
	if len(queues) == 0 {
		return nil
	}
	workers := river.NewWorkers()
	jobs.Register(workers, d)
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	a.jobs, err = a.db.Jobs(workers, store.JobsConfig{
		// Where it listens tells processes of one host apart, and is the same after a restart.
		ClientID: strings.Join(append([]string{host, a.cfg.Listen}, a.cfg.Roles...), "-"), Queues: queues,
		Logger: slog.New(warnings{a.log.Handler()}), OnError: jobErrors{a.log},
	})
	return err
}

// jobDeps is what the jobs act on.
func (a *app) jobDeps() (jobs.Deps, error) {
	d := jobs.Deps{
		Orders: a.orders, Store: a.db, Certificates: a.db, EndSessions: a.endSessions, Objects: a.out.objects,
		SMS: a.out.sms, WeChat: a.out.wechat, RealName: a.out.realName, Invoices: a.out.invoices, Reconciler: a.books, Links: a.links,
		Templates: a.out.wechatTemplates, AppID: a.cfg.WeChat.AppID, StationAuto: a.cfg.Station.Auto, Now: a.clock.Now,
		StationRemote: a.cfg.Station.Remote, Desk: a.desk, NewID: newID(a.clock.Now), Sealer: a.sealer, CA: a.cfg.CA.Name,
	}
	d.Subscriptions = []jobs.Subscription{
		{Way: order.BySubscription, AppID: a.cfg.WeChat.AppID, Templates: a.out.subscriptions, Send: a.out.wechat.SendSubscription},
		{
			Way: order.ByMiniSubscription, AppID: a.cfg.MiniProgram.AppID, Templates: a.out.miniSubscriptions,
			Send: func(ctx context.Context, openID, templateID, link string, data map[string]string) (string, error) {
				return a.out.mini.SendSubscription(ctx, openID, templateID, a.links.MiniPage(link), data)
			},
		},
	}
	if a.out.mini != nil {
		d.MiniProgramLink = func(ctx context.Context, token string) (string, error) {
			return a.out.mini.Link(ctx, "pages/auth/index", url.Values{"ticket": {token}}.Encode(), linkDays)
		}
	}
	var err error
	d.Font, err = a.font()
	return d, err
}

// font is the typeface of the PDFs and the watermark: megabytes, which are read once and
// which all who draw share.
func (a *app) font() (*font.Font, error) {
	if a.typeface == nil {
		f, err := font.Load(a.cfg.Font)
		if err != nil {
			return nil, usageError{err}
		}
		a.typeface = f
	}
	return a.typeface, nil
}

// warnings passes on what is worth a person's attention.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

// serve runs the process until ctx ends, then stops in order: no new requests,
// running jobs finish, connections close.
func (a *app) serve(ctx context.Context) error {
	faults := make(chan error, 2)
	if a.jobs != nil {
		if err := a.jobs.Start(ctx); err != nil {
			return err
		}
		a.onClose(func() error {
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
			defer cancel()
			return a.jobs.Stop(stop)
		})
	}
	if a.settings != nil { // another process's admins set something up
		a.repeat(ctx, 2*time.Second, "reading settings", a.settings.Refresh)
	}
	if a.cfg.HasRole(config.RoleJobs) {
		a.repeat(ctx, time.Second, "sweeping", a.sweep)
	}
	if a.ca != nil {
		a.repeat(ctx, time.Second, "publishing revocation lists", issuance.NewPublisher(a.ca, a.statuses).Refresh)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return err
	}
	front, shutdown := a.front()
	a.answer(ctx, l, front, shutdown, faults)
	if a.cfg.WatchApart() {
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.WatchListen); err != nil {
			return fmt.Errorf("YCD_WATCH_LISTEN: %w", err)
		}
		health := a.health()
		a.answer(ctx, l, health, health.ShutdownWithContext, faults)
	}
	a.log.Info("ready", "url", a.cfg.PublicURL, "listen", a.cfg.Listen, "roles", a.cfg.Roles)
	if a.dev != nil {
		if err := a.showMenu(ctx); err != nil {
			a.log.Warn("showing the menu", "err", err)
		}
		a.log.Info("playground", "url", a.links.PublicURL+"/playground/")
	}
	debug.FreeOSMemory() // what starting took
	select {
	case err := <-faults:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
		a.log.Info("stopping")
		return nil
	}
}

// front is what listens: the web, or in a process without it the health page.
func (a *app) front() (front *fiber.App, shutdown func(context.Context) error) {
	if a.web != nil {
		return a.web.App, a.web.Shutdown
	}
	health := a.health()
	return health, health.ShutdownWithContext
}

func (a *app) health() *fiber.App { return handlers.Health(a.checks(), a.metrics, a.log) }

// answer serves what comes to a listener until the process ends.
func (a *app) answer(ctx context.Context, l net.Listener, what *fiber.App, shutdown func(context.Context) error, faults chan<- error) {
	go func() { faults <- what.Listener(l) }()
	a.onClose(func() error {
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return shutdown(stop)
	})
}

// repeat does something again and again until the process ends, which waits for it
// before it closes what was opened earlier.
func (a *app) repeat(ctx context.Context, every time.Duration, what string, do func(context.Context) error) {
	ctx, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if err := do(ctx); err != nil && ctx.Err() == nil {
				a.log.Error(what, "err", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	}()
	a.onClose(func() error { stop(); <-stopped; return nil })
}

// sweep keeps the promises of the clock.
func (a *app) sweep(ctx context.Context) error {
	return errors.Join(a.orders.Sweep(ctx), a.books.Sweep(ctx), a.desk.Sweep(ctx), a.reminders.Sweep(ctx), a.orders.Retain(ctx))
}

func (a *app) publicURL() (*url.URL, error) { return url.Parse(a.links.PublicURL) }

// checks are what readiness asks.
func (a *app) checks() []handlers.Check {
	out := []handlers.Check{
		{Name: "database", Run: a.db.Ping},
		{Name: "disk", Run: func(context.Context) error { return writable(a.cfg.DataDir) }},
		{Name: "redis", Run: func(ctx context.Context) error { return a.rdb.Ping(ctx).Err() }},
	}
	if a.ca != nil {
		out = append(out, handlers.Check{Name: "hsm", Run: a.ca.Health})
	}
	return out
}
