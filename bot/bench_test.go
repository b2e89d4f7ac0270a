package bot

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	wechat "github.com/silenceper/wechat/v2/officialaccount/context"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/officialaccount/server"
	"github.com/valyala/fasthttp"
)

const staticText = "您好，我是云采盾助手。"

func static(context.Context, Message) (Reply, error) { return Reply{Text: staticText}, nil }

// silenceperApp serves the same static reply through silenceper's server.
func silenceperApp() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	ctx := &wechat.Context{Config: &config.Config{AppID: testAccount.AppID, Token: testAccount.Token, EncodingAESKey: testAESKey}}
	app.All("/wechat/official", adaptor.HTTPHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		srv := server.NewServer(ctx)
		srv.Request, srv.Writer = r, w
		srv.SetMessageHandler(func(*message.MixMessage) *message.Reply {
			return &message.Reply{MsgType: message.MsgTypeText, MsgData: message.NewText(staticText)}
		})
		if srv.Serve() == nil {
			_ = srv.Send()
		}
	})))
	return app
}

func helloApp() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.All("/wechat/official", func(c *fiber.Ctx) error { return c.SendString("hello") })
	return app
}

// BenchmarkCallback compares a static reply, in process, without the network.
func BenchmarkCallback(b *testing.B) {
	for _, bc := range []struct {
		name string
		app  *fiber.App
	}{{"hello", helloApp()}, {"ours", newApp(b, AnswerFunc(static), nil)}, {"silenceper", silenceperApp()}} {
		b.Run(bc.name, func(b *testing.B) {
			req := newClient().request(b, textXML("我的订单到哪一步了"))
			body, err := io.ReadAll(req.Body)
			if err != nil {
				b.Fatal(err)
			}
			var ctx fasthttp.RequestCtx
			ctx.Request.Header.SetMethod(http.MethodPost)
			ctx.Request.SetRequestURI(req.URL.String())
			ctx.Request.SetBody(body)
			handler := bc.app.Handler()
			handler(&ctx)
			if bc.name != "hello" {
				newClient().openReply(b, ctx.Response.Body())
			}
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				handler(&ctx)
			}
		})
	}
}

// TestAllocations keeps reading and sealing cheap: only the sender and the text
// outlive the request's memory. (The pool is left out: the collector empties it.)
func TestAllocations(t *testing.T) {
	req := newClient().request(t, textXML("我的订单到哪一步了"))
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	arg := func(name string) []byte { return []byte(req.URL.Query().Get(name)) }
	q := query{
		signature: arg("signature"), timestamp: arg("timestamp"), nonce: arg("nonce"),
		msgSignature: arg("msg_signature"), encryptType: arg("encrypt_type"),
	}
	c := newCodec(t, clock)
	s := c.newScratch()
	if n := testing.AllocsPerRun(200, func() {
		m, key, err := c.open(s, q, body)
		if err != nil {
			t.Fatal(err)
		}
		s.reply = Reply{Text: staticText}.appendXML(s.reply[:0], m.OpenID, c.originalID, c.now())
		if _, err := c.seal(s, key, s.reply); err != nil {
			t.Fatal(err)
		}
	}); n > 6 { // 4, and more under the race detector
		t.Errorf("%v allocations per message, want at most 6", n)
	}
}
