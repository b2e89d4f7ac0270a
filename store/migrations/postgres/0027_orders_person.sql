-- +goose Up
-- One index of a person's orders, deleted ones too.
DROP INDEX orders_person;
DROP INDEX orders_of_person;
CREATE INDEX orders_person ON orders (person_id, created_at DESC, id DESC) WHERE person_id IS NOT NULL;

-- +goose Down
DROP INDEX orders_person;
CREATE INDEX orders_person ON orders (person_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX orders_of_person ON orders (person_id) WHERE person_id IS NOT NULL;
