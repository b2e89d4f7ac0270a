package handlers

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/yuncaidun/yuncaidun/handlers/picture"
	"github.com/yuncaidun/yuncaidun/order"
)

var letterRef = regexp.MustCompile(`name="letter" value="([^"]+)"`)

var pictureAddress = regexp.MustCompile(`/pictures/[^"]+?/small\?until=[^"]+`)

// Reliability 13: what may not be uploaded, over HTTP. The forty hostile files
// are in package picture.
func TestUploadRefused(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.draft()
	good := photo(t)
	for _, tt := range []struct {
		name, file string
		raw        []byte
		status     int
		says       string
	}{
		{"svg", "a.svg", []byte("<svg/>"), 200, "只支持"},
		{"svg called jpg", "a.jpg", []byte("<svg onload=alert(1)/>"), 200, "只支持"},
		{"page called png", "a.png", []byte("<html>"), 200, "只支持"},
		{"photo called html", "a.html", good, 200, "只支持"},
		{"photo without a kind", "photo", good, 200, "只支持"},
		{"path in the name", "../../etc/cron.d/x.jpg", good, 200, "只支持"},
		{"windows path in the name", `..\\..\\x.jpg`, good, 200, "只支持"},
		{"two dots in the name", "a..jpg", good, 200, "只支持"},
		{"photo of a telephone", "IMG_0001.HEIC", []byte("\x00\x00\x00\x18ftypheic"), 200, "兼容性最佳"},
		{"photo of a telephone called jpg", "微信图片.jpg", []byte("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"), 200, "兼容性最佳"},
		{"picture of the web called jpg", "a.jpg", []byte("RIFF\x24\x00\x00\x00WEBPVP8 "), 200, "另存为 jpg"},
		{"scan called jpg", "a.jpg", []byte("%PDF-1.7\n"), 200, "导出为图片"},
		{"gif", "a.gif", []byte("GIF89a"), 200, "另存为 jpg"},
		{"scan", "a.pdf", []byte("%PDF-1.4"), 200, "导出为图片"},
		{"jpeg of windows", "a.jfif", good, 200, "改为 .jpg"},
		{"nothing in it", "a.jpg", nil, 200, "是空的"},
		{"cut short", "a.jpg", good[:len(good)/2], 200, "已损坏"},
		{"script behind", "a.jpg", append(bytes.Clone(good), "<script>"...), 200, "夹带"},
		{"one byte over 8 MiB", "a.jpg", append(bytes.Clone(good), make([]byte, picture.MaxBytes+1-len(good))...), http.StatusRequestEntityTooLarge, "8M"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.upload(path+"/pictures/license", tt.file, tt.raw)
			if a.Status != tt.status || !strings.Contains(a.Body, tt.says) {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if b.order(path).Form.Get("license") != "" {
				t.Error("the draft has a picture")
			}
		})
	}
	if a := b.upload(path+"/pictures/org.name", "a.jpg", good); a.Status != http.StatusNotFound {
		t.Errorf("a picture for a text field: %d", a.Status)
	}
	if a := b.upload(path+"/pictures/license", "a.jpg", append(bytes.Clone(good), make([]byte, picture.MaxBytes-len(good))...)); a.Status != 200 || strings.Contains(a.Body, "role=\"alert\"") {
		t.Errorf("exactly 8 MiB: %d %s", a.Status, a.Body) // F34
	}
	if a := b.upload(path+"/pictures/license", "照片 1.PNG", good); a.Status != 200 || strings.Contains(a.Body, "role=\"alert\"") {
		t.Errorf("a Chinese name: %d %s", a.Status, a.Body)
	}
}

// F35, flows.md 4.4: a picture that cannot be read is taken, with a warning that names the
// reason for which it would be sent back.
func TestUnreadablePicture(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.draft()
	for field, reason := range map[string]string{"id.front": "身份证正面模糊", "id.back": "身份证反面模糊", "license": "营业执照模糊、反光或缺角", "letter": "授权书公章不清晰或不完整"} {
		a := b.upload(path+"/pictures/"+field, "a.jpg", fog(t))
		wantIn(t, field, a.Body, `role="status">照片有些模糊，小字可能看不清。建议对准拿稳后重拍，以免因“`+reason+`”被退回`)
		if b.order(path).Form.Get(order.Field(field)) == "" {
			t.Errorf("%s: the draft has no picture", field)
		}
	}
}

// Reliability 13: a body beyond the limit is refused by its length alone; the
// server answers without waiting for it.
func TestBodyBeyondLimitIsNotRead(t *testing.T) {
	w := newWeb(t)
	if got := w.App.Config().BodyLimit; got != bodyLimit || got > picture.MaxBytes+1<<20 {
		t.Errorf("body limit %d", got)
	}
	conn := w.dial(t)
	if _, err := conn.Write([]byte("POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999\r\n\r\n--b")); err != nil {
		t.Fatal(err)
	}
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 413") {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

// rules.md §3.2, reliability 14: a picture is seen only through its signed
// address, for five minutes, with a watermark, as a download that cannot run.
func TestPictureViews(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.draft()
	address := strings.ReplaceAll(pictureAddress.FindString(b.upload(path+"/pictures/license", "a.jpg", photo(t)).Body), "&amp;", "&")
	a := w.browser().get(address)
	if a.Status != 200 || a.Header.Get("Content-Type") != "image/jpeg" || !strings.HasPrefix(a.Header.Get("Content-Disposition"), "attachment") ||
		a.Header.Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	kept, err := w.Objects.Get(t.Context(), strings.Split(address, "/")[3])
	must(t, err)
	if bytes.Equal(kept, []byte(a.Body)) {
		t.Error("no watermark")
	}
	for name, bad := range map[string]string{
		"without signature": strings.Split(address, "&")[0],
		"another size":      strings.Replace(address, "/small", "/large", 1),
		"another order":     strings.Replace(address, strings.TrimPrefix(path, "/orders/"), newID(), 1),
		"longer life":       strings.Replace(address, "until=", "until=z", 1),
		"no address":        strings.Split(address, "?")[0],
	} {
		if a := b.get(bad); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	first := b.order(path).Form.Get("license")
	b.upload(path+"/pictures/license", "b.jpg", photo(t))
	if _, err := w.Objects.Get(t.Context(), first); !errors.Is(err, order.NotFound) {
		t.Errorf("the replaced picture of a draft: %v", err)
	}
	w.clock.advance(pictureLife)
	if a := b.get(address); a.Status != http.StatusNotFound {
		t.Errorf("after five minutes: %d", a.Status)
	}
}

var (
	pollAddress = regexp.MustCompile(`/orders/[^"]+/phone/[^"]+`)
	trigger     = "Hx-Trigger"
)

// F25, F26: a photo taken with a phone that has no login appears on the page;
// the code works once, for its field and for ten minutes.
func TestPhoneUpload(t *testing.T) {
	w := newWeb(t)
	pc := w.browser()
	path := pc.draft()
	offer := func() (poll, link string) {
		a := pc.post(path+"/phone/id.front", nil, "HX-Request", "true", csrfHeader, pc.csrf)
		for _, m := range pollAddress.FindAllString(a.Body, -1) {
			if strings.Count(m, "/") == 5 {
				poll = m
			}
		}
		if poll == "" || !strings.Contains(a.Body, "data:image/png;base64,") {
			t.Fatalf("offer: %d %s", a.Status, a.Body)
		}
		token, _, _ := strings.Cut(poll[strings.LastIndex(poll, "/")+1:], ".")
		return poll, "/u/" + token
	}
	poll, link := offer()
	if a := pc.get(poll); a.Status != http.StatusNoContent {
		t.Errorf("waiting: %d %s", a.Status, a.Body)
	}
	phone := w.browser()
	if a := phone.get(link); !strings.Contains(a.Body, "上传身份证正面") {
		t.Errorf("phone page: %d %s", a.Status, a.Body)
	}
	if a := phone.upload(link, "a.gif", []byte("GIF89a")); a.Status != http.StatusUnprocessableEntity {
		t.Errorf("a bad photo: %d", a.Status)
	}
	wantIn(t, "phone", phone.upload(link, "a.jpg", fog(t)).Body, "上传成功", "照片有些模糊")
	if a := phone.upload(link, "a.jpg", photo(t)); a.Status != http.StatusConflict || !strings.Contains(a.Body, "照片已经收到") {
		t.Errorf("the second photo: %d %s", a.Status, a.Body)
	}
	if a := phone.get(link); a.Status != http.StatusOK || !strings.Contains(a.Body, "上传成功") {
		t.Errorf("the page once more: %d %s", a.Status, a.Body)
	}
	if a := pc.get(poll); a.Status != 200 || a.Header.Get(trigger) != "picture-ready" || !pictureAddress.MatchString(a.Body) || !strings.Contains(a.Body, "照片有些模糊") {
		t.Errorf("after the photo: %d %s", a.Status, a.Body)
	}
	if pc.order(path).Form.Get("id.front") == "" {
		t.Error("the draft has no picture")
	}
	mine := phone.draft() // who was sent the code has no way to the photo through a draft of his own
	for _, guess := range []string{poll[strings.LastIndex(poll, "/"):], strings.TrimPrefix(link, "/u")} {
		if a := phone.get(mine + "/phone/id.front" + guess); a.Status != http.StatusNotFound || pictureAddress.MatchString(a.Body) {
			t.Errorf("in somebody else's draft: %d %s", a.Status, a.Body)
		}
	}
	_, late := offer()
	w.clock.advance(uploadLife)
	if a := phone.get(late); a.Status != http.StatusNotFound {
		t.Errorf("after ten minutes: %d", a.Status)
	}
}

// An order that is being put right takes only pictures that were uploaded for it
// and for this field.
func TestPictureReferencesAreSigned(t *testing.T) {
	w := newWeb(t)
	alice, bob := w.browser(), w.browser()
	theirs := alice.draft()
	alice.upload(theirs+"/pictures/license", "a.jpg", photo(t))
	object := alice.order(theirs).Form.Get("license")
	mine := bob.rejected()
	was := bob.order(mine).Form.Get("license")
	bob.get(mine + "/edit")
	for name, ref := range map[string]string{
		"bare id":       object,
		"another order": w.pictureRef(alice.order(theirs).ID, "license", object),
		"another field": w.pictureRef(bob.order(mine).ID, "letter", object),
	} {
		form := filledForm()
		form.Set("license", ref)
		form.Set("do", "auto")
		if a := bob.post(mine+"/form", form, "HX-Request", "true", "X-Changed", "id.type"); strings.Contains(a.Body, object) {
			t.Errorf("%s: taken", name)
		}
	}
	form := filledForm()
	form.Set("license", object)
	form.Set("do", "submit")
	if a := bob.post(mine+"/form", form); a.location() != mine || bob.order(mine).Form.Get("license") != was {
		t.Errorf("resubmit: %d", a.Status)
	}
}

// Pictures that arrive while the form saves itself are not lost.
func TestUploadsWhileSaving(t *testing.T) {
	w := newWeb(t)
	b := w.browser()
	path := b.draft()
	raw := photo(t)
	var wg sync.WaitGroup
	for _, f := range imageFields {
		wg.Go(func() { b.upload(path+"/pictures/"+f, "a.jpg", raw) })
		wg.Go(func() {
			for range 5 {
				form := filledForm()
				form.Set("do", "auto")
				b.post(path+"/form", form, "HX-Request", "true")
			}
		})
	}
	wg.Wait()
	for _, f := range imageFields {
		if b.order(path).Form.Get(order.Field(f)) == "" {
			t.Errorf("%s is lost", f)
		}
	}
}
