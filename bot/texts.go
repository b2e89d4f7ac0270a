package bot

import "github.com/yuncaidun/yuncaidun/bot/intent"

// The texts people read. {portal} is the address of the portal; each text is at
// most 600 characters, says one next step and promises only what exists.
const (
	textFault   = "系统开小差了，您的问题还没有处理。请稍后再发一次，或在工作日 9:00–17:30 拨打 400-666-3999。"
	textNotText = "我暂时只看得懂文字。请用一句话告诉我您要办的事，例如「我的订单到哪一步了」。证件和授权书请在办理页面上传，不要发到聊天里。"

	textWelcome     = "您好，这里是云采盾：投标数字证书和 UKEY 的办理与查询。\n绑定手机号后，可以直接问我「我的订单到哪一步了」。\n请回复您办理业务用的手机号开始绑定。"
	textWelcomeBack = "您好，欢迎回来。可以直接问我「我的订单到哪一步了」「快递到哪了」，或点下方菜单。"

	textBindingCard = "为保护您的资料，查询前需要先绑定手机号。\n请回复您办理业务时填写的手机号，我会发送一条 60 秒有效的验证码。"
	textBound       = "您已绑定 {mobile}。如需改绑，请回复新的手机号；不想再绑定请回复「解绑」。"
	textNotBound    = "这个微信没有绑定手机号，不需要解绑。"
	confirmUnbind   = "确认解绑" // unbinds; anything else about it is told what that means
	textUnbind      = "这个微信绑定的是 {mobile}。解除后，公众号和小程序里都查不到它的订单和证书，也收不到微信通知（短信照发）；订单和证书不受影响，以后可以重新绑定。\n确定解除请回复「" + confirmUnbind + "」。\n要把证书换给别人，请回复「换绑」。"
	textUnbound     = "已解除绑定，这个微信不能再查询原来的订单和证书。需要时回复手机号可以重新绑定。"
	textBadMobile   = "这个手机号看起来不对，请回复 11 位手机号。"
	textCodeSent    = "验证码已发送到 {mobile}，60 秒内有效。\n请直接回复 6 位数字。云采盾不会以任何理由向您索要验证码。"
	textBindDone    = "已绑定 {mobile}。"

	textNumberCorrected = "单号 %s 当时填错了，已更正为%s %s，请以新单号为准。"
	textNoSuchParcel    = "您名下没有这个快递单号的包裹，请核对单号，或回复「我的订单」查看您名下的订单。"
	textNoOrders        = "您名下还没有订单。\n<a href=\"{portal}/\">新办证书</a>"
	textOtherOrders     = "查其他订单请发单位名称或订单尾号（例如「尾号0152」），也可以 <a href=\"{portal}/orders\">查看全部订单</a>。"
	textNothingRejected = "您没有被退回的订单。最近一笔："
	textNothingAsked    = "现在没有等您回答的问题。要查进度请回复「我的订单」，要办别的请用一句话告诉我。"
	textClosedUnpaid    = "提交后 7 天内没有付款，{day}自动关闭，退回了填写状态。没有扣款，填写的资料都还在。"
	textClosedUnmended  = "退回后一直没有修改，{day}自动关闭。"
	textClosedByOwner   = "您已于 {day}关闭了这笔订单。"
	textSubmitAgain     = "还要办理，点「继续填写」核对后重新提交并支付即可。"
	textNothingToDo     = "目前没有等待您处理的事项。回复「我的订单」可以查看进度。"

	textSorry        = "很抱歉给您带来不便。"
	textHumanOpen    = "人工客服在线，请拨打 400-666-3999（工作日 9:00–17:30）。"
	textHumanClosed  = "现在是非工作时间，人工客服 {next} 起接听：400-666-3999（工作日 9:00–17:30）。"
	textHumanUnbound = "也可以回复您的手机号绑定，我们登记后给您回电。"
	textCallOpen     = "已为您登记人工服务，将在 {due} 前致电 {mobile}。也可以直接拨打 400-666-3999（工作日 9:00–17:30）。"
	textCallAgain    = "上次登记后还没有联系上您，很抱歉，我们会在 {due} 前致电 {mobile}。也可以直接拨打 400-666-3999（工作日 9:00–17:30）。"
	textCallClosed   = "现在是非工作时间，已为您登记，将在 {due} 前致电 {mobile}。急需停用 UKEY 请直接回复「冻结」。"

	textRevocationFree = "冻结和吊销都不收费。"
	textPrices         = "填写时会实时显示应付金额，提交前不会扣款。\n<a href=\"{portal}/\">查看产品与价格</a>"
	textNoPrice        = "这项业务目前没有在线定价，请回复「人工」咨询。\n<a href=\"{portal}/\">查看产品与价格</a>"

	textNoCertificates   = "这个手机号名下还没有证书。如果证书绑定的是别的手机号，请回复「绑定」和那个手机号；号码已停用请回复「人工」。"
	textManyCertificates = "您有 {n} 把相关的 UKEY，请告诉我 UKEY 序列号（TW 开头，印在 UKEY 上），或打开 <a href=\"{portal}/certificates\">我的证书</a>。"
	textCertNotYours     = "没有找到这把 UKEY，请核对序列号，或在「我的证书」查看您名下的证书。"
	textCabinetUnbound   = "UKEY 在谁手里，绑定手机号后才能查。\n请回复您办理业务时填写的手机号，绑定后再问一次。"
	textCabinetEmpty     = "您的钥匙柜还是空的。其他 CA 的 UKEY 也可以登记，由谁领用、何时归还都有记录。\n<a href=\"{portal}/cabinet/new\">登记一把 UKEY</a>"
	textNothingOut       = "您的 {n} 把 UKEY 都没有登记借出。谁拿走了，在卡片上点「领用登记」记一笔，过了归还日会提醒您。\n<a href=\"{portal}/certificates\">我的证书</a>"
	textLog              = "收回了就请 <a href=\"{portal}/cabinet/{token}\">登记归还</a>。"
	textCabinet          = "收回了就请在 <a href=\"{portal}/certificates\">我的证书</a> 登记归还。"
	textBindForMore      = "回复手机号绑定后，可以直接查询和办理您名下的证书。"
	textOverdueRenewable = "过期 {days} 天，还在 90 天以内，可以更新（已吊销或冻结的除外）。"
	textOverdueTooLate   = "过期 {days} 天，超过了 90 天，不能再更新，需要重新办理。"
	textReissue          = "补办请在「我的证书」点击补办，填写后审核、重新制作并寄出。\n<a href=\"{portal}/certificates\">我的证书</a>"
	textHandover         = "原号码已停用或在离职同事手里的，由新的经办人登录后凭单位授权书申请，审核通过后换成新号码，以后的验证码发到新号码。\n<a href=\"{portal}/handover\">交接换绑</a>\n原号码还能收短信的，在「我的证书」点击绑定用户旁的更换，马上生效。\n只改本公众号绑定的手机号，请回复「绑定 新手机号」。"
	textReplaced         = "这是更新前的旧 UKEY，它的证书已由新证书替代，不需要补办。"
	textInitialPIN       = "每把 UKEY 的初始口令都不同，不随短信和包裹发送。收到 UKEY 后在「我的证书」点「查看初始口令」，验证短信后显示，只显示一次；请随即改成自己的口令，不要发给任何人。看过又忘了的，不用补办，回复「解锁」可以重设。\n<a href=\"{portal}/certificates\">我的证书</a>"
	textCannotDecrypt    = "解密失败先别更新、补办或重置：\n① 插上加密时用的那一把 UKEY，只插这一把\n② 重启浏览器和招标平台的驱动，再试一次\n③ 换一个 USB 口或换一台电脑\n④ 证书在加密之后更新过的，用更新前保留的 UKEY 或密钥解密\n正在开标的，请立即拨打 400-666-3999（工作日 9:00–17:30），同时告知招标平台和代理机构现场情况。"
	textNoCertificateYet = "这个手机号名下还没有做好的证书（绑定在别的手机号上的，请回复「绑定」和那个手机号）。您有一笔订单还没有办完："
	textReminders        = "更新提醒可以少收：在「我的证书」点「更新提醒」，选择不接收非必要提醒。临近到期的几次和订单办理的短信照发，以免错过。\n<a href=\"{portal}/certificates\">我的证书</a>"
	textChallenge        = "收到挑战码。请在手机上打开，验证短信后会显示响应码，10 分钟内有效：\n<a href=\"{portal}/unlock/code?{query}\">获取响应码</a>\n响应码只填进您自己电脑上的助手，不要发给任何人。"
	textFreezeCode       = "验证码已发送到 {mobile}，60 秒内直接回复 6 位数字，这把 UKEY 立即冻结；不想冻结请不用理会。"
	textFrozen           = "UKEY …{tail} 已冻结，状态一分钟内对外生效，他人无法再使用。\n找到后可以申请恢复；确定找不到，请补办。\n<a href=\"{portal}/certificates\">我的证书</a>"

	textHours       = "人工客服、审核和发货都在工作日 9:00–17:30，周末和法定节假日休息，调休上班日照常。"
	textHoursOpen   = "现在是工作时间，可以拨打 400-666-3999。"
	textHoursClosed = "现在是非工作时间，人工客服 {next} 起接听：400-666-3999。"
	textHoursAlways = "其他时间我也在：查进度、查物流、冻结 UKEY 直接告诉我；要人工的回复「人工」登记，上班后给您回电。"

	textWithdraw         = "开始制证之前，法定代表人本人可以撤回授权：打开小程序的「法人授权」，用收到授权短信的手机号登录，进入那份授权，点「撤回本次授权」；没有微信的，打开授权短信里的链接操作。撤回后申请退回经办人，长期授权同时失效。\n已经制证的不能撤回，不再使用可以吊销证书。"
	textWithdrawNeedless = "您授权的申请已关闭或退款，授权不会再用于制作证书，不需要撤回。给过长期授权的，可以打开小程序的「法人授权」，进入那份授权，点「撤销长期授权」。"
	textWithdrawTooLate  = "您授权的证书已经制作，不能再撤回授权。不再使用的，可以由经办人在「我的证书」吊销；不是您本人的意思，请拨打 400-666-3999。"

	textThen = "您还问了{topic}：回复「{ask}」，我接着回答。"

	textNotReviewer   = "您没有审核权限。<a href=\"{portal}/staff\">打开工作台</a>"
	textQueueEmpty    = "目前没有待审核的订单。"
	textFirstApproved = "您已通过初审，不用再操作：这个任务还需要另一位审核员复核，由他决定。发现问题请直接告诉复核的同事。"
	textDecideOnPage  = "请先在页面领取、核对并勾选四项检查，再回到这里回复："
	textWhichReason   = "请带上原因代码，可以写多个，例如「驳回 {tail} R03 R07」；其他说明（R20）请在页面填写："
	textOneByOne      = "这条消息提到了 {n} 个任务：{list}。为了不弄错，一次只决定一个，现在都没有处理。请逐个发送并分别确认，例如「{example}」。"
	textWhichTask     = "有 {n} 个任务{alike}，请回复数字选择："
	textConfirm       = "请在 5 分钟内回复确认码 {code} 完成，不回复则不执行。"
	textConfirmOver   = "确认码不对或已失效，操作没有执行。请重新发送指令。"
	textConfirmUsed   = "这个确认码已经用过。"
	textQuietHelp     = "免打扰：{hours}。\n时段内的消息放在<a href=\"{portal}/staff/inbox\">消息</a>里，结束后再发。回复「免打扰 22:00-08:00」开启，「免打扰 关」关闭。"
)

// textAlarmed answers whoever fears for his USBKEY, or is being swindled.
const textAlarmed = "有人拿走或在用您的 UKEY，或者口令已经泄露：请马上回复「冻结」，验证短信后立即生效，谁也不能再用它登录和签名；查清后可以恢复。\n" +
	"有人索要口令、验证码，发来可疑链接，或要远程操作您的电脑：都是诈骗，请不要理会，我们从不索要口令和验证码。\n" +
	"需要核实、协助调查，请拨打 400-666-3999。"

// leakWarnings answer a secret that was typed into the chat.
var leakWarnings = map[string]string{
	"pin":       "请不要在聊天里发送密码或口令。刚才的内容我们没有保存，建议尽快改掉它，并删除这条消息。任何人向您索要口令都是诈骗。",
	"code":      "请不要把验证码发给任何人。现在没有等待验证的操作，这个验证码我们没有使用也没有保存。需要绑定请回复「绑定」。",
	"id":        "请不要在聊天里发送证件号码，刚才的内容我们没有保存。证件信息只需在办理页面填写。",
	"bank_card": "请不要在聊天里发送银行卡号，刚才的内容我们没有保存。付款只在支付页面完成。",
}

// advice answers the intents that need no data of the person.
var advice = map[intent.Intent]string{
	intent.NewPurchase:    "新办证书：选择招标项目 → 填写单位与经办人信息、上传执照和授权书 → 支付 → 审核 → 3 个工作日内寄出 UKEY。\n<a href=\"{portal}/\">开始办理</a>",
	intent.Price:          "价格按招标项目和年限计算，在产品页填写时会实时显示应付金额，提交前不会扣款。\n<a href=\"{portal}/\">查看产品与价格</a>",
	intent.Material:       "请准备：\n· 营业执照（彩色照片）\n· 经办人身份证正反面\n· 授权书：办理页面下载，打印后加盖实体公章，彩色拍照\n图片为 jpg、jpeg 或 png，每张不超过 8M，四角完整、无反光。港澳台或外籍人员请在证件类型中选择对应证件。\n<a href=\"{portal}/\">开始办理</a>",
	intent.SLATime:        "资料合格后 3 个工作日内寄出 UKEY；工作日 17:30 之后或节假日提交的，从下一个工作日算起。审核、发货和人工客服都在工作日 9:00–17:30。\n绑定手机号后回复「我的订单」，可以看到您这笔的预计日期。",
	intent.Renew:          "证书到期前不足 30 天可以更新，过期后 90 天内仍可更新，超过则需重新办理。更新前请确认没有已上传、还没开标的投标文件。\n在「我的证书」点击更新提交申请，审核通过后插好 UKEY 完成。\n<a href=\"{portal}/certificates\">我的证书</a>",
	intent.CertExpiry:     "有效期可以在「我的证书」查看。到期前不足 30 天、或过期不超过 90 天可以更新；再晚需要重新办理。\n<a href=\"{portal}/certificates\">我的证书</a>",
	intent.BidSafety:      "先别急着更新：用旧证书加密、还没开标的投标文件，更新或换锁后可能无法解密。\n· 开标日在到期之前：开标后再更新\n· 还没上传标书：先更新，再用新证书制作和上传\n· 已上传且开标在到期之后：通常需要先更新，再重新生成并上传\n拿不准请回复「人工」。",
	intent.Unlock:         "口令输错被锁、忘记口令都可以解锁，证书和密钥不受影响。请不要把口令发给任何人，包括客服。\n在插着 UKEY 的电脑上打开，验证短信后设置新口令：<a href=\"{portal}/unlock\">解锁重设</a>\n电脑不能上网的，把助手显示的 8 位挑战码发给我。\n绑定手机已停用的，请在首页办理审批解锁。",
	intent.SMSCodeProblem: "请检查：① 填写的手机号是否正确、信号是否正常 ② 短信是否被拦截 ③ 验证码 60 秒有效，60 秒后可重新获取，每小时最多 5 次。\n号码已停用或在离职同事手里的，请先换绑：<a href=\"{portal}/handover\">交接换绑</a>",
	intent.LegalRepAuth:   "法定代表人授权有两种方式，在办理页面「授权书」一栏选择：\n· 小程序法定代表人授权：填写法定代表人的手机号，支付后他会收到短信链接，约 2 分钟完成，不需要盖章；短信丢了，他可以打开小程序的「法人授权」，用该手机号登录后办理\n· 纸质授权书：下载已填好的授权书，打印后加盖实体公章，彩色拍照上传\n<a href=\"{portal}/orders\">打开我的订单</a>",
	intent.PayProblem:     "在订单页选择支付方式后扫码支付。二维码过期时，在订单页重新打开支付即可；已付款但仍显示待支付，请稍等一分钟，系统会主动查询；重复支付会自动原路退回。\n<a href=\"{portal}/orders\">打开我的订单</a>",
	intent.Refund:         "还没有提交或还没有付款的，打开订单就可以自己删除。已付款的，制证前可以申请全额退款，款项原路退回，一般 1–3 个工作日到账；已制证的需要先吊销证书。0 元订单无需退款。\n申请退款请回复「人工」，由工作人员为您办理。\n<a href=\"{portal}/orders\">打开我的订单</a>",
	intent.Invoice:        "订单完成后自动开具电子发票（普通发票），抬头默认为单位名称；0 元订单不开发票。下载、补开、更改抬头都在「我的发票」。\n<a href=\"{portal}/invoices\">我的发票</a>",
	intent.LostReissue:    "UKEY 丢失请马上冻结，防止被他人使用：绑定手机号后回复「冻结」，验证短信后立即生效；找到后可以申请恢复。\n损坏的请先换一个 USB 口、换一台电脑试试，也可能只是驱动问题。\n确定找不到或损坏，请在「我的证书」点击补办。\n<a href=\"{portal}/certificates\">我的证书</a>",
	intent.Revoke:         "冻结（挂失）立即生效，以后可以申请恢复；吊销立即生效，永远不可恢复。\n绑定手机号后，回复「冻结」并验证短信就能马上冻结；吊销请在「我的证书」办理。\n<a href=\"{portal}/certificates\">我的证书</a>\n绑定手机已停用的，请拨打 400-666-3999，核对身份后马上处理。",
	intent.RebindUser:     "更换绑定手机号：在「我的证书」点击绑定用户旁的更换，原号码和新号码各验证一次短信即可；以后的验证码发到新号码。\n<a href=\"{portal}/certificates\">我的证书</a>\n原号码已停用或在离职同事手里的，请回复「交接换绑」，凭单位授权书办理。\n只改本公众号绑定的手机号，请回复「绑定 新手机号」。",
	intent.ChangeInfo:     "单位名称、法定代表人或信用代码变更后，证书需要按新信息重新制作；只换新执照、信息没变的不用处理。\n订单还在审核被退回时可直接修改；已制证的请拨打 400-666-3999。",
	intent.ChangeAddress:  "寄出之前可以自己修改收件信息，审核结果不受影响：打开订单，点击修改收件信息。\n<a href=\"{portal}/orders\">打开我的订单</a>",
	intent.UsageHelp:      "请依次检查：① 换一个 USB 口直接插电脑，不用延长线 ② 安装招标平台要求的驱动并重启浏览器 ③ 只插一把 UKEY ④ 关闭其他证书软件 ⑤ 换一台电脑试试。\n仍不行请拨打 400-666-3999。\n<a href=\"{portal}/help\">使用帮助</a>",
	intent.Privacy:        "您的资料只用于证书办理：加密保存，聊天内容隐去号码后只短暂保留；认证资料按《电子签名法》保存至证书失效后五年，未办成的 6 个月内删除。\n保存了什么、保存到什么时候、谁看过，以及下载副本、删除资料和注销账号：\n<a href=\"{portal}/me/data\">我的资料</a>",
	intent.Greeting:       "您好，我是云采盾助手。可以直接问我：\n· 我的订单到哪一步了\n· 快递到哪了\n· 为什么被退回\n也可以回复「人工」。",
	intent.ThanksBye:      "不客气，有需要随时找我。",
	intent.SecurityAlert:  "这个我不能做：订单只有本人能查，审核只能由审核员完成。\n如果是您的 UKEY 被别人拿走或使用，请马上回复「冻结」。有人向您索要验证码、口令，或您收到可疑短信，请不要理会，并拨打 400-666-3999 核实。",
	intent.OutOfScope:     "这个我还不会。我能帮您查订单进度、物流和退回原因，也可以解答证书办理问题。\n可以这样问：「我的订单到哪一步了」，或回复「人工」。",
}

// askedAlone is how somebody asks about a matter again, for whom two at once were
// too many. Each is understood as its intent.
var askedAlone = map[intent.Intent]string{
	intent.OrderStatus: "我的订单", intent.ShippingTrack: "快递到哪了", intent.NewPurchase: "怎么新办证书", intent.Price: "多少钱", intent.Material: "要什么材料",
	intent.SLATime: "几天能办好", intent.Renew: "怎么更新", intent.CertExpiry: "什么时候到期", intent.Unlock: "怎么解锁", intent.SMSCodeProblem: "收不到验证码",
	intent.LegalRepAuth: "法人怎么授权", intent.RejectFix: "为什么被退回", intent.PayProblem: "付不了款", intent.Refund: "我要退款", intent.Invoice: "怎么开发票",
	intent.LostReissue: "丢了怎么补办", intent.Revoke: "怎么吊销", intent.RebindUser: "怎么换绑手机号", intent.ChangeInfo: "单位名称变更", intent.ChangeAddress: "改收货地址",
	intent.UsageHelp: "电脑识别不到UKEY", intent.Privacy: "个人信息怎么保护",
}

// stateMeanings explain a state to somebody who has no order in it.
var stateMeanings = map[string]string{
	"填写中":   "「填写中」表示申请还没有提交，可以随时继续填写。",
	"待支付":   "「待支付」表示已提交、还没有付款，请在 7 天内支付。",
	"待审核":   "「待审核」表示资料已提交，审核员会在工作日处理。",
	"审核拒绝":  "「审核拒绝」表示资料需要修改，改好后重新提交即可，不需要再次付款。",
	"待制证":   "「待制证」表示审核已通过，正在制作 UKEY，您不用操作。",
	"待更新":   "「待更新」表示更新申请已通过，插好 UKEY 后在「我的证书」完成更新。",
	"待恢复":   "「待恢复」表示恢复申请已通过，请在 7 天内完成恢复。",
	"待发货":   "「待发货」就是「待配送」：UKEY 已制作完成，等待寄出或领取，您不用操作。",
	"待配送":   "「待配送」表示 UKEY 已制作完成，等待寄出或领取，您不用操作。",
	"已完成":   "「已完成」表示订单已办结。",
	"已退款":   "「已退款」表示款项已原路退回。",
	"待下载":   "「待下载」表示审核已通过，请在 30 天内插好 UKEY 下载证书。",
	"待解锁":   "「待解锁」表示解锁申请已通过，请在 7 天内插好 UKEY 设置新口令。",
	"待法人授权": "「待法人授权」表示在等法定代表人完成授权。",
	"待受理":   "「待受理」表示资料已提交，等待审核员受理。",
	"审核中":   "「审核中」表示审核员正在核对资料。",
	"待复核":   "「待复核」表示初审已通过，另一位审核员正在复核。",
	"制证中":   "「制证中」表示正在把证书写入 UKEY。",
}

// topics are the matters that somebody may want to be called about, for
// colleagues.
var topics = map[intent.Intent]string{
	intent.OrderStatus: "办理进度", intent.ShippingTrack: "物流", intent.NewPurchase: "新办", intent.Price: "价格", intent.Material: "材料", intent.SLATime: "时效",
	intent.Renew: "更新", intent.CertExpiry: "有效期", intent.BidSafety: "投标与更新", intent.Unlock: "解锁", intent.SMSCodeProblem: "验证码",
	intent.LegalRepAuth: "法人授权", intent.RejectFix: "审核拒绝", intent.PayProblem: "支付", intent.Refund: "退款", intent.Invoice: "发票", intent.LostReissue: "丢失补办",
	intent.Revoke: "冻结吊销", intent.RebindUser: "换绑", intent.ChangeInfo: "信息变更", intent.ChangeAddress: "收件信息", intent.UsageHelp: "使用问题",
	intent.Privacy: "个人信息", intent.Complaint: "投诉", intent.SecurityAlert: "安全",
}
