package sim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim/wxcrypt"
)

// maxBody bounds every request body.
const maxBody = 1 << 20

// shanghai is the zone of every time people and WeChat Pay see.
var shanghai = time.FixedZone("Asia/Shanghai", 8*3600)

// Server is the outside world as one HTTP handler. Close it to stop its callbacks.
type Server struct {
	cfg    Config
	codec  *wxcrypt.Codec
	mux    *http.ServeMux
	client *http.Client // pushes to the product

	ctx    context.Context //nolint:containedctx // the server's own life: its callbacks outlive every request
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{}

	mu      sync.Mutex // guards all that follows
	quiet   *sync.Cond // signalled when busy falls
	busy    int        // callbacks under way
	offset  time.Duration
	rev     int64
	lastID  int64
	journal *journal

	followers *table[follower]
	messages  *table[ChatMessage]
	templates *table[TemplateMessage]
	texts     *table[SMSMessage]
	trades    *table[Trade]
	refunds   *table[Refund]
	notices   *table[Notice]
	settings  *table[json.RawMessage] // the menu, conditional menus, tags, QR tickets
	consents  *table[Consent]
	parcels   *table[Parcel]
	shippings *table[Shipping] // by transaction id
	timeline  *table[Event]

	invoices       *table[Invoice]
	invoiceNotices *table[InvoiceNotice]
	invoicePlan    string // what becomes of the next one, see planned

	tokens    map[string]*tokens // by app id
	miniCodes map[string]miniCode
	codes     map[string]oauthCode
	faces     map[string]*faceCheck // by BizToken
	webTokens map[string]webToken
	windows   map[string]map[string]window // customer-service windows by OpenID and cause
	nonces    map[string]time.Time         // APIv3 nonces seen, by real time
	faults    map[string]Fault
	bills     map[string]billFile
	lastPush  map[string]push // the last push per OpenID, for a replay
}

// Event is one line of the timeline, "a clock of what happened".
type Event struct {
	ID   int64     `json:"id"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // chat, template, sms, pay, invoice, courier, oauth, faceid, clock, fault
	Text string    `json:"text"`
}

// New starts the outside world. It returns an error that names every fault of the configuration.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	codec, err := wxcrypt.New(cfg.WeChat.Token, cfg.WeChat.EncodingAESKey, cfg.WeChat.AppID)
	if err != nil {
		return nil, err
	}
	j := newJournal()
	s := &Server{
		cfg: cfg, codec: codec, mux: http.NewServeMux(), wake: make(chan struct{}, 1), journal: j,
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		lastID:    wireNow().UnixMicro(),
		followers: newTable[follower](j, "follower"), messages: newTable[ChatMessage](j, "message"),
		templates: newTable[TemplateMessage](j, "template"), texts: newTable[SMSMessage](j, "sms"),
		trades: newTable[Trade](j, "trade"), refunds: newTable[Refund](j, "refund"), notices: newTable[Notice](j, "notice"),
		settings: newTable[json.RawMessage](j, "setting"), timeline: newTable[Event](j, "event"),
		consents: newTable[Consent](j, "consent"), parcels: newTable[Parcel](j, "parcel"), shippings: newTable[Shipping](j, "shipping"),
		invoices: newTable[Invoice](j, "invoice"), invoiceNotices: newTable[InvoiceNotice](j, "invoice-notice"),
		tokens: map[string]*tokens{cfg.WeChat.AppID: {}, cfg.MiniProgram.AppID: {}}, miniCodes: map[string]miniCode{},
		codes: map[string]oauthCode{}, faces: map[string]*faceCheck{}, webTokens: map[string]webToken{}, windows: map[string]map[string]window{},
		nonces: map[string]time.Time{}, faults: map[string]Fault{}, bills: map[string]billFile{}, lastPush: map[string]push{},
	}
	s.quiet = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := j.open(cfg.Dir); err != nil {
		s.cancel()
		return nil, err
	}
	for _, p := range cfg.Personas {
		if _, known := s.followers.get(p.OpenID); !known {
			s.followers.put(p.OpenID, follower{OpenID: p.OpenID, Since: s.now(), Scene: "ADD_SCENE_SEARCH", Following: true})
		}
	}
	s.resume()
	s.routes()
	s.done.Go(s.deliverDue)
	return s, nil
}

// ServeHTTP serves everything below /playground/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mux.ServeHTTP(w, r)
}

// Close stops the callbacks and closes the journal.
func (s *Server) Close() error {
	s.cancel()
	s.quiet.Broadcast()
	s.done.Wait()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal.close()
}

// Advance moves the simulator's clock; what falls due is delivered at once.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	s.offset += d
	s.note("clock", "时间前进 "+spell(d))
	s.mu.Unlock()
	s.poke()
}

// spell writes a duration in whole days, hours and minutes.
func spell(d time.Duration) string {
	var b strings.Builder
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, " 天"}, {time.Hour, " 小时"}, {time.Minute, " 分"}, {time.Second, " 秒"}} {
		if n := d / unit.size; n > 0 {
			fmt.Fprintf(&b, "%d%s ", n, unit.name)
			d -= n * unit.size
		}
	}
	return strings.TrimSpace(b.String())
}

// Now is the simulator's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

func (s *Server) now() time.Time { return s.cfg.Now().Add(s.offset) }

// note adds a line to the timeline and lets the page know that something changed.
func (s *Server) note(kind, text string) {
	id := s.nextID()
	s.timeline.put(strconv.FormatInt(id, 10), Event{ID: id, At: s.now(), Kind: kind, Text: text})
	s.timeline.keep(500)
	s.changed()
}

func (s *Server) changed() {
	s.rev++
	if s.journal.failed != nil {
		s.cfg.Log.Error("simulator journal", "error", s.journal.failed)
	}
}

// nextID is unique over restarts and small enough for JavaScript.
func (s *Server) nextID() int64 {
	s.lastID = max(s.lastID+1, wireNow().UnixMicro())
	return s.lastID
}

// background runs a callback that Close waits for and settle sees. The caller holds the lock.
func (s *Server) background(f func(context.Context)) {
	s.busy++
	s.done.Go(func() {
		defer s.free()
		f(s.ctx)
	})
}

// occupy lets settle wait until what it returns is called.
func (s *Server) occupy() (free func()) {
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
	return s.free
}

func (s *Server) free() {
	s.mu.Lock()
	s.busy--
	s.mu.Unlock()
	s.quiet.Broadcast()
}

// poke makes the delivery loop look now.
func (s *Server) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// token returns n random bytes as hex.
func token(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}

// persona finds one by OpenID, name, or role.
func (s *Server) persona(who string) (Persona, error) {
	for _, is := range []func(Persona) bool{
		func(p Persona) bool { return p.OpenID == who },
		func(p Persona) bool { return p.Name == who },
		func(p Persona) bool { return strings.EqualFold(string(p.Role), who) },
	} {
		for _, p := range s.cfg.Personas {
			if is(p) {
				return p, nil
			}
		}
	}
	return Persona{}, errors.New("no such persona: " + who)
}

func (s *Server) nameOf(openID string) string {
	if p, err := s.persona(openID); err == nil {
		return p.Name
	}
	return openID
}

func (s *Server) routes() {
	const api, open = "/playground/api.weixin.qq.com", "/playground/open.weixin.qq.com"
	s.routeAccount(api)
	s.routeOAuth(api, open)
	s.routeMini(api)
	s.routeShipping(api)
	s.routePay("/playground/api.mch.weixin.qq.com")
	s.routeAlipay("/playground/openapi.alipay.com")
	s.routeInvoice("/playground/apigw.goldentec.com")
	s.mux.HandleFunc("POST /playground/sms.tencentcloudapi.com/{$}", s.tencent("sms", "2021-01-11", s.smsAction))
	s.mux.HandleFunc("POST /playground/faceid.tencentcloudapi.com/{$}", s.tencent("faceid", "2018-03-01", s.faceidAction))
	s.mux.HandleFunc("GET "+facePage+"{token}", s.showFace)
	s.mux.HandleFunc("POST "+facePage+"{token}", s.decideFace)
	s.routeCourier("/playground/poll.kuaidi100.com")
	s.routeControl()
	s.routePages()
}
