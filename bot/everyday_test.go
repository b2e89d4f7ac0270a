package bot

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// TestEveryday: what people ask most, in each state, is answered about what they have,
// with what to do next, and not with what the words also might mean.
func TestEveryday(t *testing.T) {
	const user, key = "o-user", "TW11782207000188"
	type asked struct{ text, says, not string }
	for _, stage := range []struct {
		name string
		set  func(c *chat)
		asks []asked
	}{
		{"a stranger", func(*chat) {}, []asked{
			{"我手机号17700007069 帮我查下", "验证码已发送到 177****7069", ""},
			{"菜单", "我的订单到哪一步了", "还不会"},
			{"恢复过期了", "绑定手机号", "还不会"},
			{"怎么关了", "绑定手机号", "还不会"},
			{"我要撤回授权", "撤回本次授权", "绑定"},
			{"收到了 初始密码是什么", "只显示一次", ""},
		}},
		{"nobody's certificate yet", func(c *chat) {
			c.insert(anOrder(c.bind(user, applicant), 1, order.InReview, order.Queued))
		}, []asked{
			{"证书什么时候到期", "待审核", "名下还没有证书"},
			{"锁死了", "待审核", ""},
			{"单位名称写错了", "请回复「人工」", "被退回时可直接修改；已制证"},
		}},
		{"to pay", func(c *chat) {
			c.insert(anOrder(c.bind(user, applicant), 1, order.AwaitingPayment, order.NoStage))
		}, []asked{
			{"可以对公转账吗", "支持微信支付和支付宝", ""},
			{"钱扣了但是页面没变", "没有查到", ""},
		}},
		{"rejected", func(c *chat) {
			c.insert(anOrder(c.bind(user, applicant), 1, order.Rejected, order.Fixable))
		}, []asked{
			{"改完多久能审好", "回复「我的订单」", "绑定手机号后"},
			{"单位名称写错了", "立即修改", "已制证"},
		}},
		{"with a USBKEY", func(c *chat) { c.certify(c.bind(user, applicant), 1, key, in(300)) }, []asked{
			{"收到了 初始密码是什么", "只显示一次", ""},
			{"密码是多少 怎么没告诉我", "查看初始口令", ""},
			{"我的pin是88886666 帮我改下", "解锁重设", ""},
			{"开标现场解密失败", "400-666-3999", "回复「有」或「没有」"},
			{"不对 没丢 算了", "可以照常使用", "验证码已发送"},
			{"不想收到提醒短信了", "更新提醒", "不客气"},
			{"证书被吊销了能恢复吗", "不能恢复", "没有冻结"},
			{"你们几点下班", "9:00–17:30", ""},
			{"退订", "更新提醒", "退款"},
			{"返回", "我的订单到哪一步了", "退款"},
			{"公章在外地，盖不了章咋整", "授权", "冻结"},
		}},
		{"two orders at once", func(c *chat) {
			p := c.bind(user, applicant)
			c.insert(anOrder(p, 1, order.InReview, order.Queued), anOrder(p, 2, order.InReview, order.Claimed))
		}, []asked{
			{"你们什么时候上班", "9:00–17:30", "回复数字"},
			{"周六有人上班吗", "「人工」", "回复数字"},
			{"下班前能审完吗", "", "调休"},
			{"放假期间还发货吗", "", "调休"},
		}},
		{"a legal representative", func(c *chat) {
			p := c.bind(user, applicant)
			c.bind("o-agent", colleague)
			agent, err := c.db.PersonByWeChat(c.Context(), testAccount.AppID, "o-agent")
			c.must(err)
			o := anOrder(agent, 1, order.InReview, order.Queued)
			c.insert(o)
			c.signed(o, p.Mobile)
		}, []asked{
			{"我要撤回授权", "撤回本次授权", "纸质授权书"},
			{"授权能撤回吗", "撤回本次授权", "已经制作"},
			{"法人怎么授权", "纸质授权书", "撤回本次授权"},
		}},
		{"a legal representative, too late", func(c *chat) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Completed, order.NoStage)
			c.insert(o)
			c.signed(o, p.Mobile)
		}, []asked{
			{"收回授权", "不能再撤回", "撤回本次授权"},
		}},
		{"a legal representative, of what was closed", func(c *chat) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Rejected, order.Closed)
			c.insert(o)
			c.signed(o, p.Mobile)
		}, []asked{
			{"收回授权", "不需要撤回", "已经制作"},
		}},
		{"came back unpaid", func(c *chat) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Draft, order.NoStage)
			c.insert(o, anOrder(p, 2, order.InReview, order.Queued))
			c.happened(o, order.Unpaid, order.Save)
		}, []asked{
			{"被关闭了吗", "7 天内没有付款", "待审核"},
			{"怎么关了", "继续填写", ""},
			{"怎么关闭订单", "", "7 天内没有付款，"},
			{"我的订单怎么被关闭了", "7 天内没有付款", ""},
			{"尾号0102怎么关了", "待审核", "没有付款"},
			{"我的订单", "回复数字", ""},
		}},
		{"closed for good", func(c *chat) {
			o := anOrder(c.bind(user, applicant), 1, order.Rejected, order.Closed)
			o.Amount, o.Reasons = 0, []order.Reason{{Code: "R03"}}
			c.insert(o)
			c.happened(o, order.Close)
		}, []asked{
			{"订单为什么被关闭", "一直没有修改", ""},
		}},
		{"not done in time", func(c *chat) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Rejected, order.Fixable)
			o.Business, o.Reasons = order.Resume, []order.Reason{{Code: "R20", Note: "办理期限已过"}}
			c.insert(o, anOrder(p, 2, order.InReview, order.Queued))
		}, []asked{
			{"恢复过期了", "超过期限没有办完", "回复数字"},
			{"恢复申请过期了怎么办", "超过期限没有办完", ""},
			{"恢复超时了", "不需要再次付款", ""},
		}},
		{"refunded with its invoice", func(c *chat) {
			p := c.bind(user, applicant)
			o := anOrder(p, 1, order.Refunded, order.NoStage)
			o.PaidAt = talkTime
			paid := anOrder(p, 2, order.Completed, order.NoStage)
			paid.PaidAt = talkTime
			c.insert(o, paid)
			c.answered(c.invoice(o), order.InvoiceReversed)
			c.answered(c.invoice(paid), order.InvoiceIssued)
		}, []asked{
			{"尾号0101的发票还能用吗", "不能再用于报销", ""},
			{"我的发票还能用吗", "回复数字", ""},
			{"1", "下载发票", ""},
			{"发票还有效吗", "回复数字", ""},
			{"退款了发票还能报销吗", "不能再用于报销", "下载"},
		}},
	} {
		t.Run(stage.name, func(t *testing.T) {
			c := newChat(t)
			stage.set(c)
			for _, a := range stage.asks {
				got := c.says(user, a.text)
				if !strings.Contains(got, a.says) || a.not != "" && strings.Contains(got, a.not) {
					t.Errorf("%s: want %q and not %q, got\n%s", a.text, a.says, a.not, got)
				}
			}
		})
	}
}

// signed has the legal representative with that mobile authorise an order.
func (c *chat) signed(o order.Order, mobile identity.Mobile) {
	c.Helper()
	a := order.Authorization{
		ID: "auth" + string(o.ID), OrderID: o.ID, State: order.AtSigned, Rev: 1, Signer: order.LegalSigner{Name: "吴达江", Mobile: mobile.Reveal()},
		CreatedAt: talkTime, UpdatedAt: talkTime, SignedAt: talkTime, ExpiresAt: talkTime.Add(7 * 24 * time.Hour),
	}
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error { return tx.InsertAuthorization(c.Context(), a) }))
}

// happened has the system write down what became of an order.
func (c *chat) happened(o order.Order, events ...order.Event) {
	c.Helper()
	c.must(c.db.InTx(c.Context(), func(tx order.Tx) error {
		for n, e := range events {
			if err := tx.AppendEvent(c.Context(), order.EventRecord{OrderID: o.ID, Seq: int64(n + 1), Event: e, To: o.State, Role: order.System, At: talkTime}); err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestPriceOfABusiness: who asks what one business costs reads that one's price, as the
// catalogue has it.
func TestPriceOfABusiness(t *testing.T) {
	c := newChat(t)
	catalogue, err := order.ReadCatalogue(bytes.NewReader(order.SeededCatalogue()))
	c.must(err)
	c.dialogue.Catalogue = func() order.Catalogue { return catalogue }
	for asked, says := range map[string]string{
		"补办多少钱": "· 补办：¥150.00 / 个", "丢了补办要多少钱": "· 补办：¥150.00 / 个", "解锁多少钱": "· 审批解锁：¥50.00 / 次", "更新多少钱": "· 免费：更新",
		"恢复要钱吗": "· 免费：解冻恢复", "解冻收费吗": "· 免费：解冻恢复", "换绑收费吗": "· 免费：换绑", "换手机号要钱吗": "· 免费：换绑", "挂失要钱吗": "冻结和吊销都不收费",
	} {
		if got := c.says("o-user", asked); !strings.HasPrefix(got, says) && !strings.Contains(got, "\n"+says) || strings.Contains(got, "初购") {
			t.Errorf("%s: want %s, got\n%s", asked, says, got)
		}
	}
}

// TestOneNextStep: an answer leads to one page (flows 4.1, rule 1), the one that most need.
func TestOneNextStep(t *testing.T) {
	const key = "TW11782207000188"
	for name, set := range map[string]func(c *chat){
		"a stranger":    func(*chat) {},
		"with a USBKEY": func(c *chat) { c.certify(c.bind("o-user", applicant), 1, key, in(300)) },
		"without one":   func(c *chat) { c.insert(anOrder(c.bind("o-user", applicant), 1, order.InReview, order.Queued)) },
		"not paid":      func(c *chat) { c.insert(anOrder(c.bind("o-user", applicant), 1, order.AwaitingPayment, order.NoStage)) },
		"not made":      func(c *chat) { c.insert(anOrder(c.bind("o-user", applicant), 1, order.ToIssue, order.Unclaimed)) },
		"to be posted":  func(c *chat) { c.insert(anOrder(c.bind("o-user", applicant), 1, order.ToShip, order.ToPost)) },
		"free, rejected": func(c *chat) {
			o := anOrder(c.bind("o-user", applicant), 1, order.Rejected, order.Fixable)
			o.Amount = 0
			c.insert(o)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChat(t)
			set(c)
			for _, asked := range []string{"怎么换绑手机号", "原来的手机号停用了怎么换绑", "改收货地址", "初始密码是什么", "怎么解锁", "我要退款", "怎么开发票", "收不到验证码", "怎么吊销", "丢了怎么补办", "付不了款", "取消订单"} {
				if got := c.says("o-user", asked); strings.Count(got, "<a ") > 1 {
					t.Errorf("%s: %s", asked, got)
				}
			}
		})
	}
	c := newChat(t)
	c.certify(c.bind("o-user", applicant), 1, key, in(300))
	for asked, page := range map[string]string{"怎么换绑手机号": "/certificates\"", "老会计离职了，手机号换绑": "/handover\"", "原来的手机号停用了怎么换绑": "/handover\""} {
		if got := c.says("o-user", asked); !strings.Contains(got, page) {
			t.Errorf("%s: want %s, got\n%s", asked, page, got)
		}
	}
	if got := c.says("o-nobody", "怎么换绑手机号"); !strings.Contains(got, "/certificates\"") || !strings.Contains(got, "交接换绑") {
		t.Errorf("a stranger: %s", got)
	}
}
