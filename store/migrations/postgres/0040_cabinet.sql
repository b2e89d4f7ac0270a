-- +goose Up
-- 钥匙柜 (docs/adr/0041): USBKEYs of other CAs that a person looks after, and who holds
-- which USBKEY now. remind_at is when its person is reminded next; NULL is never.
CREATE TABLE foreign_tokens (
    id         TEXT PRIMARY KEY,
    person_id  TEXT NOT NULL REFERENCES people (id),
    sealed     BYTEA NOT NULL,
    not_after  TIMESTAMPTZ NOT NULL,
    remind_at  TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX foreign_tokens_of ON foreign_tokens (person_id, not_after, id);
CREATE INDEX foreign_tokens_due ON foreign_tokens (remind_at, id) WHERE remind_at IS NOT NULL;
CREATE INDEX foreign_tokens_passed ON foreign_tokens (not_after);

-- token is the serial of a USBKEY of ours, or the id of one of another CA.
CREATE TABLE loans (
    id          TEXT PRIMARY KEY,
    token       TEXT NOT NULL,
    person_id   TEXT NOT NULL REFERENCES people (id),
    sealed      BYTEA NOT NULL,
    lent_at     TIMESTAMPTZ NOT NULL,
    due_at      TIMESTAMPTZ NOT NULL,
    returned_at TIMESTAMPTZ,
    remind_at   TIMESTAMPTZ
);
CREATE UNIQUE INDEX loans_out ON loans (token) WHERE returned_at IS NULL;
CREATE INDEX loans_of ON loans (person_id, token, lent_at, id);
CREATE INDEX loans_due ON loans (remind_at, id) WHERE remind_at IS NOT NULL;
CREATE INDEX loans_passed ON loans (returned_at) WHERE returned_at IS NOT NULL;

-- The same notice to two people is two messages, also when it is about no order.
DROP INDEX notifications_once;
CREATE UNIQUE INDEX notifications_once ON notifications (COALESCE(order_id, ''), seq, notice, medium, audience, staff_id, person_id);

-- +goose Down
DROP INDEX notifications_once;
CREATE UNIQUE INDEX notifications_once ON notifications (COALESCE(order_id, ''), seq, notice, medium, audience, staff_id);
DROP TABLE loans;
DROP TABLE foreign_tokens;
