-- +goose Up
-- A key pair is certified once, and again only in a renewal of the certificate that
-- has it already: renews names that one, and the foreign key holds the two together.
-- SQLite cannot drop the old UNIQUE, so the table is made anew; what refers to it is
-- looked at when the transaction ends, with every row back.
PRAGMA defer_foreign_keys = ON;
CREATE TABLE issues_before AS SELECT * FROM issues;
DROP TABLE issues;
CREATE TABLE issues (
    id                TEXT PRIMARY KEY,
    item              TEXT      NOT NULL,
    snapshot_hash     BLOB      NOT NULL,
    profile           TEXT      NOT NULL,
    company           TEXT      NOT NULL,
    uscc              TEXT      NOT NULL,
    years             INTEGER   NOT NULL,
    continues         TIMESTAMP,
    renews            TEXT,
    stage             TEXT      NOT NULL,
    token_serial      TEXT      REFERENCES tokens (serial),
    csr               BLOB,
    key_hash          TEXT,
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
    status_rev        BIGINT    NOT NULL DEFAULT 0,
    status_due        TIMESTAMP DEFAULT '2000-01-01 00:00:00+00:00',
    remind_at         TIMESTAMP DEFAULT '2000-01-01 00:00:00+00:00',
    created_at        TIMESTAMP NOT NULL,
    updated_at        TIMESTAMP NOT NULL,
    -- Nothing is signed that is not recorded first (RFC 5280 profile work, Boulder's issuance cycle).
    CHECK (certificate IS NULL OR (serial IS NOT NULL AND tbs IS NOT NULL)),
    FOREIGN KEY (renews, key_hash) REFERENCES issues (serial, key_hash),
    -- Without a key hash the foreign key would not look.
    CHECK (renews IS NULL OR key_hash IS NOT NULL)
);
CREATE UNIQUE INDEX issues_key_hash_serial ON issues (key_hash, serial);
INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, continues, stage, token_serial, csr, key_hash, serial, issuer,
    tbs, tbs_hash, not_before, not_after, certificate, revoked_at, revocation_reason, failure, status_rev, status_due, remind_at, created_at, updated_at)
SELECT id, item, snapshot_hash, profile, company, uscc, years, continues, stage, token_serial, csr, key_hash, serial, issuer,
    tbs, tbs_hash, not_before, not_after, certificate, revoked_at, revocation_reason, failure, status_rev, status_due, remind_at, created_at, updated_at
FROM issues_before;
DROP TABLE issues_before;
-- An item never has two live serials.
CREATE UNIQUE INDEX issues_item_key ON issues (item) WHERE stage <> 'failed';
CREATE UNIQUE INDEX issues_key_hash_key ON issues (key_hash) WHERE renews IS NULL;
CREATE INDEX issues_created ON issues (created_at, id);
CREATE INDEX issues_revoked ON issues (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX issues_status_due ON issues (status_due) WHERE serial IS NOT NULL AND status_due IS NOT NULL;
CREATE INDEX issues_remind ON issues (remind_at, serial) WHERE certificate IS NOT NULL AND remind_at IS NOT NULL;
