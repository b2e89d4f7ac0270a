-- +goose Up
-- When the renewal reminders of a certificate are to be looked at again; never, once
-- there are no more. New certificates are looked at at once.
ALTER TABLE issues ADD COLUMN remind_at TIMESTAMP DEFAULT '2000-01-01 00:00:00+00:00';
CREATE INDEX issues_remind ON issues (remind_at, serial) WHERE certificate IS NOT NULL AND remind_at IS NOT NULL;

-- What became of each rung of the ladder: certificate.Reminder says what each column
-- holds. The rows are evidence and are never deleted.
CREATE TABLE reminders (
    serial     TEXT      NOT NULL REFERENCES issues (serial),
    step       TEXT      NOT NULL,
    state      TEXT      NOT NULL,
    why        TEXT      NOT NULL,
    order_id   TEXT      NOT NULL,
    seq        BIGINT    NOT NULL,
    planned_at TIMESTAMP NOT NULL,
    at         TIMESTAMP NOT NULL,
    PRIMARY KEY (serial, step)
);
CREATE INDEX reminders_message ON reminders (order_id, seq) WHERE seq <> 0;

-- People who want no reminders but those they must have.
CREATE TABLE reminder_optouts (
    person_id TEXT      PRIMARY KEY REFERENCES people (id),
    at        TIMESTAMP NOT NULL
);
