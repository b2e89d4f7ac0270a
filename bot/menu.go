package bot

import "github.com/yuncaidun/yuncaidun/bot/intent"

// Button is one entry of the official account's menu: with Sub a column, else
// with Key a click that the bot answers, or with URL a page.
type Button struct {
	Name string
	Key  string
	URL  string
	Sub  []Button
}

// StaffTag is the tag of followers who get the staff's menu.
const StaffTag = "工作人员"

// Menu is the menu of flows 4.3: at most three columns of four characters, five
// entries of seven.
func Menu(publicURL string) []Button {
	return []Button{business(publicURL), progress(publicURL), help(publicURL)}
}

// StaffMenu is the menu of staff: their desk instead of the first column.
func StaffMenu(publicURL string) []Button {
	desk := Button{Name: "审核台", Sub: []Button{
		{Name: "待办列表", Key: MenuTasks},
		{Name: "超时任务", Key: MenuOverdue},
		{Name: "制证任务", URL: publicURL + "/staff/making"},
		{Name: "今日统计", Key: MenuStatistics},
		{Name: "免打扰", Key: MenuQuiet},
	}}
	return []Button{desk, progress(publicURL), help(publicURL)}
}

func business(publicURL string) Button {
	return Button{Name: "办业务", Sub: []Button{
		{Name: "新办证书", URL: publicURL + "/"},
		{Name: "更新续期", Key: MenuRenew},
		{Name: "解锁重设", Key: MenuUnlock},
		{Name: "丢失补办", Key: MenuLost},
		{Name: "法人授权", Key: MenuLegal},
	}}
}

func progress(publicURL string) Button {
	return Button{Name: "查进度", Sub: []Button{
		{Name: "我的订单", Key: MenuOrders},
		{Name: "我的证书", URL: publicURL + "/certificates"},
		{Name: "物流查询", Key: MenuShipping},
		{Name: "我的发票", URL: publicURL + "/invoices"},
		{Name: "待我处理", Key: MenuTodo},
	}}
}

func help(publicURL string) Button {
	return Button{Name: "帮助", Sub: []Button{
		{Name: "常见问题", URL: publicURL + "/help"},
		{Name: "驱动与检测", Key: MenuDriver},
		{Name: "换绑与变更", Key: MenuRebind},
		{Name: "挂失冻结", Key: MenuFreeze},
		{Name: "人工客服", Key: MenuHuman},
	}}
}

// The keys of the menu's click buttons.
const (
	MenuOrders     = "orders"
	MenuShipping   = "shipping"
	MenuHuman      = "human"
	MenuTodo       = "todo"
	MenuRenew      = "renew"
	MenuUnlock     = "unlock"
	MenuLost       = "lost"
	MenuLegal      = "legal"
	MenuDriver     = "driver"
	MenuRebind     = "rebind"
	MenuFreeze     = "freeze"
	MenuTasks      = "tasks"
	MenuOverdue    = "overdue"
	MenuStatistics = "statistics"
	MenuQuiet      = "quiet"
)

// clicks are what the buttons mean: the words somebody would write instead, and
// how they are to be understood.
var clicks = map[string]struct {
	words string
	meant intent.Intent
}{
	MenuOrders:     {"我的订单", intent.OrderStatus},
	MenuShipping:   {"快递到哪了", intent.ShippingTrack},
	MenuHuman:      {"人工", intent.HumanAgent},
	MenuRenew:      {"证书更新续期", intent.Renew},
	MenuUnlock:     {"解锁", intent.Unlock},
	MenuLost:       {"锁丢了补办", intent.LostReissue},
	MenuLegal:      {"法人授权", intent.LegalRepAuth},
	MenuDriver:     {"驱动安装", intent.UsageHelp},
	MenuRebind:     {"换绑手机号", intent.RebindUser},
	MenuFreeze:     {"挂失冻结", intent.Revoke},
	MenuTasks:      {"待办列表", intent.StaffQueue},
	MenuOverdue:    {"超时任务", intent.StaffQueue},
	MenuStatistics: {"今日统计", intent.StaffQueue},
	MenuQuiet:      {"免打扰", intent.StaffQueue},
}
