package bot

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MessageType is WeChat's MsgType.
type MessageType string

// The message types that the bot tells apart; others arrive as they are.
const (
	TextMessage  MessageType = "text"
	EventMessage MessageType = "event"
)

// The events the bot knows.
const (
	EventSubscribe       = "subscribe"
	EventUnsubscribe     = "unsubscribe"
	EventScan            = "SCAN"
	EventClick           = "CLICK"
	EventTemplateJobDone = "TEMPLATESENDJOBFINISH"
	EventSubscribePopup  = "subscribe_msg_popup_event"
	EventSubscribeChange = "subscribe_msg_change_event"
	EventSubscribeSent   = "subscribe_msg_sent_event"
)

// Message is one message or event from a follower.
type Message struct {
	OpenID  string // FromUserName
	Sent    time.Time
	Type    MessageType
	ID      uint64 // MsgId; 0 for events
	Content string // what a person wrote, or what WeChat heard in a voice message
	Event   string
	Key     string // EventKey: the menu key, or the scene of a QR code
	// JobID and JobStatus report the fate of a template message
	// (TEMPLATESENDJOBFINISH): "success" or the reason.
	JobID     int64
	JobStatus string
	// Subscriptions are the templates of a subscribe event.
	Subscriptions []Subscription
	// Memory is what the last Reply to this person wanted remembered; nil when
	// that is long ago, or lost.
	Memory []byte
}

// Subscription is one template in a subscribe event: what the follower decided
// about it, or what became of a notice sent with it.
type Subscription struct {
	TemplateID string
	Status     string // "accept" or "reject"
	MsgID      int64  // of the notice that this reports about
	Failure    string // why a notice did not arrive; empty or "success"
}

// dedupKey names the message for Talks: WeChat repeats a message with the same
// MsgId, an event with the same sender, time, event and key.
func (m *Message) dedupKey() string {
	if m.ID != 0 {
		return "m" + strconv.FormatUint(m.ID, 36)
	}
	parts := []string{m.OpenID, strconv.FormatInt(m.Sent.Unix(), 10), string(m.Type), m.Event, m.Key, strconv.FormatInt(m.JobID, 10)}
	for _, s := range m.Subscriptions { // two notices may end in the same second
		parts = append(parts, s.TemplateID, strconv.FormatInt(s.MsgID, 10))
	}
	h := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return "e" + hex.EncodeToString(h[:16])
}

// encrypted returns the value of <Encrypt> in the outer document. Without one it
// is a plain body, whatever the URL says.
func encrypted(s *scratch, body []byte) ([]byte, error) {
	x, err := newScanner(body, &s.reply)
	if err != nil {
		return nil, err
	}
	var sealed []byte
	for {
		name, value, done, err := x.next()
		if err != nil {
			return nil, err
		}
		if done {
			break
		}
		if string(name) == "Encrypt" {
			if sealed != nil {
				return nil, errMalformed
			}
			sealed = value
		}
	}
	if len(sealed) == 0 {
		return nil, errPlain
	}
	return sealed, nil
}

// parseMessage reads the inner document, which must be addressed to originalID. A known field given twice is refused:
// two readers could disagree about it.
func parseMessage(s *scratch, plain []byte, originalID string) (m Message, err error) {
	x, err := newScanner(plain, &s.value)
	if err != nil {
		return m, err
	}
	const (
		seenTo = 1 << iota
		seenFrom
		seenTime
		seenType
		seenID
		seenContent
		seenEvent
		seenKey
		seenJob
		seenStatus
	)
	var (
		seen int
		ours bool
	)
	once := func(bit int) bool {
		first := seen&bit == 0
		seen |= bit
		return first
	}
	for {
		name, value, done, err := x.next()
		if err != nil {
			return m, err
		}
		if done {
			m.Subscriptions = x.items
			break
		}
		ok := true
		switch string(name) {
		case "ToUserName":
			ours, ok = string(value) == originalID, once(seenTo)
		case "FromUserName":
			m.OpenID, ok = string(value), once(seenFrom)
		case "CreateTime":
			sec, err := strconv.ParseInt(string(value), 10, 64)
			m.Sent, ok = time.Unix(sec, 0), err == nil && once(seenTime)
		case "MsgType":
			m.Type, ok = messageType(value), once(seenType)
		case "MsgId":
			m.ID, err = strconv.ParseUint(string(value), 10, 64)
			ok = err == nil && once(seenID)
		case "Content", "Recognition":
			if len(value) > 0 { // a voice message has an empty one or the other
				m.Content, ok = text(value), once(seenContent)
			}
		case "Event":
			m.Event, ok = string(value), once(seenEvent)
		case "EventKey":
			m.Key, ok = text(value), once(seenKey)
		case "MsgID": // of a template message: not the MsgId above
			m.JobID, err = strconv.ParseInt(string(value), 10, 64)
			ok = err == nil && once(seenJob)
		case "Status":
			m.JobStatus, ok = text(value), once(seenStatus)
		}
		if !ok {
			return m, errMalformed
		}
	}
	if m.OpenID == "" || m.Type == "" || seen&seenTime == 0 {
		return m, errMalformed
	}
	if !ours {
		return m, errRecipient
	}
	return m, nil
}

func messageType(b []byte) MessageType {
	switch string(b) { // without allocating
	case string(TextMessage):
		return TextMessage
	case string(EventMessage):
		return EventMessage
	}
	return MessageType(b)
}

func text(b []byte) string {
	if !utf8.Valid(b) {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return string(b)
}

// Reply is the answer to a message. The zero Reply says nothing: WeChat gets the
// literal success.
type Reply struct {
	// Text may hold links: <a href="…">…</a>.
	Text string
	// Handover passes the conversation to a person in WeChat's customer service.
	Handover bool
	// Memory is what the person's next message comes with; nil leaves it as it is.
	Memory []byte
}

func (r Reply) empty() bool { return r.Text == "" && !r.Handover }

// appendXML appends the passive reply to openid.
func (r Reply) appendXML(dst []byte, openid, originalID string, at time.Time) []byte {
	dst = append(dst, "<xml><ToUserName>"...)
	dst = appendCDATA(dst, openid)
	dst = append(dst, "</ToUserName><FromUserName>"...)
	dst = appendCDATA(dst, originalID)
	dst = append(dst, "</FromUserName><CreateTime>"...)
	dst = strconv.AppendInt(dst, at.Unix(), 10)
	dst = append(dst, "</CreateTime>"...)
	if r.Handover {
		return append(dst, "<MsgType><![CDATA[transfer_customer_service]]></MsgType></xml>"...)
	}
	dst = append(dst, "<MsgType><![CDATA[text]]></MsgType><Content>"...)
	dst = appendCDATA(dst, r.Text)
	return append(dst, "</Content></xml>"...)
}

// appendCDATA splits the section where the text itself says "]]>".
func appendCDATA(dst []byte, s string) []byte {
	dst = append(dst, "<![CDATA["...)
	for {
		i := strings.Index(s, "]]>")
		if i < 0 {
			break
		}
		dst = append(append(dst, s[:i+2]...), "]]><![CDATA["...)
		s = s[i+2:]
	}
	return append(append(dst, s...), "]]>"...)
}
