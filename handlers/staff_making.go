package handlers

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/yuncaidun/yuncaidun/order"
)

// makingRoutes are the issuer's. He sees the subject of the certificate and the
// keys, and nothing of the applicant (rules.md §3.2, 8).
func (k *console) makingRoutes() {
	k.get("/staff/making", OfStaff, k.making, order.Issuer)
	k.post("/staff/making/:id/:item/start", OfStaff, k.startKey, order.Issuer)
	k.post("/staff/making/:id/:item/retry", OfStaff, k.retryKey, order.Issuer)
}

type makingView struct {
	Auto   bool
	Remote bool
	// FourEyes: some order may not be made by who approved it.
	FourEyes bool
	Rows     []makingRow
	Next     string
}

// makingRow is an order as the issuer sees it.
type makingRow struct {
	ID                           order.ID
	Tail, Company, USCC, Product string
	Algorithm                    string
	Term                         int
	Stage, Refund, Express       string
	Due                          time.Time
	Items                        []itemRow
	Labels                       bool // there are keys to be labelled
	FourEyes                     bool // who approved it may not make it
}

var algorithmLabels = map[order.Algorithm]string{order.P256: "ECC P-256", order.RSA2048: "RSA 2048"}

type itemRow struct {
	order.Item
	CanStart, CanRetry bool
	Another            bool // a colleague has to do it
}

// itemRow is a key with what the issuer who looks may do. What waits is begun by the
// station alone where it works by itself, unless four eyes are needed.
func (k *console) itemRow(c *fiber.Ctx, o order.Order, i order.Item) itemRow {
	row := itemRow{Item: i}
	if o.Refund != order.NoRefund {
		return row
	}
	may := o.MayBeMadeBy(staffOf(c).ID)
	start := i.Stage == order.ItemWaiting && !k.StationRemote && (!k.StationAuto || o.Product.FourEyes)
	retry := i.Stage == order.ItemFailed
	row.CanStart, row.CanRetry = start && may, retry && may
	row.Another = !may && (retry || i.Stage == order.ItemWaiting)
	return row
}

func (k *console) making(c *fiber.Ctx) error { return k.showMaking(c, nil) }

func (k *console) showMaking(c *fiber.Ctx, refusal error) error {
	f, err := listPage(c, order.Filter{Status: order.ToIssue, Sort: order.DueFirst})
	if err != nil {
		return err
	}
	page, err := k.Records.Orders(c.UserContext(), f)
	if err != nil {
		return err
	}
	items, err := k.itemsOf(c.UserContext(), page.Orders)
	if err != nil {
		return err
	}
	v := makingView{Auto: k.StationAuto && !k.StationRemote, Remote: k.StationRemote}
	for _, o := range page.Orders {
		row := makingRow{
			ID: o.ID, Tail: order.TailOf(o.No), Company: o.Company, USCC: o.USCC, Product: o.Product.Name, Algorithm: algorithmLabels[o.Product.Algorithm],
			Term: o.Product.Term, Stage: o.Stage.Label(), Refund: o.Refund.Label(), Express: o.Express.Label(), Due: o.DueAt,
			FourEyes: o.Product.FourEyes,
		}
		for _, i := range items[o.ID] {
			row.Labels = row.Labels || i.Stage == order.ItemVerified
			row.Items = append(row.Items, k.itemRow(c, o, i))
		}
		v.Rows, v.FourEyes = append(v.Rows, row), v.FourEyes || row.FourEyes
	}
	v.Next = link("/staff/making?after=", page.Next)
	return k.show(c, "making", "制证", v, refusal)
}

// itemsOf reads the items of a list of orders.
func (k *console) itemsOf(ctx context.Context, orders []order.Order) (map[order.ID][]order.Item, error) {
	ids := make([]order.ID, len(orders))
	for i, o := range orders {
		ids[i] = o.ID
	}
	items, err := k.Records.Items(ctx, ids...)
	of := map[order.ID][]order.Item{}
	for _, i := range items {
		of[i.OrderID] = append(of[i.OrderID], i)
	}
	return of, err
}

func (k *console) startKey(c *fiber.Ctx) error { return k.moveKey(c, order.MakeKey) }
func (k *console) retryKey(c *fiber.Ctx) error { return k.moveKey(c, order.RetryKey) }

func (k *console) moveKey(c *fiber.Ctx, on order.Event) error {
	_, err := k.act(c, order.Issuer, order.Command{On: on, Item: c.Params("item")})
	if err != nil {
		return k.orNotice(c, err, k.showMaking)
	}
	return c.Redirect("/staff/making", http.StatusSeeOther)
}
