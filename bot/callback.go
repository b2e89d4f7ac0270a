package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/yuncaidun/yuncaidun/order"
)

const (
	// AnswerTTL outlives every retry and every replay inside the freshness
	// window (a timestamp may lie 300 s ahead, then 300 s behind).
	AnswerTTL = 11 * time.Minute
	// retryWait is how long a retry waits for the first attempt's answer, and
	// retryPoll how often it looks. WeChat hangs up after 5 s.
	retryWait = 2 * time.Second
	retryPoll = 50 * time.Millisecond
	// talksTime is how long Talks may take before and after the answer, for which
	// answerTime is left.
	talksTime = 400 * time.Millisecond
)

// Answerer answers one message. An error is logged and the person is told to try
// again or call.
type Answerer interface {
	Answer(ctx context.Context, m Message) (Reply, error)
}

// AnswerFunc is an Answerer made of one function.
type AnswerFunc func(ctx context.Context, m Message) (Reply, error)

// Answer calls f.
func (f AnswerFunc) Answer(ctx context.Context, m Message) (Reply, error) { return f(ctx, m) }

// Callback is the endpoint WeChat calls: GET,POST /wechat/official.
type Callback struct {
	codec    *Codec
	answerer Answerer
	talks    Talks
	log      *slog.Logger
}

// Handler returns the fiber handler of the endpoint, for GET and POST. talks may
// be nil only if answering has no effect and remembers nothing.
func Handler(codec *Codec, answerer Answerer, talks Talks, log *slog.Logger) fiber.Handler {
	return (&Callback{codec: codec, answerer: answerer, talks: talks, log: log}).serve
}

func (h *Callback) serve(c *fiber.Ctx) error {
	s := h.codec.pool.Get().(*scratch)
	defer h.codec.pool.Put(s)

	args := c.Context().QueryArgs()
	if givenTwice(args) {
		return h.refuse(c, errTwice)
	}
	q := query{
		signature:    args.Peek("signature"),
		timestamp:    args.Peek("timestamp"),
		nonce:        args.Peek("nonce"),
		msgSignature: args.Peek("msg_signature"),
		encryptType:  args.Peek("encrypt_type"),
	}
	if c.Method() == fiber.MethodGet {
		return h.verify(c, s, q, args.Peek("echostr"))
	}
	m, key, err := h.codec.open(s, q, c.Request().Body())
	if err != nil {
		return h.refuse(c, err)
	}
	plain := h.answer(c.UserContext(), s, m)
	if len(plain) == 0 {
		c.Response().Header.SetContentType("text/plain; charset=utf-8")
		return c.SendString("success")
	}
	sealed, err := h.codec.seal(s, key, plain)
	if err != nil {
		return err
	}
	c.Response().Header.SetContentType("text/xml; charset=utf-8")
	c.Response().SetBody(sealed)
	return nil
}

// authenticating are the parameters of the URL that make up a query.
var authenticating = [...]string{"signature", "timestamp", "nonce", "msg_signature", "encrypt_type"}

// givenTwice reports whether one of them occurs twice. As in the message itself,
// two readers could disagree about which counts.
func givenTwice(args *fasthttp.Args) bool {
	var seen [len(authenticating)]bool
	for name := range args.All() {
		if i := slices.Index(authenticating[:], string(name)); i >= 0 {
			if seen[i] {
				return true
			}
			seen[i] = true
		}
	}
	return false
}

// verify answers the handshake that WeChat makes when the URL is entered in its
// console.
func (h *Callback) verify(c *fiber.Ctx, s *scratch, q query, echo []byte) error {
	if err := h.codec.authenticate(s, q); err != nil {
		return h.refuse(c, err)
	}
	c.Response().Header.SetContentType("text/plain; charset=utf-8")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Response().SetBody(echo)
	return nil
}

func (h *Callback) refuse(c *fiber.Ctx, err error) error {
	var r *Refusal
	if !errors.As(err, &r) {
		return err
	}
	h.log.WarnContext(c.UserContext(), "wechat callback refused", "reason", r.Reason)
	c.Response().Header.SetContentType("text/plain; charset=utf-8")
	return c.Status(r.Status).SendString(r.Reason)
}

// answer returns the passive reply in the clear, empty for success: a new one
// for a new message, the same one for a repeated message.
func (h *Callback) answer(ctx context.Context, s *scratch, m Message) []byte {
	if h.talks == nil {
		plain, _ := h.reply(ctx, s, m)
		return plain
	}
	key := m.dedupKey()
	soon, cancel := context.WithTimeout(ctx, talksTime)
	first, memory, err := h.talks.Begin(soon, key, m.OpenID)
	cancel()
	if err != nil {
		// Without Redis a retry may be answered twice. What answering changes is
		// also guarded by the database, so an answer beats silence.
		h.log.ErrorContext(ctx, "claiming a callback", "err", err)
		plain, _ := h.reply(ctx, s, m)
		return plain
	}
	if !first {
		return h.repeat(ctx, key)
	}
	m.Memory = memory
	plain, memory := h.reply(ctx, s, m)
	soon, cancel = context.WithTimeout(ctx, talksTime)
	defer cancel()
	if err := h.talks.End(soon, key, m.OpenID, plain, memory); err != nil {
		h.log.ErrorContext(ctx, "storing a callback's answer", "err", err)
	}
	return plain
}

// repeat waits briefly for the answer that another attempt is working on.
func (h *Callback) repeat(ctx context.Context, key string) []byte {
	ctx, cancel := context.WithTimeout(ctx, retryWait)
	defer cancel()
	tick := time.NewTicker(retryPoll)
	defer tick.Stop()
	for {
		plain, found, err := h.talks.Answer(ctx, key)
		if found {
			return plain
		}
		if err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "loading a callback's answer", "err", err)
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// reply asks the answerer and returns his answer and what he wants remembered. A
// fault of ours must not look like silence, for WeChat would tell the person that
// the account is broken.
func (h *Callback) reply(ctx context.Context, s *scratch, m Message) (plain, memory []byte) {
	r, err := h.ask(ctx, m)
	if err != nil {
		h.log.ErrorContext(ctx, "answering a wechat message", "type", m.Type, "event", m.Event, "err", err)
		if m.Type == EventMessage && m.Event != EventClick {
			return nil, nil
		}
		r = Reply{Text: textFault}
	}
	if r.empty() {
		return nil, r.Memory
	}
	s.reply = r.appendXML(s.reply[:0], m.OpenID, h.codec.originalID, h.codec.now())
	return s.reply, r.Memory
}

func (h *Callback) ask(ctx context.Context, m Message) (r Reply, err error) {
	defer func() {
		if p := recover(); p != nil { // its value may hold anything: only the runtime's own words are kept
			err = fmt.Errorf("panic: %s\n%s", order.PanicText(p), debug.Stack())
		}
	}()
	return h.answerer.Answer(ctx, m)
}
