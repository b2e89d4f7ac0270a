package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/yuncaidun/yuncaidun/provider/sim"
)

// Options say what to play and with what.
type Options struct {
	Binary  string   // the product's executable
	Helper  string   // the key helper's; empty: beside Binary
	DataDir string   // kept; empty: a temporary folder
	Stories []string // names; empty: all
	// Kills says that Helper was built with -tags faults: it is killed at every step
	// of writing a certificate and of setting a PIN, before it may end its work.
	Kills bool
	// Fault is what somebody planted: FaultWrongAmount here, the others in the executable.
	Fault string
	// Token opens a USBKEY that the station made, with the PIN that it left the
	// station with, for the instance that has this environment.
	Token func(ctx context.Context, environ []string, serial string) (TokenAccess, error)
	Out   io.Writer
	Now   func() time.Time
}

// TokenAccess is what a PKCS#11 program needs to use a USBKEY.
type TokenAccess struct {
	Module string
	PIN    string
}

// FaultWrongAmount has the telephone pay one fen too little.
const FaultWrongAmount = "wrong-amount"

// stories in the order in which they are told.
var stories = []struct {
	name, title string
	about       string // for who chooses one
	play        func(*player)
}{
	{"initial", "初购：一家公司购买两把 UKEY，从空白表单到寄出", "a company buys two USBKEYs, from the form to the shipped keys", (*player).initial},
	{"rejected", "审核拒绝：补正后重新提交，不再付款", "staff reject, the applicant corrects and resubmits without paying again", (*player).rejected},
	{"unlock", "解锁：忘记口令，用证书助手、挑战码和审批各解锁一次", "a forgotten PIN: by the key helper, by challenge code, with approval", (*player).unlock},
	{"chat", "公众号里办：审核员回复「通过」和确认码，忘记口令的用户从对话走到证书助手", "a reviewer approves in the chat, a forgotten PIN is asked about there", (*player).inChat},
	{"freeze", "冻结与恢复：一时找不到 UKEY，冻结后任何人都不能用它，找到后恢复", "a key is mislaid: its certificate is frozen, and resumed when it is found", (*player).freeze},
	{"replacement", "补办：UKEY 丢了，旧证书吊销，新的一把寄到", "a lost key: the certificate is revoked, a new key is shipped", (*player).replacement},
	{"own-key", "补办到自己的 UKEY：内容丢失，UKEY 完好，用证书助手下载新证书", "a key that lost its content: a new certificate is downloaded onto it", (*player).ownKey},
	{"download", "下载：用已有的 UKEY 购买，证书助手把第二张证书下载到同一把 UKEY", "a buyer who has a USBKEY downloads a second certificate onto it", (*player).download},
	{"rebind", "换绑：经办人离职、手机停用，新经办人凭盖章授权书接手", "the handler is gone: a colleague takes over with a stamped letter", (*player).rebind},
	{"station", "另一台电脑上的制证站：购买三把 UKEY，入库、制证、贴标签、初始口令只显示一次", "three keys made by yuncaidun station on another PC, from stock to initial PIN", (*player).station},
	{"parcel", "包裹：物流推送；退回后重新寄出；丢失后吊销并免费补办", "a parcel is followed, comes back and is sent again, is lost and replaced for nothing", (*player).parcels},
	{"mini-pay", "小程序支付：微信先扣留款项，寄出后录入发货信息，单号更正一次，签收后提醒确认收货", "paid in the mini-program: WeChat is told of the parcel, of its corrected number, and reminds the buyer", (*player).paidInMini},
	{"express", "加急：多付 80 元，到点没有审核，加急费自动退回，订单照常办完", "an express order that is late: the surcharge goes back by itself, the order goes on", (*player).hurried},
	{"refund", "制证后的退款：一人提出，另一人确认，先吊销证书再退款", "after the key was shipped: two people, the certificate is revoked first", (*player).lateRefund},
	{"paid-twice", "重复支付与丢失的通知：多付的退回，漏报的查回", "a second successful payment is refunded", (*player).paidTwice},
	{"alipay", "支付宝：改用支付宝付款，另付的微信款退回；付款失败、通知丢失、退款", "paid with Alipay, and once more with WeChat, which goes back", (*player).paidByAlipay},
	{"reconciliation", "对账：账单晚到、多一笔、差一分，财务核实并说明", "the morning after: a bill is late, one names strange money, an amount differs", (*player).reconciliation},
	{"invoice", "电子发票：订单完成后自动开具，伪造和重复的通知都不算数，本人下载", "issued when the order is done, whatever is claimed about it; only its owner downloads it", (*player).invoice},
	{"legal-rep", "法定代表人在线授权：手机号填错后改对、签署、拒绝后改用纸质、过期", "a wrong number is put right, the legal representative signs, declines, or lets it lie", (*player).legalRep},
	{"renewal", "更新：证书将到期，插着原来的 UKEY 用证书助手换上新证书", "an expiring certificate, renewed on its USBKEY by the key helper", (*player).renewal},
	{"renewal-rsa", "更新（RSA）：沿用原来的密钥，新证书写在旧证书旁边", "the same with an RSA certificate, whose key pair is kept", (*player).renewalRSA},
}

// Names are the stories, in the order in which they are told.
func Names() []string {
	var out []string
	for _, s := range stories {
		out = append(out, s.name)
	}
	return out
}

// List is a line about each story, for who chooses one.
func List() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, s := range stories {
		fmt.Fprintf(w, "  %s\t%s\n", s.name, s.about)
	}
	_ = w.Flush() // to memory
	return b.String()
}

// Play starts an instance and plays the stories against it. The error says which
// check failed.
func Play(ctx context.Context, o Options) (err error) {
	chosen := o.Stories
	if len(chosen) == 0 {
		chosen = Names()
	}
	if o.Helper == "" {
		o.Helper = filepath.Join(filepath.Dir(o.Binary), "keyhelper")
	}
	if o.DataDir == "" {
		if o.DataDir, err = os.MkdirTemp("", "yuncaidun-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.DataDir)) }()
	}
	scratch, err := os.MkdirTemp("", "yuncaidun-story-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	i, err := NewInstance(ctx, o.Binary, o.DataDir)
	if err != nil {
		return err
	}
	p := &player{ctx: ctx, Options: o, instance: i, scratch: scratch, world: Playground{URL: i.URL}, staff: map[string]*Browser{}}
	p.say("—", "启动私有实例 "+i.URL)
	if err := i.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, i.Stop(ctx)) }()
	for _, s := range stories {
		if !slices.Contains(chosen, s.name) {
			continue
		}
		fmt.Fprintf(o.Out, "\n== %s  %s\n", s.name, s.title)
		if err := p.play(s.play); err != nil {
			return fmt.Errorf("story %s: %w%s", s.name, err, p.complaints())
		}
	}
	fmt.Fprintf(o.Out, "\n全部 %d 项检查通过\n", p.checked)
	return nil
}

// player plays everybody and says what happens. A story reads as a list of what
// people do; the first thing that is not as it should be ends it, by a panic
// with a failure that play recovers.
type player struct {
	Options

	ctx      context.Context //nolint:containedctx // it lives for one call of Play
	instance *Instance
	scratch  string // folder for what is handed to other programs
	world    Playground
	browser  *Browser            // the applicant's
	staff    map[string]*Browser // by name
	checked  int

	// tokens is where the USBKEYs are plugged in; empty: the instance's own folder.
	tokens string

	rep     *Browser // the legal representative's phone
	repLink string   // and the link that he signed behind
}

// failure ends a story.
type failure struct{ error }

func (p *player) play(story func(*player)) (err error) {
	defer func() {
		switch f := recover().(type) {
		case nil:
		case failure:
			fmt.Fprintf(p.Out, "%19s ✗ %s\n", "", f)
			err = f.error
		default:
			panic(f)
		}
	}()
	p.browser = newBrowser("Mozilla/5.0 (Windows NT 10.0; Win64; x64)")
	p.morning()
	story(p)
	return nil
}

// clock is the time on the playground's clock.
func (p *player) clock() time.Time { return must(get[sim.Clock](p.ctx, p.world, "clock", nil)).Now }

// morning moves the clock to the next half past nine in Shanghai: reminders do
// not go out at night, so a story must not begin at whatever hour it is played.
func (p *player) morning() {
	now := p.clock().In(shanghai)
	next := time.Date(now.Year(), now.Month(), now.Day(), 9, 30, 0, 0, shanghai)
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	try(p.world.Advance(p.ctx, next.Sub(now).String()))
}

// complaints are the last warnings in the instance's log.
func (p *player) complaints() string {
	log, err := os.ReadFile(p.instance.LogFile())
	if err != nil {
		return ""
	}
	var lines []string
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, "level=INFO") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "\nthe instance logged:\n  " + strings.Join(lines[max(0, len(lines)-5):], "\n  ")
}

// say tells what somebody does.
func (p *player) say(who, what string) {
	fmt.Fprintf(p.Out, "%s %s %s\n", p.Now().Format(time.TimeOnly), padded(who, 10), what)
}

// padded fills s up to a width at which a Chinese character takes two places.
func padded(s string, width int) string {
	for _, r := range s {
		width--
		if r > 0x2e80 {
			width--
		}
	}
	return s + strings.Repeat(" ", max(0, width))
}

// check states what must be true.
func (p *player) check(ok bool, what string, detail ...any) {
	if !ok {
		panic(failure{errors.New(strings.TrimRight("check failed: "+what+" | "+strings.TrimSpace(fmt.Sprintln(detail...)), "| "))})
	}
	p.checked++
	fmt.Fprintf(p.Out, "%19s ✓ %s\n", "", what)
}

// ok is check for what is looked at again and again: it says nothing when it holds.
func (p *player) ok(holds bool, what string, detail ...any) {
	if !holds {
		p.check(false, what, detail...)
	}
}

// try goes on only without an error.
func try(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// must is the value of what cannot fail in a story.
func must[T any](v T, err error) T {
	try(err)
	return v
}

// eventually checks what may take a moment. The condition says what it saw.
func (p *player) eventually(what string, holds func() (ok bool, saw any)) {
	var saw any
	err := Poll(p.ctx, patience, func(context.Context) (ok bool, _ error) {
		ok, saw = holds()
		return ok, nil
	})
	if errors.Is(err, errTooLong) {
		err = nil
		p.check(false, what, "not within", patience, "| saw:", saw)
	}
	try(err)
	p.check(true, what)
}

// short is anything as a line of JSON, for failures.
func short(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	if r := []rune(string(b)); len(r) > 600 {
		return string(r[:600]) + "…"
	}
	return string(b)
}
