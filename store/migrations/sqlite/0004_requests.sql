-- +goose Up
-- What web and jobs ask of the issuer: request.Request says what each column holds.
CREATE TABLE issuer_requests (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    body        BLOB,
    state       TEXT NOT NULL,
    answer      BLOB,
    refusal     TEXT NOT NULL, -- JSON
    created_at  TIMESTAMP NOT NULL,
    expires_at  TIMESTAMP NOT NULL,
    answered_at TIMESTAMP
);
CREATE INDEX issuer_requests_expiry ON issuer_requests (expires_at);

-- One-time tickets for the key helper: certificate.Ticket says what each column holds.
CREATE TABLE helper_tickets (
    id           TEXT PRIMARY KEY,
    secret_hash  TEXT NOT NULL UNIQUE,
    purpose      TEXT NOT NULL,
    cert_serial  TEXT NOT NULL,
    token_serial TEXT NOT NULL,
    order_id     TEXT NOT NULL,
    person_id    TEXT NOT NULL,
    state        TEXT NOT NULL,
    step         TEXT NOT NULL,
    failure      TEXT NOT NULL,
    public_key   BLOB,
    challenge    BLOB NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    updated_at   TIMESTAMP NOT NULL
);
CREATE INDEX helper_tickets_subject ON helper_tickets (purpose, cert_serial, order_id, state);
