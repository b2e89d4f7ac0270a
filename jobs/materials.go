package jobs

import (
	"context"

	"github.com/yuncaidun/yuncaidun/identity"
	"github.com/yuncaidun/yuncaidun/order"
)

// RealName asks whether a name, a document and a mobile belong to one person.
type RealName interface {
	Check(ctx context.Context, name identity.PersonName, doc identity.DocType, no identity.DocNo, mobile identity.Mobile) (order.RealNameResult, error)
}

// Objects is where uploaded images are kept.
type Objects interface {
	Get(ctx context.Context, id string) ([]byte, error)
	Put(ctx context.Context, id string, content []byte) error
	Delete(ctx context.Context, id string) error
}

// realName has the 经办人 of a submission checked (F24).
func (d Deps) realName(ctx context.Context, id string) error {
	o, err := d.Store.Order(ctx, order.ID(id))
	if err != nil || o.RealName != order.RealNameUnknown {
		return err
	}
	f := o.Form
	result, err := d.RealName.Check(ctx, identity.NewPersonName(f.Get(order.AgentName)), identity.DocType(f.Get(order.IDType)),
		identity.NewDocNo(f.Get(order.IDNo)), o.Mobile())
	if err != nil {
		return err
	}
	return d.Orders.RecordRealName(ctx, o.ID, o.Submission, result)
}

// purge erases what belongs to an order that was deleted, or whose data has been
// kept as long as was promised: first the objects, then what names them. Cut short
// anywhere, it is simply done again.
func (d Deps) purge(ctx context.Context, id string) error {
	objects, ok, err := d.Orders.Purgeable(ctx, order.ID(id))
	if err != nil || !ok {
		return err
	}
	for _, object := range objects {
		if err := d.Objects.Delete(ctx, object); err != nil {
			return err
		}
	}
	return d.Orders.Purge(ctx, order.ID(id))
}
