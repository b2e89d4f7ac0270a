-- +goose Up
-- When its person asked for an order's personal data to be erased: from then on nobody
-- opens it, and it goes as soon as no law keeps it.
ALTER TABLE orders ADD COLUMN erase_asked_at TIMESTAMPTZ;
