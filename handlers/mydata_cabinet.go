package handlers

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/certificate"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// cabinetDataView is what somebody has written into his cabinet, and how it can be made
// to go.
type cabinetDataView struct {
	provenView
	cabinetData
}

type cabinetData struct {
	Foreign []certificate.Foreign
	Loans   []certificate.Loan
	More    bool // older ones
}

func (s *Server) cabinetOf(ctx context.Context, personID string, loans int) (d cabinetData, err error) {
	if d.Foreign, err = s.Status.ForeignOf(ctx, personID); err != nil {
		return d, err
	}
	page, err := s.Status.Loans(ctx, personID, "", order.Cursor{}, loans)
	d.Loans, d.More = page.Loans, page.Next != order.Cursor{}
	return d, err
}

func (s *Server) cabinetData(c *fiber.Ctx) (provable, session.Challenge, error) {
	me := visitorOf(c).PersonID()
	held, err := s.cabinetOf(c.UserContext(), me, pageSize)
	if err != nil {
		return nil, session.Challenge{}, err
	}
	form, ch, err := s.proving(c, codeErase, "cabinet:"+me, "/me/data/cabinet")
	return &cabinetDataView{form, held}, ch, err
}

func (s *Server) emptyCabinet(c *fiber.Ctx, _ provable) error {
	if err := s.Status.EmptyCabinet(c.UserContext(), visitorOf(c).Actor(c)); err != nil {
		return err
	}
	return s.goTo(c, "/me/data")
}
