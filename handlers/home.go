package handlers

import (
	"net/http"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

func (s *Server) homeRoutes() {
	s.get("/", Public, s.home)
	s.get("/p/:project", Public, s.project)
	s.get("/help", Public, func(c *fiber.Ctx) error { return s.render(c, http.StatusOK, "help", "帮助", nil) })
}

// home leads to the only project, or lets people choose one.
func (s *Server) home(c *fiber.Ctx) error {
	projects := s.Orders.Catalogue().Projects
	if len(projects) == 1 {
		return s.showProject(c, projects[0].Key)
	}
	return s.render(c, http.StatusOK, "home", "数字证书办理", projects)
}

type projectView struct {
	Project order.Project
	Initial []offerView // F1: the three businesses
	// Renewal, UnlockSelf and UnlockApproval say what else the project offers.
	Renewal, UnlockSelf, UnlockApproval bool

	Drafts []order.Order // what this visitor has not finished
}

// offerView is a product on offer, named without its project.
type offerView struct {
	Code, Label, Hint string
	Price             order.Fen
}

func (s *Server) project(c *fiber.Ctx) error { return s.showProject(c, c.Params("project")) }

func (s *Server) showProject(c *fiber.Ctx, key string) error {
	catalogue := s.Orders.Catalogue()
	p, products, err := catalogue.Project(key)
	if err != nil {
		return err
	}
	view := projectView{Project: p}
	for _, q := range products {
		if !q.OnSale {
			continue
		}
		if q.Business == order.Initial {
			view.Initial = append(view.Initial, offerView{q.Code, catalogue.ShortName(q), q.Hint, q.Price})
		}
		view.Renewal = view.Renewal || q.Business == order.Renewal
		view.UnlockSelf = view.UnlockSelf || q.Business == order.UnlockSelf
		view.UnlockApproval = view.UnlockApproval || q.Business == order.UnlockApproval
	}
	if view.Drafts, err = s.drafts(c); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "project", p.Name, view)
}

// drafts are the visitor's unfinished applications: those of the login, then those
// that this browser saved without one.
func (s *Server) drafts(c *fiber.Ctx) (drafts []order.Order, err error) {
	const most = 5
	v := visitorOf(c)
	for _, owner := range []order.Filter{{PersonID: v.PersonID()}, {DraftToken: v.DraftToken()}} {
		if owner.PersonID == "" && owner.DraftToken == "" || len(drafts) == most {
			continue
		}
		owner.Status, owner.Limit = order.Draft, most-len(drafts)
		page, err := s.Store.Orders(c.UserContext(), owner)
		if err != nil {
			return nil, err
		}
		drafts = append(drafts, page.Orders...)
	}
	return drafts, nil
}
