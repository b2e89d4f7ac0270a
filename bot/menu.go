package bot

import "github.com/yuncaidun/yuncaidun/bot/intent"

// Button is one entry of the official account's menu: with Sub a column, else
// with Page a page of the mini-program (and URL for a WeChat too old for it),
// with Key a click that the bot answers, or with URL alone a page of the portal.
type Button struct {
	Name string
	Key  string
	URL  string
	Page string
	Sub  []Button
}

// StaffTag is the tag of followers who get the staff's menu.
const StaffTag = "工作人员"

// Menus are the menus of flows 4.3: at most three columns of four characters, five
// entries of seven. Without a mini-program its entries are clicks or pages of the
// portal, as before there was one.
type Menus struct {
	PublicURL   string
	MiniProgram bool
}

// Common is what everybody sees.
func (m Menus) Common() []Button {
	return []Button{m.business(), m.progress(), m.help()}
}

// Staff is what staff see: their desk instead of the first column.
func (m Menus) Staff() []Button {
	desk := Button{Name: "审核台", Sub: []Button{
		{Name: "待办列表", Key: MenuTasks},
		{Name: "超时任务", Key: MenuOverdue},
		{Name: "制证任务", URL: m.PublicURL + "/staff/making"},
		{Name: "今日统计", Key: MenuStatistics},
		{Name: "免打扰", Key: MenuQuiet},
	}}
	return []Button{desk, m.progress(), m.help()}
}

func (m Menus) business() Button {
	return Button{Name: "办业务", Sub: []Button{
		m.mini("新办证书", "pages/home/index", "", "/"),
		m.mini("更新续期", "pages/guide/index?of=renew", MenuRenew, "/certificates"),
		m.mini("解锁重设", "pages/guide/index?of=unlock", MenuUnlock, "/unlock"),
		m.mini("丢失补办", "pages/certificates/index", MenuLost, "/certificates"),
		m.mini("法人授权", "pages/auth/index", MenuLegal, "/help"),
	}}
}

func (m Menus) progress() Button {
	return Button{Name: "查进度", Sub: []Button{
		{Name: "我的订单", Key: MenuOrders},
		m.mini("我的证书", "pages/certificates/index", "", "/certificates"),
		{Name: "物流查询", Key: MenuShipping},
		m.mini("我的发票", "pages/invoices/index", "", "/invoices"),
		{Name: todoName, Key: MenuTodo},
	}}
}

func (m Menus) help() Button {
	return Button{Name: "帮助", Sub: []Button{
		{Name: "常见问题", URL: m.PublicURL + "/help"},
		{Name: "驱动与检测", Key: MenuDriver},
		{Name: "换绑与变更", Key: MenuRebind},
		{Name: "挂失冻结", Key: MenuFreeze},
		{Name: "人工客服", Key: MenuHuman},
	}}
}

// mini opens a page of the mini-program, path of the portal where WeChat is too old;
// without a mini-program it is the click, or path when there is none.
func (m Menus) mini(name, page, key, path string) Button {
	switch {
	case m.MiniProgram:
		return Button{Name: name, Page: page, URL: m.PublicURL + path}
	case key != "":
		return Button{Name: name, Key: key}
	default:
		return Button{Name: name, URL: m.PublicURL + path}
	}
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

// todoName is the entry that is no wish of anybody's: typed, it does what the click does.
const todoName = "待我处理"

// nouns are messages that name a thing and no wish, as the menu and the portal do, and
// what people who write no more want with it. A recogniser of wishes can only guess.
var nouns = map[string]intent.Intent{
	"我的证书": intent.CertExpiry, "证书": intent.CertExpiry, "查证书": intent.CertExpiry, "证书查询": intent.CertExpiry,
	"我的UKEY": intent.CertExpiry, "UKEY": intent.CertExpiry, "我的U盾": intent.CertExpiry, "U盾": intent.CertExpiry, "我的锁": intent.CertExpiry,
	"常见问题": intent.UsageHelp,
}

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
