-- +goose Up
-- When a row is to be looked at again whether its personal data may go (order.Keepings);
-- NULL once it has gone. Rows from before are looked at at once.
ALTER TABLE orders ADD COLUMN keep_until TIMESTAMP DEFAULT '2000-01-01 00:00:00+00:00';
CREATE INDEX orders_keep_until ON orders (keep_until, id) WHERE keep_until IS NOT NULL;
ALTER TABLE people ADD COLUMN keep_until TIMESTAMP DEFAULT '2000-01-01 00:00:00+00:00';
CREATE INDEX people_keep_until ON people (keep_until, id) WHERE keep_until IS NOT NULL;
CREATE INDEX enquiries_said ON enquiries (created_at, id) WHERE sealed_said IS NOT NULL;

-- Everything that was uploaded for an order, also what it no longer names.
CREATE TABLE uploads (
    object   TEXT      PRIMARY KEY,
    order_id TEXT      NOT NULL REFERENCES orders (id),
    at       TIMESTAMP NOT NULL
);
CREATE INDEX uploads_order ON uploads (order_id, at);
