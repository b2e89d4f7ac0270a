package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"
)

// PersonaView is a persona as the page and the tests see it.
type PersonaView struct {
	Persona
	TOTP      string `json:"totp,omitempty"` // valid now, for the console login
	Following bool   `json:"following"`
	Menu      Menu   `json:"menu"`
}

// Clock is the simulator's time.
type Clock struct {
	Now     time.Time `json:"now"`
	Shifted string    `json:"shifted"` // how far it was moved, in words; empty when it was not
}

// State is everything the page shows.
type State struct {
	Rev       int64             `json:"rev"`
	Clock     Clock             `json:"clock"`
	Account   string            `json:"account"`
	Home      string            `json:"home"` // the product, as browsers see it
	Personas  []PersonaView     `json:"personas"`
	Messages  []ChatMessage     `json:"messages"` // oldest first
	Templates []TemplateMessage `json:"templates"`
	SMS       []SMSMessage      `json:"sms"`
	Trades    []Trade           `json:"trades"`
	Refunds   []Refund          `json:"refunds"`
	Notices   []Notice          `json:"notices"`
	Parcels   []Parcel          `json:"parcels"`
	Faults    []Fault           `json:"faults"`
	Families  []string          `json:"families"`
	Timeline  []Event           `json:"timeline"`
	Invoices  []Invoice         `json:"invoices"`
	Plan      string            `json:"invoice_plan"` // of the next invoice
}

// shown bounds the lists of the page; the single lists of the control API are whole.
const shown = 100

func (s *Server) routeControl() {
	get := func(path string, list func(r *http.Request) (any, error)) {
		s.mux.HandleFunc("GET /playground/control/"+path, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			v, err := list(r)
			s.mu.Unlock()
			writeControl(w, v, err)
		})
	}
	get("personas", func(*http.Request) (any, error) { return s.personaViews(), nil })
	get("chat", func(r *http.Request) (any, error) {
		p, err := s.persona(r.FormValue("persona"))
		return s.messages.find(func(m ChatMessage) bool { return m.OpenID == p.OpenID }), err
	})
	get("templates", func(r *http.Request) (any, error) {
		if who := r.FormValue("persona"); who != "" {
			p, err := s.persona(who)
			return s.templates.newest(0, func(m TemplateMessage) bool { return m.OpenID == p.OpenID }), err
		}
		return s.templates.newest(0, nil), nil
	})
	get("sms", func(r *http.Request) (any, error) {
		number := r.FormValue("mobile")
		return s.texts.newest(0, func(m SMSMessage) bool { return number == "" || m.Mobile == number }), nil
	})
	get("trades", func(*http.Request) (any, error) { return s.tradeViews(0), nil })
	get("refunds", func(*http.Request) (any, error) { return s.refunds.newest(0, nil), nil })
	get("notices", func(r *http.Request) (any, error) {
		no := r.FormValue("out_trade_no")
		return s.notices.newest(0, func(n Notice) bool { return no == "" || n.OutTradeNo == no }), nil
	})
	get("parcels", func(*http.Request) (any, error) { return s.parcels.newest(0, nil), nil })
	get("invoices", func(*http.Request) (any, error) { return s.invoices.newest(0, nil), nil })
	get("invoice-notices", func(r *http.Request) (any, error) {
		id := r.FormValue("order_id")
		return s.invoiceNotices.newest(0, func(n InvoiceNotice) bool { return id == "" || n.OrderID == id }), nil
	})
	get("faults", func(*http.Request) (any, error) { return s.faultList(), nil })
	get("timeline", func(r *http.Request) (any, error) {
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		return s.timeline.newest(limit, nil), nil
	})
	get("clock", func(*http.Request) (any, error) { return s.clock(), nil })
	s.mux.HandleFunc("GET /playground/control/state", s.state)

	post(s, "follow", func(ctx context.Context, q struct{ Persona, Scene string }) (any, error) {
		p, err := s.persona(q.Persona)
		if err != nil {
			return nil, err
		}
		return s.follow(ctx, p, q.Scene, ""), nil
	})
	post(s, "unfollow", func(ctx context.Context, q struct{ Persona string }) (any, error) {
		p, err := s.persona(q.Persona)
		if err != nil {
			return nil, err
		}
		return s.unfollow(ctx, p), nil
	})
	get("consents", func(r *http.Request) (any, error) {
		p, err := s.persona(r.FormValue("persona"))
		return s.consents.find(func(c Consent) bool { return c.OpenID == p.OpenID || c.OpenID == MiniOpenID(p) }), err
	})
	post(s, "subscribe", s.controlSubscribe)
	post(s, "chat", s.controlChat)
	post(s, "click", func(ctx context.Context, q struct{ Persona, Key string }) (any, error) {
		p, err := s.follower(q.Persona)
		if err != nil {
			return nil, err
		}
		return s.click(ctx, p, q.Key), nil
	})
	post(s, "scan", s.controlScan)
	post(s, "push", func(ctx context.Context, q struct{ Persona, Mode string }) (any, error) {
		p, err := s.persona(q.Persona)
		if err != nil {
			return nil, err
		}
		return s.hostile(ctx, p, q.Mode)
	})
	post(s, "verify", func(ctx context.Context, _ struct{}) (any, error) { return s.verifyURL(ctx) })
	post(s, "pay", func(ctx context.Context, q payRequest) (any, error) { return s.operate(ctx, q) })
	post(s, "refund", func(_ context.Context, q struct {
		OutRefundNo string `json:"out_refund_no"`
		To          string `json:"to"`
	},
	) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		r, ok := s.refunds.get(q.OutRefundNo)
		if !ok {
			return nil, fmt.Errorf("没有这笔退款")
		}
		return s.settleAbnormal(r, q.To)
	})
	post(s, "invoice", s.operateInvoice)
	post(s, "faults", func(_ context.Context, f Fault) (any, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		err := s.setFault(f)
		return s.faultList(), err
	})
	post(s, "advance", func(_ context.Context, q struct{ Advance string }) (any, error) {
		d, err := time.ParseDuration(q.Advance)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("advance must be a positive duration, e.g. 168h")
		}
		s.Advance(d)
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.clock(), nil
	})
	post(s, "settle", func(ctx context.Context, _ struct{}) (any, error) { return struct{}{}, s.settle(ctx) })
	s.mux.HandleFunc("DELETE /playground/control/faults", s.clearFaults)
}

// post serves one JSON command. A form on a foreign page cannot send this Content-Type.
func post[Q any](s *Server, path string, command func(context.Context, Q) (any, error)) {
	s.mux.HandleFunc("POST /playground/control/"+path, func(w http.ResponseWriter, r *http.Request) {
		var q Q
		if !isJSON(r) {
			writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type must be application/json"})
			return
		}
		if err := readJSON(r, &q); err != nil {
			writeControl(w, nil, err)
			return
		}
		v, err := command(r.Context(), q)
		writeControl(w, v, err)
	})
}

func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// readJSON decodes a command; an empty body is an empty command.
func readJSON(r *http.Request, v any) error {
	if err := json.NewDecoder(r.Body).Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func writeControl(w http.ResponseWriter, v any, err error) {
	if err != nil {
		writeJSON(w, http.StatusConflict, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, v)
}

// follower finds a persona that follows the account: nobody else has its chat window.
func (s *Server) follower(who string) (Persona, error) {
	p, err := s.persona(who)
	if err != nil {
		return p, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.following(p.OpenID) {
		return p, fmt.Errorf("%s 没有关注公众号", p.Name)
	}
	return p, nil
}

func (s *Server) controlChat(ctx context.Context, q struct {
	Persona string `json:"persona"`
	Text    string `json:"text"`
	MsgID   int64  `json:"msg_id"`
},
) (any, error) {
	p, err := s.follower(q.Persona)
	if err != nil {
		return nil, err
	}
	if q.Text == "" || len(q.Text) > 2048 {
		return nil, fmt.Errorf("text must have 1 to 2048 bytes")
	}
	return s.chat(ctx, p, q.Text, q.MsgID), nil
}

func (s *Server) controlScan(ctx context.Context, q struct{ Persona, Ticket, URL string }) (any, error) {
	p, err := s.persona(q.Persona)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	t, err := s.ticket(q.Ticket + q.URL)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.scan(ctx, p, t), nil
}

func (s *Server) clearFaults(w http.ResponseWriter, r *http.Request) {
	if !isJSON(r) {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "Content-Type must be application/json"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if family := r.URL.Query().Get("family"); family != "" {
		delete(s.faults, family)
	} else {
		clear(s.faults)
	}
	s.note("fault", "故障已解除")
	writeJSON(w, http.StatusOK, s.faultList())
}

func (s *Server) faultList() []Fault {
	list := []Fault{}
	for _, family := range families {
		if f, ok := s.faults[family]; ok {
			list = append(list, f)
		}
	}
	return list
}

func (s *Server) clock() Clock { return Clock{Now: s.now(), Shifted: spell(s.offset)} }

func (s *Server) personaViews() []PersonaView {
	views := []PersonaView{}
	for _, p := range s.cfg.Personas {
		v := PersonaView{Persona: p, Following: s.following(p.OpenID), Menu: s.menuFor(p.OpenID)}
		if p.TOTPSecret != "" {
			v.TOTP, _ = totp.GenerateCode(p.TOTPSecret, s.now()) // New checked the secret
		}
		views = append(views, v)
	}
	return views
}

// tradeViews closes what expired before it is shown.
func (s *Server) tradeViews(limit int) []Trade {
	list := s.trades.newest(limit, nil)
	for i, t := range list {
		list[i], _ = s.trade(t.key())
	}
	return list
}

// state answers the page's polling: 204 while nothing but the time changed. TOTP codes change every 30 s.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rev := s.rev + s.now().Unix()/30
	if known, err := strconv.ParseInt(r.FormValue("rev"), 10, 64); err == nil && known == rev {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	messages := s.messages.find(nil)
	if n := len(messages); n > 4*shown {
		messages = messages[n-4*shown:]
	}
	writeJSON(w, http.StatusOK, State{
		Rev: rev, Clock: s.clock(), Account: s.cfg.WeChat.Name, Home: s.cfg.PublicURL, Personas: s.personaViews(), Messages: messages,
		Templates: s.templates.newest(shown, nil), SMS: s.texts.newest(shown, nil), Trades: s.tradeViews(shown),
		Refunds: s.refunds.newest(shown, nil), Notices: s.notices.newest(shown, nil), Parcels: s.parcels.newest(shown, nil), Faults: s.faultList(), Families: families,
		Timeline: s.timeline.newest(shown, nil), Invoices: s.invoices.newest(shown, nil), Plan: s.invoicePlan,
	})
}

// settle waits until no callback is under way or due.
func (s *Server) settle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.quiet.Broadcast)
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy > 0 || s.anyDue() {
		if err := errors.Join(ctx.Err(), s.ctx.Err()); err != nil {
			return err
		}
		s.poke()
		s.quiet.Wait()
	}
	return nil
}

func (s *Server) anyDue() bool {
	now := s.now()
	return len(s.refunds.find(func(r Refund) bool { return r.Status == "PROCESSING" && !r.DueAt.After(now) })) > 0 ||
		len(s.notices.find(func(n Notice) bool { return n.NextAt != nil && !n.NextAt.After(now) })) > 0 ||
		len(s.duePushes()) > 0 ||
		len(s.invoices.find(func(i Invoice) bool { return i.Blue.due(now) || i.Red.due(now) })) > 0 ||
		len(s.invoiceNotices.find(func(n InvoiceNotice) bool { return n.NextAt != nil && !n.NextAt.After(now) })) > 0
}
