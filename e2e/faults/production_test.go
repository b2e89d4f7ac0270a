package faults

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/provider/pay"
	"github.com/yuncaidun/yuncaidun/provider/sim"
	"github.com/yuncaidun/yuncaidun/store/storetest"
	"github.com/yuncaidun/yuncaidun/templates/notice"
)

const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// production is an installation as an operator makes it: a database, a Redis, one
// folder, a secret per file. The providers are simulators in this test process.
type production struct {
	dir, dsn, publicURL string
	watch               string // where its web says whether it is ready
	redis               *redisServer
	env                 []string
	secrets             secrets
	clear               []string // values that must never be seen
	sim                 world
}

// newProduction writes everything that an operator provides. listen is the
// address that browsers and providers reach.
func newProduction(t *testing.T, dsn, publicURL string) *production {
	t.Helper()
	p := &production{dir: t.TempDir(), dsn: dsn, publicURL: publicURL, redis: newRedis(t), watch: freeAddress(t)}
	merchant, platform := newKey(t), newKey(t)
	aesKey := strings.TrimRight(base64.StdEncoding.EncodeToString(random(32)), "=")
	files := map[string]string{
		"DATABASE_URL": dsn, "REDIS_URL": p.redis.url(), "PII_KEY": base64.StdEncoding.EncodeToString(random(32)), "PII_INDEX_KEY": base64.StdEncoding.EncodeToString(random(32)),
		"HSM_PIN": text(8), "WECHAT_APP_SECRET": text(16), "WECHAT_TOKEN": text(16), "WECHAT_AES_KEY": aesKey, "MINIPROGRAM_APP_SECRET": text(16),
		"WECHATPAY_PRIVATE_KEY": privatePEM(t, merchant), "WECHATPAY_PUBLIC_KEY": publicPEM(t, platform), "WECHATPAY_API_V3_KEY": text(16),
		"SMS_SECRET_ID": text(16), "SMS_SECRET_KEY": text(16), "REALNAME_SECRET_ID": text(16), "REALNAME_SECRET_KEY": text(16),
		"INVOICE_APP_SECRET": text(16),
		"COURIER_KEY":        text(16), "COURIER_SALT": text(16),
	}
	if err := os.Mkdir(filepath.Join(p.dir, "secrets"), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, value := range files {
		p.env = append(p.env, "YCD_"+name+"_FILE="+write("secrets/"+name, value+"\n"))
		if name != "DATABASE_URL" && name != "REDIS_URL" && name != "WECHATPAY_PUBLIC_KEY" {
			p.clear = append(p.clear, value)
		}
	}
	smsTemplates, smsIDs := ids(notice.SMSTemplates(), 1000)
	wechatTemplates, wechatIDs := ids(notice.WeChatTemplates(), 5000)

	var handler http.Handler // made below: it has to know its own address
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	p.sim = world(server.URL)
	cfg := sim.Config{
		ProductURL: publicURL, PublicURL: publicURL,
		WeChat:   sim.WeChat{AppID: "wx1", AppSecret: files["WECHAT_APP_SECRET"], Token: files["WECHAT_TOKEN"], EncodingAESKey: aesKey, OriginalID: "gh_1", Templates: map[string]sim.Template{}},
		Pay:      sim.Pay{MchID: "1900000001", AppID: "wx1", APIv3Key: files["WECHATPAY_API_V3_KEY"], MerchantSerial: "0A", MerchantKey: &merchant.PublicKey, PlatformKeyID: "PUB_KEY_ID_1", PlatformKey: platform},
		SMS:      sim.SMS{SecretID: files["SMS_SECRET_ID"], SecretKey: files["SMS_SECRET_KEY"], SdkAppID: "1400000001", SignName: "某某", Templates: map[string]string{}},
		Courier:  sim.Courier{Key: files["COURIER_KEY"]},
		FaceID:   sim.FaceID{SecretID: files["REALNAME_SECRET_ID"], SecretKey: files["REALNAME_SECRET_KEY"]},
		Golden:   sim.Golden{AppKey: "gd_1", AppSecret: files["INVOICE_APP_SECRET"], SellerTaxNo: "91110108MA00TEN18F", SellerName: "某某电子认证有限公司"},
		Personas: []sim.Persona{{Name: agent, Role: sim.Applicant, OpenID: "oApplicant", UnionID: "uApplicant", Mobile: mobile, IDNumber: idNumber}},
	}
	for name, id := range smsIDs {
		cfg.SMS.Templates[id] = notice.SMSTemplates()[name]
	}
	for name, id := range wechatIDs {
		cfg.WeChat.Templates[id] = sim.Template{Title: notice.WeChatTemplates()[name][0], Content: notice.WeChatTemplates()[name][1]}
	}
	simulators, err := sim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	handler = simulators
	t.Cleanup(func() {
		server.Close()
		if err := simulators.Close(); err != nil {
			t.Error(err)
		}
	})

	const playground = "/playground/"
	p.env = append(p.env,
		"YCD_ENV=production", "YCD_PUBLIC_URL="+publicURL, "YCD_WATCH_LISTEN="+p.watch, "YCD_DATA_DIR="+p.dir, "YCD_CA_NAME=某某电子认证有限公司", "YCD_CA_POLICY_OID=1.2.156.1.2.3",
		"YCD_CATALOGUE="+write("on-offer.json", string(order.SeededCatalogue())), "YCD_HSM_MODULE="+softHSM, "YCD_TOKEN_MODULE="+softHSM,
		"YCD_WECHAT_APP_ID=wx1", "YCD_WECHAT_ORIGINAL_ID=gh_1", "YCD_MINIPROGRAM_APP_ID=wx2",
		"YCD_WECHATPAY_MCH_ID=1900000001", "YCD_WECHATPAY_CERT_SERIAL=0A", "YCD_WECHATPAY_PUBLIC_KEY_ID=PUB_KEY_ID_1",
		"YCD_INVOICE_APP_KEY=gd_1", "YCD_INVOICE_SELLER_TAX_NO=91110108MA00TEN18F", "YCD_INVOICE_TYPE_CODE=082", "YCD_INVOICE_TAX_CODE=3040203000000000000",
		"YCD_INVOICE_BASE_URL="+server.URL+playground+"apigw.goldentec.com", "YCD_SMS_SDK_APP_ID=1400000001", "YCD_SMS_SIGN_NAME=某某", "YCD_SMS_TEMPLATES="+smsTemplates, "YCD_WECHAT_TEMPLATES="+wechatTemplates,
		"YCD_WECHAT_SUBSCRIPTIONS="+wechatTemplates, "YCD_MINIPROGRAM_SUBSCRIPTIONS="+wechatTemplates,
		"YCD_WECHAT_BASE_URL="+server.URL+playground+"api.weixin.qq.com", "YCD_WECHAT_OPEN_URL="+server.URL+playground+"open.weixin.qq.com",
		"YCD_WECHAT_MP_URL="+server.URL+playground+"mp.weixin.qq.com", "YCD_WECHATPAY_BASE_URL="+server.URL+playground+"api.mch.weixin.qq.com",
		"YCD_SMS_BASE_URL="+server.URL+playground+"sms.tencentcloudapi.com", "YCD_REALNAME_BASE_URL="+server.URL+playground+"faceid.tencentcloudapi.com",
		"YCD_COURIER_BASE_URL="+server.URL+playground+"poll.kuaidi100.com",
	)
	p.secrets = secrets{piiKey: unbase64(t, files["PII_KEY"]), piiIndexKey: unbase64(t, files["PII_INDEX_KEY"]), merchant: pay.WeChatConfig{
		AppID: "wx1", MchID: "1900000001", CertSerial: "0A", PrivateKey: files["WECHATPAY_PRIVATE_KEY"], PublicKeyID: "PUB_KEY_ID_1",
		PublicKey: files["WECHATPAY_PUBLIC_KEY"], APIv3Key: files["WECHATPAY_API_V3_KEY"], NotifyURL: publicURL + "/callbacks/wechatpay",
		BaseURL: server.URL + playground + "api.mch.weixin.qq.com",
	}}

	tokens := filepath.Join(p.dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "SOFTHSM2_CONF="+write("softhsm2.conf", "directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"))
	return p
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func text(n int) string { return fmt.Sprintf("%x", random(n)) }

// ids gives templates the ids that a provider would, and writes them as a setting.
func ids[T any](templates map[string]T, from int) (setting string, byName map[string]string) {
	byName = map[string]string{}
	var pairs []string
	for i, name := range slices.Sorted(maps.Keys(templates)) {
		byName[name] = strconv.Itoa(from + i)
		pairs = append(pairs, name+"="+byName[name])
	}
	return strings.Join(pairs, ","), byName
}

// install does what an operator does once, with the environment of a process, and
// opens the office.
func (p *production) install(t *testing.T, with *process) *office {
	t.Helper()
	with.must(t, "keyset", "init")
	with.must(t, "ca", "init")
	if code, out := with.run(t, "serve", "--roles", with.roles); code != 2 || !strings.Contains(out, "yuncaidun migrate") {
		t.Errorf("serve on an empty database exited with %d: %s", code, out)
	}
	with.must(t, "migrate")
	for i, roles := range []string{"reviewer", "issuer", "shipper"} {
		out := with.must(t, "staff", "add", "--name", "员工"+roles, "--mobile", fmt.Sprintf("1380000010%d", i), "--roles", roles)
		secret := regexp.MustCompile(`TOTP secret \(shown once\): ([A-Z2-7]+)`).FindStringSubmatch(out)
		if secret == nil {
			t.Fatalf("staff add said %q", out)
		}
		p.clear = append(p.clear, secret[1], fmt.Sprintf("1380000010%d", i))
	}
	p.secrets.keyset = readFile(t, filepath.Join(p.dir, "pii-keyset.json"))
	return openOffice(t, p.dsn, p.secrets, p.sim)
}

// Architecture §1: the web, the jobs and the issuer are three processes on one
// PostgreSQL and one Redis; together they take an order from the payment to the
// parcel. Architecture §2: production creates nothing and has no playground.
func TestProductionRolesShareTheWork(t *testing.T) {
	t.Parallel()
	web := newProcess(t, shipped, "web")
	p := newProduction(t, storetest.EmptyPostgres(t), web.url)
	web.env, web.watch = append(web.env, p.env...), "http://"+p.watch
	jobs, issuer := newProcess(t, shipped, "jobs", p.env...), newProcess(t, shipped, "issuer", issuerOnly(p.env)...)

	// Before the operator has made anything there is nothing to serve with.
	before := tree(t, p.dir)
	code, out := web.run(t, "serve")
	if code != 2 || !strings.Contains(out, "pii-keyset.json is missing") || !strings.Contains(out, "ca is missing") {
		t.Errorf("serve on nothing exited with %d: %s", code, out)
	}
	if after := tree(t, p.dir); !slices.Equal(before, after) {
		t.Errorf("production made %v from %v", after, before)
	}

	f := p.install(t, web)
	if code, out := web.run(t, "keyset", "init"); code != 1 || !strings.Contains(out, "keyset rotate") {
		t.Errorf("a second keyset init exited with %d: %s", code, out)
	}
	for _, process := range []*process{web, jobs, issuer} {
		process.start(t)
	}
	if code, out := web.run(t, "health"); code != 0 {
		t.Errorf("health exited with %d: %s", code, out)
	}
	for _, path := range []string{"/playground", "/playground/", "/playground/control/state", "/readyz", "/metrics"} { // the last two are for who operates it
		if status, _, _, err := get(web.url + path); err != nil || status != http.StatusNotFound {
			t.Errorf("%s is %d %v in production", path, status, err)
		}
	}
	for _, process := range []*process{jobs, issuer} { // health and nothing else
		if status, _, _, err := get(process.url + "/login"); err != nil || status != http.StatusNotFound {
			t.Errorf("the login at %s: %d %v", process.roles, status, err)
		}
	}

	// Two keys for one customer, who pays in the portal.
	id := f.mustPlace(t, 2)
	v := newVisitor(web.url)
	code6 := v.signIn(t, p.sim, mobile)
	if a, err := v.open("/orders/" + string(id) + "/pay"); err != nil || a.status != http.StatusOK {
		t.Fatalf("payment page: %d %v", a.status, err)
	}
	if a, err := v.post("/orders/"+string(id)+"/pay", url.Values{}); err != nil || a.status != http.StatusSeeOther {
		t.Fatalf("paying: %d %v", a.status, err)
	}
	if err := p.sim.pay(p.sim.trades(t)[0].CodeURL); err != nil {
		t.Fatal(err)
	}
	f.workUntil(t, 30*time.Second, order.ToIssue, id)

	// YCD_STATION_AUTO is off in production: the issuer's staff start the keys.
	f.idle(t)
	items, err := f.db.Items(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if it.Stage != order.ItemWaiting {
			t.Errorf("key %d is %s before anybody started it", it.N, it.Stage)
		}
		if _, err := f.Apply(t.Context(), id, order.Command{On: order.MakeKey, By: f.staff[order.Issuer], Item: it.ID}); err != nil {
			t.Fatal(err)
		}
	}
	f.workUntil(t, 60*time.Second, order.Completed, id)
	f.intact(t, id)

	if a, err := v.open("/orders/" + string(id)); err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "已完成") {
		t.Errorf("the order's page: %d %v", a.status, err)
	}
	out = web.must(t, "cert", "list")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 2 {
		t.Errorf("cert list: %q", out)
	}

	// Reliability 22 and 23: nothing personal and no secret in the database, in Redis,
	// on the disk and in the logs, not even of what lives for a minute only.
	secret := append(slices.Clone(p.clear), v.session())
	found(t, "redis", []byte(p.redis.dump(t)), append(slices.Clone(canaries), p.clear...))
	dump, err := exec.CommandContext(t.Context(), filepath.Join(postgresBin(t), "pg_dump"), "--inserts", p.dsn).Output()
	if err != nil {
		t.Fatalf("pg_dump: %v", err)
	}
	// pg_dump writes binary columns in hexadecimal, where no canary would be found.
	dump = regexp.MustCompile(`\\x[0-9a-f]+`).ReplaceAllFunc(dump, func(h []byte) []byte {
		b, err := hex.DecodeString(string(h[2:]))
		if err != nil {
			t.Error(err)
		}
		return b
	})
	if err := os.WriteFile(filepath.Join(p.dir, "dump.sql"), dump, 0o600); err != nil {
		t.Fatal(err)
	}
	grep(t, secret, p.dir, web.log, jobs.log, issuer.log)
	for _, process := range []*process{web, jobs, issuer} {
		found(t, "log of "+process.roles, readFile(t, process.log), []string{code6 + " ", "=" + code6, code6 + "\""})
	}

	// A rotated keyset opens what the old one sealed.
	for _, process := range []*process{web, jobs, issuer} {
		process.stop(t)
	}
	web.must(t, "keyset", "rotate")
	if slices.Equal(readFile(t, filepath.Join(p.dir, "pii-keyset.json")), p.secrets.keyset) {
		t.Error("the keyset is the same after rotating")
	}
	web.start(t)
	if a, err := v.open("/orders/" + string(id)); err != nil || a.status != http.StatusOK || !strings.Contains(a.body, "已完成") {
		t.Errorf("the order's page after rotating: %d %v", a.status, err)
	}
}

// issuerOnly leaves out what the host with the HSM has no business to know.
func issuerOnly(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return slices.ContainsFunc([]string{"YCD_PII", "YCD_CATALOGUE", "YCD_WECHAT", "YCD_SMS", "YCD_REALNAME", "YCD_COURIER", "YCD_MINIPROGRAM"}, func(p string) bool { return strings.HasPrefix(v, p) })
	})
}

// tree lists the files below a folder.
func tree(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Architecture §2: production with nothing set lists every fault at once and exits
// with 2, whatever the role.
func TestProductionListsEveryFault(t *testing.T) {
	t.Parallel()
	common := []string{"YCD_PUBLIC_URL", "YCD_DATABASE_URL", "YCD_REDIS_URL", "YCD_CA_NAME", "YCD_DATA_DIR", "YCD_TYPO"}
	outside := []string{
		"YCD_PII_KEY", "YCD_PII_INDEX_KEY", "YCD_CATALOGUE",
		"YCD_WECHAT_APP_ID", "YCD_WECHAT_APP_SECRET", "YCD_WECHAT_TOKEN", "YCD_WECHAT_AES_KEY", "YCD_WECHAT_TEMPLATES", "YCD_WECHAT_SUBSCRIPTIONS",
		"YCD_MINIPROGRAM_APP_SECRET", "YCD_MINIPROGRAM_SUBSCRIPTIONS",
		"YCD_WECHATPAY_PRIVATE_KEY", "YCD_WECHATPAY_PUBLIC_KEY", "YCD_WECHATPAY_API_V3_KEY", "YCD_SMS_SECRET_KEY", "YCD_SMS_TEMPLATES", "YCD_REALNAME_SECRET_KEY", "YCD_INVOICE_APP_SECRET", "YCD_COURIER_KEY", "YCD_COURIER_SALT",
	}
	hsm := []string{"YCD_CA_POLICY_OID", "YCD_HSM_MODULE", "YCD_HSM_PIN", "YCD_TOKEN_MODULE"}
	for _, tc := range []struct {
		roles         string
		want, wantNot []string
	}{
		{"web,jobs,issuer", slices.Concat(common, outside, hsm), nil},
		{"web", slices.Concat(common, outside), hsm},
		{"issuer", slices.Concat(common, hsm), outside},
	} {
		t.Run(tc.roles, func(t *testing.T) {
			dir := t.TempDir()
			p := newProcess(t, shipped, tc.roles, "YCD_ENV=production", "YCD_DATA_DIR="+dir, "YCD_TYPO=1")
			code, out := p.run(t, "serve", "--roles", tc.roles)
			if code != 2 {
				t.Errorf("exit code %d", code)
			}
			for _, name := range tc.want {
				if !strings.Contains(out, "\n  "+name+": ") {
					t.Errorf("no fault for %s in:\n%s", name, out)
				}
			}
			for _, name := range tc.wantNot {
				if strings.Contains(out, "\n  "+name+": ") {
					t.Errorf("a fault for %s, which %s needs not:\n%s", name, tc.roles, out)
				}
			}
			if made := tree(t, dir); len(made) != 1 {
				t.Errorf("production made %v", made)
			}
		})
	}
}
