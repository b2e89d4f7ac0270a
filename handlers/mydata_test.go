package handlers

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

// rules.md 3.2 (6): what is kept, until when, and who of our staff has seen it.
func TestMyData(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	page := b.paid()
	o := d.order(page)
	must(t, d.service.RecordRealName(t.Context(), o.ID, o.Submission, order.RealNameMatch))
	wantIn(t, "list", b.get("/me/data").Body, "138****8000", o.No, "办理中，办结或关闭后开始计算", "张图片")
	path := "/me/data/" + string(o.ID)
	mine := b.get(path).Body
	wantIn(t, "order", mine, "王*琪", "110***********002X", "没有工作人员查看过")
	wantNotIn(t, "order", mine, agentMobile, "11010519491231002X", "要求删除", "no value")

	li := d.login("李审核")
	review := "/staff/review/" + string(o.ID)
	li.get(review)
	li.post(review+"/unmask", url.Values{"why": {"compare"}})
	wantIn(t, "looks", b.get(path).Body, "审核员", "查看申请内容和图片（号码遮盖，图片带水印）", "查看完整号码：与图片逐字核对")
	if a := b.post(path, url.Values{"sure": {"yes"}, "code": {"000000"}}); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("erased with a wrong code: %d", a.Status)
	}
	if a := b.post(path, url.Values{"sure": {"yes"}, "code": {b.codeFor(path)}}); a.Status != http.StatusConflict {
		t.Errorf("erased while it is open: %d", a.Status)
	}
}

// PIPL, Art. 47: what the law keeps is only kept from the moment its person asks.
func TestErasureOfMyData(t *testing.T) {
	d := newDesk(t).hire()
	b := d.holder()
	id := d.held().OrderID
	o := d.read(id)
	must(t, d.service.RecordRealName(t.Context(), id, o.Submission, order.RealNameMatch))
	d.made(o)
	d.apply(id, order.Command{On: order.Ship, By: d.staff["孙发货"].Actor(order.Shipper, order.Web, "192.0.2.1"), Carrier: "sf", TrackingNo: "SF1234567890123"})
	first := d.items(id)[0]
	must(t, d.db.InTx(t.Context(), func(tx order.Tx) error {
		first.CertSerial = heldSerial
		return tx.UpdateItem(t.Context(), first, first.Stage)
	}))
	path := "/me/data/" + string(id)
	d.login("李审核").get("/staff/review/" + string(id))
	wantNotIn(t, "in force", b.get(path).Body, `id="erase"`)
	b.later(d.held().NotAfter.Sub(d.clock.now()) + 24*time.Hour)
	wantIn(t, "over", b.get(path).Body, `id="erase"`, "《电子签名法》", "依法保存至")
	code := b.codeFor(path)
	if a := b.post(path, url.Values{"code": {code}}); a.Status != http.StatusUnprocessableEntity || !strings.Contains(a.Body, "请先勾选确认") {
		t.Errorf("without the tick: %d", a.Status)
	}
	b.mustPost(path, url.Values{"sure": {"yes"}, "code": {code}}, path)
	wantIn(t, "asked", b.get(path).Body, "已停止使用，到期自动删除", "审核员")
	wantNotIn(t, "asked", b.get(path).Body, `id="erase"`)
	li := d.login("李审核")
	if a := li.get("/staff/review/" + string(id)); a.Status != http.StatusForbidden || !strings.Contains(a.Body, "申请人已要求删除") || strings.Contains(a.Body, "王*琪") {
		t.Errorf("staff after that: %d", a.Status)
	}
	shipper := d.login("孙发货")
	if a := shipper.get("/staff/shipping/" + string(id)); a.Status != http.StatusForbidden {
		t.Errorf("the shipper after that: %d", a.Status)
	}
	if a := shipper.post("/staff/shipping/"+string(id)+"/reveal", nil); a.Status != http.StatusForbidden || strings.Contains(a.Body, agentMobile) {
		t.Errorf("the shipper looks closer: %d", a.Status)
	}
	if a := shipper.get("/staff/shipping?stage=sent"); !strings.Contains(a.Body, string(id)) || strings.Contains(a.Body, "138****8000") {
		t.Errorf("the shipper's list: %d", a.Status)
	}
}

// An account that nothing needs any more is closed: nobody is logged in, and whoever
// comes with the same mobile is somebody new.
func TestAccountIsClosed(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	b.login(agentMobile)
	path := b.draft()
	if page := b.get("/me/close").Body; !strings.Contains(page, "暂时不能注销账号") || strings.Contains(page, `name="code"`) {
		t.Errorf("with a draft:\n%s", page)
	}
	before := w.order(path).PersonID
	b.mustPost(path+"/delete", nil, "/orders")
	b.later(order.FirstLook)
	must(t, w.service.Retain(t.Context()))
	must(t, w.service.Purge(t.Context(), order.ID(strings.TrimPrefix(path, "/orders/"))))
	b.mustPost("/me/close", url.Values{"sure": {"yes"}, "code": {b.codeFor("/me/close")}}, "/")
	if a := b.get("/me"); a.Status == http.StatusOK {
		t.Errorf("still logged in: %d", a.Status)
	}
	again := w.browser()
	w.clock.advance(2 * time.Minute)
	again.login(agentMobile)
	if now := w.order(again.draft()).PersonID; now == before {
		t.Error("the mobile leads to the closed account")
	}
}

// The copy is a locked ZIP that other programs open, with everything that was typed and
// every picture, for its owner alone.
func TestCopyOfMyData(t *testing.T) {
	d := newDesk(t).hire()
	b := d.browser()
	o := d.order(b.paid())
	if a := b.post("/me/copy", url.Values{"sure": {"yes"}, "code": {"000000"}}); a.Status != http.StatusUnprocessableEntity || strings.Contains(a.Body, "压缩包的密码") {
		t.Fatalf("a wrong code: %d", a.Status)
	}
	a := b.post("/me/copy", url.Values{"sure": {"yes"}, "code": {b.codeFor("/me/copy")}})
	link := regexp.MustCompile(`/me/copy/[\w-]+`).FindAllString(a.Body, -1)
	password := regexp.MustCompile(`[a-z0-9]{4}(-[a-z0-9]{4}){3}`).FindString(a.Body)
	if a.Status != http.StatusOK || len(link) == 0 || password == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the right code: %d %v\n%s", a.Status, a.Header, a.Body)
	}
	at := link[len(link)-1]
	stranger := d.browser()
	stranger.login("17712345678")
	if a := stranger.get(at); a.Status != http.StatusNotFound {
		t.Errorf("a stranger's download: %d", a.Status)
	}
	file := b.get(at)
	if file.Status != http.StatusOK || file.Header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(file.Header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("download: %d %v", file.Status, file.Header)
	}
	dir := t.TempDir()
	zip := filepath.Join(dir, "copy.zip")
	must(t, os.WriteFile(zip, []byte(file.Body), 0o600))
	if out, err := exec.CommandContext(t.Context(), "7z", "t", "-pwrong", zip).CombinedOutput(); err == nil {
		t.Errorf("it opens with any password: %s", out)
	}
	if out, err := exec.CommandContext(t.Context(), "7z", "x", "-p"+password, "-o"+dir, zip).CombinedOutput(); err != nil {
		t.Fatalf("7z: %v\n%s", err, out)
	}
	read := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		return string(content)
	}
	wantIn(t, "account", read("账号.json"), agentMobile)
	var form struct {
		No   string `json:"no"`
		Form []struct {
			Name, Label, Value string
			Original           string `json:"original_sha256"`
		}
	}
	must(t, json.Unmarshal([]byte(read(o.No+"/资料.json")), &form))
	values, originals := map[string]string{}, map[string]string{}
	for _, f := range form.Form {
		values[f.Name], originals[f.Name] = f.Value, f.Original
	}
	sent := fmt.Sprintf("%x", sha256.Sum256(photo(t)))
	for name, want := range o.Form.Reveal() {
		spec, _ := name.Spec()
		switch got := values[string(name)]; {
		case want == "":
		case spec.Input == order.Image:
			if jpeg := read(got); !strings.HasPrefix(jpeg, "\xff\xd8") {
				t.Errorf("%s: %q is no JPEG", name, got)
			}
			if originals[string(name)] != sent { // rules §3.2
				t.Errorf("%s: was made of %q, want %q", name, originals[string(name)], sent)
			}
		case got != labelOf(spec, want):
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	wantIn(t, "readme", read("说明.txt"), "个人信息副本")
	wantNotIn(t, "readme", read("说明.txt"), "无法读取")

	b.later(copyLife + time.Minute)
	if a := b.get(at); a.Status != http.StatusNotFound {
		t.Errorf("the link after %s: %d", copyLife, a.Status)
	}
}

const lineTakes = 2500 * time.Millisecond

// slowLine takes two and a half seconds for every write, out of what the deadline leaves.
type slowLine struct {
	net.Conn
	mu     sync.Mutex
	left   time.Duration
	writes int
}

// SetWriteDeadline implements [net.Conn].
func (l *slowLine) SetWriteDeadline(at time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = time.Until(at)
	return nil
}

// Write implements [net.Conn].
func (l *slowLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	l.writes++
	l.left -= lineTakes
	late := l.left < 0
	l.mu.Unlock()
	if late {
		return 0, os.ErrDeadlineExceeded
	}
	return l.Conn.Write(p)
}

// A copy ends when the server stops, before the database closes.
func TestCopyEndsWithTheServer(t *testing.T) {
	s := &Server{closing: make(chan struct{})}
	ctx, cancel := s.untilStop(copyTime)
	defer cancel()
	if ctx.Err() != nil {
		t.Fatal(ctx.Err())
	}
	close(s.closing)
	<-ctx.Done()

	d := newDesk(t).hire()
	close(d.closing)
	if got := copyOver(t, d); strings.Contains(got.body, "PK\x05\x06") { // the end of a ZIP
		t.Errorf("the copy arrived whole: %d bytes in %d writes, %v", len(got.body), got.writes, got.err)
	}
	d.closing = make(chan struct{}) // closed again with the test
}

// A copy that takes longer than other answers may arrives to its end.
func TestCopyOverASlowLine(t *testing.T) {
	got := copyOver(t, newDesk(t).hire())
	if got.err != nil || got.status != http.StatusOK {
		t.Errorf("answered %d, cut off: %v", got.status, got.err)
	}
	if time.Duration(got.writes)*lineTakes <= writeTimeout {
		t.Errorf("only %d writes: this copy is too short to be late", got.writes)
	}
}

// slowCopy is what arrived over a slow line, up to where it was cut off.
type slowCopy struct {
	status, writes int
	body           string
	err            error
}

// copyOver asks for a copy over a slow line.
func copyOver(t *testing.T, d *desk) slowCopy {
	t.Helper()
	b := d.browser()
	b.paid()
	a := b.post("/me/copy", url.Values{"sure": {"yes"}, "code": {b.codeFor("/me/copy")}})
	at := regexp.MustCompile(`/me/copy/[\w-]+`).FindAllString(a.Body, -1)
	if len(at) == 0 {
		t.Fatalf("no link: %d", a.Status)
	}
	client, server := net.Pipe()
	line := &slowLine{Conn: server}
	served := make(chan error, 1)
	go func() {
		served <- d.App.Server().ServeConn(line)
		server.Close()
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:8080"+at[len(at)-1], nil)
	must(t, err)
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	must(t, req.Write(client))
	resp, err := http.ReadResponse(bufio.NewReader(client), req)
	must(t, err)
	body, cut := io.ReadAll(resp.Body)
	resp.Body.Close()
	client.Close()
	<-served
	return slowCopy{resp.StatusCode, line.writes, string(body), cut}
}
