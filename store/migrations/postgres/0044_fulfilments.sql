-- +goose Up
-- What WeChat has to know of each payment in the mini-program that was fulfilled:
-- order.Fulfilment says what each column holds.
CREATE TABLE fulfilments (
    trade_no     TEXT   PRIMARY KEY REFERENCES payments (trade_no),
    order_id     TEXT   NOT NULL REFERENCES orders (id),
    fulfilled_by TEXT   NOT NULL,
    carrier      TEXT   NOT NULL,
    tracking_no  TEXT   NOT NULL,
    state        TEXT   NOT NULL,
    why          TEXT   NOT NULL,
    rev          BIGINT NOT NULL,
    at           TIMESTAMPTZ NOT NULL,
    signed_at    TIMESTAMPTZ,
    reminded_at  TIMESTAMPTZ,
    updated_at   TIMESTAMPTZ NOT NULL
);
CREATE INDEX fulfilments_refused ON fulfilments (updated_at) WHERE state = 'refused';
