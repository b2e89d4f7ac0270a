package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/silenceper/wechat/v2/officialaccount/menu"
)

// Button is an entry of the official account's menu: with Sub a column, else a
// page of a mini-program (AppID and Page, and URL for a WeChat too old to open it),
// a link (URL alone), or a click that comes back as an event with Key.
type Button struct {
	Name  string
	Key   string
	URL   string
	AppID string
	Page  string
	Sub   []Button
}

// Menus are what shows below the chat: Common to everybody, Tagged to followers
// with a tag.
type Menus struct {
	Common, Tagged []Button
}

// noMenu is WeChat's code for an account without a menu.
const noMenu = 46003

// Menus reads the menus of the account and of followers with the tag.
func (a *OfficialAccount) Menus(ctx context.Context, tag string) (Menus, error) {
	id, err := a.tagID(ctx, tag)
	if err != nil {
		return Menus{}, err
	}
	all, err := a.menus(ctx)
	if err != nil {
		return Menus{}, err
	}
	m := Menus{Common: fromWire(all.Menu.Button)}
	for _, special := range all.Special {
		if id != 0 && special.tag() == id {
			m.Tagged = fromWire(special.Button)
		}
	}
	return m, nil
}

// SetMenu replaces the menu of all followers: up to three buttons with up to
// five entries each.
func (a *OfficialAccount) SetMenu(ctx context.Context, buttons []Button) error {
	return a.call(ctx, "menu.create", func() error { return a.menu.SetMenu(sdkButtons(buttons)) })
}

// SetMenus brings the account's menus to what m says, and leaves alone what is
// there already: a menu that is set anew takes a day to reach everybody.
func (a *OfficialAccount) SetMenus(ctx context.Context, tag string, m Menus) error {
	all, err := a.menus(ctx)
	if err != nil {
		return err
	}
	if !sameButtons(fromWire(all.Menu.Button), m.Common) {
		if err := a.SetMenu(ctx, m.Common); err != nil {
			return err
		}
	}
	id, err := a.ensureTag(ctx, tag)
	if err != nil {
		return err
	}
	found := false
	for _, special := range all.Special {
		if special.tag() != id {
			continue
		}
		if !found && sameButtons(fromWire(special.Button), m.Tagged) {
			found = true
			continue
		}
		if err := a.call(ctx, "menu.delconditional", func() error { return a.menu.DeleteConditional(special.ID) }); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	body, err := json.Marshal(map[string]any{"button": sdkButtons(m.Tagged), "matchrule": map[string]any{"tag_id": fmt.Sprint(id)}})
	if err != nil {
		return fmt.Errorf("encoding a menu: %w", err)
	}
	return a.call(ctx, "menu.addconditional", func() error { return a.menu.AddConditionalByJSON(string(body)) })
}

// tagBatch is how many followers one call may tag.
const tagBatch = 50

// TagOnly gives the tag to these followers and to nobody else.
func (a *OfficialAccount) TagOnly(ctx context.Context, tag string, openIDs []string) error {
	id, err := a.ensureTag(ctx, tag)
	if err != nil {
		return err
	}
	tagged, err := a.tagged(ctx, id)
	if err != nil {
		return err
	}
	without := func(list, others []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(o string) bool { return slices.Contains(others, o) })
	}
	for part := range slices.Chunk(without(tagged, openIDs), tagBatch) {
		if err := a.call(ctx, "tags.batchuntagging", func() error { return a.users.BatchUntag(part, id) }); err != nil {
			return err
		}
	}
	for part := range slices.Chunk(without(openIDs, tagged), tagBatch) {
		if err := a.call(ctx, "tags.batchtagging", func() error { return a.users.BatchTag(part, id) }); err != nil {
			return err
		}
	}
	return nil
}

// Tagged lists the followers with the tag; none when the account does not have it yet.
func (a *OfficialAccount) Tagged(ctx context.Context, tag string) (openIDs []string, err error) {
	id, err := a.tagID(ctx, tag)
	if err != nil || id == 0 {
		return nil, err
	}
	return a.tagged(ctx, id)
}

// tagged lists the followers with a tag.
func (a *OfficialAccount) tagged(ctx context.Context, id int32) (openIDs []string, err error) {
	for next := ""; ; {
		var page struct {
			Count int `json:"count"`
			Data  struct {
				OpenIDs []string `json:"openid"`
			} `json:"data"`
			Next string `json:"next_openid"`
		}
		if err := a.ask(ctx, "user.tag.get", "/cgi-bin/user/tag/get", map[string]any{"tagid": id, "next_openid": next}, &page); err != nil {
			return nil, err
		}
		openIDs = append(openIDs, page.Data.OpenIDs...)
		if next = page.Next; page.Count == 0 || next == "" {
			return openIDs, nil
		}
	}
}

// tagID is the id of a tag by name, 0 when the account has none.
func (a *OfficialAccount) tagID(ctx context.Context, name string) (id int32, err error) {
	var all struct {
		Tags []struct {
			ID   int32  `json:"id"`
			Name string `json:"name"`
		} `json:"tags"`
	}
	err = a.ask(ctx, "tags.get", "/cgi-bin/tags/get", nil, &all)
	for _, t := range all.Tags {
		if t.Name == name {
			id = t.ID
		}
	}
	return id, err
}

// ask makes a call that the SDK makes without looking at WeChat's return code.
func (a *OfficialAccount) ask(ctx context.Context, op, path string, body, answer any) error {
	return a.caller().ask(ctx, op, path, a.sdk.GetAccessToken, body, answer)
}

func (a *OfficialAccount) ensureTag(ctx context.Context, name string) (int32, error) {
	id, err := a.tagID(ctx, name)
	if err != nil || id != 0 {
		return id, err
	}
	err = a.call(ctx, "tags.create", func() error {
		t, err := a.users.CreateTag(name)
		if err == nil {
			id = t.ID
		}
		return err
	})
	return id, err
}

// wireMenus is WeChat's answer about the menus. The SDK's own type knows no tags.
type wireMenus struct {
	Menu struct {
		Button []*menu.Button `json:"button"`
	} `json:"menu"`
	Special []wireSpecial `json:"conditionalmenu"`
}

type wireSpecial struct {
	Button []*menu.Button `json:"button"`
	Rule   struct {
		Tag   json.Number `json:"tag_id"`
		Group json.Number `json:"group_id"` // how older answers call it
	} `json:"matchrule"`
	ID int64 `json:"menuid"`
}

func (s wireSpecial) tag() int32 {
	for _, n := range []json.Number{s.Rule.Tag, s.Rule.Group} {
		if id, err := n.Int64(); err == nil {
			return int32(id) //nolint:gosec // WeChat's own type
		}
	}
	return 0
}

func (a *OfficialAccount) menus(ctx context.Context) (m wireMenus, err error) {
	err = a.ask(ctx, "menu.get", "/cgi-bin/menu/get", nil, &m)
	if e, ok := errors.AsType[*Error](err); ok && e.Code == noMenu {
		return wireMenus{}, nil
	}
	return m, err
}

func fromWire(wire []*menu.Button) []Button {
	var out []Button
	for _, b := range wire {
		out = append(out, Button{Name: b.Name, Key: b.Key, URL: b.URL, AppID: b.AppID, Page: b.PagePath, Sub: fromWire(b.SubButtons)})
	}
	return out
}

func sameButtons(a, b []Button) bool { return reflect.DeepEqual(a, b) }

func sdkButtons(buttons []Button) []*menu.Button {
	var out []*menu.Button
	for _, b := range buttons {
		switch {
		case len(b.Sub) > 0:
			out = append(out, menu.NewSubButton(b.Name, sdkButtons(b.Sub)))
		case b.Page != "":
			out = append(out, menu.NewMiniprogramButton(b.Name, b.URL, b.AppID, b.Page))
		case b.URL != "":
			out = append(out, menu.NewViewButton(b.Name, b.URL))
		default:
			out = append(out, menu.NewClickButton(b.Name, b.Key))
		}
	}
	return out
}
