-- +goose Up
-- When bids are opened that were encrypted for a certificate: what would keep its holder
-- from opening them is shown, and he is reminded the day before.
CREATE TABLE openings (
    id          TEXT PRIMARY KEY,
    cert_serial TEXT NOT NULL,
    project     TEXT NOT NULL,
    opens_at    TIMESTAMP NOT NULL,
    order_id    TEXT NOT NULL REFERENCES orders (id),
    seq         INTEGER NOT NULL,
    created_at  TIMESTAMP NOT NULL
);
CREATE INDEX openings_of ON openings (cert_serial, opens_at);
CREATE INDEX openings_passed ON openings (opens_at);

-- +goose Down
DROP TABLE openings;
