-- +goose Up
-- One row per request to a legal representative: order.Authorization says what
-- each column holds. Who he is and what he proved is sealed.
CREATE TABLE authorizations (
    id             TEXT   PRIMARY KEY,
    order_id       TEXT   NOT NULL REFERENCES orders (id),
    state          TEXT   NOT NULL,
    rev            BIGINT NOT NULL,
    sealed_signer  BYTEA,
    content        TEXT   NOT NULL,
    snapshot       TEXT   NOT NULL,
    link_hash      TEXT   NOT NULL,
    guesses        INTEGER NOT NULL,
    why            TEXT   NOT NULL,
    mandate_index  TEXT   NOT NULL,
    mandate_until  TIMESTAMPTZ,
    mandate_revoked_at TIMESTAMPTZ,
    reuse_of       TEXT   REFERENCES authorizations (id),
    sealed_proof   BYTEA,
    letter         TEXT   NOT NULL,
    evidence       TEXT   NOT NULL,
    created_at     TIMESTAMPTZ NOT NULL,
    updated_at     TIMESTAMPTZ NOT NULL,
    shown_at       TIMESTAMPTZ,
    signed_at      TIMESTAMPTZ,
    ended_at       TIMESTAMPTZ,
    expires_at     TIMESTAMPTZ
);
-- An order is authorised by one signature, or waits for one.
CREATE UNIQUE INDEX authorizations_order_id_key ON authorizations (order_id) WHERE state NOT IN ('returned', 'declined', 'expired', 'withdrawn');
CREATE INDEX authorizations_order ON authorizations (order_id, created_at, id);
CREATE INDEX authorizations_mandate ON authorizations (mandate_index, mandate_until) WHERE mandate_until IS NOT NULL AND mandate_revoked_at IS NULL;

-- One row per SMS with a link; the id is the notification's.
CREATE TABLE authorization_sendings (
    id               TEXT PRIMARY KEY,
    authorization_id TEXT NOT NULL REFERENCES authorizations (id),
    order_id         TEXT NOT NULL REFERENCES orders (id),
    kind             TEXT NOT NULL,
    link_hash        TEXT NOT NULL UNIQUE,
    at               TIMESTAMPTZ NOT NULL
);
CREATE INDEX authorization_sendings_order ON authorization_sendings (order_id, kind, at);
