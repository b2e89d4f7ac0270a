-- +goose Up
-- The end of the certificate whose validity this one continues (renewal, replacement).
ALTER TABLE issues ADD COLUMN continues TIMESTAMP;
