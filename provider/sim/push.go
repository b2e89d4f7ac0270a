package sim

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Attempt is one HTTP call of ours to the product.
type Attempt struct {
	At     time.Time `json:"at"`
	Millis int64     `json:"millis"`
	Status int       `json:"status,omitempty"`
	Body   string    `json:"body,omitempty"`
	Error  string    `json:"error,omitempty"`
}

// Exchange is one thing a persona did in the chat and what came of it.
type Exchange struct {
	Message  ChatMessage   `json:"message"`
	Attempts []Attempt     `json:"attempts"`
	Replies  []ChatMessage `json:"replies"`
}

// push is one callback's content; the signature is made anew for every attempt.
type push struct {
	openID string
	body   string // plain XML
	mode   string // "" as WeChat does it, or a hostile way: forged, stale, plain
}

// faultNotice is what WeChat shows when the account's server did not answer properly.
const faultNotice = "该公众号提供的服务出现故障，请稍后再试"

// retries after the first attempt, as WeChat does.
const retries = 3

// cdata quotes text; a CDATA section cannot contain its own end.
func cdata(text string) string {
	return "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
}

// envelope is the head that every push has, and the fields of this one in order.
func (s *Server) envelope(openID, kind string, fields ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>%d</CreateTime><MsgType>%s</MsgType>",
		cdata(s.cfg.WeChat.OriginalID), cdata(openID), s.now().Unix(), cdata(kind))
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&b, "<%s>%s</%s>", fields[i], fields[i+1], fields[i])
	}
	return b.String() + "</xml>"
}

// deliver pushes to the product: five seconds each, three retries with the same MsgId, and the reply shown in the chat.
func (s *Server) deliver(ctx context.Context, p push) ([]Attempt, []ChatMessage) {
	f := s.strike("callback")
	if f.DelayMS > 0 {
		select {
		case <-time.After(time.Duration(f.DelayMS) * time.Millisecond):
		case <-ctx.Done():
			return nil, nil
		}
	}
	var attempts []Attempt
	var replies []ChatMessage
	for range 1 + f.Repeat {
		a, r := s.deliverOnce(ctx, p)
		attempts, replies = append(attempts, a...), append(replies, r...)
	}
	return attempts, replies
}

func (s *Server) deliverOnce(ctx context.Context, p push) (attempts []Attempt, replies []ChatMessage) {
	for range 1 + retries {
		a := s.callProduct(ctx, p)
		attempts = append(attempts, a)
		if p.mode != "" { // an attacker does not retry, and sees only the status
			return attempts, nil
		}
		if a.Status == http.StatusOK {
			reply, err := s.readReply(a.Body)
			if err == nil {
				return attempts, s.show(p.openID, reply)
			}
			attempts[len(attempts)-1].Error = err.Error()
			break // WeChat does not retry an answer it cannot read
		}
	}
	last := attempts[len(attempts)-1]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note("chat", fmt.Sprintf("回调失败：HTTP %d %s", last.Status, last.Error))
	why := last.Error
	if last.Status != 0 && last.Status != http.StatusOK {
		why = "HTTP " + strconv.Itoa(last.Status)
	}
	notice := s.say(ChatMessage{OpenID: p.openID, From: "system", Kind: "notice", Text: faultNotice + "（" + why + "）"})
	return attempts, []ChatMessage{notice}
}

// callProduct makes one attempt with its own timestamp, nonce and signature.
func (s *Server) callProduct(ctx context.Context, p push) Attempt {
	at := s.Now()
	if p.mode == "stale" {
		at = at.Add(-10 * time.Minute)
	}
	stamp, nonce := strconv.FormatInt(at.Unix(), 10), strconv.FormatInt(wireNow().UnixNano()%1e10, 10)
	query := url.Values{"timestamp": {stamp}, "nonce": {nonce}, "openid": {p.openID}, "signature": {s.codec.Signature(stamp, nonce)}}
	body := p.body
	if p.mode != "plain" {
		sealed, err := s.codec.Seal([]byte(p.body))
		if err != nil {
			return Attempt{At: at, Error: err.Error()}
		}
		query.Set("encrypt_type", "aes")
		query.Set("msg_signature", s.codec.Signature(stamp, nonce, sealed))
		if p.mode == "forged" {
			query.Set("msg_signature", s.codec.Signature(stamp, nonce, sealed, "forged"))
		}
		body = "<xml><ToUserName>" + cdata(s.cfg.WeChat.OriginalID) + "</ToUserName><Encrypt>" + cdata(sealed) + "</Encrypt></xml>"
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.ProductURL+"/wechat/official?"+query.Encode(), strings.NewReader(body))
	if err != nil {
		return Attempt{At: at, Error: err.Error()}
	}
	req.Header.Set("Content-Type", "text/xml")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	return s.call(req)
}

// verifyURL does what saving the server settings in WeChat's console does: the callback must echo a random text.
func (s *Server) verifyURL(ctx context.Context) (Attempt, error) {
	stamp, nonce, echo := strconv.FormatInt(s.Now().Unix(), 10), token(5), token(10)
	query := url.Values{"timestamp": {stamp}, "nonce": {nonce}, "echostr": {echo}, "signature": {s.codec.Signature(stamp, nonce)}}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.CallbackTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.ProductURL+"/wechat/official?"+query.Encode(), nil)
	if err != nil {
		return Attempt{}, err
	}
	a := s.call(req)
	if a.Status != http.StatusOK || a.Body != echo {
		return a, fmt.Errorf("token verification failed: HTTP %d %s", a.Status, a.Error)
	}
	return a, nil
}

// call sends a request of ours and records what happened.
func (s *Server) call(req *http.Request) Attempt {
	a := Attempt{At: s.Now()}
	started := wireNow()
	resp, err := s.client.Do(req)
	if err == nil {
		var body []byte
		body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
		_ = resp.Body.Close()
		a.Status, a.Body = resp.StatusCode, string(body)
	}
	if err != nil {
		a.Error = err.Error()
	}
	a.Millis = time.Since(started).Milliseconds()
	return a
}

// reply is the decrypted passive answer.
type reply struct {
	To       string `xml:"ToUserName"`
	From     string `xml:"FromUserName"`
	Type     string `xml:"MsgType"`
	Content  string `xml:"Content"`
	Articles []struct {
		Items []Article `xml:"item"`
	} `xml:"Articles"`
}

// readReply opens the product's answer as WeChat does; nil means "nothing to show".
func (s *Server) readReply(body string) (*reply, error) {
	if trimmed := strings.TrimSpace(body); trimmed == "" || trimmed == "success" {
		return nil, nil //nolint:nilnil // nothing to show is not an error
	}
	var sealed struct {
		Encrypt   string `xml:"Encrypt"`
		Signature string `xml:"MsgSignature"`
		Timestamp string `xml:"TimeStamp"`
		Nonce     string `xml:"Nonce"`
	}
	if err := xml.Unmarshal([]byte(body), &sealed); err != nil || sealed.Encrypt == "" {
		return nil, fmt.Errorf("the reply is not an encrypted envelope: %.60s", body)
	}
	if s.codec.Signature(sealed.Timestamp, sealed.Nonce, sealed.Encrypt) != sealed.Signature {
		return nil, fmt.Errorf("the reply's MsgSignature is wrong")
	}
	plain, err := s.codec.Open(sealed.Encrypt)
	if err != nil {
		return nil, err
	}
	var r reply
	dec := xml.NewDecoder(bytes.NewReader(plain))
	dec.Strict = false
	if err := dec.Decode(&r); err != nil {
		return nil, fmt.Errorf("the decrypted reply is not XML: %w", err)
	}
	if r.From != s.cfg.WeChat.OriginalID {
		return nil, fmt.Errorf("the reply's FromUserName is %q", r.From)
	}
	if r.Type == "text" && r.Content == "" {
		return nil, fmt.Errorf("the reply's text is empty")
	}
	return &r, nil
}

// show puts the reply into the chat window.
func (s *Server) show(openID string, r *reply) []ChatMessage {
	if r == nil {
		return []ChatMessage{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := ChatMessage{OpenID: openID, From: "account", Kind: "text", Text: r.Content}
	switch r.Type {
	case "text":
	case "news":
		m.Kind, m.Text = "news", "[图文]"
		for _, a := range r.Articles {
			m.Articles = append(m.Articles, a.Items...)
		}
	case "transfer_customer_service":
		m.From, m.Kind, m.Text = "system", "notice", "正在为您转接人工客服"
	default:
		m.Text = "[" + r.Type + "]"
	}
	if r.To != openID {
		m.From, m.Kind, m.Text = "system", "notice", "回复的收件人不是本人，微信已丢弃"
	}
	s.note("chat", fmt.Sprintf("公众号回复 %s：%.60s", s.nameOf(openID), firstLine(m.Text)))
	return []ChatMessage{s.say(m)}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	if r := []rune(line); len(r) > 30 {
		return string(r[:30]) + "…"
	}
	return line
}

// exchange says something as a persona and waits for the product's answer.
func (s *Server) exchange(ctx context.Context, m ChatMessage, p push) Exchange {
	s.mu.Lock()
	if m.Text != "" {
		m = s.say(m)
	}
	if p.mode == "" {
		s.lastPush[p.openID] = p
	}
	s.busy++
	s.mu.Unlock()
	defer s.free()
	attempts, replies := s.deliver(ctx, p)
	return Exchange{Message: m, Attempts: attempts, Replies: nonNil(replies)}
}

// chat sends a text; a given msgID repeats an earlier message's id.
func (s *Server) chat(ctx context.Context, p Persona, text string, msgID int64) Exchange {
	s.mu.Lock()
	if msgID == 0 {
		msgID = s.nextID()
	}
	s.openWindow(p.OpenID, "message")
	body := s.envelope(p.OpenID, "text", "Content", cdata(text), "MsgId", strconv.FormatInt(msgID, 10))
	s.note("chat", fmt.Sprintf("%s 说：%s", p.Name, firstLine(text)))
	s.mu.Unlock()
	return s.exchange(ctx, ChatMessage{OpenID: p.OpenID, From: "user", Kind: "text", Text: text, MsgID: msgID}, push{openID: p.OpenID, body: body})
}

// event sends an event of the persona's own doing.
func (s *Server) event(ctx context.Context, p Persona, shown, event string, fields ...string) Exchange {
	s.mu.Lock()
	body := s.envelope(p.OpenID, "event", append([]string{"Event", cdata(event)}, fields...)...)
	s.note("chat", p.Name+" "+shown)
	s.mu.Unlock()
	return s.exchange(ctx, ChatMessage{OpenID: p.OpenID, From: "system", Kind: "event", Text: shown}, push{openID: p.OpenID, body: body})
}

// follow makes the persona a follower, from a QR code's scene or from the search.
func (s *Server) follow(ctx context.Context, p Persona, scene, ticket string) Exchange {
	s.mu.Lock()
	f, _ := s.followers.get(p.OpenID)
	f = follower{OpenID: p.OpenID, Since: s.now(), Scene: "ADD_SCENE_SEARCH", QRScene: scene, Following: true, Tags: f.Tags}
	fields := []string{"EventKey", cdata("")}
	if scene != "" {
		f.Scene = "ADD_SCENE_QR_CODE"
		fields = []string{"EventKey", cdata("qrscene_" + scene), "Ticket", cdata(ticket)}
	}
	s.followers.put(p.OpenID, f)
	s.openWindow(p.OpenID, "follow")
	s.mu.Unlock()
	return s.event(ctx, p, "关注了公众号", "subscribe", fields...)
}

func (s *Server) unfollow(ctx context.Context, p Persona) Exchange {
	s.mu.Lock()
	f, _ := s.followers.get(p.OpenID)
	f.Following, f.Tags = false, nil
	s.followers.put(p.OpenID, f)
	delete(s.windows, p.OpenID)
	s.mu.Unlock()
	return s.event(ctx, p, "取消了关注", "unsubscribe", "EventKey", cdata(""))
}

// scan is a follower's scan of a QR code; anybody else's makes them a follower.
func (s *Server) scan(ctx context.Context, p Persona, t qrTicket) Exchange {
	s.mu.Lock()
	following := s.following(p.OpenID)
	if following {
		s.openWindow(p.OpenID, "scan")
	}
	s.mu.Unlock()
	if !following {
		return s.follow(ctx, p, t.Scene, t.Ticket)
	}
	return s.event(ctx, p, "扫描了二维码", "SCAN", "EventKey", cdata(t.Scene), "Ticket", cdata(t.Ticket))
}

func (s *Server) click(ctx context.Context, p Persona, key string) Exchange {
	s.mu.Lock()
	s.openWindow(p.OpenID, "click")
	s.mu.Unlock()
	return s.event(ctx, p, "点击了菜单", "CLICK", "EventKey", cdata(key))
}

// hostile repeats the persona's last push in a way the product must refuse, or must not act on twice.
func (s *Server) hostile(ctx context.Context, p Persona, mode string) (Exchange, error) {
	s.mu.Lock()
	last, ok := s.lastPush[p.OpenID]
	s.note("chat", "可疑推送："+mode)
	s.mu.Unlock()
	if !ok {
		return Exchange{}, fmt.Errorf("%s has sent nothing yet", p.Name)
	}
	switch mode {
	case "forged", "stale", "plain":
		last.mode = mode
	case "replay":
	default:
		return Exchange{}, fmt.Errorf("unknown mode %q", mode)
	}
	return s.exchange(ctx, ChatMessage{}, last), nil
}

// pushTemplateFinished reports the delivery of a template message, some time after the call. The caller holds the lock.
func (s *Server) pushTemplateFinished(m TemplateMessage) {
	body := s.envelope(m.OpenID, "event", "Event", cdata("TEMPLATESENDJOBFINISH"),
		"MsgID", strconv.FormatInt(m.MsgID, 10), "Status", cdata("success"))
	s.background(func(ctx context.Context) { s.deliver(ctx, push{openID: m.OpenID, body: body}) })
}
