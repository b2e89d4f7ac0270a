package intent

// rejections maps what people say about a rejection to our reason (flows 4.4).
var rejections = []struct {
	pattern pattern
	reason  string
	code    string
}{
	{mustPattern(`(?:公章|红章|印章|盖章|章).{0,6}(?:不清|没盖清|模糊|看不清|缺|不全|不完整|糊|歪|淡|太浅|认不出)|(?:没|没有|未)(?:加?盖)(?:上|到|了)?(?:公|红)?章|(?:不清|模糊).{0,4}(?:公章|印章)`), "公章不清晰", "R03"},
	{mustPattern(`电子章|扫描章|非实体|章[^,。;!?]{0,2}(?:电子|扫描|打印|复印)的|章[^,。;!?]{0,2}像[^,。;!?]{0,2}(?:电脑|软件|打印|合成|p上)`), "授权书非实体公章", "R04"},
	{mustPattern(`(?:没写|没填|没有填|没有写|未填|漏写|漏填|缺).{0,3}(?:日期|签名|签字)|(?:授权书|申请表).{0,4}(?:没|未|漏)签|(?:日期|签名|签字).{0,3}(?:没写|没填|空|漏)`), "授权书未填日期", "R06"},
	{mustPattern(`授权书.{0,8}(?:不一致|不符|对不上)`), "授权书信息不一致", "R05"},
	{mustPattern(`执照[^没未]{0,6}(?:过期|旧|不是最新)|旧的?(?:营业)?执照`), "营业执照已过期", "R08"},
	{mustPattern(`执照.{0,6}(?:水印|黑白|不是彩色|遮挡)`), "营业执照非彩色原件", "R09"},
	{mustPattern(`执照.{0,8}(?:模糊|不清|反光|缺角|缺了|缺[半一]|看不清|糊(?:$|[^弄]))`), "营业执照模糊", "R07"},
	{mustPattern(`章[^,。;!?]{0,4}(?:名称|公司名|单位名)[^,。;!?]{0,8}(?:不一致|不一样|不符|不对|对不上)`), "", ""}, // what the seal says is no name that was filled in
	{mustPattern(`(?:名称|公司名|单位名).{0,8}(?:不一致|不一样|不符|不对|对不上|mismatch)`), "单位名称不一致", "R01"},
	{mustPattern(`信用代码.{0,10}(?:不一致|不一样|不符|不对|对不上|[填写输]错)`), "统一社会信用代码不一致", "R02"},
	{mustPattern(`身份证.{0,6}过期`), "身份证已过期", "R12"},
	{mustPattern(`(?:反面|背面|国徽).{0,6}(?:模糊|不清|反光|糊)`), "身份证反面模糊", "R11"},
	{mustPattern(`身份证.{0,8}(?:模糊|不清|反光|看不清|糊)`), "身份证正面模糊", "R10"},
	{mustPattern(`(?:收件|地址).{0,6}不完整`), "收件信息不完整", "R18"},
	{mustPattern(`重复申请|重复提交`), "重复申请", "R19"},
	{mustPattern(`(?:法人|法定代表人|老板).{0,4}(?:没|未)(?:有|做|完成)?授权`), "法定代表人未完成授权", "R16"},
	{mustPattern(`(?:法人|法定代表人).{0,8}(?:不一致|不一样|不符|不对|对不上|[填写]错)`), "法定代表人与执照不一致", "R15"},
	{mustPattern(`(?:姓名|名字).{0,8}(?:不一致|不一样|不符|对不上)`), "姓名与证件不符", "R14"},
	{mustPattern(`(?:证件号|身份证号|号码).{0,8}(?:不一致|不一样|不符|对不上)`), "证件号码与图片不符", "R13"},
	{mustPattern(`企业.{0,4}(?:异常|注销|吊销)|执照.{0,4}(?:注销|吊销)`), "企业状态异常", "R17"},
}

// ReasonCode is the code of a reason in the words of SlotReason, "" when it has none.
func ReasonCode(reason string) string {
	for _, r := range rejections {
		if r.reason == reason {
			return r.code
		}
	}
	return ""
}

var gonePattern = mustPattern(`老员工|离[职直值]|前同事|以前.{0,3}同事|原来.{0,3}(?:同事|经办人|员工)|辞职|跳槽|走了|前任|不在公司|不干了|不做了|以前.{0,2}(?:会计|出纳|文员).{0,12}(?:手机|号)`)

func reasonIn(i Intent, t string) string {
	if i == SMSCodeProblem || i == RebindUser {
		if gonePattern.MatchString(t) {
			return "经办人离职"
		}
		return ""
	}
	for _, r := range rejections {
		if r.pattern.MatchString(t) {
			return r.reason
		}
	}
	return ""
}
