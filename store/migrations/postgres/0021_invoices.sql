-- +goose Up
-- Electronic invoices: order.Invoice says what each column holds. Buyers are units,
-- which are public.
CREATE TABLE invoices (
    id           TEXT PRIMARY KEY,
    order_id     TEXT NOT NULL REFERENCES orders (id),
    trade_no     TEXT NOT NULL,
    state        TEXT NOT NULL,
    rev          BIGINT NOT NULL,
    attempt      INTEGER NOT NULL,
    amount       BIGINT NOT NULL CHECK (amount > 0),
    title        TEXT NOT NULL,
    tax_no       TEXT NOT NULL,
    item         TEXT NOT NULL,
    number       TEXT NOT NULL,
    reversal     TEXT NOT NULL,
    why          TEXT NOT NULL,
    next_title   TEXT NOT NULL,
    next_tax_no  TEXT NOT NULL,
    corrects     TEXT NOT NULL,
    queries      INTEGER NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL,
    submitted_at TIMESTAMPTZ,
    issued_at    TIMESTAMPTZ,
    reversed_at  TIMESTAMPTZ,
    next_query   TIMESTAMPTZ
);
-- One valid invoice of an order: whoever asks for a second one is refused here.
CREATE UNIQUE INDEX invoices_order_id_key ON invoices (order_id) WHERE state <> 'reversed';
CREATE INDEX invoices_order ON invoices (order_id, created_at);
CREATE INDEX invoices_state ON invoices (state, created_at, id);
CREATE INDEX invoices_due ON invoices (next_query) WHERE next_query IS NOT NULL;
