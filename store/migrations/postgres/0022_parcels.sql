-- +goose Up
-- How far an order's parcel has come (order.ParcelState), and each of its parcels
-- with what the courier reports: order.Shipment says what each column holds.
ALTER TABLE orders ADD COLUMN parcel TEXT NOT NULL DEFAULT '';
UPDATE orders SET parcel = 'posted' WHERE tracking_no <> '';
CREATE TABLE shipments (
    order_id     TEXT   NOT NULL REFERENCES orders (id),
    n            INTEGER NOT NULL,
    carrier      TEXT   NOT NULL,
    tracking_no  TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    sealed_track BYTEA,
    rev          BIGINT NOT NULL,
    shipped_at   TIMESTAMPTZ NOT NULL,
    tracked_at   TIMESTAMPTZ,
    updated_at   TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (order_id, n)
);
CREATE INDEX shipments_tracking ON shipments (tracking_no, shipped_at);
INSERT INTO shipments (order_id, n, carrier, tracking_no, state, rev, shipped_at, updated_at)
SELECT id, 1, carrier, tracking_no, 'posted', 1, shipped_at, updated_at FROM orders WHERE tracking_no <> '' AND shipped_at IS NOT NULL;
