-- +goose Up
-- The SO PINs that a USBKEY may have once it was unlocked, and how often they changed.
ALTER TABLE tokens ADD COLUMN sealed_so_pins BLOB;
ALTER TABLE tokens ADD COLUMN so_pins_rev BIGINT NOT NULL DEFAULT 0;

-- Every unlock that happened, or was made possible by a code. Self-service is
-- limited per USBKEY by counting these.
CREATE TABLE unlocks (
    id           TEXT PRIMARY KEY, -- of the ticket or of the request for a code
    token_serial TEXT NOT NULL,
    cert_serial  TEXT NOT NULL,
    way          TEXT NOT NULL,
    order_id     TEXT NOT NULL REFERENCES orders (id),
    at           TIMESTAMP NOT NULL
);
CREATE INDEX unlocks_token ON unlocks (token_serial, at);

CREATE INDEX helper_tickets_token ON helper_tickets (purpose, token_serial, state);
