-- +goose Up
-- What waits about an order for a second person or for the applicant, and the price
-- of keys on its way back: order.Proposal and order.KeysRefund say what each column holds.
ALTER TABLE payments ADD COLUMN returned BIGINT NOT NULL DEFAULT 0;
CREATE TABLE proposals (
    order_id TEXT PRIMARY KEY REFERENCES orders (id),
    kind     TEXT NOT NULL,
    staff_id TEXT NOT NULL,
    keys     INTEGER NOT NULL,
    key_end  TEXT NOT NULL,
    note     TEXT NOT NULL,
    at       TIMESTAMP NOT NULL
);
CREATE TABLE keys_refunds (
    refund_no  TEXT PRIMARY KEY,
    trade_no   TEXT NOT NULL REFERENCES payments (trade_no),
    order_id   TEXT NOT NULL REFERENCES orders (id),
    keys       INTEGER NOT NULL,
    amount     BIGINT NOT NULL CHECK (amount > 0),
    state      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL
);
CREATE INDEX keys_refunds_order ON keys_refunds (order_id, created_at);
CREATE INDEX keys_refunds_failed ON keys_refunds (updated_at) WHERE state = 'refund_failed';
