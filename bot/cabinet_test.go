package bot

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// Who asks after a USBKEY is told apart from who fears for it, or wants something of it.
func TestWhoHasIsAsked(t *testing.T) {
	for text, want := range map[string]bool{
		"谁拿着我的U盾":             true,
		"财务那把key在谁手上":         true,
		"U盾借给谁了":              true,
		"我的 ukey 在谁那里？":       true,
		"现在U盾在谁那儿":            true,
		"投标的锁在谁那":             true,
		"UKEY被谁领走了":           true,
		"锁现在谁保管":              true,
		"谁领用了ukey":            true,
		"那把U盾给谁了":             true,
		"我的u盾在哪个同事手里":         true,
		"哪把锁还没还":              true,
		"CA锁借出去了吗":            true,
		"小王拿走的U盾还了吗":          true,
		"借出去的key有哪些":          true,
		"钥匙柜":                 true,
		"查领用登记":               true,
		"谁偷了我的U盾":             false, // an alarm
		"U盾不见了 在谁手上":          false,
		"离职的人手里的key在谁那":       false,
		"把U盾密码给谁了":            false,
		"U盾在哪里买":              false,
		"我的U盾到哪了":             false,
		"ukey寄给谁了 我没收到":       false,
		"这把锁谁能用":              false,
		"U盾给法人还是给经办人":         false,
		"key在手上但是插电脑没反应":      false,
		"证书是谁的名字":             false,
		"订单在谁手上审核":            false,
		"我想把U盾交给同事 要换绑吗":      false,
		"谁拿着身份证都能办吗":          false,
		"U盾什么时候寄出":            false,
		"还有哪把锁要更新":            false,
		"锁还了钱退吗":              false,
		"U盾在谁手上都行吗 能不能借给别家投标": false,
	} {
		if got := whoHas(text); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// No sentence that the recogniser is measured by, or learns from, asks that.
func TestWhoHasTakesNoOtherQuestion(t *testing.T) {
	files, err := filepath.Glob("intent/*/*.tsv")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := csv.NewReader(strings.NewReader(string(file)))
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
		lines, err := r.ReadAll()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, line := range lines {
			if whoHas(line[0]) {
				t.Errorf("%s: %s means %s", name, line[0], line[1])
			}
		}
	}
}

// The bot tells whoever looks after them who has which USBKEY, masked, since when and
// until when; nobody else.
func TestWhoHasIsAnswered(t *testing.T) {
	const ours, second = "TW11782207000188", "TW11782207000299"
	tell(t, "cabinet", func(c *chat, line func(string)) {
		line("谁拿着我的U盾")
		p := c.bind("o-user", applicant)
		line("U盾借给谁了")
		by := order.Actor{Role: order.Applicant, PersonID: p.ID}
		service := c.dialogue.Certs.(*certificate.Service)
		lend := func(token, name, department string, days int) {
			c.Helper()
			end, _ := certificate.LastOf(c.clock.Now().In(order.Shanghai).AddDate(0, 0, days).Format(time.DateOnly))
			c.must(service.Lend(c.Context(), certificate.Loan{Token: token, Borrower: identity.NewPersonName(name), Department: department, Purpose: "三期风电投标", DueAt: end}, by))
		}
		c.certify(p, 1, ours, in(200))
		c.certify(p, 2, second, in(300))
		line("财务那把key在谁手上")
		lend(ours, "欧阳震华", "财务部", 1)
		line("财务那把key在谁手上")
		foreign, err := service.AddForeign(c.Context(), certificate.Foreign{Label: "省交易中心锁", Issuer: "某省 CA", NotAfter: in(400)}, by)
		c.must(err)
		lend(foreign.ID, "赵大山", "", 9)
		c.clock.set(c.clock.Now().Add(72 * time.Hour))
		line("谁拿着我的U盾")
		line("谁偷了我的U盾")
		long := strings.Repeat("新疆达坂城三期风电场", 5)
		for range 6 {
			f, err := service.AddForeign(c.Context(), certificate.Foreign{Label: long, Issuer: "某省 CA", NotAfter: in(400)}, by)
			c.must(err)
			lend(f.ID, "阿卜杜拉·买买提", strings.Repeat("工程", 15), 20)
		}
		line("还有哪几把锁没还")
		if other := c.bind("o-other", "13900139000"); other.ID == p.ID {
			t.Fatal("the same person")
		}
		if said := c.says("o-other", "谁拿着我的U盾"); strings.Contains(said, "财务") || strings.Contains(said, "省交易中心") {
			t.Errorf("somebody else is told: %s", said)
		}
	})
}
