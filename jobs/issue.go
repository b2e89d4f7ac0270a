package jobs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
	"github.com/yuncaidun/yuncaidun/request"
)

// Desk asks the issuer; *request.Desk.
type Desk interface {
	AskOnce(ctx context.Context, id string, k request.Kind, subject string, body []byte) ([]byte, error)
}

// profiles are the certificate profiles of products, by algorithm.
var profiles = map[order.Algorithm]string{order.P256: issuance.CompanyP256, order.RSA2048: issuance.CompanyRSA}

// Profile is the certificate profile of a product's algorithm.
func Profile(a order.Algorithm) string { return profiles[a] }

// issueTries is how often one attempt at a key is resumed before a person is
// asked: about five minutes, longer than an HSM takes to come back.
const issueTries = 8

// issue has the issuer make the key and the certificate of one item. Resumed after
// a crash of either it goes on with the same serial.
func (d Deps) issue(ctx context.Context, a attempt) error {
	it, err := d.Store.Item(ctx, a.ref)
	if err != nil || it.Stage != order.ItemMaking || d.StationRemote {
		return err
	}
	o, err := d.Store.Order(ctx, it.OrderID)
	if err != nil {
		return err
	}
	r, err := d.IssueRequest(ctx, o, it)
	if err != nil {
		return err
	}
	asked, err := json.Marshal(r)
	if err != nil {
		return err
	}
	answer, err := d.ask(ctx, request.MakeKey, r.ID, asked)
	refusal, ok := order.AsError(err)
	if refused := ok && !errors.Is(err, order.Unavailable); refused || err != nil && a.n >= issueTries {
		note := "制作多次未成功，请检查 UKEY 与设备后重试"
		if ok && refusal.Code != request.NoAnswer {
			note = refusal.Detail
		}
		if made, err := d.giveUp(ctx, o.ID, it.ID, r.ID, note); err != nil || !made {
			return err
		}
		if answer, err = d.ask(ctx, request.MakeKey, r.ID, asked); err != nil { // whatever kind it is, the job is not done
			return fmt.Errorf("key %d of order %s is made, but the issuer does not say so: %v", it.N, o.ID, err) //nolint:errorlint // see above
		}
	}
	if err != nil {
		return fmt.Errorf("making key %d of order %s: %w", it.N, o.ID, err)
	}
	var made request.Made
	if err := json.Unmarshal(answer, &made); err != nil {
		return fmt.Errorf("reading what was made for order %s: %w", o.ID, err)
	}
	_, err = d.Orders.Apply(ctx, o.ID, order.Command{
		On: order.KeyVerified, By: order.BySystem, Item: it.ID,
		TokenSerial: made.TokenSerial, CertSerial: made.CertSerial, Proven: []order.Fact{order.ReadBack},
	})
	return err
}

// ask puts a question about an issue to the issuer. Each attempt asks anew: what is
// asked can be done again.
func (d Deps) ask(ctx context.Context, k request.Kind, issue string, body []byte) ([]byte, error) {
	answer, err := d.Desk.AskOnce(ctx, d.NewID(), k, issue, body)
	if e, ok := order.AsError(err); ok && e.Code == request.Expired { // nobody has refused: it is asked again
		err = &order.Error{Kind: order.Unavailable, Code: request.NoAnswer, Detail: e.Detail}
	}
	return answer, err
}

// IssueRequest is what the CA is asked for the present attempt at an item.
func (d Deps) IssueRequest(ctx context.Context, o order.Order, it order.Item) (issuance.Request, error) {
	snapshot, err := hex.DecodeString(o.Snapshot)
	if err != nil {
		return issuance.Request{}, fmt.Errorf("reading the snapshot of order %s: %w", o.ID, err)
	}
	id := fmt.Sprintf("%s-%d", it.ID, it.Attempt)
	r := issuance.Request{
		ID: id, Item: it.ID, SnapshotHash: snapshot, Profile: profiles[o.Product.Algorithm],
		Subject: issuance.Subject{Company: o.Company, USCC: o.USCC}, Years: o.Product.Term,
	}
	err = d.continues(ctx, o, &r)
	return r, err
}

// continues has a renewal add its years to what is left of the old certificate
// (F75), and a replacement end when the old one would have.
func (d Deps) continues(ctx context.Context, o order.Order, r *issuance.Request) error {
	if o.Certificate == "" {
		return nil
	}
	cert, err := d.Certificates.Certificate(ctx, o.Certificate)
	if err != nil {
		return err
	}
	r.Continues = cert.NotAfter
	if o.Business == order.Reissue {
		r.Years = 0
	}
	return nil
}

// giveUp has the blank scrapped and its serial revoked, if it has one, and hands
// the item to a person; unless it was made after all.
func (d Deps) giveUp(ctx context.Context, id order.ID, item, issue, note string) (made bool, err error) {
	_, err = d.ask(ctx, request.ScrapIssue, issue, []byte("gave_up"))
	if e, ok := order.AsError(err); ok && e.Code == "issue_done" {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("scrapping request %s: %w", issue, err)
	}
	_, err = d.Orders.Apply(ctx, id, order.Command{On: order.KeyFailed, By: order.BySystem, Item: item, Note: note})
	return false, err
}

// station claims every waiting key of an order when the station works by itself. Where
// four eyes are needed a person has to begin (F124).
func (d Deps) station(ctx context.Context, id string) error {
	if !d.StationAuto || d.StationRemote {
		return nil
	}
	o, err := d.Store.Order(ctx, order.ID(id))
	if err != nil || !o.MayBeMadeBy(order.BySystem.StaffID) {
		return err
	}
	items, err := d.Store.Items(ctx, o.ID)
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.Stage != order.ItemWaiting {
			continue
		}
		if _, err := d.Orders.Apply(ctx, it.OrderID, order.Command{On: order.MakeKey, By: order.BySystem, Item: it.ID}); err != nil {
			return err
		}
	}
	return nil
}
