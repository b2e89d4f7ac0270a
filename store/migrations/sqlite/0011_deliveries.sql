-- +goose Up
-- A message may be about no order (a summary of the day), be for somebody else than
-- the order's 经办人, wait until its hour, and says to whom it went and why it did not.
ALTER TABLE notification_attempts RENAME TO old_attempts;
ALTER TABLE notifications RENAME TO old_notifications;
CREATE TABLE notifications (
    id          TEXT PRIMARY KEY,
    order_id    TEXT      REFERENCES orders (id),
    seq         BIGINT    NOT NULL,
    notice      TEXT      NOT NULL,
    medium      TEXT      NOT NULL,
    audience    TEXT      NOT NULL,
    staff_id    TEXT      NOT NULL,
    person_id   TEXT      NOT NULL,
    state       TEXT      NOT NULL,
    attempts    INTEGER   NOT NULL,
    provider_id TEXT      NOT NULL,
    fallback_of TEXT      NOT NULL,
    told        TEXT      NOT NULL,
    why         TEXT      NOT NULL,
    send_at     TIMESTAMP,
    read_at     TIMESTAMP,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL
);
CREATE TABLE notification_attempts (
    notification_id TEXT      NOT NULL REFERENCES notifications (id),
    attempt         INTEGER   NOT NULL,
    state           TEXT      NOT NULL,
    provider_id     TEXT      NOT NULL,
    why             TEXT      NOT NULL,
    at              TIMESTAMP NOT NULL,
    PRIMARY KEY (notification_id, attempt, state)
);
INSERT INTO notifications (id, order_id, seq, notice, medium, audience, staff_id, person_id, state, attempts, provider_id, fallback_of, told, why, created_at, updated_at)
SELECT id, order_id, seq, notice, medium, audience, staff_id, '', state, attempts, provider_id, fallback_of, '', '', created_at, updated_at
FROM old_notifications;
INSERT INTO notification_attempts (notification_id, attempt, state, provider_id, why, at)
SELECT notification_id, attempt, state, provider_id, '', at
FROM old_attempts;
DROP TABLE old_attempts;
DROP TABLE old_notifications;
CREATE UNIQUE INDEX notifications_once ON notifications (COALESCE(order_id, ''), seq, notice, medium, audience, staff_id);
CREATE INDEX notifications_order ON notifications (order_id, created_at, id) WHERE order_id IS NOT NULL;
CREATE INDEX notifications_provider ON notifications (medium, provider_id) WHERE provider_id <> '';
CREATE INDEX notifications_staff ON notifications (staff_id, id) WHERE staff_id <> '';
CREATE INDEX notifications_person ON notifications (person_id, id) WHERE person_id <> '';
CREATE INDEX notifications_held ON notifications (send_at, id) WHERE state = 'held';

-- Staff who lead hear of what is late; the quiet hours are minutes of a day in Shanghai.
ALTER TABLE staff ADD COLUMN leader BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE staff ADD COLUMN quiet_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN quiet_to INTEGER NOT NULL DEFAULT 0;
