package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"image/png"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/skip2/go-qrcode"
)

// Menu is the official account's menu.
type Menu struct {
	Buttons []Button `json:"button"`
}

// Button is a menu entry: a parent with children, or a leaf of a type.
type Button struct {
	Name     string   `json:"name"`
	Type     string   `json:"type,omitempty"`
	Key      string   `json:"key,omitempty"`
	URL      string   `json:"url,omitempty"`
	AppID    string   `json:"appid,omitempty"`
	PagePath string   `json:"pagepath,omitempty"`
	Children []Button `json:"sub_button,omitempty"`
}

// conditionalMenu is a menu for followers with one tag.
type conditionalMenu struct {
	Menu
	Rule struct {
		TagID json.Number `json:"tag_id"`
	} `json:"matchrule"`
	ID int64 `json:"menuid"`
}

type tag struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func (s *Server) checkMenu(m Menu) wxError {
	if n := len(m.Buttons); n < 1 || n > 3 {
		return wxError{40016, "invalid button size"}
	}
	for _, b := range m.Buttons {
		if e := s.checkButton(b, 16); e.Code != 0 {
			return e
		}
		if len(b.Children) > 5 {
			return wxError{40023, "invalid sub button size"}
		}
		for _, child := range b.Children {
			if e := s.checkButton(child, 60); e.Code != 0 {
				return e
			}
		}
	}
	return wxError{}
}

func (s *Server) checkButton(b Button, nameBytes int) wxError {
	switch {
	case b.Name == "" || len(b.Name) > nameBytes:
		return wxError{40018, "invalid button name size"}
	case len(b.Children) > 0:
		return wxError{}
	case b.Type == "click" && (b.Key == "" || len(b.Key) > 128):
		return wxError{40019, "invalid button key size"}
	case (b.Type == "view" || b.Type == "miniprogram") && (b.URL == "" || len(b.URL) > 1024):
		return wxError{40020, "invalid button url size"}
	case !slices.Contains([]string{"click", "view", "miniprogram", "scancode_push", "scancode_waitmsg", "media_id"}, b.Type):
		return wxError{40017, "invalid button type"}
	case b.Type == "miniprogram":
		return s.checkTarget(MiniTarget{b.AppID, b.PagePath})
	}
	return wxError{}
}

var weAppID = regexp.MustCompile(`^wx[0-9a-f]{16}$`)

// checkTarget looks at a page of a mini-program that the account wants to open.
func (s *Server) checkTarget(to MiniTarget) wxError {
	page, _, _ := strings.Cut(to.Path, "?")
	switch {
	case to.AppID != s.cfg.MiniProgram.AppID && !weAppID.MatchString(to.AppID):
		return wxError{40166, "invalid weapp appid"}
	case to.AppID != s.cfg.MiniProgram.AppID:
		return wxError{45064, "no permission to use weapp in menu"}
	case !slices.Contains(s.cfg.MiniProgram.Pages, page):
		return wxError{40165, "invalid weapp pagepath"}
	}
	return wxError{}
}

func (s *Server) createMenu(c wxCall) any {
	var m Menu
	if !c.decode(&m) {
		return wxBadJSON
	}
	if e := s.checkMenu(m); e.Code != 0 {
		return e
	}
	s.keepSetting("menu", m)
	s.note("chat", "公众号菜单已更新")
	return wxOK
}

func (s *Server) getMenu(wxCall) any {
	var m Menu
	if !s.setting("menu", &m) {
		return wxError{46003, "menu no exist"}
	}
	answer := map[string]any{"menu": m}
	if special := s.conditionalMenus(); len(special) > 0 {
		answer["conditionalmenu"] = special
	}
	return answer
}

func (s *Server) deleteMenu(wxCall) any {
	s.keepSetting("menu", nil)
	s.keepSetting("conditional", nil)
	return wxOK
}

func (s *Server) conditionalMenus() []conditionalMenu {
	var list []conditionalMenu
	s.setting("conditional", &list)
	return list
}

func (s *Server) addConditionalMenu(c wxCall) any {
	var m conditionalMenu
	if !c.decode(&m) {
		return wxBadJSON
	}
	if !s.setting("menu", new(Menu)) {
		return wxError{65301, "not exist menu data"}
	}
	if e := s.checkMenu(m.Menu); e.Code != 0 {
		return e
	}
	if m.Rule.TagID == "" {
		return wxError{65305, "match rule is empty"}
	}
	m.ID = s.nextID()
	s.keepSetting("conditional", append(s.conditionalMenus(), m))
	return map[string]any{"menuid": strconv.FormatInt(m.ID, 10)}
}

func (s *Server) deleteConditionalMenu(c wxCall) any {
	var q struct {
		ID json.Number `json:"menuid"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	s.keepSetting("conditional", slices.DeleteFunc(s.conditionalMenus(), func(m conditionalMenu) bool {
		return strconv.FormatInt(m.ID, 10) == q.ID.String()
	}))
	return wxOK
}

// menuFor is the menu a follower sees: the newest conditional one of a tag they have, else the common one.
func (s *Server) menuFor(openID string) Menu {
	f, _ := s.followers.get(openID)
	for _, m := range slices.Backward(s.conditionalMenus()) {
		if n, err := strconv.Atoi(m.Rule.TagID.String()); err == nil && slices.Contains(f.Tags, n) {
			return m.Menu
		}
	}
	var m Menu
	s.setting("menu", &m)
	return m
}

func (s *Server) tags() []tag {
	list := []tag{}
	s.setting("tags", &list)
	return list
}

func (s *Server) createTag(c wxCall) any {
	var q struct {
		Tag tag `json:"tag"`
	}
	if !c.decode(&q) || q.Tag.Name == "" {
		return wxBadJSON
	}
	list := s.tags()
	if slices.ContainsFunc(list, func(t tag) bool { return t.Name == q.Tag.Name }) {
		return wxError{45157, "invalid tag name"}
	}
	q.Tag.ID = 100 + len(list)
	s.keepSetting("tags", append(list, q.Tag))
	return map[string]any{"tag": q.Tag}
}

func (s *Server) listTags(wxCall) any { return map[string]any{"tags": s.tags()} }

func (s *Server) tagging(add bool) func(wxCall) any {
	return func(c wxCall) any {
		var q struct {
			OpenIDs []string `json:"openid_list"`
			TagID   int      `json:"tagid"`
		}
		if !c.decode(&q) {
			return wxBadJSON
		}
		if !slices.ContainsFunc(s.tags(), func(t tag) bool { return t.ID == q.TagID }) {
			return wxError{45159, "invalid tag id"}
		}
		for _, id := range q.OpenIDs {
			if !s.following(id) {
				return wxError{40003, "invalid openid"}
			}
		}
		for _, id := range q.OpenIDs {
			f, _ := s.followers.get(id)
			f.Tags = slices.DeleteFunc(slices.Clone(f.Tags), func(n int) bool { return n == q.TagID })
			if add {
				f.Tags = append(f.Tags, q.TagID)
			}
			s.followers.put(id, f)
		}
		s.changed()
		return wxOK
	}
}

func (s *Server) tagsOf(c wxCall) any {
	var q struct {
		OpenID string `json:"openid"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	f, _ := s.followers.get(q.OpenID)
	return map[string]any{"tagid_list": nonNil(f.Tags)}
}

// taggedWith lists the followers with a tag, all on one page.
func (s *Server) taggedWith(c wxCall) any {
	var q struct {
		ID int `json:"tagid"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	ids := []string{}
	for _, f := range s.followers.find(func(f follower) bool { return f.Following && slices.Contains(f.Tags, q.ID) }) {
		ids = append(ids, f.OpenID)
	}
	if len(ids) == 0 {
		return map[string]any{"count": 0}
	}
	return map[string]any{"count": len(ids), "data": map[string]any{"openid": ids}, "next_openid": ""}
}

// qrTicket is a QR code with a scene.
type qrTicket struct {
	Ticket string    `json:"ticket"`
	URL    string    `json:"url"`
	Scene  string    `json:"scene"`
	Until  time.Time `json:"until"` // zero for a permanent one
}

func (s *Server) createQR(c wxCall) any {
	var q struct {
		Expire int64  `json:"expire_seconds"`
		Action string `json:"action_name"`
		Info   struct {
			Scene struct {
				ID  int64  `json:"scene_id"`
				Str string `json:"scene_str"`
			} `json:"scene"`
		} `json:"action_info"`
	}
	if !c.decode(&q) {
		return wxBadJSON
	}
	t := qrTicket{Ticket: "gQ" + token(40) + "==", URL: "http://weixin.qq.com/q/" + token(12), Scene: q.Info.Scene.Str}
	switch q.Action {
	case "QR_SCENE", "QR_LIMIT_SCENE":
		t.Scene = strconv.FormatInt(q.Info.Scene.ID, 10)
	case "QR_STR_SCENE", "QR_LIMIT_STR_SCENE":
	default:
		return wxError{40051, "invalid action name"}
	}
	if t.Scene == "" || t.Scene == "0" || len(t.Scene) > 64 {
		return wxError{40053, "invalid action info"}
	}
	answer := map[string]any{"ticket": t.Ticket, "url": t.URL} // no errmsg: the SDK takes "ok" for an error
	if !strings.HasPrefix(q.Action, "QR_LIMIT") {
		seconds := min(max(q.Expire, 60), 2592000)
		t.Until = s.now().Add(time.Duration(seconds) * time.Second)
		answer["expire_seconds"] = seconds
	}
	s.keepSetting("qr:"+t.Ticket, t)
	s.keepSetting("qr:"+t.URL, t)
	return answer
}

// ticket finds a QR code by its ticket or URL while it is valid.
func (s *Server) ticket(ref string) (qrTicket, error) {
	var t qrTicket
	if !s.setting("qr:"+ref, &t) || !t.Until.IsZero() && !s.now().Before(t.Until) {
		return t, fmt.Errorf("no valid QR code %q", ref)
	}
	return t, nil
}

// showQR draws a ticket's QR code as WeChat does, a JPEG.
func (s *Server) showQR(w http.ResponseWriter, r *http.Request) {
	ref, _ := url.QueryUnescape(r.URL.Query().Get("ticket"))
	s.mu.Lock()
	t, err := s.ticket(ref)
	s.mu.Unlock()
	if err != nil {
		http.NotFound(w, r)
		return
	}
	raw, err := qrcode.Encode(t.URL, qrcode.Medium, 430)
	if err != nil {
		http.Error(w, "qr", http.StatusInternalServerError)
		return
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		http.Error(w, "qr", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/jpg")
	_ = jpeg.Encode(w, img, nil)
}
