-- +goose Up
-- Progress receipts: order.ProgressReceipt says what each column holds. Company, unit
-- code and product are what the receipt said; nothing here is about people.
CREATE TABLE progress_receipts (
    id           TEXT PRIMARY KEY,
    order_id     TEXT NOT NULL,
    code_hash    TEXT NOT NULL UNIQUE,
    company      TEXT NOT NULL,
    uscc         TEXT NOT NULL,
    order_no     TEXT NOT NULL,
    product      TEXT NOT NULL,
    state        TEXT NOT NULL,
    since        TIMESTAMP NOT NULL,
    issued_at    TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    withdrawn_at TIMESTAMP
);
CREATE INDEX progress_receipts_order ON progress_receipts (order_id, id);
