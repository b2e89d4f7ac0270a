package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/yuncaidun/yuncaidun/config"
	"github.com/yuncaidun/yuncaidun/handlers"
	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/issuance/token"
	"github.com/yuncaidun/yuncaidun/jobs"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// stations serves stations on other PCs: the orders' side here, the CA's by requests
// to the issuer.
type stations struct {
	a    *app
	jobs jobs.Deps
}

// stationOrders is how many orders are looked through at once for a key to make.
const stationOrders = 50

// Take hands out the first key that waits, and with Resume one that was begun.
func (s stations) Take(ctx context.Context, by order.Actor, in handlers.StationAsk) (json.RawMessage, error) {
	for o, err := range order.EachOrder(ctx, s.a.db, order.Filter{Status: order.ToIssue, Sort: order.DueFirst, Limit: stationOrders}) {
		if err != nil {
			return nil, err
		}
		if task, err := s.takeOf(ctx, by, o, in); err != nil || task != nil {
			return task, err
		}
	}
	return nil, nil
}

// takeOf hands out a key of one order, if there is any that this issuer may make.
func (s stations) takeOf(ctx context.Context, by order.Actor, o order.Order, in handlers.StationAsk) (json.RawMessage, error) {
	if o.Refund != order.NoRefund || !o.MayBeMadeBy(by.StaffID) {
		return nil, nil
	}
	items, err := s.a.db.Items(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		if it.Stage != order.ItemWaiting && (!in.Resume || it.Stage != order.ItemMaking) {
			continue
		}
		task, err := s.handOut(ctx, by, o, it, in)
		if errors.Is(err, order.Conflict) {
			continue // another station was quicker
		}
		return task, err
	}
	return nil, nil
}

func (s stations) handOut(ctx context.Context, by order.Actor, o order.Order, it order.Item, in handlers.StationAsk) (json.RawMessage, error) {
	if it.Stage == order.ItemWaiting {
		if _, err := s.a.orders.Apply(ctx, o.ID, order.Command{On: order.MakeKey, By: by, Item: it.ID}); err != nil {
			return nil, err
		}
		var err error
		if it, err = s.a.db.Item(ctx, it.ID); err != nil {
			return nil, err
		}
	}
	r, err := s.jobs.IssueRequest(ctx, o, it)
	if err != nil {
		return nil, err
	}
	asked, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request.TakeBody{Request: asked, Plugged: in.Plugged, PublicKey: in.PublicKey})
	if err != nil {
		return nil, err
	}
	task, err := s.ask(ctx, request.StationTake, r.ID, body)
	if refusal, ok := order.AsError(err); ok && errors.Is(err, order.Invalid) {
		// Nothing was begun: a person looks at it and has it made again.
		if _, failed := s.a.orders.Apply(ctx, o.ID, order.Command{On: order.KeyFailed, By: order.BySystem, Item: it.ID, Note: refusal.Detail}); failed != nil {
			return nil, failed
		}
	}
	return task, err
}

func (s stations) ask(ctx context.Context, k request.Kind, issue string, body []byte) ([]byte, error) {
	return s.a.desk.AskOnce(ctx, newID(s.a.clock.Now)(), k, issue, body)
}

// item is the item whose present attempt an issue is.
func (s stations) item(ctx context.Context, issue string) (order.Item, error) {
	gone := order.Errorf(order.Conflict, "station_task_gone", "该制证任务已结束或已作废，请领取新的任务")
	id, _, ok := strings.Cut(issue, "-")
	if !ok {
		return order.Item{}, gone
	}
	it, err := s.a.db.Item(ctx, id)
	if errors.Is(err, order.NotFound) || err == nil && (it.Stage != order.ItemMaking || fmt.Sprintf("%s-%d", it.ID, it.Attempt) != issue) {
		return it, gone
	}
	return it, err
}

// Certify has the issuer certify a station's key.
func (s stations) Certify(ctx context.Context, issue string, csr []byte) ([]byte, error) {
	if _, err := s.item(ctx, issue); err != nil {
		return nil, err
	}
	return s.ask(ctx, request.StationCertify, issue, csr)
}

// Finish moves the order on when the USBKEY has proved itself.
func (s stations) Finish(ctx context.Context, issue string, signature []byte) error {
	it, err := s.item(ctx, issue)
	if err != nil {
		return err
	}
	answer, err := s.ask(ctx, request.StationFinish, issue, signature)
	if err != nil {
		return err
	}
	var made request.Made
	if err := json.Unmarshal(answer, &made); err != nil {
		return err
	}
	_, err = s.a.orders.Apply(ctx, it.OrderID, order.Command{
		On: order.KeyVerified, By: order.BySystem, Item: it.ID, TokenSerial: made.TokenSerial, CertSerial: made.CertSerial, Proven: []order.Fact{order.ReadBack},
	})
	return err
}

// Fail scraps the USBKEY, revokes its serial number if it has one, and hands the
// item to a person.
func (s stations) Fail(ctx context.Context, issue, note string) error {
	it, err := s.item(ctx, issue)
	if err != nil {
		return err
	}
	if _, err := s.ask(ctx, request.ScrapIssue, issue, []byte("station")); err != nil {
		return err
	}
	_, err = s.a.orders.Apply(ctx, it.OrderID, order.Command{On: order.KeyFailed, By: order.BySystem, Item: it.ID, Note: note})
	return err
}

// The issuer's side.

func (a *app) stationTake(ctx context.Context, r request.Request) ([]byte, error) {
	in, err := decode[request.TakeBody](r.Body)
	if err != nil {
		return nil, err
	}
	asked, err := decode[issuance.Request](in.Request)
	if err != nil {
		return nil, err
	}
	task, err := a.pipeline.HandOut(ctx, asked, in.Plugged, in.PublicKey)
	if err != nil {
		return nil, tokenRefusal(err)
	}
	return json.Marshal(task)
}

// tokenRefusal is what no repetition of a request changes about a USBKEY.
func tokenRefusal(err error) error {
	if e, ok := errors.AsType[*token.Error](err); ok && e.Kind == token.NoBlank {
		return &order.Error{Kind: order.Invalid, Code: "station_no_blank", Detail: "插入的空白 UKEY 未登记入库，请先在「空白UKEY」中登记", Err: err}
	}
	return err
}

func (a *app) stationCertify(ctx context.Context, r request.Request) ([]byte, error) {
	return a.pipeline.CertifyTask(ctx, r.Subject, r.Body)
}

func (a *app) stationFinish(ctx context.Context, r request.Request) ([]byte, error) {
	is, err := a.pipeline.FinishTask(ctx, r.Subject, r.Body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(request.Made{TokenSerial: is.TokenSerial, CertSerial: is.Serial})
}

// The station itself.

type stationCmd struct {
	Server  string        `help:"Address of the product, e.g. https://ca.example.cn." required:""`
	Ticket  string        `help:"The ticket that the console shows (else YCD_STATION_TICKET)." env:"YCD_STATION_TICKET" required:""`
	Module  string        `help:"PKCS#11 module of the USBKEYs." default:"/usr/lib/softhsm/libsofthsm2.so"`
	SoftHSM string        `name:"soft-hsm" help:"Folder for SoftHSM's tokens, to try it without hardware." type:"path"`
	Resume  bool          `help:"Also go on with keys that a station began and did not finish."`
	Once    bool          `help:"End when no key waits."`
	Every   time.Duration `help:"How often to ask for work." default:"5s"`
}

// Run makes keys until it is stopped.
func (cmd stationCmd) Run(ctx context.Context) error {
	u, err := url.Parse(cmd.Server)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !config.IsLoopback(u.Hostname())) {
		return usageError{errors.New("--server must be an https:// address")}
	}
	if cmd.Every <= 0 {
		return usageError{errors.New("--every must be longer than nothing, e.g. 5s")}
	}
	if cmd.SoftHSM != "" {
		if err := token.ConfigureSoftHSM(cmd.SoftHSM); err != nil {
			return err
		}
	}
	m, err := token.Load(cmd.Module)
	if err != nil {
		return err
	}
	defer m.Close()
	c := stationClient{strings.TrimRight(cmd.Server, "/"), cmd.Ticket, &http.Client{Timeout: time.Minute}}
	tick := time.NewTicker(cmd.Every)
	defer tick.Stop()
	for {
		made, err := c.makeOne(ctx, m, cmd.Resume)
		if err != nil && !errors.Is(err, errTaskFailed) {
			return err
		}
		if made {
			continue
		}
		if cmd.Once {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stationClient talks to the product.
type stationClient struct {
	server, ticket string
	http           *http.Client
}

var errTaskFailed = errors.New("the key could not be made")

// makeOne takes a task and makes its key; false when none waits. A USBKEY that
// fails is given up, so that the next attempt takes another.
func (c stationClient) makeOne(ctx context.Context, m *token.Module, resume bool) (bool, error) {
	plugged, err := m.Blanks()
	if err != nil {
		return false, err
	}
	key, err := token.NewEphemeral()
	if err != nil {
		return false, err
	}
	var t issuance.Task
	some, err := c.post(ctx, "/station/take", handlers.StationAsk{Plugged: plugged, PublicKey: key.Public(), Resume: resume}, &t)
	if err != nil || !some {
		return false, err
	}
	fmt.Fprintln(os.Stderr, "making", t.TokenSerial, t.Company)
	err = issuance.MakeTask(ctx, m, key, t, c)
	if err == nil {
		fmt.Fprintln(os.Stderr, "done  ", t.TokenSerial)
		return true, nil
	}
	detail, ok := issuance.Detail(err)
	if !ok {
		return false, err // the line is broken or we were stopped: --resume goes on
	}
	fmt.Fprintln(os.Stderr, "failed", t.TokenSerial, detail)
	if _, err := c.post(ctx, "/station/fail", stationMessage{Issue: t.Issue, Note: detail}, nil); err != nil {
		return false, err
	}
	return false, errTaskFailed
}

// stationMessage is what the two say about a task.
type stationMessage struct {
	Issue string `json:"issue"`
	Body  []byte `json:"body,omitempty"`
	Note  string `json:"note,omitempty"`
}

// Certify implements [issuance.Office].
func (c stationClient) Certify(ctx context.Context, issue string, csr []byte) ([]byte, error) {
	var answer stationMessage
	_, err := c.post(ctx, "/station/certify", stationMessage{Issue: issue, Body: csr}, &answer)
	return answer.Body, err
}

// Finish implements [issuance.Office].
func (c stationClient) Finish(ctx context.Context, issue string, signature []byte) error {
	_, err := c.post(ctx, "/station/finish", stationMessage{Issue: issue, Body: signature}, nil)
	return err
}

// post sends a message; false when the answer has no content.
func (c stationClient) post(ctx context.Context, path string, in, out any) (bool, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server+path, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+c.ticket)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode == http.StatusNoContent:
		return false, nil
	case resp.StatusCode != http.StatusOK:
		var problem struct {
			Detail string `json:"detail"`
		}
		_ = json.Unmarshal(text, &problem) // the status says enough
		return false, fmt.Errorf("%s: %s %s", path, resp.Status, problem.Detail)
	case out == nil:
		return true, nil
	}
	return true, json.Unmarshal(text, out)
}
