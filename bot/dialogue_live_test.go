package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store"
)

// certify gives a person a completed order with one certificate on the USBKEY of
// that serial, until notAfter.
func (c *chat) certify(p order.Person, n int, token string, notAfter time.Time) string {
	c.Helper()
	o := anOrder(p, n, order.Completed, order.NoStage)
	c.insert(o)
	return c.made(o, n, token, issuance.TokenBlank, notAfter)
}

// made records that one certificate, until notAfter, was made for an order on the USBKEY of
// that serial, in that state.
func (c *chat) made(o order.Order, n int, token string, state issuance.TokenState, notAfter time.Time) string {
	c.Helper()
	serial := strings.Repeat(fmt.Sprintf("%02X", n+0x40), 20)
	at := notAfter.AddDate(-1, 0, 0)
	ledger := store.NewLedger(c.db)
	is := issuance.Issue{
		ID: fmt.Sprint("issue", n), Item: fmt.Sprint("item", n), SnapshotHash: bytes.Repeat([]byte{byte(n)}, 32), Profile: "company-p256", Company: o.Company, USCC: o.USCC,
		Years: 1, Stage: issuance.StageRequested, CreatedAt: at, UpdatedAt: at,
	}
	_, err := ledger.OpenIssue(c.Context(), is)
	c.must(err)
	is.Stage, is.Serial, is.Issuer, is.TBS, is.Certificate = issuance.StageDone, serial, issuance.P256Token, []byte("tbs"), []byte("der")
	is.NotBefore, is.NotAfter, is.TokenSerial = at, notAfter, token
	c.must(ledger.AdvanceIssue(c.Context(), issuance.StageRequested, is, &issuance.TokenRecord{
		Serial: token, State: state, IssueID: is.ID, SealedSOPIN: []byte("so"), SealedUserPIN: []byte("user"), SealedSecret: []byte("k"), CreatedAt: at, UpdatedAt: at,
	}))
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error {
		return tx.ReplaceItems(c.Context(), o.ID, []order.Item{{ID: is.Item, OrderID: o.ID, N: 1, Stage: order.ItemWaiting, TokenSerial: token, CertSerial: serial, UpdatedAt: at}})
	}))
	return serial
}

// in is the end of the day that is so many days after today, as certificates end.
func in(days int) time.Time { return talkTime.AddDate(0, 0, days) }

// invoice is an order's invoice on its way.
func (c *chat) invoice(o order.Order) order.Invoice {
	i := order.Invoice{
		ID: "01JINVOICE" + string(o.ID[len(o.ID)-2:]), OrderID: o.ID, TradeNo: "t", State: order.InvoiceIssuing, Rev: 1, Attempt: 1, Amount: o.Amount,
		Buyer: order.Buyer{Title: o.Company, TaxNo: o.USCC}, Item: o.Product.Name, CreatedAt: talkTime, UpdatedAt: talkTime,
	}
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error { return tx.InsertInvoice(c.Context(), i) }))
	return i
}

// answered brings it to a state.
func (c *chat) answered(was order.Invoice, s order.InvoiceState) order.Invoice {
	i := was
	i.State, i.Number, i.IssuedAt = s, "26530000000000000001", talkTime
	i.Rev++
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error { return tx.UpdateInvoice(c.Context(), i, was) }))
	return i
}

func (c *chat) state(serial string) certificate.State {
	c.Helper()
	got, err := c.db.Certificate(c.Context(), serial)
	c.must(err)
	return got.State()
}

// Flows 4.1, rules 3, 4, 5 and 7, and the bid question of 4.7, over certificates.
func TestCertificateConversations(t *testing.T) {
	const key1, key2 = "TW11782207000188", "TW11782207000299"
	tell(t, "expiry", func(c *chat, line func(string)) {
		line("我的证书什么时候到期")
		p := c.bind("o-user", applicant)
		line("我的证书什么时候到期")
		c.certify(p, 1, key1, in(29))
		line("我的证书什么时候到期")
		c.certify(p, 2, key2, in(200))
		line("看下有效期到哪天")
		line("第二个能续费吗")
		line(key2 + "什么时候过期")
		line("TW00000000000000什么时候过期")
	})
	tell(t, "renew", func(c *chat, line func(string)) {
		c.certify(c.bind("o-user", applicant), 1, key1, in(7))
		line("续费")
		line("没有")
		line("那个要续期")
		line("有")
		line("下周五")
		line("续费")
		line("有的")
		line("2026-11-20")
		line("11月25日")
		line("续费")
		line("算了 客服电话多少")
	})
	tell(t, "bid", func(c *chat, line func(string)) {
		line("下周一开标 现在能更新证书吗")
		c.certify(c.bind("o-user", applicant), 1, key1, in(7))
		line("下周一开标，标书已经上传了，证书能更新吗")
		line("28号开标 能不能更新")
		line("有")
	})
	tell(t, "bid-registered", func(c *chat, line func(string)) {
		p := c.bind("o-user", applicant)
		serial := c.certify(p, 1, key1, in(7))
		c.must(c.dialogue.Certs.(*certificate.Service).AddOpening(c.Context(), serial, "三期风电", in(3), order.Actor{Role: order.Applicant, PersonID: p.ID}))
		line("我要续费")
		line("现在更新证书会影响开标吗")
		line("12月8号开标 能更新吗")
		line("我要吊销证书")
	})
	tell(t, "freeze", func(c *chat, line func(string)) {
		line("马上挂失 锁被偷了")
		line(applicant)
		line(c.sms[0])
		p, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, "o-user")
		c.must(err)
		serial := c.certify(p, 1, key1, in(100))
		c.clock.set(c.clock.Now().Add(time.Minute))
		line("挂失")
		if c.state(serial) != certificate.Valid {
			t.Error("frozen without a code")
		}
		line("000000")
		line(c.sms[1])
		if got := c.state(serial); got != certificate.Frozen {
			t.Errorf("after the code: %s", got)
		}
		line("挂失")
		line("续费")
		line("锁找到了怎么解冻")
		line("锁找回来了")
	})
	tell(t, "found", func(c *chat, line func(string)) {
		line("锁找回来了")
		c.certify(c.bind("o-user", applicant), 1, key1, in(100))
		line("之前说丢的那把U盾找回来了，还能用吗")
		line("锁找不到了")
		line("U盾丢了，还没找到")
	})
	tell(t, "freeze-which", func(c *chat, line func(string)) {
		p := c.bind("o-user", applicant)
		first, second := c.certify(p, 1, key1, in(100)), c.certify(p, 2, key2, in(200))
		line("冻结证书")
		line("2")
		line(c.sms[1])
		if c.state(first) != certificate.Frozen || c.state(second) != certificate.Valid {
			t.Errorf("%s %s", c.state(first), c.state(second))
		}
	})
	tell(t, "revoke", func(c *chat, line func(string)) {
		serial := c.certify(c.bind("o-user", applicant), 1, key1, in(100))
		line("注销证书")
		line("有")
		line("12月3日")
		line("吊销证书")
		line("没有")
		if c.state(serial) != certificate.Valid {
			t.Error("revoked in chat")
		}
	})
	tell(t, "lost", func(c *chat, line func(string)) {
		line("锁丢了怎么办")
		c.certify(c.bind("o-user", applicant), 1, key1, in(100))
		line("锁丢了怎么办")
		line("u盾摔坏了")
	})
	tell(t, "unlock", func(c *chat, line func(string)) {
		line("key锁死了")
		c.certify(c.bind("o-user", applicant), 1, key1, in(100))
		line("key锁死了")
		line("马上开标了锁死了急")
		line("0abc-defg")
		line("1234-5672")
	})
}

// F65 and the vectors of flows 4.7, today being 2026-11-23.
func TestRenewalWindow(t *testing.T) {
	for notAfter, want := range map[string]string{
		"2026-12-23": "还不能更新", "2026-12-22": "可以更新，最晚", "2026-11-23": "可以更新，最晚", "2026-08-25": "可以更新，最晚", "2026-08-24": "不能再更新",
	} {
		c := newChat(t)
		end, err := time.ParseInLocation(time.DateOnly, notAfter, order.Shanghai)
		c.must(err)
		serial := c.certify(c.bind("o-user", applicant), 1, "TW11782207000188", end.Add(23*time.Hour))
		if got := c.says("o-user", "证书续期"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", notAfter, got)
		}
		if !end.After(talkTime) {
			continue
		}
		p, err := c.db.PersonByWeChat(t.Context(), testAccount.AppID, "o-user")
		c.must(err)
		_, err = c.dialogue.Certs.Apply(t.Context(), serial, certificate.Command{
			On: certificate.Revoke, By: order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}, Reason: certificate.Superseded, Bid: certificate.NoOpenBid, MobileProven: true,
		})
		c.must(err)
		if got := c.says("o-user", "证书续期"); !strings.Contains(got, "已吊销的证书不能更新") {
			t.Errorf("%s, revoked: %s", notAfter, got)
		}
	}
	for text, want := range map[string]string{"过期两个月了还能更新不": "可以更新", "过期95天还能续吗": "不能再更新"} {
		if got := newChat(t).says("o-stranger", text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// F66, F70: whoever asks to renew what he renews already is told how far that is, also
// after the window has closed; a draft is gone on with from the beginning.
func TestRenewalGoesOn(t *testing.T) {
	for status, want := range map[order.State]string{
		{Status: order.ToRenew, Stage: order.Ready}:   `/orders/01JORDER02/run">更新</a>`,
		{Status: order.InReview, Stage: order.Queued}: "状态：待审核",
		{Status: order.Draft}:                         "不能再更新",
		{Status: order.Rejected, Stage: order.Closed}: "不能再更新",
	} {
		c := newChat(t)
		p := c.bind("o-user", applicant)
		serial := c.certify(p, 1, "TW11782207000188", in(-95))
		o := anOrder(p, 2, status.Status, status.Stage)
		o.Business, o.Certificate = order.Renewal, serial
		c.insert(o)
		if got := c.says("o-user", "证书续期"); !strings.Contains(got, want) {
			t.Errorf("%s: %s", status, got)
		}
	}
}

// A frozen certificate that has expired meanwhile can neither be resumed nor renewed.
func TestFrozenAndExpired(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	serial := c.certify(p, 1, "TW11782207000188", in(2))
	_, err := c.dialogue.Certs.Apply(t.Context(), serial, certificate.Command{On: certificate.Freeze, By: order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}, MobileProven: true})
	c.must(err)
	if got := c.says("o-user", "证书续期"); !strings.Contains(got, "先申请恢复") {
		t.Errorf("frozen: %s", got)
	}
	c.clock.set(in(4))
	for _, text := range []string{"证书续期", "UKEY找到了，解除冻结"} {
		if got := c.says("o-user", text); !strings.Contains(got, "已过期，不能恢复") {
			t.Errorf("%s: %s", text, got)
		}
	}
}

// Row 63: who asks for an order whose certificate was frozen meanwhile hears what keeps it.
func TestOrderOfAFrozenCertificate(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	serial := c.certify(p, 1, "TW11782207000188", in(20))
	o := anOrder(p, 2, order.InReview, order.Queued)
	o.Business, o.Certificate = order.Renewal, serial
	c.insert(o)
	const says = "证书已冻结，请先恢复。"
	if got := c.says("o-user", "订单"+o.No+"到哪一步了"); strings.Contains(got, says) {
		t.Errorf("before: %s", got)
	}
	_, err := c.dialogue.Certs.Apply(t.Context(), serial, certificate.Command{On: certificate.Freeze, By: order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}, MobileProven: true})
	c.must(err)
	if got := c.says("o-user", "订单"+o.No+"到哪一步了"); !strings.Contains(got, says) {
		t.Errorf("frozen: %s", got)
	}
	serial = c.certify(p, 4, "TW11782207000189", in(20))
	o = anOrder(p, 5, order.ToRenew, order.Ready)
	o.Business, o.Certificate = order.Renewal, serial
	c.insert(o)
	_, err = c.dialogue.Certs.Apply(t.Context(), serial, certificate.Command{On: certificate.Freeze, By: order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}, MobileProven: true})
	c.must(err) // what would be refused is not advised
	if got := c.says("o-user", "订单"+o.No+"到哪一步了"); !strings.Contains(got, says) || strings.Contains(got, "写入新证书") || strings.Contains(got, "/run") || !strings.Contains(got, "/certificates") {
		t.Errorf("approved, frozen: %s", got)
	}
}

// What was renewed is stopped with its successor on the same USBKEY, and for itself on
// one of its own; it is not made again.
func TestLossOfARenewedKey(t *testing.T) {
	for name, test := range map[string]struct {
		old, says string
	}{
		"the same USBKEY": {"TW11782207000299", textReissue},
		"its own USBKEY":  {"TW11782207000188", textReplaced},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			p := c.bind("o-user", applicant)
			old := c.certify(p, 1, test.old, in(20))
			by := c.certify(p, 2, "TW11782207000299", in(385))
			c.must(store.Certificates{DB: c.db}.Change(t.Context(), func(tx certificate.Tx) error { return tx.SetSuccessor(t.Context(), old, by) }))
			got := c.says("o-user", "UKEY丢了")
			if test.says == textReplaced {
				if !strings.Contains(got, "1. …") || !strings.Contains(got, "…"+test.old[12:]) {
					t.Fatalf("which one: %s", got)
				}
				got = c.says("o-user", "2")
			}
			if !strings.Contains(got, test.says[:30]) {
				t.Errorf("says %s", got)
			}
			if got := c.says("o-user", "冻结"); !strings.Contains(got, "…"+test.old[12:]) {
				t.Fatalf("another is frozen than was spoken of: %s", got)
			}
			c.says("o-user", c.sms[len(c.sms)-1])
			want := map[string]certificate.State{old: certificate.Frozen, by: certificate.Frozen}
			if test.says == textReplaced {
				want[by] = certificate.Valid
			}
			for serial, state := range want {
				if got := c.state(serial); got != state {
					t.Errorf("%s is %s, want %s", serial[:2], got, state)
				}
			}
		})
	}
}

// Who is told that his certificate is frozen can rely on it.
func TestFreezeCodeOfARevokedCertificate(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	serial := c.certify(p, 1, "TW11782207000188", in(100))
	c.says("o-user", "冻结")
	by := order.Actor{Role: order.Applicant, PersonID: p.ID, Channel: order.Web}
	_, err := c.dialogue.Certs.Apply(t.Context(), serial, certificate.Command{On: certificate.Revoke, By: by, MobileProven: true, Reason: certificate.KeyCompromise, Bid: certificate.NoOpenBid})
	c.must(err)
	if got := c.says("o-user", c.sms[len(c.sms)-1]); strings.Contains(got, "已冻结") || !strings.Contains(got, certificate.Revoked.Label()) {
		t.Errorf("a revoked certificate: %s", got)
	}
}

// A code to freeze works once, for the openid that asked, and for no binding.
func TestFreezeCode(t *testing.T) {
	c := newChat(t)
	serial := c.certify(c.bind("o-user", applicant), 1, "TW11782207000188", in(100))
	c.bind("o-other", colleague)
	c.says("o-user", "冻结")
	code := c.sms[len(c.sms)-1]
	c.says("o-other", code)
	c.clock.set(c.clock.Now().Add(61 * time.Second))
	c.says("o-user", code)
	if c.state(serial) != certificate.Valid {
		t.Error("a code of somebody else, or an old one, froze")
	}
	for _, key := range []string{"talk:o-user", freezeKey("o-user")} {
		b, err := c.dialogue.Memory.Recall(t.Context(), key)
		c.must(err)
		if strings.Contains(string(b), code) || strings.Contains(string(b), applicant) {
			t.Errorf("%s holds the code or the mobile", key)
		}
	}
	// The limits of a login hold: nobody can make us send one SMS after another.
	c.says("o-user", "冻结")
	if got := c.says("o-user", "冻结"); !strings.Contains(got, "太频繁") {
		t.Errorf("again at once: %s", got)
	}
}

// Who has a code to freeze and one to bind may type either, whichever came first, and a
// slip is answered about the newest.
func TestTwoCodesAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		asks  [2]string
		again string // what a wrong code is answered with
	}{
		"to bind last":   {[2]string{"冻结", "绑定 " + colleague}, "重新获取请回复「绑定」"},
		"to freeze last": {[2]string{"绑定 " + colleague, "冻结"}, "重新获取请回复「冻结」"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			serial := c.certify(c.bind("o-user", applicant), 1, "TW11782207000188", in(100))
			codes := map[string]string{}
			for _, ask := range test.asks {
				c.says("o-user", ask)
				codes[ask[:len("冻结")]] = c.sms[len(c.sms)-1]
			}
			wrong := "000000"
			for slices.Contains(c.sms, wrong) {
				wrong += "1"
				wrong = wrong[1:]
			}
			if got := c.says("o-user", wrong); !strings.Contains(got, test.again) {
				t.Errorf("a slip: %s", got)
			}
			if got := c.says("o-user", codes["冻结"]); c.state(serial) != certificate.Frozen {
				t.Errorf("the code to freeze: %s", got)
			}
			if got := c.says("o-user", codes["绑定"]); !strings.Contains(got, "已绑定") {
				t.Errorf("the code to bind: %s", got)
			}
		})
	}
}

// Answers about money and parcels come from the order, and the gateway is asked.
func TestServiceConversations(t *testing.T) {
	tell(t, "pay", func(c *chat, line func(string)) {
		line("付款二维码过期了")
		p := c.bind("o-user", applicant)
		o := anOrder(p, 1, order.AwaitingPayment, order.NoStage)
		o.TradeNo = "T1"
		c.insert(o)
		c.gateway = func(string) error { return nil }
		line("钱扣了订单还显示待支付")
		c.gateway = func(string) error { return errors.New("the gateway is away") }
		line("付不了款")
		c.gateway = func(string) error {
			return c.db.InTx(t.Context(), func(tx order.Tx) error {
				paid := o
				paid.State, paid.PaidAt, paid.Rev = order.State{Status: order.InReview, Stage: order.Queued}, c.clock.Now(), o.Rev+1
				return tx.UpdateOrder(t.Context(), paid, o)
			})
		}
		line("我已经付过钱了")
	})
	tell(t, "money", func(c *chat, line func(string)) {
		line("我要退款")
		p := c.bind("o-user", applicant)
		o := anOrder(p, 1, order.InReview, order.Queued)
		o.PaidAt = talkTime
		c.insert(o)
		line("我要退款")
		line("发票在哪下")
		made := anOrder(p, 2, order.Completed, order.NoStage)
		made.PaidAt, made.CompletedAt = talkTime, talkTime
		c.insert(made)
		line("不办了能退钱吗")
		line("1")
		line("尾号0102的发票")
		i := c.invoice(made) // F49
		line("尾号0102的发票")
		i = c.answered(i, order.InvoiceIssued)
		line("尾号0102的发票")
		i = c.answered(i, order.InvoiceRedIssuing)
		line("尾号0102的发票")
		c.answered(i, order.InvoiceReversed)
		line("尾号0102的发票")
	})
	tell(t, "address", func(c *chat, line func(string)) {
		line("地址填错了")
		p := c.bind("o-user", applicant)
		c.insert(anOrder(p, 1, order.ToIssue, order.Making))
		line("地址填错了")
		sent := anOrder(p, 2, order.Completed, order.NoStage)
		sent.Carrier, sent.TrackingNo, sent.ShippedAt = "sf", "SF1234567890123", talkTime
		c.insert(sent)
		line("尾号0102改收货地址")
	})
	tell(t, "time", func(c *chat, line func(string)) {
		line("几天能办好")
		for n := range 20 { // enough to say how well the promise is kept
			o := anOrder(order.Person{}, 100+n, order.Completed, order.NoStage)
			o.DueAt, o.ShippedAt = talkTime.Add(24*time.Hour), talkTime.Add(-time.Hour)
			c.insert(o)
		}
		c.clock.set(talkTime.Add(11 * time.Minute))
		line("几天能办好")
		p := c.bind("o-user", applicant)
		c.insert(anOrder(p, 1, order.InReview, order.Claimed))
		line("几天能办好")
		c.clock.set(talkTime.Add(80 * time.Hour))
		line("几天能办好")
	})
	tell(t, "express", func(c *chat, line func(string)) {
		line("能加急吗")
		p := c.bind("o-user", applicant)
		hurry := func(n int, status order.Status, stage order.Stage, speed string) order.Order {
			o := anOrder(p, n, status, stage)
			o.Product.Express = &order.Express{Fee: 8000, Hours: 8}
			o.Form = o.Form.With(order.Speed, speed)
			return o
		}
		c.insert(hurry(1, order.AwaitingPayment, order.NoStage, order.No))
		line("尾号0101能加急吗")
		c.insert(hurry(2, order.InReview, order.Queued, order.No))
		line("尾号0102能加急吗")
		promised := hurry(3, order.InReview, order.Queued, order.Yes)
		promised.Express, promised.DueAt = order.ExpressPromised, talkTime.Add(3*time.Hour)
		c.insert(promised)
		line("尾号0103几天能办好")
		missed := hurry(4, order.ToIssue, order.Making, order.Yes)
		missed.Express, missed.Amount = order.ExpressMissed, 38000
		c.insert(missed)
		line("尾号0104几天能办好")
		line("尾号0104怎么退款")
	})
	tell(t, "two-wishes", func(c *chat, line func(string)) {
		line("帮我查一下订单，顺便问下多少钱")
		p := c.bind("o-user", applicant)
		c.insert(anOrder(p, 1, order.InReview, order.Claimed))
		line("帮我查一下订单，顺便问下多少钱")
		line("多少钱")
		line("发票怎么开？另外几天能办好")
		line("UKEY丢了怎么补办，对了法人怎么授权")
		line("怎么更新，顺便我要投诉")
	})
	tell(t, "price", func(_ *chat, line func(string)) {
		line("多少钱")
		line("更新要收费吗")
		line("买5把锁多少钱")
		line("解锁收费吗")
		line("吊销要钱吗")
		line("法人是香港人用什么证件")
	})
}

// Rule 7: a person takes over with a summary and a promise; once per person.
func TestHandOver(t *testing.T) {
	tell(t, "handover", func(c *chat, line func(string)) {
		p := c.bind("o-user", applicant)
		c.insert(anOrder(p, 1, order.InReview, order.Queued))
		line("我的订单到哪一步了")
		line("这个审核怎么这么慢")
		line("转人工")
		c.clock.set(talkTime.Add(10 * time.Hour))
		line("太急了 马上开标，转人工")
		es, err := c.db.OpenEnquiries(t.Context(), order.EnquiryCursor{}, 10)
		c.must(err)
		if len(es) != 1 || !es[0].Urgent || es[0].OrderID != "01JORDER01" || es[0].Topic == "" {
			t.Errorf("enquiries: %+v", es)
		}
	})
	tell(t, "handover-secret", func(c *chat, line func(string)) {
		c.bind("o-user", applicant)
		line("我的口令是hunter42 身份证110101199003070011 帮我解锁")
		line("用13800138000下的单到哪一步了")
		line("人工")
		es, err := c.db.OpenEnquiries(t.Context(), order.EnquiryCursor{}, 10)
		c.must(err)
		for _, secret := range []string{"hunter42", "110101199003070011", "13800138000"} {
			if strings.Contains(es[0].Said, secret) {
				t.Errorf("the summary holds %s", secret)
			}
		}
	})
}

// Rule 7: during office hours, an account with customer service hands the conversation
// over, and the call with its summary is registered as ever. A reply that has something
// else to say is not given up for that, and at night people are told when somebody comes.
func TestHandOverToCustomerService(t *testing.T) {
	night := talkTime.Add(10 * time.Hour)
	for name, test := range map[string]struct {
		service  bool
		at       time.Time
		bound    bool
		messages []Message
		hands    bool
		says     string // when it does not
	}{
		"asked for":           {true, talkTime, true, []Message{{Content: "转人工"}}, true, ""},
		"by the menu":         {true, talkTime, true, []Message{{Type: EventMessage, Event: EventClick, Key: MenuHuman}}, true, ""},
		"a complaint":         {true, talkTime, true, []Message{{Content: "你们太慢了我要投诉"}}, true, ""},
		"not understood":      {true, talkTime, true, []Message{{Content: "嘟嘟嘟噜噜"}, {Content: "呱呱呱咕咕"}}, true, ""},
		"nobody bound":        {true, talkTime, false, []Message{{Content: "转人工"}}, true, ""},
		"at night":            {true, night, true, []Message{{Content: "转人工"}}, false, "已为您登记"},
		"at night, unbound":   {true, night, false, []Message{{Content: "转人工"}}, false, "起接听"},
		"on a Sunday":         {true, talkTime.AddDate(0, 0, 6), true, []Message{{Content: "转人工"}}, false, "已为您登记"},
		"no customer service": {false, talkTime, true, []Message{{Content: "转人工"}}, false, "已为您登记"},
		"with a secret":       {true, talkTime, true, []Message{{Content: "我的口令是hunter42 转人工"}}, false, "请不要在聊天里发送密码"},
		"another question":    {true, talkTime, true, []Message{{Content: "转人工"}, {Content: "需要准备什么材料"}}, false, "营业执照"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			if test.bound {
				c.bind("o-user", applicant)
			}
			c.dialogue.CustomerService = test.service
			c.clock.set(test.at)
			var r Reply
			for _, m := range test.messages {
				c.msgs++
				m.OpenID, m.ID, m.Sent = "o-user", c.msgs, c.clock.Now()
				if m.Type == "" {
					m.Type = TextMessage
				}
				r = c.answer(m)
			}
			if r.Handover != test.hands || r.Handover && r.Text != "" || !r.Handover && !strings.Contains(r.Text, test.says) || r.Memory == nil {
				t.Errorf("%+v", r)
			}
			es, err := c.db.OpenEnquiries(t.Context(), order.EnquiryCursor{}, 10)
			c.must(err)
			if test.bound && test.says == "" && len(es) != 1 {
				t.Errorf("%d enquiries", len(es))
			}
		})
	}
}

// Whoever wants out of an order reads what is true of that one: nothing was paid, one
// person returns it all, or two, and a certificate ends only where one was made.
func TestRefundOfAnOrder(t *testing.T) {
	const makes = "证书已开始制作"
	for name, test := range map[string]struct {
		business order.Business
		state    order.State
		says     string
		never    []string
	}{
		"draft":              {order.Initial, order.State{Status: order.Draft}, "删除", []string{"已付", makes}},
		"unpaid":             {order.Initial, order.State{Status: order.AwaitingPayment}, "还没有付款", []string{"已付", makes}},
		"in review":          {order.Initial, order.State{Status: order.InReview, Stage: order.Queued}, "还没有制证，可以全额退款", []string{makes}},
		"to issue":           {order.Initial, order.State{Status: order.ToIssue, Stage: order.Unclaimed}, "还没有制证，可以全额退款", []string{makes}},
		"making":             {order.Initial, order.State{Status: order.ToIssue, Stage: order.Making}, makes, []string{"可以全额退款"}},
		"to download":        {order.Initial, order.State{Status: order.ToDownload, Stage: order.Ready}, "还没有制证，可以全额退款", []string{makes}},
		"downloading":        {order.Initial, order.State{Status: order.ToDownload, Stage: order.Running}, makes, []string{"可以全额退款"}},
		"download broke off": {order.Initial, order.State{Status: order.ToDownload, Stage: order.Interrupted}, "可以全额退款", []string{makes}},
		"to renew":           {order.Renewal, order.State{Status: order.ToRenew, Stage: order.Ready}, "还没有制证，可以全额退款", []string{makes}},
		"to unlock":          {order.UnlockApproval, order.State{Status: order.ToUnlock}, "还没有解锁，可以全额退款", []string{makes, "吊销"}},
		"unlocked":           {order.UnlockApproval, order.State{Status: order.Completed}, "已经解锁", []string{makes, "吊销"}},
		"to resume":          {order.Resume, order.State{Status: order.ToRestore}, "还没有恢复证书，可以全额退款", []string{makes, "吊销"}},
		"given to another":   {order.Rebind, order.State{Status: order.Completed}, "已经换绑", []string{makes, "吊销"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			o := anOrder(c.bind("o-user", applicant), 1, test.state.Status, test.state.Stage)
			if o.Business = test.business; o.Status != order.Draft && o.Status != order.AwaitingPayment {
				o.PaidAt = talkTime
			}
			c.insert(o)
			got := c.says("o-user", "我要退款，订单"+o.No)
			if !strings.Contains(got, test.says) || slices.ContainsFunc(test.never, func(s string) bool { return strings.Contains(got, s) }) {
				t.Errorf("%s", got)
			}
		})
	}
}

// Who asks for what he paid too much is not told how to have everything back.
func TestRefundOfWhatWasPaidTwice(t *testing.T) {
	c := newChat(t)
	o := anOrder(c.bind("o-user", applicant), 1, order.InReview, order.Queued)
	o.PaidAt = talkTime
	c.insert(o)
	for _, q := range []string{"多付的钱退了吗", "重复支付的什么时候退款", "我付了两次，多的那笔退款了吗"} {
		if got := c.says("o-user", q); !strings.Contains(got, "自动全额原路退回") || strings.Contains(got, "可以全额退款") {
			t.Errorf("%s: %s", q, got)
		}
	}
}

// Whoever wants to cancel an order reads what he can do in its state, whatever words he
// uses, with the way there; also of one that costs nothing.
func TestCancelAnOrder(t *testing.T) {
	for name, test := range map[string]struct {
		business order.Business
		state    order.State
		free     bool
		says     []string
	}{
		"draft":             {order.Initial, order.State{Status: order.Draft}, false, []string{"「删除草稿」", "/edit"}},
		"unpaid":            {order.Initial, order.State{Status: order.AwaitingPayment}, false, []string{"在订单页删除</a>", "7 天不付款"}},
		"paid, in review":   {order.Initial, order.State{Status: order.InReview, Stage: order.Queued}, false, []string{"可以全额退款", "「人工」"}},
		"paid, made":        {order.Initial, order.State{Status: order.ToShip, Stage: order.ToPost}, false, []string{"退款由两位工作人员核实"}},
		"free, in review":   {order.Renewal, order.State{Status: order.InReview, Stage: order.Queued}, true, []string{"0 元", "可以撤回", "「人工」"}},
		"free, to issue":    {order.Renewal, order.State{Status: order.ToIssue, Stage: order.Unclaimed}, true, []string{"0 元", "可以撤回"}},
		"free, rejected":    {order.Renewal, order.State{Status: order.Rejected, Stage: order.Fixable}, true, []string{"在订单页关闭</a>"}},
		"free, closed":      {order.Renewal, order.State{Status: order.Rejected, Stage: order.Closed}, true, []string{"已经关闭"}},
		"free, to renew":    {order.Renewal, order.State{Status: order.ToRenew, Stage: order.Ready}, true, []string{"不用操作", "原来的证书不受影响"}},
		"free, to restore":  {order.Resume, order.State{Status: order.ToRestore}, true, []string{"不用操作", "仍是冻结状态"}},
		"free, being made":  {order.Renewal, order.State{Status: order.ToIssue, Stage: order.Making}, true, []string{"证书已制作，不能取消"}},
		"free, done":        {order.UnlockApproval, order.State{Status: order.Completed}, true, []string{"已经解锁，不能取消"}},
		"free, at the desk": {order.Rebind, order.State{Status: order.InReview, Stage: order.SecondApproval}, true, []string{"还没有换绑，可以撤回"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			o := anOrder(c.bind("o-user", applicant), 1, test.state.Status, test.state.Stage)
			o.Business = test.business
			if test.free {
				o.Amount = 0
			} else if o.Status != order.Draft && o.Status != order.AwaitingPayment {
				o.PaidAt = talkTime
			}
			c.insert(o)
			tail := order.TailOf(o.No)
			for _, said := range []string{"撤回" + o.No, "撤回" + tail, "取消尾号" + tail, "把订单" + tail + "撤销", "我想取消订单" + tail + "，不办了"} {
				got := c.says("o-user", said)
				if !strings.Contains(got, "…"+tail) || slices.ContainsFunc(test.says, func(s string) bool { return !strings.Contains(got, s) }) {
					t.Errorf("%s: %s", said, got)
				}
			}
			for _, said := range []string{"取消订单", "撤回订单", "删除这个订单", "怎么撤回申请？", "撤销申请"} {
				if got := c.says("o-user", said); test.state.Stage != order.Closed && test.state.Status != order.Completed && !strings.Contains(got, test.says[0]) {
					t.Errorf("%s: %s", said, got)
				}
			}
		})
	}
}

// Of several orders it is asked which; somebody else's does not exist; who has none is told
// in general; and words about other things are not about orders.
func TestCancelWhichOrder(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage), anOrder(p, 2, order.InReview, order.Queued), anOrder(p, 3, order.Completed, order.NoStage))
	if got := c.says("o-user", "取消订单"); !strings.Contains(got, "2 个相关订单") {
		t.Errorf("which: %s", got)
	}
	if got := c.says("o-user", "2"); !strings.Contains(got, "在订单页删除</a>") && !strings.Contains(got, "全额退款") {
		t.Errorf("the second: %s", got)
	}
	if got := c.says("o-user", "撤回9999"); !strings.Contains(got, "没有找到该订单") {
		t.Errorf("nobody's: %s", got)
	}
	c.bind("o-new", "13900001112")
	if got := c.says("o-new", "取消订单"); !strings.Contains(got, "自己删除") || !strings.Contains(got, "/orders") {
		t.Errorf("no order: %s", got)
	}
	for said, never := range map[string]string{"撤回授权": "需要退的款项", "撤回同意": "需要退的款项", "证书吊销了能撤回吗": "需要退的款项", "解除绑定": "需要退的款项"} {
		if got := c.says("o-user", said); strings.Contains(got, never) {
			t.Errorf("%s: %s", said, got)
		}
	}
}

// Rule 4: what was talked about is forgotten after ten minutes.
func TestContextEnds(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage), anOrder(p, 2, order.ToIssue, order.Making))
	c.says("o-user", "尾号0101到哪了")
	if got := c.says("o-user", "那个多久能好"); !strings.Contains(got, "…0101") {
		t.Errorf("within ten minutes: %s", got)
	}
	c.clock.set(c.clock.Now().Add(11 * time.Minute))
	if got := c.says("o-user", "那个到哪一步了"); !strings.Contains(got, "2 个相关订单") {
		t.Errorf("after ten minutes: %s", got)
	}
}

// Whoever has asked something and then only names an order or a USBKEY asks the same
// about that one, whatever it was (flows 4.1, rule 4); ten minutes later he asks how it
// stands, and another person's is never named.
func TestBareNamesGoOn(t *testing.T) {
	const key1, key2 = "TW11782207000188", "TW11782207000299"
	orders := func(t *testing.T) *chat {
		c := newChat(t)
		p := c.bind("o-user", applicant)
		for n := range 3 {
			o := anOrder(p, n+1, order.InReview, order.Queued)
			o.PaidAt, o.Amount = talkTime, 30000
			c.insert(o)
		}
		return c
	}
	keys := func(t *testing.T) *chat {
		c := newChat(t)
		p := c.bind("o-user", applicant)
		c.certify(p, 1, key1, in(7))
		c.certify(p, 2, key2, in(200))
		return c
	}
	for name, test := range map[string]struct {
		world          func(*testing.T) *chat
		asked, named   string
		says, saysLate string // about the thing; when the question is forgotten
	}{
		"refund by tail":              {orders, "我要退款", "尾号0102", "可以全额退款", "待"},
		"refund by the end alone":     {orders, "我要退款", "0102", "可以全额退款", ""},
		"refund by number":            {orders, "我要退款", "{no}", "可以全额退款", ""},
		"invoice by tail":             {orders, "发票怎么开", "尾号 0101 的那个", "发票", ""},
		"payment by tail":             {orders, "付款没成功", "尾号0101", "支付", ""},
		"address by tail":             {orders, "我要改收件地址", "尾号0103", "修改收件信息", ""},
		"time by tail":                {orders, "几天能办好", "尾号0101", "从下一个工作日算起", ""},
		"legal representative":        {orders, "法人没收到授权短信", "尾号0101", "0101", ""},
		"renewal by serial":           {keys, "证书续期", key2, "…0299", ""},
		"renewal by tail":             {keys, "证书续期", "尾号0299", "…0299", ""},
		"expiry by tail":              {keys, "证书什么时候到期", "0188", "还有 7 天", ""},
		"unlock by serial":            {keys, "ukey锁死了", key1, "…0188", ""},
		"freezing by tail":            {keys, "挂失", "尾号0188那把", "冻结", ""},
		"somebody else's, unchanged":  {orders, "我要退款", "尾号9999", "没有找到该订单", ""},
		"what is no name, unchanged":  {orders, "我要退款", "我的订单到哪一步了", "3 个相关订单", ""},
		"a topic without one, either": {orders, "需要准备什么材料", "尾号0102", "待", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.world(t)
			test.named = strings.ReplaceAll(test.named, "{no}", order.FormatNo(talkTime.Add(2*time.Minute-24*time.Hour), 102))
			c.says("o-user", test.asked)
			got := c.says("o-user", test.named)
			if !strings.Contains(got, test.says) {
				t.Errorf("%s, then %s: %s", test.asked, test.named, got)
			}
			if test.saysLate == "" {
				return
			}
			c.says("o-user", test.asked)
			c.clock.set(c.clock.Now().Add(11 * time.Minute))
			if got := c.says("o-user", test.named); strings.Contains(got, test.says) || !strings.Contains(got, test.saysLate) {
				t.Errorf("%s, ten minutes later %s: %s", test.asked, test.named, got)
			}
		})
	}
}

// The menu's words mean what its buttons say, and every button is answered.
func TestMenuWords(t *testing.T) {
	c := newChat(t)
	for key, click := range clicks {
		if got := c.dialogue.Recogniser.Recognise(click.words); got.Intent != click.meant {
			t.Errorf("%s: %q is %s", key, click.words, got.Intent)
		}
	}
	without, with := Menus{PublicURL: "https://ycd.example"}, Menus{PublicURL: "https://ycd.example", MiniProgram: true}
	for _, menu := range [][]Button{without.Common(), without.Staff(), with.Common(), with.Staff()} {
		for _, column := range menu {
			for _, b := range column.Sub {
				if _, known := clicks[b.Key]; b.Key != "" && b.Key != MenuTodo && !known {
					t.Errorf("%s: nobody answers %q", b.Name, b.Key)
				}
				if b.Key == "" {
					continue
				}
				if got := c.event("o-user", EventClick, b.Key); got == "" {
					t.Errorf("%s: no answer", b.Name)
				}
			}
		}
	}
}

// What followers allow is kept, each template by itself.
func TestSubscribeEvents(t *testing.T) {
	c := newChat(t)
	report := func(event string, subs ...Subscription) {
		t.Helper()
		c.clock.set(c.clock.Now().Add(time.Minute))
		r, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-user", Type: EventMessage, Event: event, Subscriptions: subs, Sent: c.clock.Now()})
		c.must(err)
		if !r.empty() {
			t.Errorf("%s was answered: %s", event, r.Text)
		}
	}
	want := func(template string, accepted bool) {
		t.Helper()
		got, err := c.db.Consent(t.Context(), testAccount.AppID, "o-user", template)
		c.must(err)
		if got.Accepted != accepted {
			t.Errorf("%s: %t", template, got.Accepted)
		}
	}
	report(EventSubscribePopup, Subscription{TemplateID: "A", Status: "accept"}, Subscription{TemplateID: "B", Status: "reject"})
	want("A", true)
	want("B", false)
	report(EventSubscribeSent, Subscription{TemplateID: "A", Failure: "success"})
	want("A", true)
	report(EventSubscribeSent, Subscription{TemplateID: "A", Failure: "user refuse"})
	want("A", false)
	report(EventSubscribeChange, Subscription{TemplateID: "B", Status: "accept"}, Subscription{Status: "reject"})
	want("B", true)
}

// What WeChat reports about a subscription notice is kept; one that did not arrive
// goes out by the next way, and a report about somebody else's notice is nothing.
func TestSubscriptionReports(t *testing.T) {
	for _, tt := range []struct {
		name    string
		failure string
		state   order.DeliveryState
		why     string
	}{{"arrived", "success", order.DeliveryDelivered, ""}, {"refused", "user refuse", order.DeliveryPending, "user refuse"}} {
		t.Run(tt.name, func(t *testing.T) {
			c := newChat(t)
			p := c.bind("o-user", applicant)
			o := anOrder(p, 1, order.InReview, order.Queued)
			c.insert(o)
			n := order.Notification{ID: "n1", OrderID: o.ID, Seq: 1, Notice: order.NoticeApprovedIssue, Medium: order.WeChat, To: order.ToAgent, State: order.DeliveryPending, CreatedAt: c.clock.Now(), UpdatedAt: c.clock.Now()}
			c.must(c.db.InTx(t.Context(), func(tx order.Tx) error {
				if _, err := tx.InsertNotification(t.Context(), n); err != nil {
					return err
				}
				n.State, n.Way, n.ProviderID, n.Attempts = order.DeliverySent, order.BySubscription, "1700827132819554304", 1
				return tx.UpdateNotification(t.Context(), n, order.DeliveryPending)
			}))
			for range 2 { // WeChat may repeat it
				_, err := c.dialogue.Answer(t.Context(), Message{OpenID: "o-user", Type: EventMessage, Event: EventSubscribeSent, Sent: c.clock.Now(), Subscriptions: []Subscription{{TemplateID: "A", MsgID: 1700827132819554304, Failure: tt.failure}}})
				c.must(err)
			}
			if got, err := c.db.Notification(t.Context(), "n1"); err != nil || got.State != tt.state || got.Why != tt.why {
				t.Errorf("%s (%s), %v", got.State, got.Why, err)
			}
		})
	}
}

// Two notices may end in the same second: their reports are two events.
func TestReportsOfTheSameSecond(t *testing.T) {
	m := Message{OpenID: "o", Type: EventMessage, Event: EventSubscribeSent, Sent: talkTime, Subscriptions: []Subscription{{TemplateID: "A", MsgID: 1}}}
	other := m
	other.Subscriptions = []Subscription{{TemplateID: "A", MsgID: 2}}
	if m.dedupKey() == other.dedupKey() {
		t.Error("the second is taken for a repeat of the first")
	}
}

// A QR code whose scene is a menu key answers like the button, also for whoever
// follows by it.
func TestScenes(t *testing.T) {
	c := newChat(t)
	if got := c.event("o-user", EventSubscribe, "qrscene_freeze"); !strings.Contains(got, "冻结") {
		t.Errorf("followed by the QR code: %s", got)
	}
	if got := c.event("o-user", EventScan, "orders"); got != textBindingCard {
		t.Errorf("scanned: %s", got)
	}
	if got := c.event("o-user", EventScan, "12345"); got != textWelcome {
		t.Errorf("a scene of something else: %s", got)
	}
}

// away is a store that cannot read orders.
type away struct{ Store }

var errUnread = errors.New("the database is away")

func (away) Order(context.Context, order.ID) (order.Order, error) { return order.Order{}, errUnread }

// An order that cannot be read now is not one that does not exist.
func TestOrderThatCannotBeRead(t *testing.T) {
	c := newChat(t)
	p := c.bind("o-user", applicant)
	c.insert(anOrder(p, 1, order.AwaitingPayment, order.NoStage))
	turn := &turn{Dialogue: c.dialogue, openid: "o-user"}
	id := anOrder(p, 1, order.AwaitingPayment, order.NoStage).ID
	if o, ok, err := turn.own(t.Context(), id); !ok || err != nil || o.ID != id {
		t.Errorf("his order: %t, %v", ok, err)
	}
	if _, ok, err := turn.own(t.Context(), "01JUNKNOWN"); ok || err != nil {
		t.Errorf("an order that does not exist: %t, %v", ok, err)
	}
	c.dialogue.Store = away{c.db}
	if _, ok, err := turn.own(t.Context(), id); ok || !errors.Is(err, errUnread) {
		t.Errorf("without the database: %t, %v", ok, err)
	}
}
