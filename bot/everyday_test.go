package bot

import (
	"strings"
	"testing"

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
			{"密码是多少 怎么没告诉我", "查看初始PIN码", ""},
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
