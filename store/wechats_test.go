package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// A mobile has one WeChat: binding another ends the one before it, and a WeChat that
// binds another mobile leaves its old one in every account that knows its union id.
func TestOneWeChatPerMobile(t *testing.T) {
	official := func(open, union, person string) order.WeChatIdentity {
		return order.WeChatIdentity{AppID: "official", OpenID: open, UnionID: union, PersonID: person, Subscribed: true, UpdatedAt: t0}
	}
	mini := func(open, union, person string) order.WeChatIdentity {
		return order.WeChatIdentity{AppID: "mini", OpenID: open, UnionID: union, PersonID: person, Subscribed: true, UpdatedAt: t0}
	}
	for _, tt := range []struct {
		name   string
		before []order.WeChatIdentity
		bound  order.WeChatIdentity
		ended  []string          // who is logged out
		left   map[string]string // openid to person
	}{
		{"the same again", []order.WeChatIdentity{official("o1", "u1", "p1")}, official("o1", "u1", "p1"), nil, map[string]string{"o1": "p1"}},
		{"another WeChat", []order.WeChatIdentity{official("o1", "", "p1")}, official("o2", "", "p1"), []string{"p1"}, map[string]string{"o2": "p1"}},
		{"another in the other account", []order.WeChatIdentity{official("o1", "u1", "p1")}, mini("m2", "u2", "p1"), []string{"p1"}, map[string]string{"m2": "p1"}},
		{"the same in the other account", []order.WeChatIdentity{official("o1", "u1", "p1")}, mini("m1", "u1", "p1"), nil, map[string]string{"o1": "p1", "m1": "p1"}},
		{"nobody knows whether it is the same", []order.WeChatIdentity{official("o1", "", "p1")}, mini("m1", "u1", "p1"), nil, map[string]string{"o1": "p1", "m1": "p1"}},
		{"another mobile", []order.WeChatIdentity{official("o1", "u1", "p1"), mini("m1", "u1", "p1")}, mini("m1", "u1", "p2"), []string{"p1"}, map[string]string{"m1": "p2"}},
		{"the mobile of somebody else", []order.WeChatIdentity{official("o1", "u1", "p1"), official("o2", "u2", "p2")}, official("o1", "u1", "p2"), []string{"p1", "p2"}, map[string]string{"o1": "p2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachDB(t, func(t *testing.T, db *DB) {
				insertPerson(t, db, "p1", identity.NewMobile("13800138001"))
				insertPerson(t, db, "p2", identity.NewMobile("13800138002"))
				for _, w := range tt.before {
					inTx(t, db, func(tx order.Tx) error { return tx.LinkWeChat(t.Context(), w) })
				}
				inTx(t, db, func(tx order.Tx) error {
					return order.BindWeChat(t.Context(), tx, tt.bound, order.Actor{PersonID: tt.bound.PersonID}, "bind_wechat")
				})
				var out []string
				if err := db.all(t.Context(), &out, `SELECT args ->> 'ref' FROM river_job WHERE kind = 'end_sessions' ORDER BY 1`); err != nil || !slices.Equal(out, tt.ended) {
					t.Errorf("logged out %v, want %v, %v", out, tt.ended, err)
				}
				left := map[string]string{}
				for _, id := range []string{"p1", "p2"} {
					all, err := db.WeChats(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					for _, w := range all {
						left[w.OpenID] = w.PersonID
					}
				}
				wantSame(t, "bound", tt.left, left)
			})
		})
	}
}

// Two WeChats that bind one mobile at the same moment do not both have it.
func TestSecondWeChatIsRefused(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "p1", identity.NewMobile("13800138001"))
		w := order.WeChatIdentity{AppID: "official", OpenID: "o1", PersonID: "p1", UpdatedAt: t0.Add(time.Hour)}
		inTx(t, db, func(tx order.Tx) error { return tx.LinkWeChat(t.Context(), w) })
		w.OpenID = "o2"
		wantKind(t, "LinkWeChat", db.InTx(t.Context(), func(tx order.Tx) error { return tx.LinkWeChat(t.Context(), w) }), order.Conflict)
	})
}

// Whoever unbinds his WeChat is nobody to any of our accounts, and logged out everywhere.
func TestUnbindWeChat(t *testing.T) {
	eachDB(t, func(t *testing.T, db *DB) {
		insertPerson(t, db, "p1", identity.NewMobile("13800138001"))
		insertPerson(t, db, "p2", identity.NewMobile("13800138002"))
		inTx(t, db, func(tx order.Tx) (err error) {
			for _, w := range []order.WeChatIdentity{
				{AppID: "official", OpenID: "o1", PersonID: "p1", UpdatedAt: t0},
				{AppID: "mini", OpenID: "m1", PersonID: "p1", UpdatedAt: t0},
				{AppID: "official", OpenID: "o2", PersonID: "p2", UpdatedAt: t0},
			} {
				err = errors.Join(err, tx.LinkWeChat(t.Context(), w))
			}
			return errors.Join(err, order.UnbindWeChat(t.Context(), tx, order.Actor{Role: order.Applicant, PersonID: "p1", Channel: order.Web}, t0))
		})
		mine, err := db.WeChats(t.Context(), "p1")
		theirs, theirErr := db.WeChats(t.Context(), "p2")
		if err := errors.Join(err, theirErr); err != nil || len(mine) != 0 || len(theirs) != 1 {
			t.Errorf("left %+v and of somebody else %+v, %v", mine, theirs, err)
		}
		var out []string
		if err := db.all(t.Context(), &out, `SELECT args ->> 'ref' FROM river_job WHERE kind = 'end_sessions'`); err != nil || !slices.Equal(out, []string{"p1"}) {
			t.Errorf("logged out %v, %v", out, err)
		}
	})
}
