package e2e

import (
	"context"
	"crypto/md5"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/yuncaidun/yuncaidun/e2e/story"
)

const (
	forgedSalt   = "salt-of-the-forgery-test"
	forgedParcel = "SF7777777777777"
)

// push is what 快递100 posts: a track, and MD5(track + salt) in upper case.
type push struct{ param, sign string }

func signedBy(param, salt string) push {
	sum := md5.Sum([]byte(param + salt))
	return push{param, strings.ToUpper(hex.EncodeToString(sum[:]))}
}

func (p push) body() string { return url.Values{"param": {p.param}, "sign": {p.sign}}.Encode() }

// delivered is a track that ends with the parcel signed for.
func delivered(number string, at time.Time) string {
	b, _ := json.Marshal(map[string]any{"status": "shutdown", "lastResult": map[string]any{ // plain values
		"message": "ok", "nu": number, "ischeck": "1", "com": "shunfeng", "status": "200", "state": "3",
		"data": []map[string]string{{"context": "已签收", "time": at.In(time.FixedZone("", 8*3600)).Format(time.DateTime)}},
	}})
	return string(b)
}

// courierForgeries are pushes by somebody who has seen pushes but not the salt.
var courierForgeries = []struct {
	name  string
	forge func(f *forger, p push) string
}{
	{"a digit of the sign changed", func(f *forger, p push) string {
		return push{p.param, strings.ToUpper(f.another(strings.ToLower(p.sign)))}.body()
	}},
	{"a character of the track changed", func(f *forger, p push) string {
		b := []byte(p.param)
		b[f.r.IntN(len(b))] ^= byte(1 + f.r.IntN(7))
		return push{string(b), p.sign}.body()
	}},
	{"the sign of another track", func(f *forger, p push) string {
		return push{p.param, signedBy(delivered(forgedParcel, f.now.Add(-time.Hour)), forgedSalt).sign}.body()
	}},
	{"signed without a salt", func(_ *forger, p push) string { return signedBy(p.param, "").body() }},
	{"signed with another salt", func(f *forger, p push) string {
		return signedBy(p.param, []string{"salt", forgedSalt + " ", forgedSalt[1:], strings.ToUpper(forgedSalt)}[f.r.IntN(4)]).body()
	}},
	{"the salt in front", func(_ *forger, p push) string {
		return push{p.param, signedBy(forgedSalt, p.param).sign}.body()
	}},
	{"no sign, or an empty one", func(f *forger, p push) string {
		return []string{url.Values{"param": {p.param}}.Encode(), push{p.param, ""}.body()}[f.r.IntN(2)]
	}},
	{"no track", func(_ *forger, p push) string { return url.Values{"sign": {p.sign}}.Encode() }},
	{"the sign twice", func(f *forger, p push) string {
		return p.body() + "&sign=" + url.QueryEscape([]string{p.sign, "", f.another(strings.ToLower(p.sign))}[f.r.IntN(3)])
	}},
	{"two tracks", func(f *forger, p push) string {
		return p.body() + "&param=" + url.QueryEscape(delivered("SF8888888888888", f.now))
	}},
	{"cut off", func(f *forger, p push) string {
		b := p.body()
		return b[:f.r.IntN(len(b))]
	}},
	{"JSON", func(_ *forger, p push) string { return p.param }},
}

// bill is what 高灯云 posts about an invoice, and the query of the address that it was
// given with the order.
type bill struct {
	query url.Values
	says  map[string]string
}

func (b bill) body() string {
	raw, _ := json.Marshal(b.says) // plain values
	return string(raw)
}

// invoiceForgeries are notifications by somebody who has seen one, or even knows the
// address of one.
var invoiceForgeries = []struct {
	name  string
	forge func(f *forger, b *bill) (body string)
}{
	{"a digit of the seal changed", func(f *forger, b *bill) string {
		b.query.Set("seal", f.another(b.query.Get("seal")))
		return b.body()
	}},
	{"no seal, or an empty one", func(f *forger, b *bill) string {
		if b.query.Set("seal", ""); f.r.IntN(2) > 0 {
			b.query.Del("seal")
		}
		return b.body()
	}},
	{"the seal cut off", func(f *forger, b *bill) string {
		seal := b.query.Get("seal")
		b.query.Set("seal", seal[:f.r.IntN(len(seal))])
		return b.body()
	}},
	{"the seal of another invoice", func(f *forger, b *bill) string {
		id := []byte(b.query.Get("invoice"))
		id[len(id)-1-f.r.IntN(8)] ^= 1
		b.query.Set("invoice", string(id))
		b.says["order_id"] = string(id)
		return b.body()
	}},
	{"no invoice", func(_ *forger, b *bill) string {
		b.query.Del("invoice")
		return b.body()
	}},
	{"about another invoice than its address", func(_ *forger, b *bill) string {
		b.says["order_id"] = "01M8CNC08TFQ4SB7BW546Y7BRC"
		return b.body()
	}},
	{"another seller's", func(f *forger, b *bill) string {
		b.says["appkey"] = []string{"", "gd_other", b.says["appkey"] + " "}[f.r.IntN(3)]
		return b.body()
	}},
	{"another amount", func(f *forger, b *bill) string {
		b.says["ticket_total_amount_has_tax"] = []string{"299.99", "300.01", "0.01", "3000000.00", "-300.00"}[f.r.IntN(5)]
		return b.body()
	}},
	{"issued without an amount", func(_ *forger, b *bill) string {
		b.says["ticket_total_amount_has_tax"] = ""
		return b.body()
	}},
	{"an amount that is none", func(f *forger, b *bill) string {
		b.says["ticket_total_amount_has_tax"] = []string{"x", "3e2", "300.001", "NaN", "0"}[f.r.IntN(5)]
		return b.body()
	}},
	{"cut off", func(f *forger, b *bill) string {
		body := b.body()
		return body[:f.r.IntN(len(body))]
	}},
}

// Of hundreds of forged pushes about a parcel and notifications about an invoice, made
// from a fixed seed, none is accepted, and none leaves anything behind: no row, no key,
// no text message, and nothing about the invoice changes. The true ones do.
func TestForgedParcelsAndInvoices(t *testing.T) {
	t.Parallel()
	redisURL, dir := emptyRedis(t, 10), t.TempDir()
	i, world := productIn(t, dir, "YCD_REDIS_URL="+redisURL, "YCD_COURIER_SALT="+forgedSalt)
	if _, err := story.On(t.Context(), i, t.Output(), time.Now).Shipped("yd-initial", forgedParcel); err != nil {
		t.Fatal(err)
	}
	all, err := world.Invoices(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%d invoices, %v", len(all), err)
	}
	address, err := url.Parse(all[0].Callback)
	if err != nil {
		t.Fatal(err)
	}
	opts, err := redis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(opts)
	defer rdb.Close()
	file := filepath.Join(dir, "yuncaidun.db")
	left := func() string { return leftBy(t, rdb, file, world) + invoicesIn(t, file) }
	post := func(path, kind, body string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return statusOnly(resp)
	}
	const form = "application/x-www-form-urlencoded"
	f := &forger{t: t, r: rand.New(rand.NewPCG(20261126, 2)), now: time.Now().Add(48 * time.Hour)}
	genuine := signedBy(delivered(forgedParcel, f.now), forgedSalt)

	// The longer ago the invoice was asked for, the less often it is asked about; what the
	// product does by itself has to be over.
	if err := world.Advance(t.Context(), "3h"); err != nil {
		t.Fatal(err)
	}
	before, same := left(), 0
	err = story.Poll(t.Context(), time.Minute, func(context.Context) (bool, error) {
		if now := left(); now != before {
			before, same = now, 0
		}
		same++
		return same > 20, nil
	})
	if err != nil {
		t.Fatal("the product does not come to rest:", err)
	}
	for n := range 30 * len(courierForgeries) {
		c := courierForgeries[n%len(courierForgeries)]
		if status := post("/callbacks/courier", form, c.forge(f, genuine)); status != http.StatusForbidden {
			t.Errorf("%d, a push with %s: HTTP %d", n, c.name, status)
		}
	}
	for n := range 30 * len(invoiceForgeries) {
		c := invoiceForgeries[n%len(invoiceForgeries)]
		b := bill{address.Query(), map[string]string{
			"appkey": "gd_00000000000000a1", "notify_type": "invoice.blue", "order_id": all[0].OrderID, "ticket_status": "3", "ticket_total_amount_has_tax": "300.00",
		}}
		body := c.forge(f, &b)
		if status := post("/callbacks/invoice?"+b.query.Encode(), "application/json", body); status != http.StatusForbidden {
			t.Errorf("%d, a notification with %s: HTTP %d", n, c.name, status)
		}
	}
	if after := left(); after != before {
		t.Errorf("the forgeries left something:\nbefore %s\nafter  %s", before, after)
	}

	if status := post("/callbacks/courier", form, genuine.body()); status != http.StatusOK {
		t.Errorf("the untouched push: HTTP %d", status)
	}
	if now := left(); now == before {
		t.Error("the untouched push left nothing, so this test sees nothing")
	} else {
		before = now
	}
	told, err := world.Invoice(t.Context(), all[0].OrderID, "issue", 1)
	if err != nil || told.Notices[0].Attempts[0].Status != http.StatusOK {
		t.Fatalf("the untouched notification: %+v, %v", told, err)
	}
	if left() == before {
		t.Error("the untouched notification left nothing, so this test sees nothing")
	}
}

// statusOnly is the status of an answer that nothing else is wanted of.
func statusOnly(resp *http.Response) int {
	_ = resp.Body.Close() // nothing is read
	return resp.StatusCode
}

// invoicesIn describes the invoices: how each stands, and when the platform is asked next.
func invoicesIn(t *testing.T, file string) string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var state string
	var rev int
	var next sql.NullString
	if err := db.QueryRowContext(t.Context(), "SELECT state, rev, CAST(next_query AS TEXT) FROM invoices").Scan(&state, &rev, &next); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(" invoice ", state, rev, next.String)
}
