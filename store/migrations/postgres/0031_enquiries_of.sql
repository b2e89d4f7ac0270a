-- +goose Up
-- A person finds his own.
CREATE INDEX enquiries_person ON enquiries (person_id, created_at, id);
