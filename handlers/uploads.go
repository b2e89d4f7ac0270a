package handlers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/skip2/go-qrcode"

	"github.com/yuncaidun/yuncaidun/handlers/picture"
	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) uploadRoutes() {
	s.post("/orders/:id/pictures/:field", Browser, s.upload)
	s.post("/orders/:id/phone/:field", Browser, s.offerPhone)
	s.get("/orders/:id/phone/:field/:ticket", Browser, s.phoneState)
	s.get("/u/:ticket", Ticket, s.phonePage)
	s.post("/u/:ticket", Ticket, s.phoneUpload)
	s.get("/pictures/:order/:object/:size", Ticket, s.showPicture)
}

// pictureView is an image field of the form.
type pictureView struct {
	OrderID  order.ID
	Field    order.Field
	Ref      string // signed reference, what the form posts
	URL      string
	Large    string
	Warnings []string
	Fault    string
	QR       template.URL // shown while a phone is waited for
	Poll     string
}

// pictureRef signs the id of an uploaded picture for one field of one order, so
// that a form can carry it without being able to name any other picture.
func (s *Server) pictureRef(id order.ID, f order.Field, object string) string {
	return object + "." + s.mac("picture", string(id), string(f), object)
}

// pictureOf is the inverse of pictureRef; ok is false for anything else.
func (s *Server) pictureOf(id order.ID, f order.Field, ref string) (object string, ok bool) {
	object, _, _ = strings.Cut(ref, ".")
	return object, object != "" && hmac.Equal([]byte(ref), []byte(s.pictureRef(id, f, object)))
}

func (s *Server) pictureView(id order.ID, f order.Field, object string) pictureView {
	v := pictureView{OrderID: id, Field: f}
	if object != "" {
		v.Ref, v.URL, v.Large = s.pictureRef(id, f, object), s.pictureURL(id, object, sizeSmall), s.pictureURL(id, object, sizeLarge)
	}
	return v
}

// imageField is the image field of the path.
func imageField(c *fiber.Ctx) (order.Field, error) {
	f := order.Field(c.Params("field"))
	if spec, ok := f.Spec(); !ok || spec.Input != order.Image {
		return "", order.Errorf(order.NotFound, "field_not_found", "没有该上传项")
	}
	return f, nil
}

// ownPicture is the caller's order and the image field of the path.
func (s *Server) ownPicture(c *fiber.Ctx) (order.Order, order.Field, error) {
	o, err := s.ownOrder(c)
	if err != nil {
		return order.Order{}, "", err
	}
	f, err := imageField(c)
	return o, f, err
}

// upload takes a picture from the form's page. Its answer is the field as it now is.
func (s *Server) upload(c *fiber.Ctx) error {
	o, f, err := s.ownPicture(c)
	if err == nil {
		_, err = s.editable(o)
	}
	if err != nil {
		return err
	}
	v, err := s.takePicture(c, o, f)
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		v = s.pictureView(o.ID, f, o.Form.Get(f))
		v.Fault, err = fault.Detail, nil
	}
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "partials/picture", "", v)
}

// takePicture checks and keeps the picture of a request, and writes it into a draft.
func (s *Server) takePicture(c *fiber.Ctx, o order.Order, f order.Field) (pictureView, error) {
	object := secret()
	p, err := s.accept(c)
	if err != nil {
		return pictureView{}, err
	}
	if err := s.keep(c.UserContext(), o.ID, object, p); err != nil {
		return pictureView{}, err
	}
	if err := s.putPicture(c, o.ID, f, object); err != nil {
		return pictureView{}, err
	}
	v := s.pictureView(o.ID, f, object)
	v.Warnings = warningTexts(f, p.Warnings)
	return v, nil
}

// keep stores a picture that belongs to an order. What it belongs to is written
// down first, so that nothing is kept that retention does not know.
func (s *Server) keep(ctx context.Context, id order.ID, object string, p picture.Picture) error {
	if err := s.Orders.RecordUpload(ctx, id, object, p.SourceSHA256); err != nil {
		return err
	}
	return s.Objects.Put(ctx, object, p.JPEG)
}

// warningTexts are the doubts about a picture of a field, with the reason for which it
// would be sent back.
func warningTexts(f order.Field, warnings []picture.Warning) (texts []string) {
	reason, known := order.Unreadable(f)
	for _, w := range warnings {
		text := w.Text()
		if known && w.Unreadable() {
			text += "，以免因“" + reason.Text() + "”被退回"
		}
		texts = append(texts, text)
	}
	return texts
}

// putPicture writes a new picture into a draft and erases the one it replaces
// if nobody has judged by it yet. A rejected order takes it with its
// resubmission.
func (s *Server) putPicture(c *fiber.Ctx, id order.ID, f order.Field, object string) error {
	defer s.alone(id)()
	o, err := s.Store.Order(c.UserContext(), id)
	if err != nil {
		return err
	}
	if fixing, err := s.editable(o); err != nil || fixing {
		return err
	}
	by := order.Actor{Role: order.Applicant, PersonID: o.PersonID, Channel: channelOf(c), IP: c.IP()}
	_, err = s.Orders.Apply(c.UserContext(), o.ID, order.Command{
		On: order.Save, By: by, DraftToken: o.DraftToken,
		Product: o.Product.Code, Term: o.Product.Term, Lines: o.Lines, Form: o.Form.With(f, object),
	})
	if old := o.Form.Get(f); err == nil && old != "" && o.Submission == 0 {
		return s.Objects.Delete(c.UserContext(), old)
	}
	return err
}

const (
	onlyPictures = "只支持 jpg、jpeg、png 格式的图片"
	saveAsJPEG   = "。请另存为 jpg 后再上传"
)

// otherKinds say how a file of another kind becomes a picture that is taken.
var otherKinds = map[string]string{
	".heic": "。iPhone 请在「设置 → 相机 → 格式」选择「兼容性最佳」后重拍，或把照片截图后上传",
	".heif": "。请在相机设置里选择 JPEG 格式后重拍，或把照片截图后上传",
	".jfif": "。请把文件名末尾的 .jfif 改为 .jpg 后再上传",
	".webp": saveAsJPEG, ".gif": saveAsJPEG, ".bmp": saveAsJPEG, ".tif": saveAsJPEG, ".tiff": saveAsJPEG,
	".pdf": "。请把 PDF 导出为图片，或打开后截图上传",
}

// startOf is what files of another kind begin with, whatever they are called: a photo of a
// telephone is often sent on as .jpg.
var startOf = []struct {
	kind  string
	begin *regexp.Regexp
}{
	{".heic", regexp.MustCompile(`(?s)^....ftyp(?:heic|heix|heim|heis|hevc|hevx|mif1|msf1)`)},
	{".webp", regexp.MustCompile(`(?s)^RIFF....WEBP`)},
	{".pdf", regexp.MustCompile(`^%PDF-`)},
	{".gif", regexp.MustCompile(`^GIF8`)},
	{".bmp", regexp.MustCompile(`(?s)^BM....\x00\x00\x00\x00`)},
	{".tiff", regexp.MustCompile(`(?s)^(?:II\*\x00|MM\x00\*)`)},
}

// otherKind is how a file of another kind becomes a picture that is taken; "" when the kind
// is not known.
func otherKind(raw []byte) string {
	for _, s := range startOf {
		if s.begin.Match(raw[:min(len(raw), 32)]) {
			return otherKinds[s.kind]
		}
	}
	return ""
}

var uploadFaults = map[error]string{
	picture.ErrTooLarge:      "图片超过 8M，请压缩或重新拍摄",
	picture.ErrNotAPicture:   onlyPictures,
	picture.ErrBroken:        "图片已损坏或不完整，请重新拍摄或导出",
	picture.ErrTooManyPixels: "图片像素过大（超过 5000 万像素），请缩小后上传",
	picture.ErrHidden:        "文件中夹带了图片以外的内容，请直接上传原始照片",
}

// accept checks the file of the request. What a person can put right is Invalid.
func (s *Server) accept(c *fiber.Ctx) (picture.Picture, error) {
	raw, err := uploadedFile(c)
	if err != nil {
		return picture.Picture{}, err
	}
	var p picture.Picture
	err = s.draw(c.UserContext(), func() error {
		p, err = picture.Accept(raw)
		return err
	})
	for sentinel, detail := range uploadFaults {
		if errors.Is(err, sentinel) {
			if sentinel == picture.ErrNotAPicture { //nolint:errorlint // the key itself
				detail += otherKind(raw)
			}
			return picture.Picture{}, &order.Error{Kind: order.Invalid, Code: "picture_refused", Detail: detail, Err: err}
		}
	}
	return p, err
}

// draw does something to a picture when fewer than two others are being drawn: each takes
// much memory and a processor. Who cannot wait any longer is Unavailable.
func (s *Server) draw(ctx context.Context, work func() error) error {
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
		return work()
	case <-ctx.Done():
		return &order.Error{Kind: order.Unavailable, Code: "pictures_busy", Detail: "现在处理图片的人较多，请稍后再试", RetryAfter: 10 * time.Second, Err: ctx.Err()}
	}
}

// uploadedFile is the one file of a multipart request. Its name decides nothing,
// but one with a path in it or of another kind betrays an attack or a mistake.
func uploadedFile(c *fiber.Ctx) ([]byte, error) {
	head, err := c.FormFile("file")
	if err != nil {
		return nil, order.Errorf(order.Invalid, "picture_missing", "请选择一张图片")
	}
	if head.Size > picture.MaxBytes {
		return nil, fiber.ErrRequestEntityTooLarge
	}
	_, params, err := mime.ParseMediaType(head.Header.Get(fiber.HeaderContentDisposition))
	if err != nil || !plainName(params["filename"]) {
		kind := strings.ToLower(path.Ext(params["filename"]))
		return nil, order.Errorf(order.Invalid, "picture_refused", "%s", onlyPictures+otherKinds[kind])
	}
	if head.Size == 0 {
		return nil, order.Errorf(order.Invalid, "picture_refused", "这个文件是空的，可能还没有下载到本机，请重新选择或重新拍摄")
	}
	file, err := head.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, picture.MaxBytes+1))
}

func plainName(name string) bool {
	return !strings.ContainsAny(name, "/\\\x00") && !strings.Contains(name, "..") &&
		slices.Contains([]string{".jpg", ".jpeg", ".png"}, strings.ToLower(path.Ext(name)))
}

// uploadLife is how long the QR code for a phone works (F26).
const uploadLife = 10 * time.Minute

const ticketUpload = "upload"

// phoneTicket is what an upload ticket stands for. It holds no personal data.
type phoneTicket struct {
	Order order.ID
	Field order.Field
	Label string // what to photograph (F27)
}

// offerPhone makes a one-time code to take the photo with a phone (F25, F26).
func (s *Server) offerPhone(c *fiber.Ctx) error {
	o, f, err := s.ownPicture(c)
	if err == nil {
		_, err = s.editable(o)
	}
	if err != nil {
		return err
	}
	spec, _ := f.Spec()
	value, err := json.Marshal(phoneTicket{o.ID, f, spec.LabelFor(o.Form)})
	if err != nil {
		return err
	}
	token, err := s.Tickets.Put(c.UserContext(), ticketUpload, value, uploadLife)
	if err != nil {
		return err
	}
	v := s.pictureView(o.ID, f, o.Form.Get(f))
	if v.QR, err = qrImage(s.absolute("/u/" + token)); err != nil {
		return err
	}
	v.Poll = "/orders/" + string(o.ID) + "/phone/" + string(f) + "/" + s.waitingFor(o.ID, f, token)
	return s.render(c, http.StatusOK, "partials/picture", "", v)
}

// uploadID is the object that a ticket's photo becomes: known before it exists,
// so that the waiting page can look for it.
func (s *Server) uploadID(token string) string { return s.mac(ticketUpload, token) }

// waitingFor names a ticket to the page that waits for its photo, bound to the field
// that it was made for: who was sent the code may upload with it, but not have the photo
// shown in an application of his own.
func (s *Server) waitingFor(id order.ID, f order.Field, token string) string {
	return token + "." + s.mac("waiting", string(id), string(f), token)
}

// phoneState is what the waiting page asks every two seconds: 204 until the photo
// is there, then the field with it.
func (s *Server) phoneState(c *fiber.Ctx) error {
	o, f, err := s.ownPicture(c)
	if err != nil {
		return err
	}
	token, _, _ := strings.Cut(c.Params("ticket"), ".")
	if !hmac.Equal([]byte(c.Params("ticket")), []byte(s.waitingFor(o.ID, f, token))) {
		return order.Errorf(order.NotFound, "upload_not_found", "二维码已失效，请重新获取")
	}
	object := s.uploadID(token)
	kept, err := s.Objects.Get(c.UserContext(), object)
	if errors.Is(err, order.NotFound) {
		if _, err := s.Tickets.Peek(c.UserContext(), ticketUpload, token); errors.Is(err, order.NotFound) {
			v := s.pictureView(o.ID, f, o.Form.Get(f))
			v.Fault = "二维码已失效，请重新获取"
			return s.render(c, http.StatusOK, "partials/picture", "", v)
		}
		return c.SendStatus(http.StatusNoContent)
	}
	if err != nil {
		return err
	}
	v := s.pictureView(o.ID, f, object)
	v.Warnings = warningTexts(f, picture.Warnings(kept))
	c.Set("HX-Trigger", "picture-ready")
	return s.render(c, http.StatusOK, "partials/picture", "", v)
}

type phoneView struct {
	Label, Fault string
	Done         bool
	Warnings     []string
}

func (s *Server) phoneTicket(c *fiber.Ctx) (phoneTicket, error) {
	var t phoneTicket
	value, err := s.Tickets.Peek(c.UserContext(), ticketUpload, c.Params("ticket"))
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(value, &t)
}

// phonePage is what the phone opens: one button that takes a photo.
func (s *Server) phonePage(c *fiber.Ctx) error {
	t, err := s.phoneTicket(c)
	if err != nil {
		return s.phoneGone(c, err)
	}
	return s.render(c, http.StatusOK, "phone", "拍照上传", phoneView{Label: t.Label})
}

// phoneGone answers for a ticket that has ended: when its photo is here, the page says so
// again, and a second photo is told apart from a code that was too old.
func (s *Server) phoneGone(c *fiber.Ctx, err error) error {
	if _, missing := s.Objects.Get(c.UserContext(), s.uploadID(c.Params("ticket"))); missing != nil || !errors.Is(err, order.NotFound) {
		return err
	}
	if unsafeMethod(c.Method()) {
		return order.Errorf(order.Conflict, "photo_taken", "照片已经收到，请回到电脑继续填写；要换一张，请在电脑上重新获取二维码")
	}
	return s.render(c, http.StatusOK, "phone", "拍照上传", phoneView{Done: true})
}

// phoneUpload takes the photo; the first good one uses the ticket up.
func (s *Server) phoneUpload(c *fiber.Ctx) error {
	t, err := s.phoneTicket(c)
	if err != nil {
		return s.phoneGone(c, err)
	}
	view := phoneView{Label: t.Label}
	view.Warnings, err = s.takePhonePicture(c, t)
	if fault, ok := order.AsError(err); ok && fault.Kind == order.Invalid {
		view.Fault = fault.Detail
		return s.render(c, http.StatusUnprocessableEntity, "phone", "拍照上传", view)
	}
	if err != nil {
		return s.phoneGone(c, err)
	}
	view.Done = true
	return s.render(c, http.StatusOK, "phone", "拍照上传", view)
}

// takePhonePicture takes the picture of a request for the form that the ticket of
// the path names; the first good one uses the ticket up.
func (s *Server) takePhonePicture(c *fiber.Ctx, t phoneTicket) (warnings []string, err error) {
	p, err := s.accept(c)
	if err != nil {
		return nil, err
	}
	if _, err := s.Tickets.Take(c.UserContext(), ticketUpload, c.Params("ticket")); err != nil {
		return nil, err
	}
	object := s.uploadID(c.Params("ticket"))
	if err := s.keep(c.UserContext(), t.Order, object, p); err != nil {
		return nil, err
	}
	if err := s.putPicture(c, t.Order, t.Field, object); err != nil {
		return nil, err
	}
	return warningTexts(t.Field, p.Warnings), nil
}

// Sizes of a picture's views, by the length of the longer side.
const (
	sizeSmall = "small"
	sizeLarge = "large"
)

var sides = map[string]int{sizeSmall: 480, sizeLarge: 2600}

// pictureLife is how long an address of a picture works (rules.md §3.2: ≤ 5 min).
const pictureLife = 5 * time.Minute

// pictureURL is a short-lived signed address of a view of a picture.
func (s *Server) pictureURL(id order.ID, object, size string) string {
	until := strconv.FormatInt(s.Now().Add(pictureLife).Unix(), 36)
	return "/pictures/" + string(id) + "/" + object + "/" + size + "?until=" + until + "&sig=" + s.mac("view", string(id), object, size, until)
}

// showPicture draws the watermark and answers with the picture, as a download:
// an img element does not mind, and nothing in it can run.
func (s *Server) showPicture(c *fiber.Ctx) error {
	id, object, size, until := c.Params("order"), c.Params("object"), c.Params("size"), c.Query("until")
	gone := order.Errorf(order.NotFound, "picture_not_found", "图片链接已失效，请刷新页面")
	seconds, err := strconv.ParseInt(until, 36, 64)
	if err != nil || !hmac.Equal([]byte(c.Query("sig")), []byte(s.mac("view", id, object, size, until))) || s.Now().Unix() >= seconds {
		return gone
	}
	o, err := s.Store.Order(c.UserContext(), order.ID(id))
	if err != nil {
		return gone
	}
	kept, err := s.Objects.Get(c.UserContext(), object)
	if err != nil {
		return err
	}
	var marked []byte
	err = s.draw(c.UserContext(), func() error {
		marked, err = picture.Watermark(s.Font, kept, watermarkOf(o, s.Now()), sides[size])
		return err
	})
	if err != nil {
		return err
	}
	c.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="picture.jpg"`)
	c.Set(fiber.HeaderContentType, "image/jpeg")
	c.Set(fiber.HeaderCacheControl, "private, max-age=240")
	return c.Send(marked)
}

// watermarkOf says what the picture was given for.
func watermarkOf(o order.Order, now time.Time) string {
	if o.No == "" {
		return "仅用于证书办理草稿 " + day(now)
	}
	return "仅用于" + o.No + "订单 " + day(now)
}

// qrImage is a QR code as the address of an img element.
func qrImage(text string) (template.URL, error) {
	png, err := qrPicture(text)
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png)), err //nolint:gosec // made here
}

// qrPicture is a QR code as a PNG.
func qrPicture(text string) ([]byte, error) {
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil, err
	}
	var png bytes.Buffer
	err = code.Write(-6, &png)
	return png.Bytes(), err
}
