-- +goose Up
-- Counters that must never repeat: numbers of blank USBKEYs, order numbers by day.
CREATE TABLE counters (
    name  TEXT   PRIMARY KEY,
    value BIGINT NOT NULL
);

-- One attempt to make one certificate: issuance.Issue says what each column holds.
CREATE TABLE issues (
    id                TEXT PRIMARY KEY,
    item              TEXT      NOT NULL,
    snapshot_hash     BLOB      NOT NULL,
    profile           TEXT      NOT NULL,
    company           TEXT      NOT NULL,
    uscc              TEXT      NOT NULL,
    years             INTEGER   NOT NULL,
    stage             TEXT      NOT NULL,
    token_serial      TEXT      REFERENCES tokens (serial),
    csr               BLOB,
    key_hash          TEXT      UNIQUE,
    serial            TEXT      UNIQUE CHECK (length(serial) = 40),
    issuer            TEXT,
    tbs               BLOB,
    tbs_hash          BLOB,
    not_before        TIMESTAMP,
    not_after         TIMESTAMP,
    certificate       BLOB,
    revoked_at        TIMESTAMP,
    revocation_reason INTEGER   NOT NULL DEFAULT 0,
    failure           TEXT,
    created_at        TIMESTAMP NOT NULL,
    updated_at        TIMESTAMP NOT NULL,
    -- Nothing is signed that is not recorded first (RFC 5280 profile work, Boulder's issuance cycle).
    CHECK (certificate IS NULL OR (serial IS NOT NULL AND tbs IS NOT NULL))
);
-- An item never has two live serials.
CREATE UNIQUE INDEX issues_item_key ON issues (item) WHERE stage <> 'failed';
CREATE INDEX issues_created ON issues (created_at, id);
CREATE INDEX issues_revoked ON issues (revoked_at) WHERE revoked_at IS NOT NULL;

CREATE TABLE tokens (
    serial          TEXT PRIMARY KEY,
    state           TEXT      NOT NULL,
    issue_id        TEXT      NOT NULL UNIQUE REFERENCES issues (id),
    sealed_so_pin   BLOB      NOT NULL,
    sealed_user_pin BLOB      NOT NULL,
    sealed_secret   BLOB      NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL
);
