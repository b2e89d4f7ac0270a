-- +goose Up
-- What the payment platforms say every day, compared with our books: order.Bill and
-- order.Difference say what each column holds. Nothing here is about people.
CREATE TABLE bills (
    channel     TEXT NOT NULL,
    day         TEXT NOT NULL,
    tries       INTEGER NOT NULL,
    why         TEXT NOT NULL,
    lines       INTEGER NOT NULL,
    received    BIGINT NOT NULL,
    returned    BIGINT NOT NULL,
    found       INTEGER NOT NULL,
    next_try    TIMESTAMPTZ,
    compared_at TIMESTAMPTZ,
    created_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (channel, day)
);
CREATE INDEX bills_due ON bills (next_try) WHERE next_try IS NOT NULL;
CREATE INDEX bills_day ON bills (day, channel);

-- Which movements a bill named, so that what none names is found.
CREATE TABLE bill_lines (
    channel TEXT NOT NULL,
    refund  BOOLEAN NOT NULL,
    number  TEXT NOT NULL,
    day     TEXT NOT NULL,
    amount  BIGINT NOT NULL,
    PRIMARY KEY (channel, refund, number)
);
CREATE INDEX ledger_at ON ledger (at);

CREATE TABLE differences (
    id          TEXT PRIMARY KEY,
    channel     TEXT NOT NULL,
    day         TEXT NOT NULL,
    kind        TEXT NOT NULL,
    number      TEXT NOT NULL,
    trade_no    TEXT NOT NULL,
    refund      BOOLEAN NOT NULL,
    order_id    TEXT NOT NULL,
    ours        BIGINT NOT NULL,
    theirs      BIGINT NOT NULL,
    found_at    TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ,
    resolved_by TEXT NOT NULL,
    note        TEXT NOT NULL,
    UNIQUE (channel, refund, number, kind)
);
CREATE INDEX differences_open ON differences (found_at, id) WHERE resolved_at IS NULL;
CREATE INDEX differences_resolved ON differences (found_at, id) WHERE resolved_at IS NOT NULL;
CREATE INDEX differences_bill ON differences (channel, day);
