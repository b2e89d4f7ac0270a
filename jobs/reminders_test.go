package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// ended are the certificates that a reminder is about.
type ended []certificate.Certificate

func (e ended) Reminded(context.Context, order.ID, int64) ([]certificate.Certificate, error) {
	return slices.Clone(e), nil
}

func (e ended) HeldBy(context.Context, string) ([]certificate.Certificate, error) {
	return slices.Clone(e), nil
}

func (e ended) Certificate(context.Context, string) (certificate.Certificate, error) {
	return certificate.Certificate{}, certificate.NotFound()
}

func (e ended) OpeningsOf(_ context.Context, personID string, now time.Time) ([]certificate.Opening, error) {
	if e[0].PersonID != personID || e[0].State() == certificate.Revoked {
		return nil, nil
	}
	return []certificate.Opening{{OrderID: e[0].OrderID, Seq: e[0].Rev, At: now.Add(time.Hour)}}, nil
}

func (e ended) Contacts(_ context.Context, personID, uscc string) ([]certificate.Contact, error) {
	return []certificate.Contact{{PersonID: personID, USCC: uscc, Role: order.ToLeader, Mobile: identity.NewMobile("13700137000")}}, nil
}

// Flows 4.7: who answers for the company reads whose certificate it is, in a message
// without a link of the holder's; a contact that is no more gets none.
func TestContactIsReminded(t *testing.T) {
	w := newWorld(t)
	w.Certificates = ended{{TokenSerial: "TW11782207000008", Holder: "云岭测试科技有限公司", NotAfter: time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)}}
	o := w.approved(t, order.State{Status: order.Completed})
	for to, want := range map[order.Audience]order.DeliveryState{order.ToLeader: order.DeliverySent, order.ToSecond: order.DeliveryUnreachable} {
		n := w.notification(t, o, order.Notification{Seq: w.at.UnixMilli(), Notice: order.NoticeRenewContact, Medium: order.SMS, To: to, PersonID: o.PersonID})
		if err := w.notify(t.Context(), n.ID); err != nil {
			t.Fatal(err)
		}
		if got := w.state(t, n.ID); got.State != want {
			t.Errorf("%s: %s (%s)", to, got.State, got.Why)
		}
	}
	if want := "13700137000 renew_contact [UKEY 尾号 0008 11月30日 云岭测试科技有限公司]"; strings.Join(w.texts, ";") != want {
		t.Errorf("said %v, want %s", w.texts, want)
	}
}

// Flows 4.7: who put a revocation off until the bids were opened is reminded only of what
// is left to revoke by then.
func TestRevocationIsStillDue(t *testing.T) {
	revoke := func(c *certificate.Certificate) { c.RevokedAt, c.Reason = c.NotAfter, certificate.KeyCompromise }
	for _, tt := range []struct {
		name    string
		become  func(*certificate.Certificate)
		another bool // key of the same order is as it was
		want    order.DeliveryState
	}{
		{"as it was", func(*certificate.Certificate) {}, false, order.DeliverySent},
		{"revoked", revoke, false, order.DeliveryDropped},
		{"over", func(c *certificate.Certificate) { c.NotAfter = c.NotAfter.AddDate(-1, 0, 0) }, false, order.DeliveryDropped},
		{"of another order", func(c *certificate.Certificate) { c.OrderID = "01OTHER" }, false, order.DeliveryDropped},
		{"revoked, but not the other", revoke, true, order.DeliverySent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.Completed})
			c := certificate.Certificate{OrderID: o.ID, PersonID: o.PersonID, NotAfter: w.at.AddDate(0, 6, 0)}
			held := ended{c}
			tt.become(&held[0])
			if tt.another {
				held = append(held, c)
			}
			w.Certificates = held
			n := w.notification(t, o, order.Notification{Notice: order.NoticeBidOpenedRevoke, Medium: order.SMS, To: order.ToHolder, PersonID: o.PersonID})
			if err := w.notify(t.Context(), n.ID); err != nil {
				t.Fatal(err)
			}
			if got := w.state(t, n.ID); got.State != tt.want || (len(w.texts) == 1) != (tt.want == order.DeliverySent) {
				t.Errorf("%s: %v", got.State, w.texts)
			}
		})
	}
}

// What became of one of several USBKEYs names that one, by SMS and in WeChat; what an order
// about a certificate did names its USBKEY. The tail of an order is another's tomorrow.
func TestMessageNamesTheUSBKEY(t *testing.T) {
	const token = "TW11782207000008"
	for _, tt := range []struct {
		name   string
		notice order.Notice
		note   string // of the line in the history
		about  bool   // the order is about the certificate
		want   string
	}{
		{"frozen", order.NoticeFrozen, "UKEY " + token + "：找不到了", false, "UKEY 尾号 0008"},
		{"unlocked", order.NoticeUnlocked, "", true, "UKEY 尾号 0008"},
		{"downloaded", order.NoticeWritten, "", false, "订单尾号 0152"},
		{"approved", order.NoticeApprovedUnlock, "UKEY " + token, true, "0152"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			o := w.approved(t, order.State{Status: order.Completed})
			w.Certificates = subject{ended{{TokenSerial: token}}}
			try(t, w.db.InTx(t.Context(), func(tx order.Tx) error {
				was := o
				if o.Rev++; tt.about {
					o.Certificate = "7A"
				}
				if err := tx.UpdateOrder(t.Context(), o, was); err != nil {
					return err
				}
				if err := order.Remember(t.Context(), tx, &o, order.CertificateFrozen, order.BySystem, tt.note, w.at); err != nil {
					return err
				}
				return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: o.PersonID, Subscribed: true, UpdatedAt: w.at})
			}))
			for _, medium := range []order.Medium{order.SMS, order.WeChat} {
				try(t, w.notify(t.Context(), w.notification(t, o, order.Notification{Seq: o.Seq, Notice: tt.notice, Medium: medium, To: order.ToAgent, PersonID: o.PersonID}).ID))
			}
			if len(w.texts) != 1 || !strings.Contains(w.texts[0], "["+tt.want) {
				t.Errorf("said %v", w.texts)
			}
			if got := fmt.Sprint(w.cards); strings.Contains(got, "/certificates") != strings.HasPrefix(tt.want, "UKEY") {
				t.Errorf("the card: %s", got)
			}
		})
	}
}

// subject is the certificate that an order is about.
type subject struct{ ended }

func (s subject) Certificate(context.Context, string) (certificate.Certificate, error) {
	return s.ended[0], nil
}

// A reminder of an opening goes out while the opening stands: not when it was taken back,
// or its certificate went to somebody else.
func TestReminderOfAnOpening(t *testing.T) {
	for _, tt := range []struct {
		name   string
		become func(*certificate.Certificate)
		want   order.DeliveryState
	}{
		{"as it was", func(*certificate.Certificate) {}, order.DeliverySent},
		{"another one of the order", func(c *certificate.Certificate) { c.Rev++ }, order.DeliveryDropped},
		{"somebody else's", func(c *certificate.Certificate) { c.PersonID = "01OTHER" }, order.DeliveryDropped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, medium := range order.Notices[order.NoticeOpeningAhead].Media {
				w := newWorld(t)
				o := w.approved(t, order.State{Status: order.Completed})
				n := w.notification(t, o, order.Notification{Notice: order.NoticeOpeningAhead, Medium: medium, To: order.ToHolder, PersonID: o.PersonID, Seq: o.Seq})
				c := certificate.Certificate{OrderID: o.ID, PersonID: o.PersonID, Rev: n.Seq}
				tt.become(&c)
				w.Certificates = ended{c}
				if err := w.db.InTx(t.Context(), func(tx order.Tx) error {
					return tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: o.PersonID, Subscribed: true, UpdatedAt: w.at})
				}); err != nil {
					t.Fatal(err)
				}
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
				if got := w.state(t, n.ID); got.State != tt.want {
					t.Errorf("%s: %s %s", medium, got.State, got.Why)
				}
			}
		})
	}
}

// Flows 4.7: a reminder counts the keys that still end, goes to the holder's own
// number whoever ordered them, and is dropped when all were renewed meanwhile.
func TestReminder(t *testing.T) {
	end := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	first, second := certificate.Certificate{TokenSerial: "TW11782207000008", NotAfter: end}, certificate.Certificate{TokenSerial: "TW11782207000009", NotAfter: end}
	renewed, revoked := first, second
	renewed.SupersededBy = "x"
	revoked.RevokedAt, revoked.Reason = end, certificate.KeyCompromise
	for _, tt := range []struct {
		name  string
		about ended
		text  string // empty: dropped
	}{
		{"two keys", ended{first, second}, "13900139000 renew_week [UKEY 尾号 0008 等 2 个 11月30日 https://ra.example.cn/certificates]"},
		{"one was renewed", ended{renewed, second}, "13900139000 renew_week [UKEY 尾号 0009 11月30日 https://ra.example.cn/certificates]"},
		{"none is left", ended{renewed, revoked}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.Certificates = tt.about
			o := w.approved(t, order.State{Status: order.Completed})
			var holder order.Person
			err := w.db.InTx(t.Context(), func(tx order.Tx) (err error) {
				holder, err = tx.PersonByMobile(t.Context(), order.Person{ID: w.newID(), Mobile: identity.NewMobile("13900139000"), CreatedAt: w.at})
				return errors.Join(err, tx.LinkWeChat(t.Context(), order.WeChatIdentity{AppID: "wx1", OpenID: "o9", PersonID: holder.ID, Subscribed: true, UpdatedAt: w.at}))
			})
			if err != nil {
				t.Fatal(err)
			}
			about := order.Notification{Seq: w.at.UnixMilli(), Notice: order.NoticeRenewWeek, Medium: order.SMS, To: order.ToHolder, PersonID: holder.ID}
			text := w.notification(t, o, about)
			about.Medium = order.WeChat
			card := w.notification(t, o, about)
			for _, n := range []order.Notification{text, card, text, card} {
				if err := w.notify(t.Context(), n.ID); err != nil {
					t.Fatal(err)
				}
			}
			want := order.DeliverySent
			if tt.text == "" {
				want = order.DeliveryDropped
			}
			if got := w.state(t, text.ID); got.State != want || got.Told != "139****9000" || strings.Join(w.texts, ";") != tt.text {
				t.Errorf("%s to %s: %v", got.State, got.Told, w.texts)
			}
			if got := w.state(t, card.ID); got.State != want || len(w.cards) != map[bool]int{true: 1}[tt.text != ""] {
				t.Errorf("card %s: %v", got.State, w.cards)
			}
		})
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
