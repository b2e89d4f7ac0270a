-- +goose Up
-- Why the gateway does not return the money, in words for finance.
ALTER TABLE payments ADD COLUMN refused TEXT NOT NULL DEFAULT '';
ALTER TABLE keys_refunds ADD COLUMN refused TEXT NOT NULL DEFAULT '';
