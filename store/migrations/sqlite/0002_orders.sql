-- +goose Up
-- People, and who they are in WeChat and on our staff.
CREATE TABLE people (
    id            TEXT PRIMARY KEY,
    sealed_mobile BLOB      NOT NULL,
    mobile_index  TEXT      NOT NULL UNIQUE,
    created_at    TIMESTAMP NOT NULL
);

CREATE TABLE wechat_identities (
    app_id     TEXT      NOT NULL,
    open_id    TEXT      NOT NULL,
    union_id   TEXT      NOT NULL,
    person_id  TEXT      NOT NULL REFERENCES people (id),
    subscribed BOOLEAN   NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (app_id, open_id)
);
CREATE INDEX wechat_identities_person ON wechat_identities (person_id, app_id);

CREATE TABLE staff (
    id          TEXT PRIMARY KEY,
    person_id   TEXT      NOT NULL UNIQUE REFERENCES people (id),
    sealed_name BLOB,
    roles       TEXT      NOT NULL, -- JSON
    company     TEXT      NOT NULL,
    sealed_totp BLOB,
    disabled    BOOLEAN   NOT NULL,
    created_at  TIMESTAMP NOT NULL
);

-- One row per application: order.Order says what each column holds.
CREATE TABLE orders (
    id             TEXT PRIMARY KEY,
    no             TEXT      UNIQUE,
    business       TEXT      NOT NULL,
    person_id      TEXT      REFERENCES people (id),
    draft_token    TEXT,
    status         TEXT      NOT NULL,
    stage          TEXT      NOT NULL,
    refund         TEXT      NOT NULL,
    rev            BIGINT    NOT NULL,
    seq            BIGINT    NOT NULL,
    product        TEXT      NOT NULL, -- JSON
    product_name   TEXT      NOT NULL,
    lines          TEXT      NOT NULL, -- JSON
    amount         BIGINT    NOT NULL CHECK (amount >= 0),
    sealed_form    BLOB,
    company        TEXT      NOT NULL,
    uscc           TEXT      NOT NULL,
    submission     INTEGER   NOT NULL,
    snapshot       TEXT      NOT NULL,
    consent        TEXT      NOT NULL, -- JSON
    real_name      TEXT      NOT NULL,
    reviewer_id    TEXT      NOT NULL,
    first_approver TEXT      NOT NULL,
    sealed_reasons BLOB,
    trade_no       TEXT      NOT NULL,
    verified       INTEGER   NOT NULL,
    given_up       INTEGER   NOT NULL,
    carrier        TEXT      NOT NULL,
    tracking_no    TEXT      NOT NULL,
    due_at         TIMESTAMP,
    created_at     TIMESTAMP NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    placed_at      TIMESTAMP,
    paid_at        TIMESTAMP,
    approved_at    TIMESTAMP,
    shipped_at     TIMESTAMP,
    completed_at   TIMESTAMP,
    deleted_at     TIMESTAMP
);
CREATE INDEX orders_person ON orders (person_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX orders_person_status ON orders (person_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX orders_draft_token ON orders (draft_token) WHERE draft_token IS NOT NULL;
CREATE INDEX orders_created ON orders (created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX orders_queue ON orders (status, stage, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX orders_uscc ON orders (uscc, status);

CREATE TABLE order_items (
    id           TEXT PRIMARY KEY,
    order_id     TEXT      NOT NULL REFERENCES orders (id),
    n            INTEGER   NOT NULL,
    seal         TEXT      NOT NULL,
    stage        TEXT      NOT NULL,
    attempt      INTEGER   NOT NULL,
    token_serial TEXT      NOT NULL,
    cert_serial  TEXT      UNIQUE,
    note         TEXT      NOT NULL,
    updated_at   TIMESTAMP NOT NULL,
    UNIQUE (order_id, n)
);

CREATE TABLE order_events (
    order_id    TEXT      NOT NULL REFERENCES orders (id),
    seq         BIGINT    NOT NULL,
    event       TEXT      NOT NULL,
    from_status TEXT      NOT NULL,
    from_stage  TEXT      NOT NULL,
    to_status   TEXT      NOT NULL,
    to_stage    TEXT      NOT NULL,
    actor_id    TEXT      NOT NULL,
    role        TEXT      NOT NULL,
    channel     TEXT      NOT NULL,
    note        TEXT      NOT NULL,
    at          TIMESTAMP NOT NULL,
    PRIMARY KEY (order_id, seq)
);

-- Four eyes: nobody approves their own order, nobody approves twice.
CREATE TABLE approvals (
    order_id     TEXT      NOT NULL REFERENCES orders (id),
    submission   INTEGER   NOT NULL,
    step         INTEGER   NOT NULL,
    staff_id     TEXT      NOT NULL REFERENCES staff (id),
    person_id    TEXT      NOT NULL REFERENCES people (id),
    applicant_id TEXT      NOT NULL REFERENCES people (id),
    snapshot     TEXT      NOT NULL,
    at           TIMESTAMP NOT NULL,
    PRIMARY KEY (order_id, submission, step),
    UNIQUE (order_id, submission, staff_id),
    UNIQUE (order_id, submission, person_id),
    CONSTRAINT approvals_four_eyes CHECK (person_id <> applicant_id)
);

CREATE TABLE payments (
    trade_no       TEXT PRIMARY KEY,
    order_id       TEXT      NOT NULL REFERENCES orders (id),
    amount         BIGINT    NOT NULL CHECK (amount > 0),
    state          TEXT      NOT NULL,
    code_url       TEXT      NOT NULL,
    transaction_id TEXT      UNIQUE,
    refund_no      TEXT      UNIQUE,
    refund_reason  TEXT      NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    expires_at     TIMESTAMP,
    paid_at        TIMESTAMP,
    next_query     TIMESTAMP,
    queries        INTEGER   NOT NULL,
    updated_at     TIMESTAMP NOT NULL
);
CREATE INDEX payments_order ON payments (order_id, created_at);
CREATE INDEX payments_due ON payments (next_query) WHERE next_query IS NOT NULL;

-- Money booked: once in, once out per trade.
CREATE TABLE ledger (
    trade_no TEXT      NOT NULL REFERENCES payments (trade_no),
    kind     TEXT      NOT NULL,
    order_id TEXT      NOT NULL REFERENCES orders (id),
    amount   BIGINT    NOT NULL,
    at       TIMESTAMP NOT NULL,
    PRIMARY KEY (trade_no, kind)
);
CREATE INDEX ledger_order ON ledger (order_id);

CREATE TABLE notifications (
    id          TEXT PRIMARY KEY,
    order_id    TEXT      NOT NULL REFERENCES orders (id),
    seq         BIGINT    NOT NULL,
    notice      TEXT      NOT NULL,
    medium      TEXT      NOT NULL,
    audience    TEXT      NOT NULL,
    staff_id    TEXT      NOT NULL,
    state       TEXT      NOT NULL,
    attempts    INTEGER   NOT NULL,
    provider_id TEXT      NOT NULL,
    fallback_of TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL,
    UNIQUE (order_id, seq, notice, medium, audience, staff_id)
);
CREATE INDEX notifications_provider ON notifications (medium, provider_id) WHERE provider_id <> '';

-- Every state that an attempt to deliver has been in; the proof of what was sent when.
CREATE TABLE notification_attempts (
    notification_id TEXT      NOT NULL REFERENCES notifications (id),
    attempt         INTEGER   NOT NULL,
    state           TEXT      NOT NULL,
    provider_id     TEXT      NOT NULL,
    at              TIMESTAMP NOT NULL,
    PRIMARY KEY (notification_id, attempt, state)
);

CREATE TABLE timers (
    order_id TEXT      NOT NULL REFERENCES orders (id),
    seq      BIGINT    NOT NULL,
    event    TEXT      NOT NULL,
    notice   TEXT      NOT NULL,
    at       TIMESTAMP NOT NULL,
    PRIMARY KEY (order_id, seq, event, notice)
);
CREATE INDEX timers_due ON timers (at);

-- The audit trail is a set of hash chains. A transaction extends one that no
-- other transaction is extending; audit.go says how they are proved.
CREATE TABLE audit (
    chain    INTEGER   NOT NULL,
    seq      BIGINT    NOT NULL,
    order_id TEXT      NOT NULL,
    action   TEXT      NOT NULL,
    actor_id TEXT      NOT NULL,
    role     TEXT      NOT NULL,
    channel  TEXT      NOT NULL,
    ip       TEXT      NOT NULL,
    outcome  TEXT      NOT NULL,
    at       TIMESTAMP NOT NULL,
    mac      BLOB      NOT NULL,
    PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_order ON audit (order_id) WHERE order_id <> '';

CREATE TABLE audit_chains (
    chain INTEGER PRIMARY KEY,
    seq   BIGINT  NOT NULL,
    mac   BLOB    NOT NULL
);
INSERT INTO audit_chains (chain, seq, mac)
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 31)
SELECT i, 0, CAST('' AS BLOB) FROM n;

-- +goose StatementBegin
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER order_events_are_append_only_update BEFORE UPDATE ON order_events BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER order_events_are_append_only_delete BEFORE DELETE ON order_events BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END;
-- +goose StatementEnd
