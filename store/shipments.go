package store

import (
	"context"
	"database/sql"
	"strconv"
	"time"

	"github.com/yuncaidun/yuncaidun/order"
)

const shipmentColumns = `order_id, n, carrier, tracking_no, state, sealed_track, rev, shipped_at, tracked_at, updated_at`

type shipmentRow struct {
	OrderID     order.ID          `db:"order_id"`
	N           int               `db:"n"`
	Carrier     string            `db:"carrier"`
	TrackingNo  string            `db:"tracking_no"`
	State       order.ParcelState `db:"state"`
	SealedTrack []byte            `db:"sealed_track"`
	Rev         int64             `db:"rev"`
	ShippedAt   time.Time         `db:"shipped_at"`
	TrackedAt   sql.NullTime      `db:"tracked_at"`
	UpdatedAt   time.Time         `db:"updated_at"`
}

func trackCell(id order.ID, n int) cell {
	return cell{"shipments", "sealed_track", string(id) + "/" + strconv.Itoa(n)}
}

func (q queries) rowOfShipment(s order.Shipment) (shipmentRow, error) {
	r := shipmentRow{
		OrderID: s.OrderID, N: s.N, Carrier: s.Carrier, TrackingNo: s.TrackingNo, State: s.State, Rev: s.Rev,
		ShippedAt: dbTime(s.ShippedAt), TrackedAt: nullTime(s.TrackedAt), UpdatedAt: dbTime(s.UpdatedAt),
	}
	var err error
	if len(s.Track) > 0 { // couriers name people in it
		r.SealedTrack, err = q.seal.sealJSON(s.Track, trackCell(s.OrderID, s.N))
	}
	return r, err
}

func (q queries) shipmentOfRow(r shipmentRow) (order.Shipment, error) {
	s := order.Shipment{
		OrderID: r.OrderID, N: r.N, Carrier: r.Carrier, TrackingNo: r.TrackingNo, State: r.State, Rev: r.Rev,
		ShippedAt: r.ShippedAt.UTC(), TrackedAt: fromNull(r.TrackedAt), UpdatedAt: r.UpdatedAt.UTC(),
	}
	return s, q.seal.openJSON(r.SealedTrack, &s.Track, trackCell(r.OrderID, r.N))
}

// Shipments implements [order.Queries].
func (q queries) Shipments(ctx context.Context, id order.ID) ([]order.Shipment, error) {
	var rows []shipmentRow
	if err := q.all(ctx, &rows, `SELECT `+shipmentColumns+` FROM shipments WHERE order_id = ? ORDER BY n`, id); err != nil {
		return nil, failed(err, "reading the parcels of order %s", id)
	}
	var out []order.Shipment
	for _, r := range rows {
		s, err := q.shipmentOfRow(r)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// OrdersInParcel implements [order.Queries].
func (q queries) OrdersInParcel(ctx context.Context, trackingNo string, since time.Time) (ids []order.ID, err error) {
	err = q.all(ctx, &ids, `SELECT DISTINCT order_id FROM shipments WHERE tracking_no = ? AND shipped_at >= ? ORDER BY order_id`, trackingNo, dbTime(since))
	return ids, failed(err, "listing the orders in a parcel")
}

// InsertShipment implements [order.Tx].
func (tx *Tx) InsertShipment(ctx context.Context, s order.Shipment) error {
	r, err := tx.rowOfShipment(s)
	if err != nil {
		return err
	}
	_, err = tx.execNamed(ctx, `
		INSERT INTO shipments (`+shipmentColumns+`)
		VALUES (:order_id, :n, :carrier, :tracking_no, :state, :sealed_track, :rev, :shipped_at, :tracked_at, :updated_at)`, r)
	return failed(err, "recording a parcel of order %s", s.OrderID)
}

// UpdateShipment implements [order.Tx].
func (tx *Tx) UpdateShipment(ctx context.Context, s order.Shipment) error {
	r, err := tx.rowOfShipment(s)
	if err != nil {
		return err
	}
	n, err := tx.execNamed(ctx, `
		UPDATE shipments
		SET carrier = :carrier, tracking_no = :tracking_no, state = :state, sealed_track = :sealed_track, tracked_at = :tracked_at, updated_at = :updated_at, rev = rev + 1
		WHERE order_id = :order_id AND n = :n AND rev = :rev`, r)
	if err != nil {
		return failed(err, "writing a parcel of order %s", s.OrderID)
	}
	return oneRow(n, errOrderChanged)
}
