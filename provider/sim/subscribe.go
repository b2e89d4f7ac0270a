package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Subscription notices: somebody is asked whether an account may send him notices of some templates, and each yes pays
// for one of them. The official account and the mini-program have templates and consents of their own.

// Consent is what a person has allowed an account to send.
type Consent struct {
	AppID      string `json:"appid"`
	OpenID     string `json:"openid"` // in that account
	TemplateID string `json:"template_id"`
	Left       int    `json:"left"`
}

func consentKey(appID, openID, templateID string) string {
	return appID + "/" + openID + "/" + templateID
}

// notifier is an account that sends subscription notices.
type notifier struct {
	appID     string
	via       string
	templates map[string]Template
	openID    func(Persona) string
}

func (s *Server) account() notifier {
	return notifier{s.cfg.WeChat.AppID, "subscription", s.cfg.WeChat.Subscriptions, func(p Persona) string { return p.OpenID }}
}

func (s *Server) miniProgram() notifier {
	return notifier{s.cfg.MiniProgram.AppID, "mini_subscription", s.cfg.MiniProgram.Subscriptions, MiniOpenID}
}

// sendSubscription sends a notice for a consent. Unlike a template message it knows no client_msg_id: the same notice
// twice is two.
func (s *Server) sendSubscription(by notifier) func(wxCall) any {
	return func(c wxCall) any {
		if e := s.checkToken(by.appID, c.query.Get("access_token")); e.Code != 0 {
			return e
		}
		var q struct {
			ToUser     string      `json:"touser"`
			TemplateID string      `json:"template_id"`
			Page       string      `json:"page"`
			Mini       *MiniTarget `json:"miniprogram"`
			Data       map[string]struct {
				Value string `json:"value"`
			} `json:"data"`
		}
		if !c.decode(&q) {
			return wxBadJSON
		}
		i := slices.IndexFunc(s.cfg.Personas, func(p Persona) bool { return by.openID(p) == q.ToUser })
		template, known := by.templates[q.TemplateID]
		switch {
		case i < 0:
			return wxError{40003, "invalid openid"}
		case !known:
			return wxError{40037, "invalid template_id"}
		}
		data := map[string]string{}
		for key, v := range q.Data {
			data[key] = v.Value
		}
		card, err := template.render(data)
		if err != nil {
			return wxError{47003, "argument invalid! " + err.Error()}
		}
		key := consentKey(by.appID, q.ToUser, q.TemplateID)
		consent, _ := s.consents.get(key)
		if consent.Left == 0 {
			return wxError{43101, "user refuse to accept the msg"}
		}
		consent.Left--
		s.consents.put(key, consent)
		if card.URL = q.Page; by.appID == s.cfg.MiniProgram.AppID {
			card.URL, card.Mini = "", &MiniTarget{by.appID, q.Page}
		} else if q.Mini != nil && q.Mini.AppID != "" {
			card.Mini = q.Mini
		}
		return s.notice(s.cfg.Personas[i], by, TemplateMessage{MsgID: s.nextID(), OpenID: s.cfg.Personas[i].OpenID, TemplateID: q.TemplateID, Data: data, Card: card})
	}
}

// notice shows a subscription notice and reports it to the official account. The caller holds the lock.
func (s *Server) notice(p Persona, by notifier, m TemplateMessage) any {
	m.Via, m.At = by.via, s.now()
	s.templates.put(strconv.FormatInt(m.MsgID, 10), m)
	s.say(ChatMessage{OpenID: p.OpenID, From: "account", Kind: "template", Text: m.Card.Title, Template: &m.Card})
	s.note("template", fmt.Sprintf("%s 收到订阅通知「%s」", p.Name, m.Card.Title))
	if by.via == "subscription" {
		body := s.envelope(p.OpenID, "event", "Event", cdata("subscribe_msg_sent_event"), "SubscribeMsgSentEvent",
			"<List><TemplateId>"+cdata(m.TemplateID)+"</TemplateId><MsgID>"+strconv.FormatInt(m.MsgID, 10)+"</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>"+cdata("success")+"</ErrorStatus></List>")
		s.background(func(ctx context.Context) { s.deliver(ctx, push{openID: p.OpenID, body: body}) })
	}
	return sentTemplate(m)
}

// Subscribed is what came of asking somebody: his answer by template, as wx.requestSubscribeMessage returns it, and how
// the official account took the event about it.
type Subscribed struct {
	Result   map[string]string `json:"result"` // template id to accept or reject
	Exchange *Exchange         `json:"exchange,omitempty"`
}

func (s *Server) controlSubscribe(ctx context.Context, q struct {
	Persona string   `json:"persona"`
	Where   string   `json:"where"`
	Accept  []string `json:"accept"`
	Reject  []string `json:"reject"`
},
) (any, error) {
	p, err := s.persona(q.Persona)
	if err != nil {
		return nil, err
	}
	by, event := s.account(), "Popup"
	switch q.Where {
	case "account":
	case "mini":
		by = s.miniProgram()
	case "settings": // where people can only refuse
		event = "Change"
	default:
		return nil, fmt.Errorf("where must be account, mini or settings")
	}
	if all := slices.Sorted(maps.Keys(by.templates)); len(q.Accept)+len(q.Reject) == 0 {
		if q.Accept = all; event == "Change" {
			q.Accept, q.Reject = nil, all
		}
	}
	if event == "Change" && len(q.Accept) > 0 {
		return nil, fmt.Errorf("nobody can accept in the settings")
	}
	out := Subscribed{Result: map[string]string{}}
	list := ""
	s.mu.Lock()
	for answer, ids := range map[string][]string{"accept": q.Accept, "reject": q.Reject} {
		for _, id := range ids {
			if _, known := by.templates[id]; !known {
				s.mu.Unlock()
				return nil, fmt.Errorf("no such template: %s", id)
			}
			key := consentKey(by.appID, by.openID(p), id)
			c, _ := s.consents.get(key)
			c = Consent{by.appID, by.openID(p), id, c.Left}
			switch {
			case answer == "accept":
				c.Left++
			case event == "Change":
				c.Left = 0
			}
			s.consents.put(key, c)
			out.Result[id] = answer
		}
	}
	for _, id := range slices.Sorted(maps.Keys(out.Result)) {
		list += "<List><TemplateId>" + cdata(id) + "</TemplateId><SubscribeStatusString>" + cdata(out.Result[id]) + "</SubscribeStatusString><PopupScene>1</PopupScene></List>"
	}
	s.mu.Unlock()
	if q.Where == "mini" {
		return out, nil
	}
	shown := map[string]string{"Popup": "回答了是否接收订阅通知", "Change": "在设置里拒收了订阅通知"}[event]
	e := s.event(ctx, p, shown, "subscribe_msg_"+map[string]string{"Popup": "popup", "Change": "change"}[event]+"_event", "SubscribeMsg"+event+"Event", list)
	out.Exchange = &e
	return out, nil
}
