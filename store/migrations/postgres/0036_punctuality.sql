-- +goose Up
-- How punctual we were of late is asked for by strangers.
CREATE INDEX orders_shipped ON orders (shipped_at, due_at) WHERE shipped_at IS NOT NULL;
