package identity

// Industry is a section (门类) of GB/T 4754-2017.
type Industry struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// Industries lists the 20 sections. Those that bidders mostly belong to come
// first, the rest in the standard's order.
var Industries = []Industry{
	{"C", "制造业"},
	{"E", "建筑业"},
	{"F", "批发和零售业"},
	{"I", "信息传输、软件和信息技术服务业"},
	{"L", "租赁和商务服务业"},
	{"M", "科学研究和技术服务业"},
	{"A", "农、林、牧、渔业"},
	{"B", "采矿业"},
	{"D", "电力、热力、燃气及水生产和供应业"},
	{"G", "交通运输、仓储和邮政业"},
	{"H", "住宿和餐饮业"},
	{"J", "金融业"},
	{"K", "房地产业"},
	{"N", "水利、环境和公共设施管理业"},
	{"O", "居民服务、修理和其他服务业"},
	{"P", "教育"},
	{"Q", "卫生和社会工作"},
	{"R", "文化、体育和娱乐业"},
	{"S", "公共管理、社会保障和社会组织"},
	{"T", "国际组织"},
}
