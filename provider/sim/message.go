package sim

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ChatMessage is one bubble of a persona's chat window.
type ChatMessage struct {
	ID       int64     `json:"id"`
	OpenID   string    `json:"openid"`
	From     string    `json:"from"` // user, account, or system (what WeChat itself shows)
	Kind     string    `json:"kind"` // text, event, news, template, notice
	Text     string    `json:"text"`
	Articles []Article `json:"articles,omitempty"`
	Template *Card     `json:"template,omitempty"`
	MsgID    int64     `json:"msg_id,omitempty"` // the wire's MsgId of a user message
	At       time.Time `json:"at"`
}

// Article is one link of a news message.
type Article struct {
	Title       string `json:"title" xml:"Title"`
	Description string `json:"description" xml:"Description"`
	Picture     string `json:"picurl" xml:"PicUrl"`
	URL         string `json:"url" xml:"Url"`
}

// Card is a rendered template message.
type Card struct {
	Title string      `json:"title"`
	Lines []CardLine  `json:"lines"`
	URL   string      `json:"url,omitempty"`
	Mini  *MiniTarget `json:"miniprogram,omitempty"`
}

// CardLine is one label and its value.
type CardLine struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// MiniTarget is the mini-program page a card opens instead of its URL.
type MiniTarget struct {
	AppID string `json:"appid"`
	Path  string `json:"pagepath"`
}

// TemplateMessage is one delivered template message or subscription notice.
type TemplateMessage struct {
	MsgID       int64             `json:"msgid"`
	OpenID      string            `json:"openid"`
	TemplateID  string            `json:"template_id"`
	ClientMsgID string            `json:"client_msg_id,omitempty"`
	Via         string            `json:"via"` // template, subscription, mini_subscription
	Data        map[string]string `json:"data"`
	Card        Card              `json:"card"`
	At          time.Time         `json:"at"`
}

// say appends a bubble to a chat window. The caller holds the lock.
func (s *Server) say(m ChatMessage) ChatMessage {
	m.ID, m.At = s.nextID(), s.now()
	s.messages.put(strconv.FormatInt(m.ID, 10), m)
	s.changed()
	return m
}

// dedupLife is how long a client_msg_id is remembered.
const dedupLife = 10 * time.Minute

func (s *Server) sendTemplate(c wxCall) any {
	var q struct {
		ToUser      string      `json:"touser"`
		TemplateID  string      `json:"template_id"`
		URL         string      `json:"url"`
		Mini        *MiniTarget `json:"miniprogram"`
		ClientMsgID string      `json:"client_msg_id"`
		Data        map[string]struct {
			Value string `json:"value"`
		} `json:"data"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	template, known := s.cfg.WeChat.Templates[q.TemplateID]
	switch {
	case !s.isUser(q.ToUser):
		return wxError{40003, "invalid openid"}
	case !known:
		return wxError{40037, "invalid template_id"}
	case !s.following(q.ToUser):
		return wxError{43004, "require subscribe"}
	case len(q.ClientMsgID) > 32:
		return wxError{47003, "argument invalid! client_msg_id is too long"}
	}
	if q.Mini != nil && q.Mini.AppID == "" {
		q.Mini = nil
	}
	for _, m := range s.templates.newest(0, func(m TemplateMessage) bool {
		return q.ClientMsgID != "" && m.ClientMsgID == q.ClientMsgID && m.OpenID == q.ToUser
	}) {
		if s.now().Sub(m.At) < dedupLife {
			return sentTemplate(m)
		}
	}

	data := map[string]string{}
	for key, v := range q.Data {
		data[key] = v.Value
	}
	card, err := template.render(data)
	if err != nil {
		return wxError{47003, "argument invalid! " + err.Error()}
	}
	card.URL, card.Mini = q.URL, q.Mini
	m := TemplateMessage{
		MsgID: s.nextID(), OpenID: q.ToUser, TemplateID: q.TemplateID, ClientMsgID: q.ClientMsgID, Via: "template",
		Data: data, Card: card, At: s.now(),
	}
	s.templates.put(strconv.FormatInt(m.MsgID, 10), m)
	s.say(ChatMessage{OpenID: q.ToUser, From: "account", Kind: "template", Text: card.Title, Template: &card})
	s.note("template", fmt.Sprintf("%s 收到模板消息「%s」", s.nameOf(q.ToUser), card.Title))
	s.pushTemplateFinished(m)
	return sentTemplate(m)
}

func sentTemplate(m TemplateMessage) any {
	return struct {
		wxError
		MsgID int64 `json:"msgid"`
	}{wxOK, m.MsgID}
}

var placeholder = regexp.MustCompile(`\{\{\s*(\w+)\.DATA\s*\}\}`)

// render fills the template; every field must be there and within the limits of its kind.
func (t Template) render(data map[string]string) (Card, error) {
	card := Card{Title: t.Title, Lines: []CardLine{}}
	for line := range strings.Lines(t.Content) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		for _, m := range placeholder.FindAllStringSubmatch(line, -1) {
			if err := checkField(m[1], data[m[1]]); err != nil {
				return Card{}, err
			}
		}
		value := placeholder.ReplaceAllStringFunc(line, func(p string) string {
			return data[placeholder.FindStringSubmatch(p)[1]]
		})
		label, rest, labelled := cutLabel(value)
		if !labelled {
			label, rest = "", value
		}
		card.Lines = append(card.Lines, CardLine{Label: label, Value: rest})
	}
	return card, nil
}

// cutLabel splits "标签：值" or "标签:值".
func cutLabel(line string) (label, value string, ok bool) {
	i := strings.IndexAny(line, "：:")
	if i <= 0 || utf8.RuneCountInString(line[:i]) > 8 {
		return "", "", false
	}
	_, size := utf8.DecodeRuneInString(line[i:])
	return line[:i], strings.TrimSpace(line[i+size:]), true
}

// fieldLimit is the longest value, in characters, of each kind of category-template field.
var fieldLimit = map[string]int{
	"thing": 20, "const": 20, "character_string": 32, "phrase": 5, "number": 32, "letter": 32, "symbol": 5,
	"phone_number": 17, "car_number": 8, "name": 20,
}

var fieldKind = regexp.MustCompile(`^([a-z_]+?)_?\d+$`)

func checkField(key, value string) error {
	if value == "" {
		return fmt.Errorf("data.%s.value is empty", key)
	}
	m := fieldKind.FindStringSubmatch(key)
	if m == nil {
		return nil
	}
	if limit := fieldLimit[m[1]]; limit > 0 && utf8.RuneCountInString(value) > limit {
		return fmt.Errorf("data.%s.value invalid, longer than %d", key, limit)
	}
	return nil
}

func (s *Server) listTemplates(wxCall) any {
	type row struct {
		ID      string `json:"template_id"`
		Title   string `json:"title"`
		Content string `json:"content"`
	}
	rows := []row{}
	for id, t := range s.cfg.WeChat.Templates {
		rows = append(rows, row{id, t.Title, t.Content})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.ID, b.ID) })
	return map[string]any{"template_list": rows}
}

// window is a permission to send customer-service messages: so many until then.
type window struct {
	until time.Time
	left  int
}

// openWindow gives the account messages to send after something the user did. The caller holds the lock.
func (s *Server) openWindow(openID, cause string) {
	if s.windows[openID] == nil {
		s.windows[openID] = map[string]window{}
	}
	w := window{s.now().Add(time.Minute), 3} // menu click, follow, scan
	if cause == "message" {
		w = window{s.now().Add(48 * time.Hour), 5}
	}
	s.windows[openID][cause] = w
}

// spendWindow takes one message from the window that ends first.
func (s *Server) spendWindow(openID string) wxError {
	best, open := "", false
	for cause, w := range s.windows[openID] {
		if !s.now().Before(w.until) {
			continue
		}
		open = true
		if w.left > 0 && (best == "" || w.until.Before(s.windows[openID][best].until)) {
			best = cause
		}
	}
	switch {
	case !open:
		return wxError{45015, "response out of time limit or subscription is canceled"}
	case best == "":
		return wxError{45047, "out of response count limit"}
	}
	w := s.windows[openID][best]
	w.left--
	s.windows[openID][best] = w
	return wxError{}
}

func (s *Server) sendCustom(c wxCall) any {
	var q struct {
		ToUser string `json:"touser"`
		Type   string `json:"msgtype"`
		Text   struct {
			Content string `json:"content"`
		} `json:"text"`
		News struct {
			Articles []Article `json:"articles"`
		} `json:"news"`
		Menu struct {
			Head string `json:"head_content"`
			Tail string `json:"tail_content"`
			List []struct {
				ID      string `json:"id"`
				Content string `json:"content"`
			} `json:"list"`
		} `json:"msgmenu"`
		Mini struct {
			Title string `json:"title"`
			Path  string `json:"pagepath"`
		} `json:"miniprogrampage"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	m := ChatMessage{OpenID: q.ToUser, From: "account", Kind: "text"}
	switch q.Type {
	case "text":
		m.Text = q.Text.Content
	case "news":
		m.Kind, m.Articles, m.Text = "news", q.News.Articles, "[图文]"
	case "msgmenu":
		m.Text = q.Menu.Head
		for _, item := range q.Menu.List {
			m.Text += fmt.Sprintf("\n<a href=\"weixin://bizmsgmenu?msgmenucontent=%s&msgmenuid=%s\">%s</a>", item.Content, item.ID, item.Content)
		}
		m.Text += "\n" + q.Menu.Tail
	case "miniprogrampage":
		m.Text = "[小程序] " + q.Mini.Title + " " + q.Mini.Path
	default:
		return wxError{40008, "invalid message type"}
	}
	switch {
	case !s.isUser(q.ToUser):
		return wxError{40003, "invalid openid"}
	case !s.following(q.ToUser):
		return wxError{43004, "require subscribe"}
	case m.Text == "":
		return wxError{44004, "empty content"}
	case len(m.Text) > 2048:
		return wxError{45002, "content size out of limit"}
	}
	if e := s.spendWindow(q.ToUser); e.Code != 0 {
		return e
	}
	s.say(m)
	s.note("chat", fmt.Sprintf("%s 收到客服消息", s.nameOf(q.ToUser)))
	return wxOK
}

func (s *Server) typing(c wxCall) any {
	var q struct {
		ToUser string `json:"touser"`
	}
	if !c.decode(&q) || !s.isUser(q.ToUser) {
		return wxError{40003, "invalid openid"}
	}
	return wxOK
}
