package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/bot"
	"github.com/yuncaidun/yuncaidun/bot/intent"
	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/objects"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/templates/font"
)

// now is the clock of everything measured here.
func now() time.Time { return time.Now() } //nolint:forbidigo // a benchmark is about real time

func newID() string { return ulid.Make().String() }

// people is how many applicants a world has, each with a login, a bound WeChat
// and one order under review.
const people = 256

// applicant is one of them.
type applicant struct {
	person  string
	openID  string
	session session.Session
	order   order.Order
}

// world is the product as main wires it, over one database and one Redis.
type world struct {
	name       string // of database and Redis, as the table shows it
	dsn        string
	db         *store.DB
	sessions   *session.Sessions
	orders     *order.Service
	web        *handlers.Server
	dialogue   *bot.Dialogue
	memory     *session.Contexts // of the chat
	account    bot.Account
	applicants []applicant
	closers    []func() error
	mobiles    atomic.Int64
}

func (w *world) close() error {
	var errs []error
	for i := len(w.closers) - 1; i >= 0; i-- {
		errs = append(errs, w.closers[i]())
	}
	return errors.Join(errs...)
}

// embedded is a world of one process: SQLite and the in-process Redis.
func embedded(ctx context.Context, dir string) (*world, error) {
	rdb, err := session.NewEmbedded(now)
	if err != nil {
		return nil, err
	}
	w := &world{name: "SQLite", dsn: "sqlite:" + filepath.Join(dir, "bench.db"), closers: []func() error{rdb.Close}}
	return w, w.open(ctx, dir, rdb.Client)
}

// servers is a world on PostgreSQL and Redis, with a database of its own.
func servers(ctx context.Context, dir, dsn, redisURL string) (*world, error) {
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		return nil, err
	}
	rdb := redis.NewClient(opts)
	w := &world{name: "PostgreSQL", closers: []func() error{rdb.Close}}
	ours, drop, err := freshDatabase(ctx, dsn)
	if err != nil {
		return w, err
	}
	w.dsn, w.closers = ours, append(w.closers, drop)
	return w, w.open(ctx, dir, rdb)
}

// freshDatabase makes a database of our own on a PostgreSQL server.
func freshDatabase(ctx context.Context, dsn string) (ours string, drop func() error, err error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", nil, err
	}
	name := fmt.Sprintf("bench_%d", os.Getpid())
	if err := execPostgres(ctx, dsn, "CREATE DATABASE "+name); err != nil {
		return "", nil, err
	}
	u.Path = "/" + name
	return u.String(), func() error {
		return execPostgres(context.WithoutCancel(ctx), dsn, "DROP DATABASE "+name+" WITH (FORCE)")
	}, nil
}

func execPostgres(ctx context.Context, dsn, stmt string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, stmt)
	return errors.Join(err, conn.Close(ctx))
}

// open wires the rooms like main.
func (w *world) open(ctx context.Context, dir string, rdb redis.UniversalClient) error {
	key := make([]byte, store.KeySize)
	rand.Read(key)
	keyset, err := store.NewKeyset(key)
	if err != nil {
		return err
	}
	sealer, err := store.NewSealer(keyset, key, key)
	if err != nil {
		return err
	}
	if w.db, err = store.Open(ctx, w.dsn, sealer); err != nil {
		return err
	}
	w.closers = append(w.closers, w.db.Close)
	if err := w.db.Migrate(ctx); err != nil {
		return err
	}
	w.sessions = session.NewSessions(rdb, now)
	calendar, err := order.DefaultCalendar()
	if err != nil {
		return err
	}
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	if err != nil {
		return err
	}
	onOffer := withGift(catalogue)
	w.orders = order.NewService(order.Deps{Store: w.db, Calendar: calendar, Catalogue: func() order.Catalogue { return onOffer }, Now: now, NewID: newID})

	// The log costs what it costs in production but its destination is free.
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, null.Close)
	log := slog.New(quiet{slog.NewTextHandler(null, nil), slog.NewTextHandler(os.Stderr, nil)})
	pictures, err := objects.OpenFolder(filepath.Join(dir, "objects-"+w.name), sealer)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, pictures.Close)
	places, err := identity.DefaultPlaces()
	if err != nil {
		return err
	}
	face, err := font.Load(font.Path)
	if err != nil {
		return err
	}
	codes := session.NewCodes(rdb, now, session.DefaultLimits(key))
	certificates := certificate.NewService(store.Certificates{DB: w.db}, now, newID, nil)
	send := func(context.Context, identity.Mobile, string, string) error {
		return errors.New("nobody asks for a code here")
	}
	w.web, err = handlers.New(handlers.Deps{
		Orders: w.orders, Status: certificates, Store: w.db, Sessions: w.sessions, Codes: codes, Tickets: session.NewTickets(rdb, now), Objects: pictures,
		SendCode: send,
		Places:   places, Font: face, Metrics: prometheus.NewRegistry(), Log: log, Now: now, NewID: newID, Key: key,
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}, CA: "云采盾",
	})
	if err != nil {
		return err
	}
	w.account = bot.Account{AppID: "wxbench0000000001", OriginalID: "gh_bench", Token: "benchtoken", AESKey: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}
	codec, err := bot.NewCodec(w.account, now)
	if err != nil {
		return err
	}
	recogniser, err := intent.New()
	if err != nil {
		return err
	}
	w.memory = session.NewContexts(rdb, now)
	w.dialogue = bot.NewDialogue(bot.Deps{
		AppID: w.account.AppID, PublicURL: "http://127.0.0.1:8080", Recogniser: recogniser, Store: w.db, Deliveries: w.orders, Codes: codes, Punctual: w.orders,
		Certs:    certificates,
		SendCode: send, Vault: sealer, Memory: w.memory, Workdays: calendar, Now: now, NewID: newID, Log: log,
	})
	w.web.Mount(fiber.MethodPost, callbackPath, handlers.Signed, bot.Handler(codec, w.dialogue, session.NewTalks(rdb, now, bot.AnswerTTL, bot.MemoryTTL), log))
	return w.populate(ctx)
}

// withGift adds a product that costs nothing, whose orders go to review at once.
func withGift(c order.Catalogue) order.Catalogue {
	gift := c.Products[0]
	gift.Code, gift.Price = freeProduct, 0
	c.Products = append(c.Products[:len(c.Products):len(c.Products)], gift)
	return c
}

const (
	chargedProduct = "yd-initial"
	freeProduct    = "bench-gift"
)

// populate makes two reviewers and the applicants.
func (w *world) populate(ctx context.Context) error {
	for _, name := range []string{"李审核", "周复核"} {
		if err := w.hire(ctx, name); err != nil {
			return err
		}
	}
	for i := range people {
		drafts, err := w.drafts(ctx, freeProduct, 1)
		if err != nil {
			return err
		}
		o, err := w.orders.Apply(ctx, drafts[0].ID, confirmation(drafts[0]))
		if err != nil {
			return fmt.Errorf("confirming: %w", err)
		}
		a := applicant{person: o.PersonID, openID: fmt.Sprintf("oBench%022d", i), order: o}
		if a.session, err = w.sessions.Create(ctx, session.Session{Kind: session.Applicant, PersonID: a.person}); err != nil {
			return err
		}
		err = w.db.InTx(ctx, func(tx order.Tx) error {
			return tx.LinkWeChat(ctx, order.WeChatIdentity{AppID: w.account.AppID, OpenID: a.openID, PersonID: a.person, Subscribed: true, UpdatedAt: now()})
		})
		if err != nil {
			return err
		}
		w.applicants = append(w.applicants, a)
	}
	return nil
}

// mobile is a number nobody had before.
func (w *world) mobile() string { return fmt.Sprintf("177%08d", w.mobiles.Add(1)) }

func (w *world) hire(ctx context.Context, name string) error {
	return w.db.InTx(ctx, func(tx order.Tx) error {
		p, err := tx.PersonByMobile(ctx, order.Person{ID: newID(), Mobile: identity.NewMobile(w.mobile()), CreatedAt: now()})
		if err != nil {
			return err
		}
		return tx.SaveStaff(ctx, order.Staff{ID: newID(), PersonID: p.ID, Name: name, Roles: []order.Role{order.Reviewer}, CreatedAt: now()})
	})
}

// quiet is the log of the product under test; only errors are heard.
type quiet struct {
	slog.Handler
	loud slog.Handler
}

// Handle implements [slog.Handler].
func (q quiet) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		return q.loud.Handle(ctx, r)
	}
	return q.Handler.Handle(ctx, r)
}
