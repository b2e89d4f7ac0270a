-- +goose Up
-- How long a review may take and since when it does; why it is late; what a reviewer
-- has ticked on the page before he decides, perhaps in a chat.
ALTER TABLE orders ADD COLUMN review_since TIMESTAMP;
ALTER TABLE orders ADD COLUMN review_due TIMESTAMP;
ALTER TABLE orders ADD COLUMN delay TEXT NOT NULL DEFAULT '';
CREATE INDEX orders_review_due ON orders (review_due, id) WHERE status = 'in_review' AND deleted_at IS NULL AND review_due IS NOT NULL;
CREATE INDEX order_events_decisions ON order_events (at) WHERE event IN ('approve', 'reject');

CREATE TABLE review_checks (
    order_id TEXT      NOT NULL REFERENCES orders (id),
    staff_id TEXT      NOT NULL REFERENCES staff (id),
    snapshot TEXT      NOT NULL,
    ticks    TEXT      NOT NULL, -- JSON
    at       TIMESTAMP NOT NULL,
    PRIMARY KEY (order_id, staff_id)
);
