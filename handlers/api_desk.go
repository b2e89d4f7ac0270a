package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// ScanJSON is a login by QR code as the phone sees it (F20).
type ScanJSON struct {
	State  string `json:"state" enum:"scanned,confirmed,cancelled"`
	Device string `json:"device" doc:"The browser that wants to log in" example:"Chrome · Windows"`
	Mobile string `json:"mobile" doc:"Masked: who would be logged in"`
}

// PhotoJSON is a photo that a form on a PC waits for (F25).
type PhotoJSON struct {
	Label    string   `json:"label"`
	Done     bool     `json:"done"`
	Warnings []string `json:"warnings,omitempty"`
}

// DeskJSON is a place of staff and what waits there, oldest first: what may stand
// on a task card, so nothing personal (flows.md 4.4).
type DeskJSON struct {
	Label string     `json:"label"`
	Tasks []TaskJSON `json:"tasks"`
	More  bool       `json:"more,omitempty" doc:"There are more than these"`
	Path  string     `json:"path" doc:"The desk's page, below the product's address"`
}

// TaskJSON is one task of staff.
type TaskJSON struct {
	ID       string     `json:"id"`
	Title    string     `json:"title" example:"初购 · ¥300.00"`
	Tail     string     `json:"tail"`
	Company  string     `json:"company"`
	Quantity int        `json:"quantity"`
	Stage    string     `json:"stage"`
	Express  string     `json:"express,omitempty" doc:"How its express promise stands, in Chinese"`
	Again    bool       `json:"again,omitempty" doc:"A resubmission"`
	Since    time.Time  `json:"since"`
	Due      *time.Time `json:"due,omitempty"`
	Overdue  bool       `json:"overdue,omitempty"`
	Mine     bool       `json:"mine,omitempty" doc:"Claimed by the caller"`
	Path     string     `json:"path" doc:"The page to open in a web view, below the product's address"`
}

// MessageJSON is one thing the caller was told, whichever way it went.
type MessageJSON struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Title string    `json:"title"`
	Text  string    `json:"text"`
	Tail  string    `json:"tail,omitempty"`
	Order string    `json:"order" doc:"Id of the order it is about"`
}

type (
	messagesInput struct {
		Before string `query:"before" maxLength:"26" doc:"Cursor of the page before"`
	}
	messagesOutput struct {
		Body struct {
			Messages []MessageJSON `json:"messages"`
			Next     string        `json:"next,omitempty"`
		}
	}
	ticketInput struct {
		Ticket string `path:"ticket" maxLength:"64"`
	}
	photoInput struct {
		pictureInput
		Ticket string `path:"ticket" maxLength:"64"`
	}
	scanOutput  struct{ Body ScanJSON }
	photoOutput struct{ Body PhotoJSON }
	desksOutput struct {
		Body struct {
			Desks []DeskJSON `json:"desks"`
		}
	}
)

func (s *Server) apiDeskRoutes(api huma.API) {
	for _, on := range []session.ScanEvent{session.ScanOpen, session.ScanConfirm, session.ScanCancel} {
		operation(s, api, apiPost("/scans/:ticket/"+string(on)), string(on)+"-login", "Tell a login by QR code on a PC to "+string(on),
			func(ctx context.Context, in *ticketInput) (*scanOutput, error) { return s.apiScan(ctx, on, in.Ticket) })
	}
	operation(s, api, apiGet("/photos/:ticket").open(Proof), "get-photo", "What photo a PC waits for", s.apiPhoto)
	operation(s, api, apiPost("/photos/:ticket").open(Proof), "upload-photo", "Take the photo that a PC waits for", s.apiTakePhoto)
	operation(s, api, apiGet("/messages"), "list-messages", "What the caller was told, newest first", s.apiMessages)
	operation(s, api, apiGet("/staff/tasks"), "list-tasks", "What waits for the caller as a member of staff", s.apiTasks)
}

func (s *Server) apiScan(ctx context.Context, on session.ScanEvent, ticket string) (*scanOutput, error) {
	me := callOf(ctx).v.PersonID()
	scan, err := s.Scans.Move(ctx, ticket, on, me)
	if err != nil {
		return nil, err
	}
	p, err := s.Store.Person(ctx, me)
	return &scanOutput{ScanJSON{string(scan.State), scan.Device, p.Mobile.Mask()}}, err
}

func (s *Server) apiPhoto(ctx context.Context, _ *ticketInput) (*photoOutput, error) {
	t, err := s.phoneTicket(callOf(ctx).c)
	return &photoOutput{PhotoJSON{Label: t.Label}}, err
}

func (s *Server) apiTakePhoto(ctx context.Context, _ *photoInput) (*photoOutput, error) {
	k := callOf(ctx)
	t, err := s.phoneTicket(k.c)
	if err != nil {
		return nil, err
	}
	warnings, err := s.takePhonePicture(k.c, t)
	return &photoOutput{PhotoJSON{t.Label, true, warnings}}, err
}

func (s *Server) apiMessages(ctx context.Context, in *messagesInput) (*messagesOutput, error) {
	ns, err := s.Store.Messages(ctx, order.MessageFilter{PersonID: callOf(ctx).v.PersonID(), Before: in.Before, Limit: messagesShown})
	if err != nil {
		return nil, err
	}
	rows, err := messageRows(ctx, s.Store, s.links(), ns)
	if err != nil {
		return nil, err
	}
	about := map[string]string{}
	for _, n := range ns {
		about[n.ID] = string(n.OrderID)
	}
	var out messagesOutput
	out.Body.Messages = []MessageJSON{}
	for _, r := range rows {
		out.Body.Messages = append(out.Body.Messages, MessageJSON{r.ID, r.At, r.Title, r.Text, r.Tail, about[r.ID]})
	}
	if len(ns) == messagesShown {
		out.Body.Next = ns[len(ns)-1].ID
	}
	return &out, nil
}

// inbox is where the tasks of each role are, and the page that deals with one.
var inbox = []struct {
	label  string
	role   order.Role
	path   string
	lists  []order.Filter
	single bool // each task has a page of its own
}{
	{"审核", order.Reviewer, "/staff/review", []order.Filter{
		{Status: order.InReview, Stage: order.Claimed}, {Status: order.InReview, Stage: order.Queued}, {Status: order.InReview, Stage: order.SecondApproval},
	}, true},
	{"制证", order.Issuer, "/staff/making", []order.Filter{{Status: order.ToIssue}}, false},
	{"发货", order.Shipper, "/staff/shipping", []order.Filter{{Status: order.ToShip, Stage: order.ToPost}, {Status: order.ToShip, Stage: order.ToPickUp}}, true},
}

// apiTasks is the inbox of a member of staff. It shows what a task card shows; the
// page behind a task asks for the staff login with both factors.
func (s *Server) apiTasks(ctx context.Context, _ *nothing) (*desksOutput, error) {
	m, err := s.Store.StaffByPerson(ctx, callOf(ctx).v.PersonID())
	if err != nil || m.Disabled {
		return nil, order.Errorf(order.Forbidden, "not_staff", "该手机号不是工作人员，请联系管理员开通")
	}
	var out desksOutput
	out.Body.Desks = []DeskJSON{}
	for _, in := range inbox {
		if !m.Has(in.role) {
			continue
		}
		desk := DeskJSON{Label: in.label, Tasks: []TaskJSON{}, Path: in.path}
		for _, f := range in.lists {
			f.Sort, f.Limit = order.DueFirst, pageSize
			page, err := s.Store.Orders(ctx, f)
			if err != nil {
				return nil, err
			}
			desk.More = desk.More || page.Next != (order.Cursor{})
			for _, o := range page.Orders {
				t := s.taskJSON(o, m)
				t.Path = in.path
				if in.single {
					t.Path += "/" + string(o.ID)
				}
				desk.Tasks = append(desk.Tasks, t)
			}
		}
		slices.SortStableFunc(desk.Tasks, func(a, b TaskJSON) int { // one's own first
			return btoi(b.Mine) - btoi(a.Mine)
		})
		out.Body.Desks = append(out.Body.Desks, desk)
	}
	return &out, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *Server) taskJSON(o order.Order, m order.Staff) TaskJSON {
	t := TaskJSON{
		ID: string(o.ID), Title: o.Business.Label() + " · ¥" + o.Amount.Yuan(), Tail: order.TailOf(o.No), Company: o.Company, Quantity: o.Quantity(),
		Stage: o.Stage.Label(), Express: o.Express.Label(), Again: o.Submission > 1, Since: submittedAt(o), Mine: o.Stage == order.Claimed && o.ReviewerID == m.ID,
	}
	if !o.DueAt.IsZero() {
		t.Due, t.Overdue = &o.DueAt, s.Now().After(o.DueAt)
	}
	return t
}
