-- +goose Up
-- Whom a holder wants reminded, too, of the end of what he has for a company.
CREATE TABLE reminder_contacts (
    person_id     TEXT NOT NULL REFERENCES people (id),
    uscc          TEXT NOT NULL,
    role          TEXT NOT NULL,
    sealed_mobile BLOB NOT NULL,
    at            TIMESTAMP NOT NULL,
    PRIMARY KEY (person_id, uscc, role)
);

-- +goose Down
DROP TABLE reminder_contacts;
