-- +goose Up
-- The shippers' lists: what is on its way, and what comes back.
CREATE INDEX orders_parcel ON orders (parcel, created_at, id) WHERE parcel <> '';
CREATE INDEX orders_tracking ON orders (tracking_no) WHERE tracking_no <> '';
