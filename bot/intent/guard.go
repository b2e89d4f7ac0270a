package intent

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/yuncaidun/yuncaidun/identity"
)

// attack is a kind of text that wants what nobody may have: another company's data, a
// decision without a review, the bot's own rules, or a secret from our user.
type attack struct {
	why string
	pattern
}

const (
	forgery = "forgery"
	fraud   = "<fraud>" // somebody is after the writer's secrets
)

// attacks decide by themselves.
var attacks = []attack{
	{"prompt injection", mustPattern(
		`(?:忽略|无视|忘掉|抛开|不要管|跳出|覆盖).{0,10}(?:规则|指令|设定|提示|限制|规定|命令|约束|内容|上面|以上|前面|之前)`,
		`忘记.{0,10}(?:规则|指令|设定|提示|限制|规定|命令|约束|上面|以上|前面)`,
		`(?:ignore|disregard|forget|override).{0,24}(?:instruction|rule|previous|above|prompt)`,
		`(?:你的|打印|输出|说出|告诉|给出|复述|完整).{0,6}系统提示|系统提示(?:词|语)|提示词|prompt|system ?prompt`,
		`你的(?:指令|设定|规则)是|你现在(?:是|扮演)|扮演|(?:不受|解除|没有任何)(?:任何)?限制|你.{0,6}没有限制`,
		`(?:假装|假设|扮演|冒充)(?:你|我)?是?.{0,6}(?:管理员|客服|审核|领导|开发)|开发者模式|developer mode|jailbreak|越狱`,
		`act as|pretend|dan模式|我是(?:你的)?(?:系统)?(?:管理员|开发者|开发人员|超级用户)|debug模式|调试模式|root权限|sudo`,
		`you(?: are|'re)(?: now)? (?:an? |the )?(?:admin|root|developer|system|free|not bound)`,
	)},
	{"bribe or fraud", mustPattern(
		`(?:走|开个?|有没有|有什么|有啥|留个?)后门|塞钱`,
		`给(?:你|你们|他|她|审核员?|客服|领导).{0,5}(?:红包|好处|回扣|送礼|送点|意思意思)|(?:塞|送|给)点?(?:红包|好处)`,
		`price ?= ?0|金额改成|approve my order`,
	)},
	{"code", mustPattern(
		`drop table|select .{1,40} from |union select|' ?or ?'?1|<script|\{\{.{0,40}\}\}|\$\{.{0,40}\}|\.\./\.\.|rm -rf|;--`,
		`curl http|/etc/passwd`,
	)},
	{forgery, mustPattern(
		`(?:(?:^|[^请休放病事年暑寒春])假(?:$|[^期日前后如若])?|伪造|(?:^|[^a-z])ps|p一个|p个|仿制|做个假).{0,6}(?:公章|执照|身份证|授权书|证件|章|证书)`,
		`(?:执照|章|证|书|照片)[^,。]{0,2}p(?:一下|图|改|掉)|(?:公章|执照|身份证|授权书|印章)[^,。]{0,4}(?:ps|p上|p图)|p图`,
		`破解|黑进|复制(?:一个)?(?:别人的?)?(?:ca|key|u盾|锁|密钥)|导出私钥|私钥导出|提取私钥|冒用(?:别人|他人)`,
	)},
}

// suspicions are what an attack often says, and who is attacked or merely compares us
// with 别家 says, too: the model weighs them with the rest of the text.
var suspicions = []attack{
	{"<forced>", mustPattern(
		`(?:直接|强制|偷偷|私下|后台|帮我把?|把).{0,12}(?:改成|改为|设为|变成|标记为|置为).{0,4}(?:审核)?(?:通过|已通过|已完成|已支付|已退款|已付款)`,
		`(?:跳过|绕过|免|略过|不用走).{0,4}(?:审核|审批|实名|验证|支付|授权|核验)`,
		`(?:直接|帮我|给我|偷偷|强制).{0,4}(?:审核|审批)?(?:通过|批准)(?:我|吧|一下|所有|全部|$)`,
		`(?:审核|审批|实名|验证|授权)[^,。]{0,8}(?:跳过|省了|免了|略过|绕过)`,
		`(?:审核|审批)[^,。]{0,4}(?:直接|强制)[^,。]{0,4}(?:通过|过)`,
		`不用?(?:付钱|付款|交钱|支付|缴费).{0,3}直接.{0,3}(?:发证|出证|通过|发锁)|数据库`,
	)},
	{"<others>", mustPattern(`(?:(?:^|[^被让给])别人|别家|别的公司|别的单位|隔壁|同行|对手|竞争|其[他它][^,。!?]{0,4}(?:公司|单位|企业|人|用户|客户)|别的(?:人|用户|企业)|旁人|对家|友商|那家公司|[这那某]个人|他人|人家(?:公司|单位|家|的|那)|另一家|另外一家|他们(?:公司|单位|家)|对方(?:公司|单位|的))[^,。!?]{0,20}(?:订单|单子|证书|进度|资料|信息|手机|电话|身份证|密码|口令|法人|报价|标|锁|key|ca|u盾|情况|办理|进展|状态)`)},
	{"<others>", mustPattern(
		`(?:查|看|调|发给我|给我|告诉|导出|列出)[^,。!?]{0,12}(?:别人|别家|隔壁|同行|对手|竞争|其他(?:公司|人|用户|客户)|其它(?:公司|人)|所有(?:订单|用户|客户|人|公司|证书)|全部(?:订单|用户|客户|人)的?)`,
		`(?:所有|全部)(?:的)?(?:订单|用户|客户|证书|数据|手机号|人的)[^,。!?]{0,8}(?:列|导|发|给|查|看)`,
	)},
	{"<others>", mustPattern(`(?:审核员|管理员|员工|客服|后台).{0,4}(?:密码|口令|账号|手机号|微信|私人)|(?:客户|用户)的?(?:资料|名单|数据|信息|电话|手机号).{0,6}(?:导|给我|发我|发给我)`)},
	{"<others>", mustPattern(`不是(?:他们|那家|这家)(?:公司|单位|企业|家)?的?(?:人|员工)?(?:$|[,。!?])`)},
	{"<others>", mustPattern(`(?:^|[^a-z])[ab甲乙丙丁某](?:公司|单位|企业)的?(?:订单|单子|证书|进度|资料|信息|锁)`)},
	{"<others>", mustPattern(`(?:list|show|dump).{0,12}(?:all|every).{0,10}(?:order|user|cert)`)},
	{fraud, mustPattern(
		`(?:让|叫|要|催|喊|求)我?们?[^,。!?]{0,10}(?:远程|远控|向日葵|todesk|teamviewer|anydesk|屏幕|投屏|共享|控制)`,
		`(?:被|给|让|叫|替|帮)(?:他|她|人|别人|对方|那人|陌生人|骗子)[^,。!?]{0,6}(?:远程|远控|控制|共享|投屏|操作|连电脑)`,
		`(?:远程|控制|操作|连接?|动)(?:了|过)?我们?的?(?:电脑|锁|桌面)`,
		`(?:让|叫|要|催|喊|问|逼|骗)我[^,。!?]{0,8}(?:念|读|报|说|告诉)[^,。!?]{0,8}(?:码|数字|六位)`,
		`(?:让|叫|要|催|喊|逼|骗)我[^,。!?]{0,12}(?:码|口令|数字|六位数?)[^,。!?]{0,6}(?:发|报|念|读|告诉|转|说给|交)`,
		`(?:码|口令|资料|电脑|锁)[^,。!?]{0,4}(?:让|被|给)[^,。!?]{0,6}骗`,
		`(?:盗用|冒用)(?:了)?(?:我|我们|我司|公司|单位|本公司).{0,4}(?:名义|公司|单位|身份|执照|资料|信息)|诈骗|钓鱼`,
		`可疑(?:的)?(?:短信|链接|电话)|冒充|骗(?:我的?)?(?:验证码|密码)`,
		`(?:有人|对方|自称|客服|电话里)[^。!?]{0,12}(?:要|让|叫|索要|问)[^。!?]{0,8}(?:验证码|密码|口令|pin)`,
		`(?:验证码|密码|口令|pin码?)[^,。]{0,3}(?:报给|告诉|念给|给他|给她|给对方|发给(?:你|您|他|她|对方|别人|客服|人家|陌生|谁))`,
		`(?:验证码|密码|口令|pin码?)(?:能|可以|要不要|可不可以)(?:告诉|发给|给)|异地登录|不是我(?:本人)?(?:操作|申请|办)`,
		`被盗号|账号被盗`,
	)},
}

// suspicion is what a text says that an attack may say.
type suspicion struct{ why, words string }

func suspected(t string) (found []suspicion) {
	for i := range suspicions {
		if m := suspicions[i].FindString(t); m != "" {
			found = append(found, suspicion{suspicions[i].why, m})
		}
	}
	return found
}

// wanted reports whether a text says what somebody says who wants what nobody may.
func wanted(t string) bool {
	return slices.ContainsFunc(suspected(t), func(s suspicion) bool { return s.why != fraud })
}

// rejected is a text that tells of a rejection and asks for nothing: a reviewer whose
// reason is a forgery (9031驳回，公章是p上去的) is no forger.
var rejected = regexp.MustCompile(`^[^帮能可会教求让怎别]*(?:驳回|退回|打回|拒绝|拒了|不予?通过|没通过|没过审)[^帮能可会教求让怎别]*$`)

// attacked tells why a text is an attack for certain, "" when it is not.
func attacked(t string) string {
	for i := range attacks {
		if m := attacks[i].FindString(t); m != "" {
			if attacks[i].why == forgery && rejected.MatchString(t) {
				continue
			}
			return "attack: " + attacks[i].why + " ← " + m
		}
	}
	return ""
}

// words splits a list of words, in which "_" stands for a space.
func words(list string) []string {
	ws := strings.Fields(list)
	for i, w := range ws {
		ws[i] = strings.ReplaceAll(w, "_", " ")
	}
	return ws
}

// hinted reports whether t has one of the words.
func hinted(t string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(t, w) })
}

// spokenPIN is a secret that comes a few words after its name: 口令忘了 好像是abc123.
var spokenPIN = mustPattern(`(?:密码|口令|pin)[^,。!?？a-z0-9]{0,10}(?:是|为|:|=|成)(?:[ ]?[a-z0-9!@#$%^&*_.]{4,}|[^,。!?a-z0-9]{1,10}\d{4,})`)

// leaked names the secret that a text gives away: pin, id, bank_card or code. A
// mobile is no secret here, and six digits may be the end of an order number.
func leaked(text string, e entities) string {
	if !e.latin {
		return "" // every number and every password is
	}
	if spokenPIN.MatchString(e.rest) {
		return "pin"
	}
	_, kinds := identity.RedactText(text)
	for _, k := range kinds {
		switch k {
		case identity.SecretPIN:
			return "pin"
		case identity.SecretDocNo:
			return "id"
		case identity.SecretBankCard:
			return "bank_card"
		case identity.SecretCode:
			if e.by[SlotOrderTail] == "" {
				return "code"
			}
		case identity.SecretMobile:
		}
	}
	return ""
}

// secretNumber is a number as long as PINs and codes are.
var secretNumber = mustPattern(`(?:^|[^\da-z])\d{4,8}(?:$|[^\d])`)

var (
	// nickname is how colleagues call each other: 小王, 李工.
	nickname    = regexp.MustCompile(`(?:^|[^` + surnames + `])([小老][` + surnames + `]|[` + surnames + `](?:姐|哥|工|经理|主任|组长))`)
	assignWord  = mustPattern(`(?:转给|转交给?|转派给?|改派给?|指派给?|分给|分派给?|分配给?|分配个|移交给?|安排给?|移给|挪[到给]|丢给|扔给|放给|推给|留给|派给|交给|交由|转到|转单|派单|转|派|交|让|→|->|挂[到在]|划[到给]|归到) *[:由]?(?:\p{Han}{1,4}[组部班]的?)?([\p{Han}a-z]{1,8}?)(?:处理|审核|审批|复核|复审|初审|终审|来审|来看|去审|去看|去弄|去办|帮|代|再|亲自|顶|审|跟进|跟|负责|继续|领|办|弄|看|接|那[儿里边]|谢谢|吧|了|好了|一下|来|去|吗|哈|哦|啦|呗|名下|手[上里]|\d|$|[,。? ])`)
	assignTo    = mustPattern(`(?:给|请|换|派|归|由|→|负责人) ?([\p{Han}a-z]{2,6}?)(?:帮|代|复审|初审|终审|审|处理|跟|负责|看|来|接|$|[,。 ])`)
	notAssignee = mustPattern(`^(?:派$|把$|人就|人工|客服|人审|人来?$|我.|你|他|她|它|申请人|客户|用户|经办人|对方|企业|公司|过)|通过|驳回|退|批|过$|一个`)
)

// ownTask is what somebody says who takes a task himself: 0127我来领.
var ownTask = mustPattern(`(?:我|本人)(?:想|要|就)?(?:自己|亲自)?[来嚟去]?(?:审|领|接|办|承办|处理|负责|跟)`)

// unnamed takes out what an order is called before a number that is taken out.
var unnamed = strings.NewReplacer("尾号 ", " ", "单号 ", " ", "订单 ", " ", "单 ", " ")

// withoutTask is the text beside the order's name and the reason's code.
func (e *entities) withoutTask(t string) string {
	if e.by[SlotOrderNo] != "" {
		return e.rest
	}
	t = unnamed.Replace(strings.Replace(t, cmp.Or(e.task, e.by[SlotOrderTail]), " ", 1))
	return reasonPattern.ReplaceAllString(t, " ")
}

// taskOf is the number of the task that a decision is on: of two, the one whose clause
// says most of the decision (要退的是5126，8034通过).
func (r *Recogniser) taskOf(i Intent, t string) string {
	named := slices.DeleteFunc(clauses(t), func(clause string) bool { return !taskPattern.MatchString(clause) })
	if len(named) < 2 {
		return ""
	}
	n := slices.Index(r.model.intents, i)
	says := func(clause string) float32 { return r.weigh(extract(clause)).sum[n] }
	most := slices.MaxFunc(named, func(a, b string) int { return cmp.Compare(says(a), says(b)) })
	return taskPattern.FindStringSubmatch(most)[1]
}

// others are the orders that t names beside the one with this number: whatever may be a
// number, for a wrong order is worse than one question more.
func others(t, no string) (also []string) {
	for _, p := range []finder{orderNoPattern, taskPattern} {
		for m := p.FindStringSubmatchIndex(t); m != nil; m = p.FindStringSubmatchIndex(t) {
			if other := printed(t[m[2]:m[3]]); !strings.HasSuffix(other, no) && !strings.HasSuffix(no, other) {
				also = appendNew(also, other)
			}
			t = t[:m[2]] + " " + t[m[3]:]
		}
	}
	return also
}

// staffSlots are the slots of a decision on a task, and what other tasks it names.
func (r *Recogniser) staffSlots(i Intent, t string, e entities) (s Slots, also []string) {
	s = Slots{}
	said := withoutDenied(t)
	if no := e.by[SlotOrderNo]; no != "" {
		s[SlotOrderNo], also = no, others(said, no)
	} else if no := cmp.Or(r.taskOf(i, said), e.task, e.by[SlotOrderTail]); no != "" {
		s[SlotOrderTail], also = no, others(said, no)
	}
	rest := e.withoutTask(said)
	name := assignee(rest)
	if name == "" && ownTask.MatchString(rest) {
		name = "我"
	}
	if i == StaffAssign && name != "" {
		s[SlotAssignee] = name
	}
	if i == StaffReject {
		if code := e.by[SlotReasonCode]; code != "" {
			s[SlotReasonCode] = code
		} else if reason := reasonIn(i, rest); reason != "" {
			s[SlotReason] = reason
		}
	}
	return s, also
}

// assignee is who shall take a task over, "" when nobody is named.
func assignee(rest string) string {
	if all := nickname.FindAllStringSubmatch(rest, -1); all != nil {
		return all[len(all)-1][1]
	}
	for _, p := range []pattern{assignWord, assignTo} {
		for t := rest; ; {
			m := p.FindStringSubmatchIndex(t)
			if m == nil {
				break
			}
			if name := strings.TrimPrefix(t[m[2]:m[3]], "给"); name != "" && !notAssignee.MatchString(name) {
				return strings.TrimSuffix(name, "好")
			}
			t = t[m[3]:]
		}
	}
	return ""
}
