-- +goose Up
-- The blank USBKEYs that the station received: certificate.Blank says what each column holds.
CREATE TABLE token_stock (
    serial      TEXT PRIMARY KEY,
    batch       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('received', 'used', 'scrapped')),
    received_at TIMESTAMP NOT NULL,
    received_by TEXT NOT NULL,
    issue_id    TEXT UNIQUE,
    used_at     TIMESTAMP,
    scrapped_at TIMESTAMP,
    scrapped_by TEXT NOT NULL DEFAULT '',
    reason      TEXT NOT NULL DEFAULT '',
    note        TEXT NOT NULL DEFAULT ''
);
CREATE INDEX token_stock_state ON token_stock (state, received_at, serial);

-- Whether the holder was told the initial PIN, and by which request: once, and never again.
ALTER TABLE tokens ADD COLUMN pin_told_at TIMESTAMP;
ALTER TABLE tokens ADD COLUMN pin_told_request TEXT;
