-- +goose Up
-- Who wants to be called back: order.Enquiry says what each column holds.
CREATE TABLE enquiries (
    id          TEXT PRIMARY KEY,
    person_id   TEXT NOT NULL REFERENCES people (id),
    order_id    TEXT NOT NULL,
    topic       TEXT NOT NULL,
    sealed_said BLOB,
    urgent      BOOLEAN NOT NULL,
    due_at      TIMESTAMP NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    done_at     TIMESTAMP,
    done_by     TEXT NOT NULL
);
CREATE UNIQUE INDEX enquiries_open_person ON enquiries (person_id) WHERE done_at IS NULL;
CREATE INDEX enquiries_open ON enquiries (due_at, id) WHERE done_at IS NULL;
