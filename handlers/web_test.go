package handlers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	pictures "github.com/yuncaidun/yuncaidun/provider/objects"
	"github.com/yuncaidun/yuncaidun/store"
	"github.com/yuncaidun/yuncaidun/store/session"
	"github.com/yuncaidun/yuncaidun/store/storetest"
	"github.com/yuncaidun/yuncaidun/templates/font"
)

// web is the real server over SQLite, in-process Redis and a folder of pictures;
// only the payment gateway and the SMS are fakes.
type web struct {
	*Server
	t        testing.TB
	service  *order.Service
	settings *order.Settings
	db       *store.DB
	gateway  *gateway
	clock    *testClock
	log      *bytes.Buffer

	wechat *phones

	faceFor, faceBack string // what a face check was begun for, and where it comes back
	faceSays          order.RealNameResult

	mu   sync.Mutex
	sent map[string]string // mobile → last code
}

// testClock is the time of a test.
type testClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *testClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// gateway takes every trade and is paid when the test says so; refund is what it
// says of refunds.
type gateway struct {
	refund  order.RefundStatus
	refused error
	taken   error // what WeChat says to a fulfilment
	asked   int   // how often money was asked to go back
}

func (*gateway) Prepay(_ context.Context, p order.Payment, _ string) (string, error) {
	return "weixin://wxpay/bizpayurl?pr=" + p.TradeNo, nil
}

func (*gateway) PrepayMini(_ context.Context, p order.Payment, _ string) (string, error) {
	return "wx" + p.TradeNo, nil
}

func (*gateway) Query(context.Context, string) (order.TradeStatus, order.Receipt, error) {
	return order.TradeUnpaid, order.Receipt{}, nil
}
func (*gateway) Close(context.Context, string) error { return nil }
func (g *gateway) Refund(context.Context, order.Payment, order.Fen) (order.RefundStatus, error) {
	if g.refused != nil {
		return "", g.refused
	}
	g.asked++
	return g.refund, nil
}

func newID() string { return ulid.Make().String() }

// maxDrafts is how many unsubmitted applications one may have here.
const maxDrafts = 30

// newWeb starts everything. The day is a working Monday.
func newWeb(t testing.TB) *web {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &web{t: t, gateway: &gateway{refund: order.RefundDone}, clock: &testClock{at: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}, log: &bytes.Buffer{}, sent: map[string]string{}, wechat: &phones{}}
	key := bytes.Repeat([]byte("k"), store.KeySize)
	keyset, err := store.NewKeyset(key)
	must(err)
	sealer, err := store.NewSealer(keyset, key, key)
	must(err)
	dir := t.TempDir()
	w.db, err = store.Open(t.Context(), storetest.DSN(t, "sqlite", store.MigrateAt), sealer)
	must(err)
	t.Cleanup(func() { must(w.db.Close()) })
	redis, err := session.NewEmbedded(w.clock.now)
	must(err)
	t.Cleanup(func() { must(redis.Close()) })
	folder, err := pictures.OpenFolder(filepath.Join(dir, "objects"), sealer)
	must(err)
	t.Cleanup(func() { must(folder.Close()) })
	calendar, err := order.DefaultCalendar()
	must(err)
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	must(err)
	places, err := identity.DefaultPlaces()
	must(err)
	hei, err := font.Load(font.Path)
	must(err)
	public, err := url.Parse("http://127.0.0.1:8080")
	must(err)
	certificates := certificate.NewService(store.Certificates{DB: w.db}, w.clock.now, newID, nil)
	w.settings = order.NewSettings(w.db, catalogue, calendar, map[string]string{"shipped": "1001"}, w.clock.now)
	w.service = order.NewService(order.Deps{Store: w.db, Gateways: map[order.PayChannel]order.PaymentGateway{order.WeChatPay: w.gateway, order.Alipay: w.gateway}, Mini: w.gateway, Fulfilments: w.gateway, Certificates: certificates, Calendar: calendar, Catalogue: w.settings.Catalogue, Now: w.clock.now, NewID: newID, LinkKey: key, MaxDrafts: maxDrafts})
	limits := session.DefaultLimits(key)
	limits.LoggedIn = LoggedInCodes()
	w.Server, err = New(Deps{
		Orders: w.service, Store: w.db, Sessions: session.NewSessions(redis.Client, w.clock.now),
		Codes: session.NewCodes(redis.Client, w.clock.now, limits), Tickets: session.NewTickets(redis.Client, w.clock.now),
		Scans: session.NewScans(redis.Client, w.clock.now), Mini: w.miniProgram(),
		Objects: folder, SendCode: w.keepCode, Identify: w.identify, Face: w,
		Reminders: certificate.NewReminders(store.Certificates{DB: w.db}, calendar, w.clock.now, newID),
		Status:    certificates, Attempts: session.NewDedup(redis.Client), Enquiries: w.db, Workdays: calendar, Places: places, Font: hei, Metrics: prometheus.NewRegistry(),
		InitialPINs: w,
		Checks:      []Check{{"database", w.db.Ping}},
		Log:         slog.New(slog.NewJSONHandler(w.log, nil)), Now: w.clock.now, NewID: newID, Key: key, PublicURL: public, CA: "云采盾认证中心", Sealer: w.sealer, MaxDrafts: maxDrafts,
	})
	must(err)
	w.Watched()
	return w
}

func (w *web) keepCode(_ context.Context, to identity.Mobile, _, code string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent[to.Reveal()] = code
	return nil
}

func (w *web) code(mobile string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent[mobile]
}

// browser is one visitor with cookies.
type browser struct {
	*web
	jar  http.CookieJar
	csrf string
}

func (w *web) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &browser{web: w, jar: jar}
}

// answer is a response read to its end.
type answer struct {
	Status int
	Header http.Header
	Body   string
}

func (a answer) location() string { return a.Header.Get("Location") }

var csrfInPage = regexp.MustCompile(`name="_csrf" value="([^"]+)"`)

// do sends a request as the browser would.
func (b *browser) do(method, path, kind string, body io.Reader, more ...string) answer {
	b.t.Helper()
	req := httptest.NewRequestWithContext(b.t.Context(), method, "http://127.0.0.1:8080"+path, body)
	req.RequestURI = path // the origin form of RFC 9112 §3.2.1, as browsers send it
	req.Header.Set("Accept", "text/html,*/*")
	if method != http.MethodGet {
		req.Header.Set("Origin", "http://127.0.0.1:8080")
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i+1 < len(more); i += 2 {
		req.Header.Set(more[i], more[i+1])
	}
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	resp, err := b.App.Test(req, 60_000)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.jar.SetCookies(req.URL, resp.Cookies())
	a := answer{resp.StatusCode, resp.Header, string(raw)}
	if m := csrfInPage.FindStringSubmatch(a.Body); m != nil {
		b.csrf = m[1]
	}
	readers.saw(b.t, method+" "+path, a)
	return a
}

func (b *browser) get(path string, more ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, "", nil, more...)
}

// post sends a form; the token is the one of the last page seen.
func (b *browser) post(path string, form url.Values, more ...string) answer {
	b.t.Helper()
	f := url.Values{csrfField: {b.csrf}}
	for k, v := range form {
		f[k] = v
	}
	return b.do(http.MethodPost, path, fiber.MIMEApplicationForm, strings.NewReader(f.Encode()), more...)
}

// upload sends a file.
func (b *browser) upload(path, name string, raw []byte) answer {
	b.t.Helper()
	var body bytes.Buffer
	m := multipart.NewWriter(&body)
	h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf(`form-data; name="file"; filename="%s"`, name)}, "Content-Type": {"image/jpeg"}}
	part, err := m.CreatePart(h)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := part.Write(raw); err != nil {
		b.t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		b.t.Fatal(err)
	}
	return b.do(http.MethodPost, path, m.FormDataContentType(), &body, csrfHeader, b.csrf, "HX-Request", "true")
}

// photo is a coloured picture with sharp squares.
func photo(t testing.TB) []byte {
	t.Helper()
	return taken(t, sharpPhoto)
}

// fog is a coloured picture on which nothing is sharp.
func fog(t testing.TB) []byte {
	t.Helper()
	return taken(t, foggyPhoto)
}

// Drawn once, and no larger than a picture must be: the race detector counts pixels.
var (
	sharpPhoto = sync.OnceValues(func() ([]byte, error) {
		return colours(func(x, y int) uint8 { return uint8(80 + 80*((x/30+y/30)%2)) })
	})
	foggyPhoto = sync.OnceValues(func() ([]byte, error) { return colours(func(_, _ int) uint8 { return 120 }) })
)

// taken is a copy, for tests that spoil it.
func taken(t testing.TB, picture func() ([]byte, error)) []byte {
	t.Helper()
	raw, err := picture()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(raw)
}

func colours(green func(x, y int) uint8) ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 600, 200))
	for y := range 200 {
		for x := range 600 {
			img.SetRGBA(x, y, color.RGBA{uint8(x * 3 / 8), green(x, y), uint8(y), 255})
		}
	}
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, nil)
	return b.Bytes(), err
}

// The person of these tests is invented.
const agentMobile = "13800138000"

func filledForm() url.Values {
	return url.Values{
		"seal": {""}, "quantity": {"2"}, "term": {"1"},
		"agent.name": {"王小琪"}, "agent.mobile": {agentMobile}, "agent.email": {"wang@example.com"}, "id.type": {"resident_id"}, "id.no": {"11010519491231002X"},
		"org.name": {"新疆云岭能源科技有限公司"}, "org.type": {"enterprise"}, "org.uscc": {"91110108MA00TEN18F"}, "org.industry": {"C"},
		"auth.way": {"paper"}, "legal.name": {"李明"},
		"ship.way": {"courier"}, "ship.name": {"王小琪"}, "ship.mobile": {agentMobile}, "ship.province": {"北京市"}, "ship.city": {"北京市"}, "ship.district": {"海淀区"}, "ship.address": {"中关村大街1号"},
		"invoice.wanted": {"yes"},
	}
}

// draft starts an application and returns its path.
func (b *browser) draft() string {
	b.t.Helper()
	b.get("/")
	a := b.post("/orders", url.Values{"product": {"yd-initial"}})
	path, ok := strings.CutSuffix(a.location(), "/edit")
	if a.Status != http.StatusSeeOther || !ok {
		b.t.Fatalf("new draft: %d %s %s", a.Status, a.location(), a.Body)
	}
	b.get(path + "/edit")
	return path
}

var imageFields = []string{"id.front", "id.back", "license", "letter"}

// filled is a draft with everything in it.
func (b *browser) filled() string {
	b.t.Helper()
	path := b.draft()
	for _, f := range imageFields {
		if a := b.upload(path+"/pictures/"+f, "photo.jpg", photo(b.t)); a.Status != 200 || !strings.Contains(a.Body, "/pictures/") || strings.Contains(a.Body, `role="alert"`) {
			b.t.Fatalf("upload of %s: %d %s", f, a.Status, a.Body)
		}
	}
	form := filledForm()
	form.Set("do", "submit")
	if a := b.post(path+"/form", form); a.location() != path+"/confirm" {
		b.t.Fatalf("submit: %d %s", a.Status, faultsIn(a.Body))
	}
	return path
}

// confirmed is an order that waits for its payment.
func (b *browser) confirmed() string {
	b.t.Helper()
	path := b.filled()
	b.get(path + "/confirm")
	if a := b.post(path+"/code", nil, "HX-Request", "true", csrfHeader, b.csrf); !strings.Contains(a.Body, "已发送") {
		b.t.Fatalf("code: %d %s", a.Status, a.Body)
	}
	if a := b.post(path+"/confirm", b.agreeing(path, b.code(agentMobile))); a.location() != path+"/pay" {
		b.t.Fatalf("confirm: %d %s %s", a.Status, a.location(), a.Body)
	}
	b.get(path + "/pay")
	return path
}

// paid is an order in review.
func (b *browser) paid() string {
	b.t.Helper()
	path := b.confirmed()
	if a := b.post(path+"/pay", nil); a.location() != path+"/pay" {
		b.t.Fatalf("pay: %d %s", a.Status, a.Body)
	}
	o := b.order(path)
	must(b.t, b.service.PaymentSucceeded(b.t.Context(), order.Receipt{Channel: order.WeChatPay, TradeNo: o.TradeNo, TransactionID: "42" + o.TradeNo, Amount: o.Amount, PaidAt: b.clock.now()}))
	return path
}

// rejected is an order sent back for its letter.
func (b *browser) rejected() string {
	b.t.Helper()
	path := b.paid()
	id := b.order(path).ID
	staff := order.Actor{Role: order.Reviewer, StaffID: "S1", Channel: order.Internal}
	for _, c := range []order.Command{{On: order.Claim, By: staff}, {On: order.Reject, By: staff, Reasons: []order.Reason{{Code: "R03"}, {Code: "R20", Note: "请补盖骑缝章"}}}} {
		_, err := b.service.Apply(b.t.Context(), id, c)
		must(b.t, err)
	}
	return path
}

func (w *web) order(path string) order.Order {
	w.t.Helper()
	o, err := w.db.Order(w.t.Context(), order.ID(filepath.Base(path)))
	must(w.t, err)
	return o
}

// agreeing is a confirmation of an application as its page shows it.
func (w *web) agreeing(path, code string) url.Values {
	return url.Values{"agree": {"yes"}, "offer": {w.order(path).Hash()}, "code": {code}}
}

// dial connects to the server over TCP.
func (w *web) dial(t *testing.T) net.Conn {
	t.Helper()
	return dial(t, w.listening(t))
}

// listening serves the pages on a port of its own.
func (w *web) listening(t *testing.T) (addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	go w.App.Listener(l)
	t.Cleanup(func() { must(t, w.App.Shutdown()) })
	return l.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var faultLine = regexp.MustCompile(`(?s)id="faults".*?</div>`)

func faultsIn(page string) string { return faultLine.FindString(page) }

func problemIn(t testing.TB, a answer) (p Problem) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return p
}

// Untold and Tell stand for the issuer.
func (w *web) Untold(ctx context.Context, cert certificate.Certificate) (bool, error) {
	return w.db.PINUntold(ctx, cert.TokenSerial)
}

func (w *web) Tell(ctx context.Context, cert certificate.Certificate, _ order.Actor) (string, error) {
	err := store.NewLedger(w.db).TellPIN(ctx, cert.TokenSerial, newID(), w.clock.now())
	if errors.Is(err, issuance.ErrPINTold) {
		return "", order.Errorf(order.Conflict, "initial_pin_told", "该 UKEY 的初始口令已经显示过，不能再次查看")
	}
	return heldPIN, err
}

// heldPIN is the initial PIN of every USBKEY here.
const heldPIN = "72940163"
