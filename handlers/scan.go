package handlers

import (
	"errors"
	"html/template"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/store/session"
)

// The login page shows a QR code first (F16). The phone's half of it is the
// mini-program's: WeChat opens it for addresses below /scan/ (api_desk.go).

func (s *Server) scanRoutes() {
	s.post("/login/scan", Browser, s.startScan)
	s.post("/login/scan/:ticket", Browser, s.watchScan)
	s.get("/scan/:ticket", Ticket, s.scanPage)
}

// scanView is the QR code of the login page in one of its states (F20).
type scanView struct {
	QR    template.URL
	Link  string // what the QR code says
	Poll  string // where to ask how it stands; empty when the answer is final
	State session.ScanState
	Ended bool // expired: offer a new one
}

// startScan makes a QR code for this browser.
func (s *Server) startScan(c *fiber.Ctx) error {
	token, err := s.Scans.Start(c.UserContext(), visitorOf(c).DraftToken(), deviceOf(c.Get(fiber.HeaderUserAgent)))
	if err != nil {
		return err
	}
	return s.showScan(c, token, session.ScanWaiting)
}

func (s *Server) showScan(c *fiber.Ctx, token string, state session.ScanState) error {
	v := scanView{State: state, Link: s.absolute("/scan/" + token), Poll: "/login/scan/" + token}
	if state == session.ScanCancelled {
		v.Poll = ""
	}
	var err error
	if v.QR, err = qrImage(v.Link); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "partials/scan", "", v)
}

// watchScan is what the login page asks every other second: 204 while nothing
// happened since the state it names, the QR code in its new state, or the way on,
// once the phone has confirmed. Only the browser that shows the code is logged in
// by it, and once. It is a post, as it may end in a login.
func (s *Server) watchScan(c *fiber.Ctx) error {
	token, browser := c.Params("ticket"), visitorOf(c).DraftToken()
	scan, err := s.Scans.Look(c.UserContext(), token)
	if errors.Is(err, order.NotFound) || err == nil && scan.Browser != browser {
		return s.render(c, http.StatusOK, "partials/scan", "", scanView{Ended: true})
	}
	switch {
	case err != nil:
		return err
	case scan.State == session.ScanConfirmed:
		if scan, err = s.Scans.Move(c.UserContext(), token, session.ScanTake, browser); err != nil {
			return err
		}
		if err := s.login(c, session.Session{Kind: session.Applicant, PersonID: scan.PersonID}); err != nil {
			return err
		}
		return s.goTo(c, localPath(c.FormValue("next")))
	case c.FormValue("seen") == string(scan.State):
		return c.SendStatus(http.StatusNoContent)
	}
	return s.showScan(c, token, scan.State)
}

// scanPage is for whoever opens the QR code's address in an ordinary browser.
func (s *Server) scanPage(c *fiber.Ctx) error {
	_, err := s.Scans.Look(c.UserContext(), c.Params("ticket"))
	if err != nil && !errors.Is(err, order.NotFound) {
		return err
	}
	return s.render(c, http.StatusOK, "scan", "扫码登录", err == nil)
}

// deviceOf names a browser and its system, as far as they say who they are.
func deviceOf(agent string) string {
	pick := func(of [][2]string, otherwise string) string {
		for _, p := range of {
			if strings.Contains(agent, p[0]) {
				return p[1]
			}
		}
		return otherwise
	}
	return pick([][2]string{{"MicroMessenger", "微信"}, {"Edg/", "Edge"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}, "浏览器") +
		" · " + pick([][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iPhone"}, {"Mac OS", "macOS"}, {"Linux", "Linux"}}, "未知系统")
}
