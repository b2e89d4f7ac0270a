package handlers

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) openingRoutes() {
	s.get("/certificates/:serial/openings", Applicant, s.showOpenings)
	s.post("/certificates/:serial/openings", Applicant, s.addOpening)
	s.post("/certificates/:serial/openings/:opening/delete", Applicant, s.dropOpening)
}

// openingView is an opening of bids that is ahead, with what stands in its way.
type openingView struct {
	certificate.Opening
	When  string // 12月3日 09:30 开标（还有 9 天）
	Light certificate.Light
	Says  string
}

// openingViews judges what is ahead of one certificate, of whose USBKEY lent says who has
// it.
func openingViews(cert certificate.Certificate, ahead []certificate.Opening, lent []certificate.Loan, now time.Time) (out []openingView) {
	for _, o := range ahead {
		if o.Serial != cert.Serial {
			continue
		}
		v := openingView{Opening: o, When: opensAt(o.At, now)}
		v.Light, v.Says = cert.Guard(o, now)
		for _, l := range lent {
			if says, away := l.Guard(o, now); away && l.Token == cert.TokenSerial && v.Light != certificate.Red {
				v.Light, v.Says = certificate.Yellow, says
			}
		}
		out = append(out, v)
	}
	return out
}

// opensAt says when bids are opened.
func opensAt(at, now time.Time) string {
	return order.Day(at) + " " + at.In(order.Shanghai).Format("15:04") + " 开标（" + daysAhead(at, now) + "）"
}

// atStake are the openings that an event keeps from being decrypted: those of a
// certificate and of all that goes the same way.
func atStake(cert certificate.Certificate, held []certificate.Certificate, cmd certificate.Command, ahead []certificate.Opening, now time.Time) (out []openingView) {
	for _, one := range append(certificate.Along(cert, held, cmd, now), cert) {
		out = append(out, openingViews(one, ahead, nil, now)...)
	}
	return out
}

// stolen is the revocation that reaches every certificate on the USBKEY.
var stolen = certificate.Command{On: certificate.Revoke, Reason: certificate.KeyCompromise}

// daysAhead is how many days from now a moment is, in Shanghai.
func daysAhead(at, now time.Time) string {
	switch left := (certificate.Certificate{NotAfter: at}).DaysLeft(now); left {
	case 0:
		return "今天"
	case 1:
		return "明天"
	default:
		return "还有 " + strconv.Itoa(left) + " 天"
	}
}

// openingsView is the page on which the holder of a certificate registers openings.
type openingsView struct {
	Cert             certificate.Certificate
	Ahead            []openingView
	Project, Opening string // as they were typed
	refusedForm
}

func (s *Server) showOpenings(c *fiber.Ctx) error {
	return s.openingsPage(c, http.StatusOK, openingsView{})
}

func (s *Server) openingsPage(c *fiber.Ctx, status int, v openingsView) error {
	var err error
	if v.Cert, err = s.Status.Own(c.UserContext(), c.Params("serial"), visitorOf(c).PersonID()); err != nil {
		return err
	}
	ahead, err := s.Status.Openings(c.UserContext(), v.Cert.Serial)
	if err != nil {
		return err
	}
	lent, err := s.Status.LoansOut(c.UserContext(), v.Cert.PersonID)
	if err != nil {
		return err
	}
	v.Ahead = openingViews(v.Cert, ahead, lent, s.Now())
	return s.render(c, status, "openings", "开标登记", v)
}

func (s *Server) addOpening(c *fiber.Ctx) error {
	typed := openingsView{Project: c.FormValue("project"), Opening: c.FormValue("opening")}
	err := s.registerOpening(c, c.Params("serial"), visitorOf(c), typed.Project, typed.Opening)
	if refusal, ok := order.AsError(err); ok && refusal.Kind != order.NotFound {
		typed.refusedForm = refusedFor(refusal)
		return s.openingsPage(c, http.StatusUnprocessableEntity, typed)
	}
	if err != nil {
		return err
	}
	return s.goTo(c, "/certificates/"+c.Params("serial")+"/openings")
}

// registerOpening registers what somebody typed.
func (s *Server) registerOpening(c *fiber.Ctx, serial string, v Visitor, project, typed string) error {
	at, err := order.ParseMoment(typed)
	if refusal, ok := order.AsError(err); ok {
		return refusal.About("opening")
	}
	if err := allow(c.UserContext(), s.Attempts, "openings:"+v.PersonID(), 30, time.Hour, "一小时内登记的开标过多，请稍后再试"); err != nil {
		return err
	}
	return s.Status.AddOpening(c.UserContext(), serial, order.PrintedName(project), at, v.Actor(c))
}

func (s *Server) dropOpening(c *fiber.Ctx) error {
	if err := s.Status.DropOpening(c.UserContext(), c.Params("serial"), c.Params("opening"), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/certificates/"+c.Params("serial")+"/openings")
}

// lastOf is the latest of some openings.
func lastOf(ahead []openingView) time.Time {
	return slices.MaxFunc(ahead, func(a, b openingView) int { return a.At.Compare(b.At) }).At
}

// OpeningJSON is an opening of bids that is ahead, with what stands in its way.
type OpeningJSON struct {
	ID      string    `json:"id"`
	Project string    `json:"project"`
	At      time.Time `json:"at"`
	When    string    `json:"when" example:"12月3日 09:30 开标（还有 9 天）"`
	Light   string    `json:"light" enum:"green,yellow,red" doc:"How sure it is that the bids can be opened"`
	Says    string    `json:"says" doc:"Why, and what to do, in Chinese"`
}

func openingsJSON(views []openingView) (out []OpeningJSON) {
	for _, v := range views {
		out = append(out, OpeningJSON{v.ID, v.Project, v.At, v.When, string(v.Light), v.Says})
	}
	return out
}

type (
	openingInput struct {
		Serial string `path:"serial" maxLength:"40"`
		Body   struct {
			Project string `json:"project,omitempty" maxLength:"200" doc:"As its holder calls it" example:"三期风电塔筒采购"`
			Opening string `json:"opening" maxLength:"20" doc:"When the bids are opened, in Shanghai" example:"2026-12-20T09:30"`
		}
	}
	openingPath struct {
		Serial  string `path:"serial" maxLength:"40"`
		Opening string `path:"opening" maxLength:"26"`
	}
)

func (s *Server) apiOpeningRoutes(api huma.API) {
	one := "/certificates/:serial/openings"
	operation(s, api, apiPost(one), "add-opening", "Register when bids are opened that were encrypted for the certificate", s.apiAddOpening)
	operation(s, api, apiPost(one+"/:opening/delete"), "delete-opening", "Take an opening back", s.apiDropOpening)
}

func (s *Server) apiAddOpening(ctx context.Context, in *openingInput) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.registerOpening(k.c, k.cert.Serial, k.v, in.Body.Project, in.Body.Opening)
}

func (s *Server) apiDropOpening(ctx context.Context, in *openingPath) (*nothing, error) {
	k := callOf(ctx)
	return &nothing{}, s.Status.DropOpening(ctx, k.cert.Serial, in.Opening, k.actor())
}
