package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// CodeBind is the purpose of the SMS code that ties an openid to a mobile.
const CodeBind = "bind"

// challengeTTL is how long a code typed into the chat is taken for one (F55).
const challengeTTL = 60 * time.Second

// binding ties an openid to the person with a mobile, which the person proves by
// typing the SMS code into the chat.
type binding struct {
	appID  string
	codes  Codes
	send   CodeSender
	memory Memory
	vault  Vault
	store  Store
	union  UnionID
	now    func() time.Time
	newID  func() string
}

var errNoChallenge = errors.New("no challenge is pending")

func challengeKey(openid string) string { return "bind:" + openid }

// begin sends a code to the mobile and remembers it, sealed, for as long as the
// code lives.
func (b *binding) begin(ctx context.Context, openid string, m identity.Mobile) error {
	code, err := b.codes.Issue(ctx, b.challenge(openid, m))
	if err != nil {
		return err
	}
	sealed, err := b.vault.Encrypt([]byte(m.Reveal()), []byte(challengeKey(openid)))
	if err != nil {
		return fmt.Errorf("sealing a challenge: %w", err)
	}
	if err := b.memory.Remember(ctx, challengeKey(openid), sealed, challengeTTL); err != nil {
		return err
	}
	return b.send(ctx, m, CodeBind, code)
}

// challenge counts who asks like an address, so that one follower cannot have us send
// codes to one mobile after another.
func (b *binding) challenge(openid string, m identity.Mobile) session.Challenge {
	return session.Challenge{Purpose: CodeBind, Mobile: m, Subject: openid, IP: "wechat:" + openid}
}

// answer checks a typed code against the pending challenge and binds. Without
// one it returns errNoChallenge, and the digits are just digits.
func (b *binding) answer(ctx context.Context, openid, code string) (order.Person, error) {
	sealed, err := b.memory.Recall(ctx, challengeKey(openid))
	if err != nil {
		return order.Person{}, err
	}
	if len(sealed) == 0 {
		return order.Person{}, errNoChallenge
	}
	number, err := b.vault.Decrypt(sealed, []byte(challengeKey(openid)))
	if err != nil {
		return order.Person{}, fmt.Errorf("opening a challenge: %w", err)
	}
	m := identity.NewMobile(string(number))
	if err := b.codes.Verify(ctx, b.challenge(openid, m), code); err != nil {
		return order.Person{}, err
	}
	p, err := b.bind(ctx, openid, m)
	if err != nil {
		return order.Person{}, err
	}
	return p, b.memory.Remember(ctx, challengeKey(openid), nil, 0)
}

func (b *binding) bind(ctx context.Context, openid string, m identity.Mobile) (p order.Person, err error) {
	union, err := b.unionID(ctx, openid)
	if err != nil {
		return p, err
	}
	err = b.store.InTx(ctx, func(tx order.Tx) error {
		if p, err = tx.PersonByMobile(ctx, order.Person{ID: b.newID(), Mobile: m, CreatedAt: b.now()}); err != nil {
			return err
		}
		return b.link(ctx, tx, openid, union, p)
	})
	return p, err
}

// unionTTL is how long a union id, or that there is none, is remembered; unionPatience
// how long WeChat may take to tell it while a message waits for its answer.
const (
	unionTTL      = 10 * time.Minute
	unionPatience = time.Second
)

// whois returns the person who is bound to an openid. Whom another account of ours
// knows by the same union id, such as the mini-program, need not prove his mobile
// again: he is bound at once.
func (b *binding) whois(ctx context.Context, openid string) (order.Person, error) {
	p, err := b.store.PersonByWeChat(ctx, b.appID, openid)
	if !errors.Is(err, order.NotFound) {
		return p, err
	}
	union, err := b.unionID(ctx, openid)
	if err != nil || union == "" {
		return p, err
	}
	if p, err = b.store.PersonByUnionID(ctx, union); err != nil {
		return p, err
	}
	return p, b.store.InTx(ctx, func(tx order.Tx) error { return b.link(ctx, tx, openid, union, p) })
}

// unionID asks WeChat now and then; what it does not tell is as good as none.
func (b *binding) unionID(ctx context.Context, openid string) (string, error) {
	if b.union == nil {
		return "", nil
	}
	const none = "-"
	key := "union:" + openid
	kept, err := b.memory.Recall(ctx, key)
	switch {
	case err != nil:
		return "", err
	case string(kept) == none:
		return "", nil
	case len(kept) > 0:
		return string(kept), nil
	}
	asking, cancel := context.WithTimeout(ctx, unionPatience)
	defer cancel()
	union, err := b.union(asking, openid)
	if err != nil {
		union = ""
	}
	return union, b.memory.Remember(ctx, key, []byte(cmp.Or(union, none)), unionTTL)
}

// link ties an openid to a person, with the union id that WeChat tells or told.
func (b *binding) link(ctx context.Context, tx order.Tx, openid, union string, p order.Person) error {
	w := b.identity(ctx, tx, openid, p.ID)
	w.UnionID = cmp.Or(union, w.UnionID)
	return order.BindWeChat(ctx, tx, w, order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.OfficialAcc}, "bind_wechat")
}

// unbind ends what ties a person to this WeChat, here and in the mini-program.
func (b *binding) unbind(ctx context.Context, p order.Person) error {
	return b.store.InTx(ctx, func(tx order.Tx) error {
		return order.UnbindWeChat(ctx, tx, order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.OfficialAcc}, b.now())
	})
}

// follow records whether the account can still reach an openid that is bound.
func (b *binding) follow(ctx context.Context, openid string, subscribed bool) error {
	p, err := b.store.PersonByWeChat(ctx, b.appID, openid)
	if errors.Is(err, order.NotFound) {
		return nil // nobody we know
	}
	if err != nil {
		return err
	}
	return b.store.InTx(ctx, func(tx order.Tx) error {
		w, err := tx.WeChatOf(ctx, b.appID, p.ID)
		if err != nil || w.OpenID != openid { // another was bound meanwhile
			return err
		}
		w.Subscribed, w.UpdatedAt = subscribed, b.now()
		return tx.LinkWeChat(ctx, w)
	})
}

// identity keeps the union id that an earlier login may have found.
func (b *binding) identity(ctx context.Context, tx order.Tx, openid, personID string) order.WeChatIdentity {
	w := order.WeChatIdentity{AppID: b.appID, OpenID: openid, PersonID: personID, Subscribed: true, UpdatedAt: b.now()}
	if was, err := tx.WeChatOf(ctx, b.appID, personID); err == nil && was.OpenID == openid {
		w.UnionID = was.UnionID
	}
	return w
}
