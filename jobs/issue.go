package jobs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/yuncaidun/yuncaidun/issuance"
	"github.com/yuncaidun/yuncaidun/order"
)

// Issuer is the CA's pipeline.
type Issuer interface {
	Make(ctx context.Context, r issuance.Request) (issuance.Issue, error)
	Scrap(ctx context.Context, id, failure string) (issuance.Issue, error)
}

// profiles are the certificate profiles of products, by algorithm.
var profiles = map[order.Algorithm]string{order.P256: issuance.CompanyP256, order.RSA2048: issuance.CompanyRSA}

// Profile is the certificate profile of a product's algorithm.
func Profile(a order.Algorithm) string { return profiles[a] }

// issueTries is how often one attempt at a key is resumed before a person is
// asked: about four minutes, longer than an HSM takes to come back.
const issueTries = 8

// issue makes the key and the certificate of one item. Resumed after a crash it
// goes on with the same serial.
func (d Deps) issue(ctx context.Context, a attempt) error {
	it, err := d.Store.Item(ctx, a.ref)
	if err != nil || it.Stage != order.ItemMaking || d.StationRemote {
		return err
	}
	o, err := d.Store.Order(ctx, it.OrderID)
	if err != nil {
		return err
	}
	request, err := d.IssueRequest(ctx, o, it)
	if err != nil {
		return err
	}
	is, err := d.Issuer.Make(ctx, request)
	_, refused := errors.AsType[*issuance.Refusal](err)
	switch {
	case err != nil && (refused || a.n >= issueTries):
		return d.giveUp(ctx, o.ID, it.ID, request.ID, err)
	case err != nil:
		return fmt.Errorf("making key %d of order %s: %w", it.N, o.ID, err)
	}
	_, err = d.Orders.Apply(ctx, o.ID, order.Command{
		On: order.KeyVerified, By: order.BySystem, Item: it.ID,
		TokenSerial: is.TokenSerial, CertSerial: is.Serial, Proven: []order.Fact{order.ReadBack},
	})
	return err
}

// IssueRequest is what the CA is asked for the present attempt at an item.
func (d Deps) IssueRequest(ctx context.Context, o order.Order, it order.Item) (issuance.Request, error) {
	snapshot, err := hex.DecodeString(o.Snapshot)
	if err != nil {
		return issuance.Request{}, fmt.Errorf("reading the snapshot of order %s: %w", o.ID, err)
	}
	id := fmt.Sprintf("%s-%d", it.ID, it.Attempt)
	request := issuance.Request{
		ID: id, Item: it.ID, SnapshotHash: snapshot, Profile: profiles[o.Product.Algorithm],
		Subject: issuance.Subject{Company: o.Company, USCC: o.USCC}, Years: o.Product.Term,
	}
	err = d.continues(ctx, o, &request)
	return request, err
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

// giveUp scraps the blank, revokes its serial if it has one, and hands the item
// to a person.
func (d Deps) giveUp(ctx context.Context, id order.ID, item, request string, cause error) error {
	note, ok := issuance.Detail(cause)
	if !ok {
		note = "制作多次未成功，请检查 UKEY 与设备后重试"
	}
	if _, err := d.Issuer.Scrap(ctx, request, "gave_up"); err != nil && !errors.Is(err, issuance.ErrUnknownIssue) {
		return fmt.Errorf("scrapping request %s: %w", request, err)
	}
	_, err := d.Orders.Apply(ctx, id, order.Command{On: order.KeyFailed, By: order.BySystem, Item: item, Note: note})
	return err
}

// station claims every waiting key of an order when the station works by itself.
func (d Deps) station(ctx context.Context, id string) error {
	if !d.StationAuto || d.StationRemote {
		return nil
	}
	items, err := d.Store.Items(ctx, order.ID(id))
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
