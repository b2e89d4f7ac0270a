package story

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// replacement is a lost key: the certificate is frozen when a new one is asked for,
// revoked at the approval, and the new key is shipped (G27).
func (p *player) replacement() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	old, lost := p.owner()
	before := p.serials()
	plugIn := p.unplug(lost)
	p.say(applicant, "UKEY 丢了，在“我的证书”点“补办”，支付 150 元")
	o := p.apply(old, "reissue", "yd-reissue", map[string]string{"about.cause": "lost"})
	decided := p.clock() // just now
	p.check(p.cardOf(old).says("已冻结"), "申请补办后，丢失的证书立即冻结")
	p.told(mobile, "已冻结", o.since)
	p.published(old, decided, held)
	p.pay(o)
	p.becomes(o, "待审核")
	task := p.claimWith(o, 2)
	decided = p.clock()
	p.approve(o, task)
	p.published(old, decided, superseded)
	p.becomes(o, "待配送")
	fresh := p.certificates(before, 1)[0]
	no := p.label()
	key := p.ship(o, no)
	p.check(len(key) == 1 && key[0] != lost, "寄出的是另一把 UKEY", key)
	p.challenge(key[0], []issued{fresh})
	p.replaces(fresh, old)
	plugIn() // whoever found it
	p.check(p.cardOf(old).says("已吊销") && !p.cardOf(old).offers("恢复"), "旧证书不能恢复", p.cardOf(old).text)
	p.published(fresh, p.clock(), good)
	p.delivered(o,
		[]notice{{mobile, "审核通过"}, {mobile, no}, {form["ship.mobile"], no}},
		slices.Concat(everyReviewer, everyShipper, []notice{{applicant, "审核通过"}, {applicant, "已发货"}}))
}

// ownKey is a key that has lost its content and is whole: the new certificate is
// downloaded onto it with the key helper, and nothing is shipped (G27).
func (p *player) ownKey() {
	try(p.world.Advance(p.ctx, "25h")) // the codes of earlier stories are forgotten
	old, token := p.owner()
	before := p.serials()
	access := must(p.Token(p.ctx, p.instance.Environ(), token))
	p.say(applicant, "误把 UKEY 里的内容删除了")
	id := containers.FindStringSubmatch(p.pkcs11(token, access, "--list-objects", "--type", "cert"))[1]
	for _, kind := range []string{"cert", "privkey", "pubkey"} {
		p.pkcs11(token, access, "--delete-object", "--type", kind, "--id", id)
	}
	p.check(!strings.Contains(p.pkcs11(token, access, "--list-objects"), "Private Key Object"), "UKEY 里没有密钥了")
	p.say(applicant, "在“我的证书”点“补办”，选择下载到自己的 UKEY，支付 100 元")
	o := p.apply(old, "reissue", "yd-reissue-own", map[string]string{"about.cause": "erased"})
	p.pay(o)
	p.becomes(o, "待审核")
	task := p.claimWith(o, 2)
	decided := p.clock()
	p.approve(o, task)
	p.becomes(o, "待下载")
	p.published(old, decided, superseded)
	p.texted(o, "下载")
	p.write(o, "download", token)
	fresh := p.certificates(before, 1)[0]
	p.challenge(token, []issued{fresh})
	p.replaces(fresh, old)
	p.check(p.cardOf(fresh).says(token), "我的证书里，新证书就在这把 UKEY 上", p.cardOf(fresh).text)
	p.published(fresh, p.clock(), good)
	got := strings.ReplaceAll(strings.Join(p.state(o).events(), " "), "run interrupt ", "")
	p.check(got == "confirm paid claim approve run read_back_ok", "办理记录完整有序："+got)
}

// replaces checks what a replacement is: the same end, another key.
func (p *player) replaces(fresh, old issued) {
	p.check(fresh.leaf.NotAfter.Equal(old.leaf.NotAfter), "新证书与旧证书同一天到期："+old.leaf.NotAfter.In(shanghai).Format(time.DateOnly), fresh.leaf.NotAfter)
	p.check(!bytes.Equal(fresh.leaf.RawSubjectPublicKeyInfo, old.leaf.RawSubjectPublicKeyInfo), "新证书用的是新密钥")
}
