package main

import (
	"context"
	"fmt"
	"time"

	"github.com/gofiber/fiber/v2"
)

// The rows. A row and what it is compared with stand close together.
const (
	hello            = "fiber hello"
	statusLite       = "order status, SQLite + in-process Redis"
	statusCrowded    = "the same beside 5,000 idle connections"
	statusServers    = "order status, PostgreSQL + Redis"
	sentence         = "a sentence understood, all evaluation sets"
	staticOurs       = "bot, static reply, ours"
	staticSilenceper = "bot, static reply, silenceper"
	liveOurs         = "bot, live data, ours"
	liveSilenceper   = "bot, live data, silenceper"
	commitLite       = "bare INSERT of 1 KiB, SQLite"
	rowLite          = "bare INSERT of an order's row, SQLite"
	submitLite       = "order submit to payment, SQLite"
	giftLite         = "order submit to review, SQLite"
	commitServers    = "bare INSERT of 1 KiB, PostgreSQL"
	rowServers       = "bare INSERT of an order's row, PostgreSQL"
	submitServers    = "order submit to payment, PostgreSQL"
	giftServers      = "order submit to review, PostgreSQL"
	rawSign          = "C_Sign, P-256, one session each"
	poolSign         = "C_Sign, P-256, our pool"
	createCert       = "x509.CreateCertificate, our pool"
	issue            = "certificate issued, SQLite ledger"
	issueServers     = "certificate issued, PostgreSQL ledger"
	peerIssue        = "certificate issued, step-ca, badger"
	unlockHelper     = "unlock in the key helper"
	unlockRound      = "unlock, ticket to order, SQLite"
	ocspSigned       = "OCSP answer signed on demand"
	ocspKept         = "OCSP answer signed ahead, HTTP"
)

// crowds are how many ask for certificates at once; the aims are about the third.
var crowds = []int{1, 4, writers, 16}

// at names a row by how many do it.
func at(name string, workers int) string { return fmt.Sprintf("%s, %d at once", name, workers) }

// How much is prepared per round where nothing can be done twice; a row that
// uses it up ends early.
const (
	callbacksPerRound = 30_000
	submitsPerRound   = 4_000
	issuesPerRound    = 4_000
)

func aimsOf() []aim {
	return []aim{
		{statusLite, hello, 0.12},
		{statusServers, hello, 0},
		{staticOurs, hello, 0.55},
		{staticOurs, staticSilenceper, 2.5},
		{liveOurs, statusLite, 0.6},
		{liveOurs, hello, 0.072}, // 0.6 of what an order status has to reach: it has become faster than that
		{liveOurs, liveSilenceper, 1.2},
		{submitLite, rowLite, 0.6},
		{submitLite, commitLite, 0},
		{giftLite, rowLite, 0},
		{submitServers, rowServers, 0.6},
		{submitServers, commitServers, 0},
		{giftServers, rowServers, 0},
		{poolSign, at(rawSign, writers), 0},
		{at(createCert, writers), at(rawSign, writers), 0},
		{at(issue, writers), at(rawSign, writers), 0},
		{at(issue, writers), commitLite, 0},
		{at(issueServers, writers), commitServers, 0},
		{at(issue, 1), at(peerIssue, 1), 0},
		{at(issue, 4), at(peerIssue, 4), 0},
		{at(issue, writers), at(peerIssue, writers), 1},
		{at(issue, 16), at(peerIssue, 16), 0},
		{ocspSigned, at(rawSign, signers), 0.8},
		{ocspKept, hello, 0.5},
	}
}

// limitsOf are the aims that are no ratio.
func limitsOf() []limit {
	return []limit{
		{row: sentence, p99: time.Millisecond}, // flows 4.1
		{row: at(issue, writers), rate: 600, p99: 30 * time.Millisecond},
		{row: statusCrowded, p99: 20 * time.Millisecond, than: statusLite}, // reliability 27
		{row: unlockHelper, p99: 50 * time.Millisecond},
		{row: unlockRound, p99: 300 * time.Millisecond},
	}
}

// tableOf builds the rows in the order in which they are measured.
func tableOf(ctx context.Context, dir string, lite, servers *world, program string) ([]row, error) {
	var rows []row
	serve := func(w *world, app *fiber.App, r func(addr string) row) error {
		addr, err := w.listen(ctx, app)
		rows = append(rows, r(addr))
		return err
	}
	understood, err := sentenceRow()
	if err != nil {
		return nil, err
	}
	rows = append(rows, understood)
	h := fiber.New(fiber.Config{DisableStartupMessage: true})
	h.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello") })
	ours, err := lite.ourStatic()
	if err != nil {
		return nil, err
	}
	tail := lite.applicants[0].order.No
	tail = tail[len(tail)-4:]
	for _, s := range []struct {
		world *world
		app   *fiber.App
		row   func(addr string) row
	}{
		{lite, h, helloRow},
		{lite, ours, func(at string) row { return lite.callbackRow(staticOurs, at, false, 4096, staticText) }},
		{lite, lite.silenceper(staticAnswer), func(at string) row { return lite.callbackRow(staticSilenceper, at, false, 4096, staticText) }},
		{lite, lite.web.App, func(at string) row { return lite.orderStatus(statusLite, at) }},
		{lite, lite.web.App, func(at string) row { return beside(5000, at, lite.orderStatus(statusCrowded, at)) }},
		{lite, lite.web.App, func(at string) row { return lite.callbackRow(liveOurs, at, true, callbacksPerRound, tail) }},
		{lite, lite.silenceper(lite.remembering), func(at string) row { return lite.callbackRow(liveSilenceper, at, true, callbacksPerRound, tail) }},
		{servers, servers.web.App, func(at string) row { return servers.orderStatus(statusServers, at) }},
	} {
		if err := serve(s.world, s.app, s.row); err != nil {
			return nil, err
		}
	}
	for _, s := range []struct {
		world                     *world
		commit, row, submit, gift string
	}{{lite, commitLite, rowLite, submitLite, giftLite}, {servers, commitServers, rowServers, submitServers, giftServers}} {
		bare, err := s.world.commitRows(ctx, s.commit, s.row)
		if err != nil {
			return nil, err
		}
		rows = append(rows, bare...)
		rows = append(rows, s.world.submitRow(ctx, s.submit, chargedProduct, submitsPerRound), s.world.submitRow(ctx, s.gift, freeProduct, submitsPerRound))
	}
	a, err := lite.openAuthority(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("opening the CA: %w", err)
	}
	return lite.issuingRows(ctx, dir, rows, a, servers, program)
}
