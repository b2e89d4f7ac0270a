-- +goose Up
-- Whether the surcharge bought a shorter promise, and what became of it: order.ExpressState.
ALTER TABLE orders ADD COLUMN express TEXT NOT NULL DEFAULT '';
CREATE INDEX orders_express ON orders (express, due_at) WHERE express <> '';
-- Work queues begin with what is promised for the earliest moment.
DROP INDEX orders_queue;
CREATE INDEX orders_queue ON orders (status, stage, COALESCE(due_at, created_at), id) WHERE deleted_at IS NULL;
