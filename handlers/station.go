package handlers

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// StationAsk is what a station says about itself when it asks for a key to make.
type StationAsk struct {
	Plugged   []string `json:"plugged"`
	PublicKey []byte   `json:"public_key"`
	Resume    bool     `json:"resume"` // also what a station began and did not end
}

// StationDesk serves stations on other PCs.
type StationDesk interface {
	// Take returns the next task, nil when there is none.
	Take(ctx context.Context, by order.Actor, in StationAsk) (task json.RawMessage, err error)
	Certify(ctx context.Context, issue string, request []byte) (certificate []byte, err error)
	Finish(ctx context.Context, issue string, signature []byte) error
	// Fail gives the key up and hands the item to a person.
	Fail(ctx context.Context, issue, note string) error
}

// stationLife is how long a station's ticket lives: a working day.
const stationLife = 10 * time.Hour

// stationRoutes are for `yuncaidun station`, which proves itself by the ticket that
// an issuer made in the console.
func (k *console) stationRoutes() {
	k.post("/staff/making/station", OfStaff, k.newStation, order.Issuer)
	k.ofStation("/station/take", k.stationTake)
	k.ofStation("/station/certify", k.stationCertify)
	k.ofStation("/station/finish", k.stationFinish)
	k.ofStation("/station/fail", k.stationFail)
}

// ofStation is a route for who holds a station's ticket.
func (k *console) ofStation(path string, h func(*fiber.Ctx, order.Staff) error) {
	k.Mount(fiber.MethodPost, path, Proof, func(c *fiber.Ctx) error {
		m, err := k.stationStaff(c)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderCacheControl, "no-store")
		return h(c, m)
	})
}

type stationView struct {
	Ticket, Server string
	Ends           time.Time
}

// newStation shows the ticket of a station, once.
func (k *console) newStation(c *fiber.Ctx) error {
	ends := k.Now().Add(stationLife)
	c.Set(fiber.HeaderCacheControl, "no-store")
	return k.show(c, "station", "连接制证电脑", stationView{k.StationTicket(staffOf(c).ID, ends), k.PublicURL.String(), ends}, nil)
}

// StationTicket names a member of staff until an instant, under the web's key.
func (s *Server) StationTicket(staffID string, ends time.Time) string {
	body := staffID + "." + strconv.FormatInt(ends.Unix(), 10)
	return body + "." + s.mac(stationPurpose, body)
}

const stationPurpose = "station ticket"

// stationStaff is whose ticket the request carries. A member of staff who was
// disabled or is no issuer any more has none.
func (k *console) stationStaff(c *fiber.Ctx) (order.Staff, error) {
	refused := order.Errorf(order.Unauthenticated, "station_ticket", "制证凭证无效或已过期，请在审核台的「制证」页重新生成")
	ticket, ok := strings.CutPrefix(c.Get(fiber.HeaderAuthorization), "Bearer ")
	at := strings.LastIndexByte(ticket, '.')
	if !ok || at < 0 || !hmac.Equal([]byte(ticket[at+1:]), []byte(k.mac(stationPurpose, ticket[:at]))) {
		return order.Staff{}, refused
	}
	id, until, _ := strings.Cut(ticket[:at], ".")
	ends, err := strconv.ParseInt(until, 10, 64)
	if err != nil || !k.Now().Before(time.Unix(ends, 0)) {
		return order.Staff{}, refused
	}
	m, err := k.Records.Staff(c.UserContext(), id)
	if err != nil || !m.Has(order.Issuer) { // a disabled account has no role
		return order.Staff{}, refused
	}
	return m, nil
}

func (k *console) stationTake(c *fiber.Ctx, m order.Staff) error {
	var in StationAsk
	if err := json.Unmarshal(c.Body(), &in); err != nil || len(in.Plugged) > 100 {
		return order.Errorf(order.Invalid, "station_request", "请求格式不正确，请更新制证程序")
	}
	task, err := k.Stations.Take(c.UserContext(), m.Actor(order.Issuer, order.Web, c.IP()), in)
	switch {
	case err != nil:
		return err
	case task == nil:
		return c.SendStatus(http.StatusNoContent)
	}
	return c.JSON(task)
}

// stationWork is what a station sends about a task.
type stationWork struct {
	Issue string `json:"issue"`
	Body  []byte `json:"body"`
	Note  string `json:"note"`
}

func (k *console) stationWork(c *fiber.Ctx) (stationWork, error) {
	var in stationWork
	if err := json.Unmarshal(c.Body(), &in); err != nil || in.Issue == "" || len(in.Note) > 300 {
		return in, order.Errorf(order.Invalid, "station_request", "请求格式不正确，请更新制证程序")
	}
	return in, nil
}

func (k *console) stationCertify(c *fiber.Ctx, _ order.Staff) error {
	in, err := k.stationWork(c)
	if err != nil {
		return err
	}
	der, err := k.Stations.Certify(c.UserContext(), in.Issue, in.Body)
	if err != nil {
		return err
	}
	return c.JSON(stationWork{Issue: in.Issue, Body: der})
}

func (k *console) stationFinish(c *fiber.Ctx, _ order.Staff) error {
	in, err := k.stationWork(c)
	if err == nil {
		err = k.Stations.Finish(c.UserContext(), in.Issue, in.Body)
	}
	if err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}

func (k *console) stationFail(c *fiber.Ctx, _ order.Staff) error {
	in, err := k.stationWork(c)
	if err == nil {
		err = k.Stations.Fail(c.UserContext(), in.Issue, in.Note)
	}
	if err != nil {
		return err
	}
	return c.SendStatus(http.StatusNoContent)
}
