package handlers

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"

	"github.com/yuncaidun/yuncaidun/order"
)

// OrderJSON is an order as the API shows it: no personal data.
type OrderJSON struct {
	ID            string             `json:"id"`
	No            string             `json:"no" doc:"Order number; empty before the first confirmation"`
	Business      string             `json:"business" example:"initial"`
	Product       string             `json:"product"`
	Company       string             `json:"company"`
	Status        string             `json:"status" example:"in_review"`
	Label         string             `json:"label" doc:"State in Chinese" example:"待审核"`
	What          string             `json:"what" doc:"What happens now, in Chinese"`
	Next          string             `json:"next,omitempty" doc:"Next step, in Chinese"`
	Obstacle      string             `json:"obstacle,omitempty" doc:"Why it cannot go on as its certificate is now, in Chinese; with a single order and its payment only"`
	Action        string             `json:"action,omitempty" example:"pay" doc:"What the applicant can do now; others than a client knows may come"`
	Button        string             `json:"action_label,omitempty" doc:"The action in Chinese" example:"去支付"`
	Amount        int64              `json:"amount_fen"`
	Within        string             `json:"within" doc:"How soon it is promised to be done once it is complete, in Chinese" example:"3 个工作日内寄出"`
	ExpressFee    int64              `json:"express_fee_fen,omitempty" doc:"The part of the amount that is for hurrying"`
	Express       string             `json:"express,omitempty" doc:"How the promise that was paid for stands, in Chinese" example:"加急"`
	Quantity      int                `json:"quantity"`
	Reasons       []ReasonJSON       `json:"reasons,omitempty" doc:"Why it was rejected"`
	Steps         []StepJSON         `json:"steps,omitempty" doc:"The way of the order in a few words"`
	Deletable     bool               `json:"deletable,omitempty" doc:"A draft, or not paid yet"`
	Closable      bool               `json:"closable,omitempty" doc:"Refused and free of charge: may be given up"`
	Deliverable   bool               `json:"delivery_changeable,omitempty" doc:"The recipient can still be changed"`
	GiveUp        *GiveUpJSON        `json:"give_up,omitempty" doc:"Keys that staff propose to do without, for the applicant to agree to"`
	Tracking      *TrackingJSON      `json:"tracking,omitempty" doc:"The parcel, once it is on its way"`
	Authorization *AuthorizationJSON `json:"authorization,omitempty" doc:"The legal representative's, when it is given online; with a single order only"`
	CreatedAt     time.Time          `json:"created_at"`
	PlacedAt      *time.Time         `json:"placed_at,omitempty"`
	Timeline      []MomentsJSON      `json:"timeline,omitempty"`
}

// ReasonJSON is why a reviewer sent an order back, and the field to put right.
type ReasonJSON struct {
	Text  string `json:"text"`
	Field string `json:"field,omitempty"`
}

// StepJSON is one step of the progress bar.
type StepJSON struct {
	Label   string `json:"label"`
	Done    bool   `json:"done"`
	Current bool   `json:"current"`
}

// AuthorizationJSON is how far the legal representative is (F44).
type AuthorizationJSON struct {
	State   string     `json:"state"`
	Label   string     `json:"label" doc:"State in Chinese"`
	Mobile  string     `json:"mobile,omitempty" doc:"Masked: where the SMS goes"`
	SentAt  *time.Time `json:"sent_at,omitempty"`
	Until   time.Time  `json:"until"`
	Waiting bool       `json:"waiting,omitempty" doc:"For the legal representative: the SMS can be sent again, or to another mobile"`
	Left    int        `json:"left" doc:"SMS that may still be sent today"`
	Paper   bool       `json:"paper,omitempty" doc:"A stamped letter is taken instead: authorize-on-paper"`
	Email   bool       `json:"email_needed,omitempty" doc:"With a stamped letter comes an e-mail, which it prints"`
}

// GiveUpJSON is what the applicant is asked to agree to.
type GiveUpJSON struct {
	Keys   int    `json:"keys"`
	Left   int    `json:"left" doc:"Keys that are still made"`
	Amount int64  `json:"amount_fen" doc:"What goes back"`
	Note   string `json:"note"`
}

// TrackingJSON is where the parcel can be followed.
type TrackingJSON struct {
	Carrier   string    `json:"carrier"`
	No        string    `json:"no"`
	ShippedAt time.Time `json:"shipped_at"`
	State     string    `json:"state" doc:"How far the parcel has come"`
	Label     string    `json:"label" doc:"State in Chinese"`
	// Track is there where one order is answered.
	Track []TrackJSON `json:"track,omitempty" doc:"What the courier reports, newest first"`
}

// TrackJSON is one line of what the courier reports.
type TrackJSON struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// MomentsJSON is one line of an order's history.
type MomentsJSON struct {
	At    time.Time `json:"at"`
	Event string    `json:"event"`
	Label string    `json:"label"`
	Role  string    `json:"role"`
}

type ordersInput struct {
	Status string `query:"status" doc:"Only orders with this status"`
	After  string `query:"after" maxLength:"64" doc:"Cursor of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`
}

type ordersOutput struct {
	Body struct {
		Orders []OrderJSON `json:"orders"`
		Next   string      `json:"next,omitempty" doc:"Cursor of the next page; absent on the last"`
	}
}

type orderInput struct {
	ID string `path:"id" maxLength:"26"`
}

type legalMobileInput struct {
	ID   string `path:"id" maxLength:"26"`
	Body struct {
		Mobile string `json:"mobile" maxLength:"32"`
	}
}

type paperInput struct {
	ID string `path:"id" maxLength:"26"`
}

// file makes the operation one that takes a picture, with the e-mail beside it; empty
// where the application has one.
func (paperInput) file() (what string, texts []string) { return onePicture, []string{"email"} }

type orderOutput struct{ Body OrderJSON }

func (s *Server) apiRoutes() {
	config := huma.DefaultConfig("云采盾", "1.0.0")
	config.DocsPath, config.SchemasPath = "", "" // the viewer needs foreign scripts
	config.Formats = apiFormats()
	config.CreateHooks = nil // no $schema links in answers
	config.Transformers = append(config.Transformers, malformed)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"session": {Type: "apiKey", In: "cookie", Name: s.cookieName("applicant")},
		"bearer":  {Type: "http", Scheme: "bearer", Description: "The mini-program's; see login"},
	}
	api := humafiber.New(s.App, config)
	s.matrix = append(s.matrix, route{Method: http.MethodGet, Path: "/openapi.json", Access: Plain},
		route{Method: http.MethodGet, Path: "/openapi.yaml", Access: Plain},
		route{Method: http.MethodGet, Path: "/openapi-3.0.json", Access: Plain},
		route{Method: http.MethodGet, Path: "/openapi-3.0.yaml", Access: Plain})
	operation(s, api, apiGet("/orders"), "list-orders", "List the caller's orders, newest first", s.apiOrders)
	operation(s, api, apiGet("/orders/:id").byMark(), "get-order", "One order with its history", s.apiOrder)
	operation(s, api, apiPost("/orders/:id/authorization/resend"), "resend-authorization", "Send the legal representative the SMS again", s.apiResendAuthorization)
	operation(s, api, apiPost("/orders/:id/authorization/mobile"), "change-legal-mobile", "Ask the legal representative at another mobile", s.apiLegalMobile)
	operation(s, api, apiPost("/orders/:id/authorization/paper"), "authorize-on-paper", "Hand in a stamped letter instead of the signature", s.apiPaper)
	s.apiLoginRoutes(api)
	s.apiCertificateRoutes(api)
	s.apiRebindRoutes(api)
	s.apiAuthorizationRoutes(api)
	s.apiDraftRoutes(api)
	s.apiConfirmRoutes(api)
	s.apiDeliveryRoutes(api)
	s.apiDeskRoutes(api)
	s.apiSubscriptionRoutes(api)
	s.apiInvoiceRoutes(api)
	s.apiReceiptRoutes(api)
}

// apiGet and apiPost are lines of the matrix for applicants.
func apiGet(path string) route {
	return route{Method: http.MethodGet, Path: "/api/v1" + path, Access: Applicant}
}

func apiPost(path string) route {
	return route{Method: http.MethodPost, Path: "/api/v1" + path, Access: Applicant}
}

// open is the same route for everybody: it looks at no cookie and no token.
func (r route) open(a Access) route {
	r.Access = a
	return r
}

// orGiven is the same route, which also takes who has just given the certificate away.
func (r route) orGiven() route {
	r.Given = true
	return r
}

// byMark is the same route whose handler reads the order when it must.
func (r route) byMark() route {
	r.ByMark = true
	return r
}

func (s *Server) apiOrders(ctx context.Context, in *ordersInput) (*ordersOutput, error) {
	f, err := listForm{Status: in.Status}.filter()
	if err != nil {
		return nil, err
	}
	if f.After, err = parseCursor(in.After); err != nil {
		return nil, err
	}
	f.PersonID, f.Limit = callOf(ctx).v.PersonID(), in.Limit
	page, err := s.Store.Orders(ctx, f)
	if err != nil {
		return nil, err
	}
	var out ordersOutput
	out.Body.Orders = []OrderJSON{}
	guides, err := s.Status.Guides(ctx, page.Orders)
	if err != nil {
		return nil, err
	}
	for i, o := range page.Orders {
		out.Body.Orders = append(out.Body.Orders, guidedJSON(o, guides[i], nil))
	}
	out.Body.Next = cursorText(page.Next)
	return &out, nil
}

func (s *Server) apiOrder(ctx context.Context, in *orderInput) (*orderOutput, error) {
	k, now := callOf(ctx), s.Now()
	if known, ok := s.answers.of(order.ID(in.ID), k.mark, now); ok {
		return &orderOutput{known}, nil
	}
	o, err := s.orderOf(ctx, order.ID(in.ID), k.v)
	if err != nil {
		return nil, err
	}
	events, err := s.Store.Events(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	guide, err := s.Status.Guide(ctx, o)
	if err != nil {
		return nil, err
	}
	out := guidedJSON(o, guide, events)
	giveUp, err := s.giveUpOf(ctx, o)
	if err != nil {
		return nil, err
	}
	if giveUp != nil {
		out.GiveUp = &GiveUpJSON{giveUp.Keys, giveUp.Left, int64(giveUp.Price), giveUp.Note}
	}
	cert, err := s.aboutOf(ctx, o)
	if err != nil {
		return nil, err
	}
	if cert != nil {
		out.Obstacle = cert.ObstacleTo(o, now)
	}
	if out.Tracking != nil {
		shipments, err := s.Store.Shipments(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		if parcels := shipmentViews(shipments); len(parcels) > 0 {
			for _, l := range parcels[0].Track {
				out.Tracking.Track = append(out.Tracking.Track, TrackJSON(l))
			}
		}
	}
	if o.Form.Get(order.AuthWay) != order.AuthMiniProgram && out.Reasons == nil && cert == nil && guide.FirstUse == "" {
		s.answers.keep(o, k.mark.Events, out, now)
		return &orderOutput{out}, nil
	}
	card, err := s.authCard(ctx, o)
	if err != nil || card == nil {
		return &orderOutput{out}, err
	}
	out.Authorization = &AuthorizationJSON{State: string(card.State), Label: card.Label, Mobile: card.Phone, Until: card.Expires, Waiting: card.Waiting, Left: card.Left}
	out.Authorization.Paper, out.Authorization.Email = card.Waiting && card.Paper, card.Waiting && card.NeedEmail
	if !card.Sent.IsZero() {
		out.Authorization.SentAt = &card.Sent
	}
	return &orderOutput{out}, nil
}

func (s *Server) apiGiveUp(ctx context.Context, _ *idInput) (*orderOutput, error) {
	k := callOf(ctx)
	o, err := s.Orders.Apply(ctx, k.order.ID, order.Command{On: order.GiveUpKeys, By: k.actor()})
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

func (s *Server) apiResendAuthorization(ctx context.Context, _ *idInput) (*orderOutput, error) {
	k := callOf(ctx)
	o, err := s.Orders.ResendAuthorization(ctx, k.order.ID, k.actor())
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

func (s *Server) apiLegalMobile(ctx context.Context, in *legalMobileInput) (*orderOutput, error) {
	k := callOf(ctx)
	m, err := typedMobile(in.Body.Mobile)
	if err != nil {
		return nil, err
	}
	o, err := s.Orders.ChangeLegalMobile(ctx, k.order.ID, k.actor(), m)
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

// apiPaper takes the photo of the stamped letter (row 13).
func (s *Server) apiPaper(ctx context.Context, _ *paperInput) (*orderOutput, error) {
	k := callOf(ctx)
	o, err := s.takeLetter(k.c, k.order, k.actor())
	if err != nil {
		return nil, err
	}
	return &orderOutput{s.orderJSON(o, nil)}, nil
}

// orderJSON is an order that has no new USBKEY to be used yet.
func (s *Server) orderJSON(o order.Order, events []order.EventRecord) OrderJSON {
	return guidedJSON(o, o.Guide(s.Now()), events)
}

func guidedJSON(o order.Order, g order.Guidance, events []order.EventRecord) OrderJSON {
	out := OrderJSON{
		ID: string(o.ID), No: o.No, Business: string(o.Business), Product: o.Product.Name, Company: o.Company,
		Status: string(o.Status), Label: g.State, What: g.What, Next: g.Next, Action: string(g.Action), Button: g.Action.Verb(o.Business),
		Amount: int64(o.Amount), Within: o.PromisedWithin(), ExpressFee: int64(o.ExpressFee()), Express: o.Express.Label(), Quantity: o.Quantity(), CreatedAt: o.CreatedAt,
	}
	if !o.PlacedAt.IsZero() {
		out.PlacedAt = &o.PlacedAt
	}
	if o.Status == order.Rejected {
		for _, r := range o.Reasons {
			v := viewOfReason(o.Product, o.Form, r)
			out.Reasons = append(out.Reasons, ReasonJSON{v.Text, string(v.Anchor)})
		}
	}
	for _, v := range stepsOf(o) {
		out.Steps = append(out.Steps, StepJSON(v))
	}
	out.Deletable = g.Action == order.ActionContinue || g.Action == order.ActionPay
	out.Closable, out.Deliverable = o.Closable(), o.DeliveryChangeable()
	if o.TrackingNo != "" {
		out.Tracking = &TrackingJSON{Carrier: o.CarrierName(), No: o.TrackingNo, ShippedAt: o.ShippedAt, State: string(o.Parcel), Label: o.Parcel.Label()}
	}
	for _, l := range slices.Backward(told(events)) {
		out.Timeline = append(out.Timeline, MomentsJSON{l.At, string(l.Event), l.text(), string(l.Role)})
	}
	return out
}

// OptionJSON is one choice of a field.
type OptionJSON struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// PaymentJSON is what wx.requestPayment is called with.
type PaymentJSON struct {
	TimeStamp string `json:"timeStamp"`
	NonceStr  string `json:"nonceStr"`
	Package   string `json:"package"`
	SignType  string `json:"signType"`
	PaySign   string `json:"paySign"`
}
