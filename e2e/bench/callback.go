package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/silenceper/wechat/v2/officialaccount/config"
	wechat "github.com/silenceper/wechat/v2/officialaccount/context"
	"github.com/silenceper/wechat/v2/officialaccount/message"
	"github.com/silenceper/wechat/v2/officialaccount/server"
	"github.com/silenceper/wechat/v2/util"
	"github.com/sirupsen/logrus"

	"github.com/yuncaidun/yuncaidun/bot"
)

const (
	callbackPath = "/wechat/official"
	question     = "我的订单到哪一步了"
	staticText   = "您好，我是云采盾助手。回复「我的订单」查询办理进度，或拨打 400-666-3999。"
)

// staticAnswer is the reply that costs nothing to find.
func staticAnswer(context.Context, bot.Message) (bot.Reply, error) {
	return bot.Reply{Text: staticText}, nil
}

// ourStatic is our callback alone, with a static reply.
func (w *world) ourStatic() (*fiber.App, error) {
	codec, err := bot.NewCodec(w.account, now)
	if err != nil {
		return nil, err
	}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post(callbackPath, bot.Handler(codec, bot.AnswerFunc(staticAnswer), nil, slog.New(slog.DiscardHandler)))
	return app, nil
}

// silenceper is the callback of silenceper/wechat in safe mode behind fiber's
// adaptor, with the same reply function. As shipped it logs every message at
// debug level; here it is spared that.
func (w *world) silenceper(answer bot.AnswerFunc) *fiber.App {
	logrus.SetLevel(logrus.WarnLevel)
	logrus.SetOutput(io.Discard)
	account := &wechat.Context{Config: &config.Config{AppID: w.account.AppID, Token: w.account.Token, EncodingAESKey: w.account.AESKey}}
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Post(callbackPath, adaptor.HTTPHandler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		srv := server.NewServer(account)
		srv.Request, srv.Writer = r, rw
		srv.SetMessageHandler(func(m *message.MixMessage) *message.Reply {
			reply, err := answer(r.Context(), bot.Message{OpenID: string(m.FromUserName), Type: bot.TextMessage, Content: m.Content})
			if err != nil {
				return nil
			}
			return &message.Reply{MsgType: message.MsgTypeText, MsgData: message.NewText(reply.Text)}
		})
		if srv.Serve() == nil {
			_ = srv.Send()
		}
	})))
	return app
}

// remembering is the dialogue for a callback that does not keep what it wants
// remembered.
func (w *world) remembering(ctx context.Context, m bot.Message) (bot.Reply, error) {
	memory, err := w.memory.Recall(ctx, m.OpenID)
	if err != nil {
		return bot.Reply{}, err
	}
	m.Memory = memory
	reply, err := w.dialogue.Answer(ctx, m)
	if err != nil {
		return bot.Reply{}, err
	}
	return reply, w.memory.Remember(ctx, m.OpenID, reply.Memory, bot.MemoryTTL)
}

// callbackRow sends questions sealed and signed as WeChat does; each has a
// MsgId of its own. once keeps them from being sent twice.
func (w *world) callbackRow(name, addr string, once bool, perRound int, want string) row {
	msgID := uint64(now().UnixNano())
	requests := func() ([]request, error) {
		out, all := make([]request, perRound), &arena{}
		for i := range out {
			msgID++
			r, err := w.sealed(w.applicants[i%len(w.applicants)].openID, msgID)
			if err != nil {
				return nil, err
			}
			out[i] = request{path: all.keep(r.path), body: all.keep(r.body)}
		}
		return out, nil
	}
	return httpRow(name, addr, once, requests, func(body []byte) error {
		text, err := w.unseal(body)
		if err == nil && !strings.Contains(text, want) {
			err = fmt.Errorf("%s: the reply is %q", name, text)
		}
		return err
	})
}

// sealed is one message as it comes from WeChat, made by another implementation
// of the protocol than ours.
func (w *world) sealed(openID string, msgID uint64) (request, error) {
	at := strconv.FormatInt(now().Unix(), 10)
	inner := "<xml><ToUserName><![CDATA[" + w.account.OriginalID + "]]></ToUserName><FromUserName><![CDATA[" + openID + "]]></FromUserName><CreateTime>" + at +
		"</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[" + question + "]]></Content><MsgId>" + strconv.FormatUint(msgID, 10) + "</MsgId></xml>"
	encrypted, err := util.EncryptMsg([]byte("aaaabbbbccccdddd"), []byte(inner), w.account.AppID, w.account.AESKey)
	if err != nil {
		return request{}, err
	}
	nonce := strconv.FormatUint(msgID%1e9, 10)
	q := url.Values{
		"signature":     {util.Signature(w.account.Token, at, nonce)},
		"msg_signature": {util.Signature(w.account.Token, at, nonce, string(encrypted))},
		"timestamp":     {at}, "nonce": {nonce}, "encrypt_type": {"aes"}, "openid": {openID},
	}
	body := "<xml><ToUserName><![CDATA[" + w.account.OriginalID + "]]></ToUserName><Encrypt><![CDATA[" + string(encrypted) + "]]></Encrypt></xml>"
	return request{path: []byte(callbackPath + "?" + q.Encode()), body: []byte(body)}, nil
}

// arena keeps many byte slices in few: what waits to be sent is the client's, and the
// server's garbage collector, which is in the same process, shall not go through it.
type arena struct{ free []byte }

func (a *arena) keep(b []byte) []byte {
	if len(a.free) < len(b) {
		a.free = make([]byte, max(1<<20, len(b)))
	}
	n := copy(a.free, b)
	kept := a.free[:n:n]
	a.free = a.free[n:]
	return kept
}

// unseal reads the text of a reply.
func (w *world) unseal(body []byte) (string, error) {
	var outer struct {
		Encrypt string
	}
	if err := xml.Unmarshal(body, &outer); err != nil {
		return "", fmt.Errorf("reply %q: %w", body, err)
	}
	_, plain, err := util.DecryptMsg(w.account.AppID, outer.Encrypt, w.account.AESKey)
	if err != nil {
		return "", err
	}
	var reply struct {
		Content string
	}
	err = xml.Unmarshal(plain, &reply)
	return reply.Content, err
}
