-- +goose Up
-- Whether a person is still needed is asked of all his orders, deleted ones too.
CREATE INDEX orders_of_person ON orders (person_id) WHERE person_id IS NOT NULL;

-- +goose Down
DROP INDEX orders_of_person;
