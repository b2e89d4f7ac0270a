-- +goose Up
-- Whether the surcharge bought a shorter promise, and what became of it: order.ExpressState.
ALTER TABLE orders ADD COLUMN express TEXT NOT NULL DEFAULT '';
CREATE INDEX orders_express ON orders (due_at) WHERE express = 'promised';
