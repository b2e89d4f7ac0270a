-- +goose Up
-- What is published about a certificate: how often its status changed, and when
-- the response about it must be signed (anew). Changes come before new
-- certificates, and those before renewals: see urgent in store/status.go.
ALTER TABLE issues ADD COLUMN status_rev BIGINT NOT NULL DEFAULT 0;
ALTER TABLE issues ADD COLUMN status_due TIMESTAMPTZ DEFAULT '2000-01-01 00:00:00+00:00';
CREATE INDEX issues_status_due ON issues (status_due) WHERE serial IS NOT NULL AND status_due IS NOT NULL;

-- The newest revocation list of each issuing CA; number 0 is none yet.
CREATE TABLE crls (
    issuer      TEXT   PRIMARY KEY,
    number      BIGINT NOT NULL,
    this_update TIMESTAMPTZ,
    next_update TIMESTAMPTZ,
    der         BYTEA,
    changes     BIGINT NOT NULL,
    included    BIGINT NOT NULL
);
-- What was revoked before there were lists is a change that none includes.
INSERT INTO crls (issuer, number, changes, included)
SELECT issuer, 0, COUNT(*), 0 FROM issues WHERE revoked_at IS NOT NULL AND issuer IS NOT NULL GROUP BY issuer;

CREATE TABLE ocsp_responses (
    serial TEXT PRIMARY KEY REFERENCES issues (serial),
    der    BYTEA  NOT NULL
);
