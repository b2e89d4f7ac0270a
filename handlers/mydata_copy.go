package handlers

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/yeka/zip"

	"github.com/yuncaidun/yuncaidun/order"
)

// newPassword locks a copy: 80 random bits, in groups that are easy to type.
func newPassword() string {
	t := strings.ToLower(rand.Text())
	return t[:4] + "-" + t[4:8] + "-" + t[8:12] + "-" + t[12:16]
}

// copyPage is how many records are read at once.
const copyPage = 100

// copyTime is how long writing a copy may take, on a slow line.
const copyTime = 10 * time.Minute

// sendCopy is the copy that the ticket of the path is for: a ZIP whose entries are
// encrypted by AES-256 (WinZip AE-2).
func (s *Server) sendCopy(c *fiber.Ctx) error {
	value, err := s.Tickets.Peek(c.UserContext(), ticketCopy, c.Params("ticket"))
	if err != nil {
		return err
	}
	var t copyTicket
	if err := json.Unmarshal(value, &t); err != nil {
		return err
	}
	if t.PersonID != visitorOf(c).PersonID() {
		return order.Errorf(order.NotFound, "ticket_gone", "链接已失效，请重新获取")
	}
	name := "云采盾-我的资料-" + s.Now().In(order.Shanghai).Format("20060102") + ".zip"
	attachment(c, "application/zip", "my-data.zip", name)
	conn := c.Context().Conn()
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		ctx, cancel := s.untilStop(copyTime)
		defer cancel()
		if err := s.writeCopy(ctx, unhurried{ctx, w, conn}, t); err != nil {
			s.Log.ErrorContext(ctx, "writing a copy of somebody's data", "err", err) // without its end the ZIP does not open
		}
	})
	return nil
}

// untilStop is for what goes on for up to d behind an answer: when the server stops, it
// does, for the database closes next.
func (s *Server) untilStop(d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// unhurried gives each piece of an answer as long as the server gives to a whole one,
// until ctx ends: a slow line gets a long answer, one that stands still does not.
type unhurried struct {
	ctx  context.Context //nolint:containedctx // it lives for one answer
	to   io.Writer
	conn net.Conn
}

// Write implements [io.Writer].
func (w unhurried) Write(p []byte) (n int, err error) {
	for piece := range slices.Chunk(p, 4<<10) {
		if err := errors.Join(w.ctx.Err(), w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))); err != nil { //nolint:forbidigo // the kernel's clock
			return n, err
		}
		m, err := w.to.Write(piece)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

// dataCopy writes what is kept of a person into a ZIP. What cannot be read is named at
// the end, so that nobody takes a part for the whole.
type dataCopy struct {
	s        *Server
	zip      *zip.Writer
	password string
	at       time.Time
	missing  []string
}

func (s *Server) writeCopy(ctx context.Context, w io.Writer, t copyTicket) error {
	k := dataCopy{s: s, zip: zip.NewWriter(w), password: t.Password, at: s.Now()}
	if err := k.account(ctx, t.PersonID); err != nil {
		return err
	}
	for o, err := range order.EachOrder(ctx, s.Store, order.Filter{PersonID: t.PersonID, Limit: copyPage}) {
		if err != nil {
			return err
		}
		if err := k.order(ctx, o); err != nil {
			return err
		}
	}
	if err := k.readme(); err != nil {
		return err
	}
	return k.zip.Close()
}

// unicode is the flag of a ZIP entry whose name is UTF-8 (APPNOTE 4.4.4, bit 11).
const unicode = 1 << 11

// entry begins a file of the copy.
func (k *dataCopy) entry(name string) (io.Writer, error) {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Flags: unicode}
	h.SetModTime(k.at.In(order.Shanghai))
	h.SetPassword(k.password)
	h.SetEncryptionMethod(zip.AES256Encryption)
	return k.zip.CreateHeader(h)
}

func (k *dataCopy) write(name string, content []byte) error {
	w, err := k.entry(name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}

func (k *dataCopy) json(name string, v any) error {
	w, err := k.entry(name)
	if err != nil {
		return err
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// accountJSON is what is kept of a person beside his orders. Amounts are in fen, times
// RFC 3339.
type accountJSON struct {
	Mobile       string            `json:"mobile"`
	Since        time.Time         `json:"since"`
	Certificates []certificateCopy `json:"certificates"`
	Payments     []paymentCopy     `json:"payments"`
	Enquiries    []enquiryCopy     `json:"enquiries"`
	Messages     []messageCopy     `json:"messages"`
	Foreign      []foreignForm     `json:"foreign_tokens"`
	Loans        []loanCopy        `json:"loans"`
	Openings     []openingCopy     `json:"openings"`
}

// openingCopy is an opening of bids that was registered.
type openingCopy struct {
	Certificate string    `json:"certificate"` // its serial
	Project     string    `json:"project"`
	At          time.Time `json:"at"`
	Since       time.Time `json:"registered_at"`
}

// loanCopy is a line of the log of who had a USBKEY.
type loanCopy struct {
	Token      string    `json:"token"` // its serial, or how it is called
	Borrower   string    `json:"borrower"`
	Department string    `json:"department,omitempty"`
	Purpose    string    `json:"purpose"`
	LentAt     time.Time `json:"lent_at"`
	DueAt      time.Time `json:"due_at"`
	ReturnedAt time.Time `json:"returned_at,omitzero"`
}

type certificateCopy struct {
	Serial    string    `json:"serial"`
	Holder    string    `json:"holder"`
	Key       string    `json:"usbkey,omitempty"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	State     string    `json:"state"`
}

type paymentCopy struct {
	OrderNo  string    `json:"order_no"`
	Product  string    `json:"product"`
	Amount   order.Fen `json:"amount"`
	Returned order.Fen `json:"returned"`
	Channel  string    `json:"channel"`
	PaidAt   time.Time `json:"paid_at"`
}

type enquiryCopy struct {
	At    time.Time `json:"at"`
	Topic string    `json:"topic"`
	Said  string    `json:"said,omitempty"` // until somebody has called
}

type messageCopy struct {
	At     time.Time `json:"at"`
	About  string    `json:"about"`
	Medium string    `json:"medium"`
	State  string    `json:"state"`
}

func (k *dataCopy) account(ctx context.Context, personID string) error {
	p, err := k.s.Store.Person(ctx, personID)
	if err != nil {
		return err
	}
	out := accountJSON{p.Mobile.Reveal(), p.CreatedAt, []certificateCopy{}, []paymentCopy{}, []enquiryCopy{}, []messageCopy{}, []foreignForm{}, []loanCopy{}, []openingCopy{}}
	certs, err := k.s.Status.HeldBy(ctx, personID)
	if err != nil {
		return err
	}
	for _, c := range certs {
		out.Certificates = append(out.Certificates, certificateCopy{c.Serial, c.Holder, c.TokenSerial, c.NotBefore, c.NotAfter, c.Standing(k.s.Now())})
	}
	for f, err := range order.Each(func(after order.Cursor) ([]order.Fee, order.Cursor, error) {
		page, err := k.s.Store.Fees(ctx, personID, after, copyPage)
		return page.Fees, page.Next, err
	}) {
		if err != nil {
			return err
		}
		out.Payments = append(out.Payments, paymentCopy{f.OrderNo, f.Product, f.Amount, f.Returned, f.Channel.Label(), f.PaidAt})
	}
	for e, err := range order.Each(func(after order.Cursor) ([]order.Enquiry, order.Cursor, error) {
		page, err := k.s.Enquiries.EnquiriesOf(ctx, personID, after, copyPage)
		return page.Enquiries, page.Next, err
	}) {
		if err != nil {
			return err
		}
		out.Enquiries = append(out.Enquiries, enquiryCopy{e.CreatedAt, e.Topic, e.Said})
	}
	openings, err := k.s.Status.KeptOpeningsOf(ctx, personID)
	if err != nil {
		return err
	}
	for _, o := range openings {
		out.Openings = append(out.Openings, openingCopy{o.Serial, o.Project, o.At, o.CreatedAt})
	}
	names := map[string]string{}
	foreign, err := k.s.Status.ForeignOf(ctx, personID)
	if err != nil {
		return err
	}
	for _, f := range foreign {
		names[f.ID] = f.Label
		out.Foreign = append(out.Foreign, formOfForeign(f))
	}
	for l, err := range k.s.loans(ctx, personID, "") {
		if err != nil {
			return err
		}
		out.Loans = append(out.Loans, loanCopy{cmp.Or(names[l.Token], l.Token), l.Borrower.Reveal(), l.Department, l.Purpose, l.LentAt, l.DueAt, l.ReturnedAt})
	}
	for before, more := "", true; more; {
		messages, err := k.s.Store.Messages(ctx, order.MessageFilter{PersonID: personID, Before: before, Limit: copyPage})
		if err != nil {
			return err
		}
		for _, n := range messages {
			out.Messages = append(out.Messages, messageCopy{n.CreatedAt, order.Notices[n.Notice].Label, n.Medium.Label(), n.State.Label()})
			before = n.ID
		}
		more = len(messages) == copyPage
	}
	return k.json("账号.json", out)
}

// orderCopy is an order with what was filled in; the value of a picture is its file.
type orderCopy struct {
	OrderJSON
	Form    []fieldCopy    `json:"form"`
	Consent *order.Consent `json:"consent,omitempty"`
	Until   string         `json:"kept"` // how long, in words
}

type fieldCopy struct {
	Name     string `json:"name"`
	Label    string `json:"label"`
	Value    string `json:"value"`
	Original string `json:"original_sha256,omitempty"` // of the file of which the picture was made
}

// order writes an order into a folder of its own.
func (k *dataCopy) order(ctx context.Context, o order.Order) error {
	events, err := k.s.Store.Events(ctx, o.ID)
	if err != nil {
		return err
	}
	promises, err := k.s.Orders.Promises(ctx, []order.Order{o})
	if err != nil {
		return err
	}
	folder := o.No
	if folder == "" {
		folder = "草稿-" + string(o.ID)
	}
	out := orderCopy{OrderJSON: k.s.orderJSON(o, events), Until: viewOfPromise(o, promises[0]).Text}
	if !o.Consent.At.IsZero() {
		out.Consent = &o.Consent
	}
	originals, err := k.s.Store.Originals(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, spec := range order.Fields {
		value, original := o.Form.Get(spec.Name), ""
		if value == "" {
			continue
		}
		label := spec.LabelFor(o.Form)
		if spec.Input == order.Image {
			original = originals[value]
			if value, err = k.picture(ctx, folder+"/"+label+".jpg", value); err != nil {
				return err
			}
		}
		out.Form = append(out.Form, fieldCopy{string(spec.Name), label, labelOf(spec, value), original})
	}
	return k.json(folder+"/资料.json", out)
}

// picture writes a picture as it is kept, and returns its name; one that cannot be read
// is remembered as missing.
func (k *dataCopy) picture(ctx context.Context, name, object string) (string, error) {
	content, err := k.s.Objects.Get(ctx, object)
	if err != nil {
		k.s.Log.ErrorContext(ctx, "reading a picture for a copy", "err", err)
		k.missing = append(k.missing, name)
		return "", nil
	}
	return name, k.write(name, content)
}

// readme says at the end what the copy is, and what it lacks.
func (k *dataCopy) readme() error {
	text := "这是您在云采盾的个人信息副本，生成于 " + moment(k.at) + "（北京时间）。\r\n\r\n" +
		"账号.json：手机号、证书、费用、工单、消息、开标登记和钥匙柜的记录。\r\n" +
		"每份订单一个文件夹：资料.json 是填写的内容和办理记录，图片由您上传的文件制成，去掉了位置等附加信息；original_sha256 是您上传的文件的校验值（SHA-256）。\r\n" +
		"法定代表人在线签署的授权书属于法定代表人的个人信息，不在其中；他可以用收到的链接查看。\r\n" +
		"文件里有证件号码和证件照片，请妥善保管，不再需要时删除。\r\n"
	if len(k.missing) > 0 {
		text += "\r\n以下图片暂时无法读取，请稍后重新下载；多次失败请致电 400-666-3999：\r\n" + strings.Join(k.missing, "\r\n") + "\r\n"
	}
	return k.write("说明.txt", []byte("\ufeff"+text))
}
