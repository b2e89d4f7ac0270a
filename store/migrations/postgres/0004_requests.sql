-- +goose Up
-- What web and jobs ask of the issuer: request.Request says what each column holds.
CREATE TABLE issuer_requests (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    body        BYTEA,
    state       TEXT NOT NULL,
    answer      BYTEA,
    refusal     TEXT NOT NULL, -- JSON
    created_at  TIMESTAMPTZ NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ
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
    public_key   BYTEA,
    challenge    BYTEA NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX helper_tickets_subject ON helper_tickets (purpose, cert_serial, order_id, state);
