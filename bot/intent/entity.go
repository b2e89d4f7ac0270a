package intent

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/yuncaidun/yuncaidun/identity"
)

// Slot names an entity in a Result.
type Slot string

// The slots.
const (
	SlotOrderNo     Slot = "order_no"
	SlotOrderTail   Slot = "order_no_tail"
	SlotTokenSerial Slot = "ukey_sn"
	SlotCertSerial  Slot = "cert_sn"
	SlotPhone       Slot = "phone"
	SlotPhoneTail   Slot = "phone_tail"
	SlotTrackingNo  Slot = "tracking_no"
	SlotCarrier     Slot = "carrier"
	SlotUSCC        Slot = "uscc"
	SlotCompany     Slot = "company"
	SlotProject     Slot = "project"
	SlotEmail       Slot = "email"
	SlotStatus      Slot = "status"
	SlotQty         Slot = "qty"
	SlotDate        Slot = "date"
	SlotDays        Slot = "days"
	SlotOverdueDays Slot = "overdue_days"
	SlotBidOpen     Slot = "bid_open"
	SlotExpire      Slot = "expire"
	SlotUrgency     Slot = "urgency"
	SlotReason      Slot = "reason"
	SlotReasonCode  Slot = "reason_code"
	SlotAssignee    Slot = "assignee"
	SlotName        Slot = "name"
	SlotRole        Slot = "role"
	SlotDocType     Slot = "doc_type"
	SlotBiz         Slot = "biz"
	SlotLeak        Slot = "leak"
)

// Slots are the entities of a text that matter to its intent.
type Slots map[Slot]string

// entityConcepts are the entities that rules may ask for.
var entityConcepts = []string{
	"<order_no>", "<tail>", "<tracking_no>", "<carrier>", "<cert_sn>", "<phone>", "<phone_tail>",
	"<status>", "<email>", "<money>", "<overdue_days>", "<reason_code>", "<urgent>", "<others>", "<fraud>", "<forced>", "<task>",
}

// entities are what patterns find before words are looked at.
type entities struct {
	rest          string // the text without them
	by            map[Slot]string
	dates         []dated
	money, urgent bool
	latin         bool   // whether the text has letters or digits of ASCII
	digits        int    // how many of these
	task          string // digits that may name an order to staff
	suspicions    []suspicion
}

var (
	// phoneWords say that a tail is a phone's.
	phoneWords = words(`开头 手机 号码 个号`)
	// urgentWords are urgent wherever they stand.
	urgentWords = words(`马上 立马 即刻 麻溜 asap 紧急 赶紧 赶快 立刻 立即 火速 急急 很急 着急 急死 急用 加急 尽快 第一时间 赶时间 十万火急 开标现场 要截止 快截止 就截标 要截标 好急 急啊 急! ,急 快帮`)
	// deniedWords: without one of them deniedPattern need not be tried.
	deniedWords = words(`不是 不用 不需要 不想 无需 说错 讲错 念错 看错 不算 刚`)
)

// presence names the concepts that entities are.
var presence = map[Slot]string{
	SlotOrderNo: "<order_no>", SlotOrderTail: "<tail>", SlotTrackingNo: "<tracking_no>", SlotCarrier: "<carrier>",
	SlotCertSerial: "<cert_sn>", SlotPhone: "<phone>", SlotPhoneTail: "<phone_tail>", SlotStatus: "<status>",
	SlotEmail: "<email>", SlotOverdueDays: "<overdue_days>", SlotReasonCode: "<reason_code>",
}

func (e *entities) present() (names []string) {
	for slot := range e.by {
		if name := presence[slot]; name != "" {
			names = append(names, name)
		}
	}
	if e.money {
		names = append(names, "<money>")
	}
	if e.urgent {
		names = append(names, "<urgent>")
	}
	if e.task != "" {
		names = append(names, "<task>")
	}
	return names
}

const (
	mrZhang  = `张[^锁证盾票卡单图照,。!? ]` // is no measure word: 0748张三丰
	number   = `(?:\d+|[一二两俩三仨四五六七八九十百半壹贰叁肆伍陆柒捌玖拾]+)`
	surnames = `赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜谢邹喻柏水窦章云苏潘葛范彭郎鲁韦马苗凤花方俞任袁柳鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝安常于傅齐康伍余顾孟黄穆萧尹姚邵汪毛戴宋庞熊纪舒屈项祝董梁杜阮蓝季贾江童颜郭梅林钟徐邱骆高夏蔡田胡霍万柯管卢莫房解丁邓单洪包左石崔龚程陆翁侯宁仇祖武刘景龙叶黎白蒲乔闻党翟谭申冉温庄柴瞿阎习艾易段廖耿寇辛简曾沙关游肖岳帅涂龚樊邢荣裴聂焦覃娄靳詹甘祁巩芦敖佘屠麦鄢隋牟晏闵卓楚阚尚`
	// surname begins a person's name, or what colleagues call him: 小王.
	surname = `(?:[` + surnames + `]|欧阳|上官|诸葛|司马|司徒|[小老阿])`
	units   = `个半月|个多月|个?月|多天|来天|天|年|周|个?星期|个?礼拜`
	// digitEnd keeps a number from being the beginning of a longer one.
	digitEnd = `(?:$|[^\d])`
)

var (
	orderNoPattern   = mustPattern(`(s ?a ?a ?s ?1(?:[ -]?\d){18,20})` + digitEnd)
	tokenPattern     = mustPattern(`(tw(?: ?\d){14})` + digitEnd)
	certPattern      = regexp.MustCompile(`(?:^|[^0-9a-z])([0-9a-f]{39,40})(?:$|[^0-9a-z])`)
	trackingPattern  = mustPattern(`(?:^|[^0-9a-z])(sf(?: ?\d){12,15}|(?:jd|yt|jt|zto|sto|yd)[a-z]?\d{10,15}|[a-z]{2}\d{9}cn)(?:$|[^0-9a-z])`)
	emailPattern     = mustPattern(`([a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,})`)
	phonePattern     = regexp.MustCompile(`(?:^|[^\d])(?:\+?86[ -]?)?(1[3-9]\d[ -]?\d{4}[ -]?\d{4})` + digitEnd)
	phoneTailPattern = mustPattern(`(?:尾号|后四位|末四位|结尾)(?:是|为|:)?(\d{4})` + digitEnd)
	tailPattern      = mustPattern(`(?:尾号|尾数|后[三四五六]位|末[三四五六]位|单号|订单号?|单子?|编号)(?:是|为|:|的)? ?(?:#|…)?(\d{3,6})` + digitEnd)
	tailBefore       = mustPattern(`(?:^|[^\d])(\d{3,6}) ?(?:号)?(?:这|那|的)?(?:个|笔|张)?(?:单|订单)|(?:^|[^\d])(\d{4})(?:的?那个|这个)`)
	bareTail         = regexp.MustCompile(`^[#…]?(\d{3,5})$`)
	markedTail       = mustPattern(`[#…](\d{3,6})` + digitEnd)
	leadingTail      = regexp.MustCompile(`^(\d{4})(?:[^\d年月日号点时天周元块个把张兆mk%./:-]|` + mrZhang + `)`)
	taskPattern      = regexp.MustCompile(`(?:^|[^\d.])(\d{3,6})(?:$|` + mrZhang + `|[:-]?(?:$|[^\d年月日号点时天周元块个把张兆mk%.:-]))`)
	usccPattern      = regexp.MustCompile(`(?:^|[^0-9a-z])([0-9a-hj-npqrtuwxy]{18})(?:$|[^0-9a-z])`)
	companyPattern   = mustPattern(`(\p{Han}{2,30}?(?:有限公司|有限责任公司|股份公司|集团公司|集团))`)
	plainCompany     = mustPattern(`(?:我是|我们是|我司是|这里是|这边是)([^,。;!?我你您贵这那哪个家本分一]{2,16}公司)(?:的|这边|$|[,。;!? ])`)                         // 我是宏基建筑公司的
	shortCompany     = mustPattern(`(\p{Han}{2,12}?(?:建设|建筑|建工|工程|科技|能源|实业|贸易|商贸|电力|机电|水利|路桥|市政|园林|物流|置业|环保|电气))的(?:单|订单|申请|锁|证书|盾)`) // 新疆天成建设的单子
	companyLead      = regexp.MustCompile(`^(?:.*(?:告知|协助|核实|核查|提供|确认|查询|查一下|查下|看一下|看下|查|看|我们是|我是|我司是|我公司是|这里是|请问|麻烦|帮我|我们|我司))`)
	regionPattern    = mustPattern(
		`北京|天津|河北|山西|内蒙古|辽宁|吉林|黑龙江|上海|江苏|浙江|安徽|福建|江西|山东|河南|湖北|湖南|广东|广西|海南|重庆`,
		`四川|贵州|云南|西藏|陕西|甘肃|青海|宁夏|新疆|石家庄|太原|呼和浩特|沈阳|大连|长春|哈尔滨|南京|苏州|无锡|杭州|宁波|温州`,
		`合肥|福州|厦门|南昌|济南|青岛|烟台|郑州|洛阳|武汉|长沙|广州|深圳|珠海|佛山|东莞|南宁|海口|成都|绵阳|贵阳|昆明|拉萨`,
		`西安|兰州|西宁|银川|乌鲁木齐|中国|华北|华东|华南|西北|西南|东北`,
	)
	projectPattern = mustPattern(`(?:^|[,，。 ]|我们|参加|用于|投)(?:用于)?(\p{Han}{2,8}?)(?:电子)?(?:招标|采购|招投标)?项目|投(\p{Han}{2,10}?)(?:那个|这个)标`)
	projectLead    = regexp.MustCompile(`^(?:我们?|想|要|帮我)*(?:给|替|为)`) // 我要给华为项目办
	notProject     = regexp.MustCompile(`[我你的这那个一该本此有做投招办因哪什]|近期|项目`)
	qtyPattern     = mustPattern(`(?:^|[^第])(` + number + `)(?:把|个|支|只|张|套|枚|份|条)(?:锁|key|ukey|u盾|证书|盾|ca|钥匙|$|一起|都|[^月以礼星])|([俩仨])(?:锁|key|ukey|u盾|证书|盾|ca|钥匙)`)
	overduePattern = mustPattern(`(?:过期|超期|逾期|过了|到期|断了|拖了|超了)(?:了|已经|已|都|有|快)*(` + number + `)(` + units + `)(?:零?(` + number + `)天)?`)
	daysPattern    = mustPattern(`(?:还有|还剩|剩|剩下|差|尚余|仅余)(` + number + `)(` + units + `)`)
	urgentPattern  = mustPattern(
		`急$|(?:^|[。!])急|今天就要|快(?:点|些|帮.{0,3})?(?:冻结|停用|冻上|挂失|停了|停掉|解锁|解开|弄开)|快[!。]`,
		`(?:^|[^太])快$|(?:^|[,。!?]|同志)快(?:锁|帮|给|把|点|[,!])|快快|(?:还有|还剩|只剩|不到|离开标|差).{1,3}(?:小时|分钟)`,
		`半个?小时[后内]|[分刻]钟[后内]|救命`,
	)
	moneyPattern  = mustPattern(`\d+(?:\.\d+)?(?:元|块|rmb)|[¥￥]\d+|\d{2,4}[吗么]|[一二三四五六七八九]百`)
	reasonPattern = regexp.MustCompile(`(?:^|[^a-z0-9])r ?(0?[1-9]|1\d|20|二?十[一二三四五六七八九]?|零?[一二三四五六七八九])(?:$|[^0-9])`)
	datePattern   = mustPattern(
		`(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})[日号]?|\d{1,2}月(?:\d{1,2}[日号]?|底|初)`,
		`[一二三四五六七八九十]{1,2}月(?:[一二三四五六七八九十]{1,3}[日号]|底|初)|下?个?月?\d{1,2}[号日]`,
		`[一二三四五六七八九十]{1,3}号|大后天|今天|明天|后天|今晚|明早|明儿|今儿|后儿`,
		`(?:这|本|下下|下)?个?(?:周|星期|礼拜)[一二三四五六日天末]|周末|(?:下个?)?月[底初中]|年底`,
	)
	namePattern = mustPattern(`(?:换成|换做|换作|改成|改做|改为|换为|变成|绑[到至成给]|换|改|叫|姓名|名字|是|为|给|让|归|人|[:, ~])(?:新来的|现任的?|接手的)?(?:我|我?的?(?:同事|老公|老婆|爱人|朋友|儿子|女儿|哥哥|弟弟|姐姐|妹妹|领导|助理|会计|出纳|门卫|新人)的?|(?:(?:行政|人事|财务|综合|采购|市场|工程|投标|项目)(?:部|处|科|组)?|办公室|前台)?的?(?:专员|文员|主任|经理|主管|助理|会计|出纳|秘书|同事|员工)?)?(` + surname + `\p{Han}{1,2}?)(?:$|[,，。 :]|的?(?:联系)?(?:电话|手机|号码)|代?收|管|吧|了|来)`)
)

var (
	carriers = words(`顺丰 顺风 ems 京东 中通 圆通 韵达 申通 极兔 邮政`)
	statuses = words(`填写中 待支付 待审核 审核拒绝 待制证 待更新 待恢复 待配送 待发货 已完成 已退款 待下载 待解锁 待受理 审核中 待复核 制证中 待寄出 待自取 待法人授权 退款中`)
	// queueWords follow a reviewer's 待审核, which is no question about a state.
	queueAsks  = words(`几个 几单 几笔 多少 多少个 哪些`)
	queueWords = words(`的审核 的件 的申请 的列表 列表 的任务 任务 队列 的队列 的有 有 的单 单 的订单 数量 还有 多少`)
)

// reviewed are the states that reviewers ask for as a list.
var reviewed = map[string]bool{"待审核": true, "待受理": true, "待复核": true}

func (e *entities) findStatus(t string) string {
	for _, w := range statuses {
		before, after, ok := strings.Cut(t, w)
		if !ok {
			continue
		}
		if slices.ContainsFunc(queueAsks, func(q string) bool { return strings.HasSuffix(before, q) }) {
			return ""
		}
		if after == "的" && reviewed[w] { // 待复核的: those that wait, not what it means
			return ""
		}
		if slices.ContainsFunc(queueWords, func(q string) bool { return strings.HasPrefix(after, q) }) {
			return ""
		}
		return w
	}
	return ""
}

// statusSounds are the statuses that begin with 待, by sound: 待治证 is 待制证.
var statusSounds = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for _, w := range statuses {
		if key, ok := allSounds().word(w); ok && strings.HasPrefix(w, "待") {
			m[key] = w
		}
	}
	return m
})

// statusAsHeard writes a status as it is spelled.
func statusAsHeard(t string) string {
	at := strings.Index(t, "待")
	if at < 0 {
		return t
	}
	word := []rune(t[at:])
	if len(word) < 3 {
		return t
	}
	key, ok := allSounds().word(string(word[:3]))
	if w := statusSounds()[key]; ok && w != "" {
		return t[:at] + w + string(word[3:])
	}
	return t
}

// heard are words that commands and leaks are told by, in patterns.
const heard = `到期 公司 密码 口令 验证码 通过 驳回 拒绝 退回 转给 过期 日期 模糊 执照 公章`

// heardSounds are those words by sound.
var heardSounds = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for w := range strings.FieldsSeq(heard) {
		if key, ok := allSounds().word(w); ok {
			m[key] = w
		}
	}
	return m
})

// asHeard spells these words as they should be: 博回 is 驳回. What is a word of its
// own stays.
func (r *Recogniser) asHeard(t string) string {
	rs := []rune(t)
	key := make([]byte, 0, syllableSize*len(rs))
	for _, c := range rs {
		key = r.sounds.of(c).append(key)
	}
	changed := false
	for i := range rs {
		for _, n := range []int{3, 2} {
			if i+n > len(rs) {
				continue
			}
			w, ok := heardSounds()[string(key[syllableSize*i:syllableSize*(i+n)])]
			if !ok {
				continue
			}
			if word := string(rs[i : i+n]); w != word && r.words[word] == nil && !r.wordAcross(rs, i, n) {
				copy(rs[i:], []rune(w))
				changed = true
				break
			}
		}
	}
	if !changed {
		return t
	}
	return string(rs)
}

// wordAcross reports whether a known word of two characters overlaps the edge of a
// stretch: 不过 期限 is not 过期.
func (r *Recogniser) wordAcross(t []rune, at, n int) bool {
	for _, i := range []int{at - 1, at + n - 1} {
		if i >= 0 && i+2 <= len(t) && r.words[string(t[i:i+2])] != nil {
			return true
		}
	}
	return false
}

// wish is what people ask for, and say that they do not: 先别吊销, 不要转人工.
const wish = `(?:吊销|注销|作废|撤销|冻结|挂失|停用|转?接?人工|转接|补办|重办|新办|续期|续费|更新|解锁|换绑|退款|退钱|开票)`

// refused is a wish that a clause says not to fulfil: 先别吊销，不要转人工，不续费了，我要续期，别注销; of
// 不是补办是注销 the half. 我不退钱，我就 is followed by what is wanted.
var refused = mustPattern(`(?:^|[,。;!? ])我?们?(?:先|可|千万)?(?:别|不要|甭|莫|先不)(?:急着|着急|忙着|再|老|给我们?|帮我们?|替我们?){0,3}` + wish + `[^,。;!?吗么]{0,6}[,。;!?]` +
	`|[,。;!? ](?:先|可|千万)?(?:别|不要|甭|莫|先不)(?:急着|着急|再|老|给我们?|帮我们?){0,2}` + wish + `(?:它|了|我|啊|哈|哦|呀){0,3}[。!]?$` +
	`|(?:^|[,。;!? ])(?:算了|那就?|先){0,2}不(?:想|要)?` + wish + `了[,。;!?]` +
	`|(?:^|[,。;!? ])我?们?并?不是(?:要|想|来|问)?` + wish + `[^,。;!?]{0,3}?而?是` +
	`|(?:^|[,。;!? ])(?:我们?不(?:想|要)?|我?们?没有?(?:要|想|打算))(?:` + wish + `|退|投诉)[^,。;!?]{0,3}[,。;!?]我?们?(?:就|只|单纯|光)`)

// deniedPattern is a clause that says what the person does not want (不是要吊销，), or
// takes back what was said before (0152说错了，). At the end it is one unless it asks
// (我要解锁，不是注销; but not 不是能更新吗).
var deniedPattern = regexp.MustCompile(`(?:^|[,。;!?])(?:我?(?:并?不是|不用|不需要|不想|无需)(?:[^说因,。;!?](?:[a-z0-9]+|[^,。;!?a-z0-9]){0,11}[,。;!?]|[^说因,。;!?]{1,8}而是)|[^,。;!?]{0,12}(?:(?:说|讲|念|看)错了?|不算数?了?|刚才?[^,。;!?]{0,8}是(?:别的|另一?个?))[,。;!?])|[,。;!?]我?并?不是[^我本他她说因是,。;!?][^,。;!?]{0,8}[^,。;!?吗么嘛呢吧][。!]?$`)

// withoutDenied drops such clauses as long as something else is left.
func withoutDenied(t string) string {
	left := t
	for m := refused.FindStringSubmatchIndex(left); m != nil; m = refused.FindStringSubmatchIndex(left) {
		left = left[:m[0]] + " " + left[m[1]:]
	}
	if hinted(left, deniedWords) {
		left = deniedPattern.ReplaceAllString(left, " ")
	}
	if strings.TrimSpace(left) == "" {
		return t
	}
	return left
}

// courtesy is what people say around what they want: 您好，…，谢谢啦.
var courtesy = regexp.MustCompile(`(?:^|[` + pauses + `])(?:你好|您好|哈喽|hello|hi|嗨|亲|不好意思|打扰|麻烦|拜托|辛苦|多谢|谢谢|感谢|嘿嘿|那个|嗯|解答|指一下|一下|你们|您|了|啦|哈|呀|啊|哦|喔|呢|[` + pauses + `])*(?:$|[` + pauses + `])`)

// pauses stand between what people say and what they say around it.
const pauses = ",。;!?~… "

// withoutCourtesy drops it as long as something to want is left.
func withoutCourtesy(t string) string {
	if !strings.ContainsAny(t, pauses) {
		return t
	}
	left := strings.TrimSpace(courtesy.ReplaceAllString(t, " "))
	if utf8.RuneCountInString(left) < 5 {
		return t
	}
	return left
}

// fewDigits is how many digits the shortest of the long identifiers has at least: a
// unified code its kind and its region.
const fewDigits = 8

// ungrouped is a number without the spaces that people read it by, printed in the capitals
// that it is printed in.
func ungrouped(s string) string { return separators.Replace(s) }

var separators = strings.NewReplacer(" ", "", "-", "")

func printed(s string) string { return strings.ToUpper(ungrouped(s)) }

// finder is a pattern or a regular expression.
type finder interface {
	FindStringSubmatchIndex(t string) []int
}

// identify takes out of t what names a thing or a person, as far as it is not known yet.
func (e *entities) identify(t string) string {
	take := func(slot Slot, p finder, clean func(string) string) {
		m := p.FindStringSubmatchIndex(t)
		if m == nil {
			return
		}
		if len(m) > 4 && m[2] < 0 { // the pattern's other form
			m = m[2:]
		}
		v := t[m[2]:m[3]]
		if clean != nil {
			v = clean(v)
		}
		if v == "" {
			return
		}
		if e.by[slot] == "" {
			e.by[slot] = v
		}
		t = t[:m[2]] + " " + t[m[3]:]
	}
	take(SlotEmail, emailPattern, nil)
	if e.digits == 0 {
		return t
	}
	if e.digits >= fewDigits {
		take(SlotOrderNo, orderNoPattern, printed)
		take(SlotTokenSerial, tokenPattern, printed)
		take(SlotCertSerial, certPattern, printed)
		take(SlotTrackingNo, trackingPattern, printed)
		take(SlotUSCC, usccPattern, func(s string) string {
			v, err := identity.CheckUSCC(s)
			if err != nil {
				return ""
			}
			return v
		})
		take(SlotPhone, phonePattern, ungrouped)
	}
	if m := taskPattern.FindStringSubmatch(t); m != nil && e.task == "" && strings.ContainsFunc(t, unicode.IsLetter) {
		e.task = m[1]
	}
	if hinted(t, phoneWords) {
		take(SlotPhoneTail, phoneTailPattern, nil)
	}
	for _, p := range []finder{tailPattern, tailBefore, bareTail, markedTail, leadingTail} {
		if e.by[SlotOrderTail] == "" {
			take(SlotOrderTail, p, nil)
		}
	}
	t, codes := withoutReasons(t)
	if e.by[SlotReasonCode] == "" && len(codes) > 0 {
		e.by[SlotReasonCode] = strings.Join(codes, ",")
	}
	return t
}

// withoutReasons takes the codes of reasons out of t.
func withoutReasons(t string) (rest string, codes []string) {
	for {
		m := reasonPattern.FindStringSubmatchIndex(t)
		if m == nil {
			return t, codes
		}
		codes = appendNew(codes, fmt.Sprintf("R%02d", count(t[m[2]:m[3]])))
		t = t[:m[2]] + " " + t[m[3]:]
	}
}

// extract finds the entities of a normalised text.
func extract(t string) entities {
	e := entities{by: map[Slot]string{}}
	said := withoutDenied(t)
	denied := len(said) < len(t)
	for i := 0; i < len(t); i++ {
		switch {
		case t[i] >= '0' && t[i] <= '9':
			e.digits++
			e.latin = true
		case t[i] >= 'a' && t[i] <= 'z':
			e.latin = true
		}
	}
	if e.latin {
		said = e.identify(said)
		if denied {
			e.identify(t) // for what nothing else names: 0108别驳回了，
		}
	}
	t = statusAsHeard(said)
	if m := e.findStatus(t); m != "" {
		e.by[SlotStatus] = m
		if !strings.Contains(m, "拒绝") && !strings.Contains(m, "退款") {
			t = strings.Replace(t, m, " ", 1) // 待更新 is not about 更新
		}
	}
	first := len(t)
	for _, w := range carriers {
		if at := strings.Index(t, w); at >= 0 && at < first {
			first = at
			e.by[SlotCarrier] = strings.ReplaceAll(w, "顺风", "顺丰")
		}
	}
	if m := overduePattern.FindStringSubmatch(t); m != nil {
		e.by[SlotOverdueDays] = strconv.Itoa(inDays(m[1], m[2]) + inDays(m[3], "天"))
	}
	if m := daysPattern.FindStringSubmatch(t); m != nil {
		e.by[SlotDays] = strconv.Itoa(inDays(m[1], m[2]))
	}
	if m := qtyPattern.FindStringSubmatch(t); m != nil {
		if n := count(m[1]); n > 1 && n < 1000 && m[1][0] != '0' { // 0748 张三丰
			e.by[SlotQty] = strconv.Itoa(n)
		}
	}
	e.money = moneyPattern.MatchString(t)
	e.urgent = hinted(t, urgentWords) || urgentPattern.MatchString(t)
	e.rest = withoutCourtesy(t)
	e.suspicions = suspected(e.rest)
	e.dates = datesIn(t)
	return e
}

// count reads a small number in digits or characters.
func count(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	digits := map[rune]int{
		'一': 1, '二': 2, '两': 2, '俩': 2, '三': 3, '仨': 3, '四': 4, '五': 5, '六': 6, '七': 7, '八': 8, '九': 9,
		'壹': 1, '贰': 2, '叁': 3, '肆': 4, '伍': 5, '陆': 6, '柒': 7, '捌': 8, '玖': 9,
	}
	total, last := 0, 0
	for _, c := range s {
		switch {
		case digits[c] > 0:
			last = digits[c]
		case c == '十', c == '拾':
			total, last = total+max(last, 1)*10, 0
		case c == '百':
			total, last = total+max(last, 1)*100, 0
		}
	}
	return total + last
}

// inDays is how long n units are: of 半年, and of 个半月, which is half a month more.
func inDays(n, unit string) int {
	if n == "半" && unit == "年" {
		return 180
	}
	if n == "半" {
		return 15
	}
	unit = strings.NewReplacer("个", "", "多", "", "来", "", "星期", "周", "礼拜", "周").Replace(unit)
	per := map[string]int{"天": 1, "周": 7, "月": 30, "半月": 30, "年": 365}
	days := count(n) * per[unit]
	if unit == "半月" {
		days += 15
	}
	return days
}

// identifiers are slots under every intent: whoever writes one means it.
var identifiers = []Slot{SlotOrderNo, SlotOrderTail, SlotTokenSerial, SlotCertSerial, SlotTrackingNo, SlotUSCC}

// slotsOf says which other entities belong to an intent; those in the text of another
// are accidental (一个 in 办一个锁什么价).
var slotsOf = map[Intent][]Slot{
	OrderStatus:    {SlotCompany, SlotPhone, SlotStatus},
	ShippingTrack:  {SlotCarrier},
	NewPurchase:    {SlotQty, SlotProject},
	Price:          {SlotQty, SlotBiz, SlotProject},
	Material:       {SlotDocType, SlotRole, SlotBiz, SlotProject},
	SLATime:        {SlotQty, SlotBiz},
	Renew:          {SlotDate, SlotDays, SlotQty},
	CertExpiry:     {SlotDate, SlotDays, SlotOverdueDays},
	BidSafety:      {SlotBidOpen, SlotExpire},
	Unlock:         {SlotUrgency},
	SMSCodeProblem: {SlotReason, SlotPhone, SlotUrgency},
	LegalRepAuth:   {SlotPhone, SlotRole},
	RejectFix:      {SlotReason, SlotReasonCode},
	Invoice:        {SlotEmail},
	LostReissue:    {SlotUrgency},
	Revoke:         {SlotUrgency},
	RebindUser:     {SlotName, SlotPhone, SlotPhoneTail, SlotReason},
	ChangeInfo:     {SlotName},
	ChangeAddress:  {SlotName, SlotPhone},
	BindAccount:    {SlotPhone},
}

// tailLength is how many digits of an order number people name.
const tailLength = 4

// slots keeps what matters to the intent.
func (e *entities) slots(i Intent, t string) Slots {
	s := Slots{}
	for _, slot := range identifiers {
		if v := e.by[slot]; v != "" {
			s[slot] = v
		}
	}
	if (i == OrderStatus || i == RejectFix) && s[SlotOrderNo] == "" && s[SlotOrderTail] == "" && len(e.task) == tailLength {
		s[SlotOrderTail] = e.task // 我的0152通过了吗
	}
	for _, slot := range slotsOf[i] {
		v := e.by[slot]
		switch slot {
		case SlotUrgency:
			if e.urgent {
				v = "high"
			}
		case SlotReason:
			v = reasonIn(i, t)
		case SlotCompany:
			v = companyIn(e.rest)
		case SlotBiz:
			v = bizIn(t)
		case SlotProject:
			v = projectIn(e.rest)
		case SlotDocType:
			v = docTypeIn(t)
		case SlotRole:
			switch named := i == LegalRepAuth && s[SlotPhone] != "" || i == Material && (foreignPattern.MatchString(t) || s[SlotDocType] != ""); {
			case !named:
			case legalPattern.MatchString(t):
				v = "法定代表人"
			case strings.Contains(t, "经办人"):
				v = "经办人"
			}
		case SlotName:
			v = nameIn(e.rest)
		case SlotDate:
			if len(e.dates) > 0 && e.dates[0].date != "今天" {
				v = e.dates[0].date
			}
		case SlotBidOpen:
			v = e.dateOf(openingPattern, "开标", "开镖", "开表", "截标", "截止", "评标", "投标", "标没开", "标要开")
		case SlotExpire:
			v = e.dateOf(expiryPattern, "到期", "过期", "失效", "届满")
		default: // as found
		}
		if v != "" {
			s[slot] = v
		}
	}
	return s
}

// asWritten gives Latin names back their capitals.
func (s Slots) asWritten(text string) {
	for _, slot := range []Slot{SlotAssignee, SlotName, SlotCarrier} {
		v := s[slot]
		if v == "" || v[0] >= utf8.RuneSelf {
			continue
		}
		for i := 0; i+len(v) <= len(text); i++ {
			if strings.EqualFold(text[i:i+len(v)], v) {
				s[slot] = text[i : i+len(v)]
				break
			}
		}
	}
}

var (
	legalPattern = mustPattern(`法人|法定代表人|法代|老板|董事长`)
	// passportPattern is what is written about people whose document is a passport.
	passportPattern = mustPattern(`护照|(?:老外|外籍|外国人|(?:新加坡|马来西亚|美国|英国|德国|法国|日本|韩国|加拿大|澳大利亚|俄罗斯)(?:籍|人)).{0,8}(?:证件|材料)`)
	foreignPattern  = mustPattern(`香港|澳门|台湾|外国|外籍|老外|港澳|港籍|台胞|海外|国外`)
	notName         = mustPattern(`谢谢|孙[子女]|公司|单位|老[板地伴号人]|管锁|小区|自取|自己|地址|快递|公司|别的|其他|另外|新的|我|你|他|什么|错|收|电话|手机`)
)

// latinName is a name and a surname in Latin letters, after what says that it is one.
var latinName = mustPattern(`(?:owner|user|name|recipient|经办人|收件人|联系人|绑到|换成|改成|改为)(?:是|为|:|,)? ?([a-z]{2,12} [a-z]{2,12})(?:$|[^a-z0-9@])`)

// nameIn is the first name of a person in t that is not denied (不是张三).
func nameIn(t string) string {
	for {
		at := namePattern.FindStringSubmatchIndex(t)
		if at == nil {
			if m := latinName.FindStringSubmatch(t); m != nil {
				return m[1]
			}
			return ""
		}
		name, before := t[at[2]:at[3]], t[:at[2]]
		if !notName.MatchString(name) && !strings.HasSuffix(before, "不是") {
			return name
		}
		t = t[at[3]:]
	}
}

// companyIn cuts what stands before a company's name: most begin with a region.
func companyIn(t string) string {
	m := companyPattern.FindString(t)
	if m == "" {
		if p := plainCompany.FindStringSubmatch(t); p != nil {
			return p[1]
		}
		p := shortCompany.FindStringSubmatch(t)
		if p == nil {
			return ""
		}
		if m = p[1]; !regionPattern.MatchString(m) {
			return brandIn(companyLead.ReplaceAllString(m, ""))
		}
	}
	if at := regionPattern.FindStringSubmatchIndex(m); at != nil {
		return m[at[0]:]
	}
	return companyLead.ReplaceAllString(m, "")
}

// brandIn is a company's name without a region, 运达能源, when it is as long as those are;
// any other word before a trade is no name: 隔壁那家能源.
func brandIn(name string) string {
	if n := utf8.RuneCountInString(name); n != brandLength || notBrand.MatchString(name) {
		return ""
	}
	return name
}

// brandLength is two characters of a name and two of a trade.
const brandLength = 4

var notBrand = regexp.MustCompile(`[我你他她这那某哪该个家的位次下新老]`)

// projectIn is the bidding project that a text begins with, or that a clause does.
func projectIn(t string) string {
	m := projectPattern.FindStringSubmatch(t)
	if m == nil {
		return ""
	}
	name := projectLead.ReplaceAllString(m[1], "")
	if notProject.MatchString(name) {
		return ""
	}
	return name
}

func bizIn(t string) string {
	for _, b := range []struct{ pattern, biz string }{
		{"更新|更薪|续费|续期|续一|续两|续个|续上|续了|续吗|续证|延期|延长", "更新"},
		{"解锁|解所|解琐|结锁|解个锁|解一下锁|解一把锁", "解锁"},
		{"补办|补半|重做|补一|补个|补锁|补领|补发|重新办|重办|锁丢|盾丢|key丢", "补办"},
		{"初购|新购|新办|首次办", "初购"},
		{"换绑|换邦|换帮|换手机|换号", "换绑"},
		{"恢复|解冻|解除冻", "恢复"},
		{"冻结|挂失", "冻结"},
		{"吊销|注销", "吊销"},
		{"变更", "变更"},
	} {
		for w := range strings.SplitSeq(b.pattern, "|") {
			if strings.Contains(t, w) {
				return b.biz
			}
		}
	}
	return ""
}

func docTypeIn(t string) string {
	switch {
	case strings.Contains(t, "香港") || strings.Contains(t, "澳门") || strings.Contains(t, "港澳") || strings.Contains(t, "港籍"):
		return "港澳居民来往内地通行证"
	case strings.Contains(t, "台湾") || strings.Contains(t, "台胞"):
		return "台湾居民来往大陆通行证"
	case passportPattern.MatchString(t):
		return "护照"
	}
	return ""
}
