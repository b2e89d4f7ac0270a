-- +goose Up
-- How often a timer has failed: it steps back further each time, so that it holds no
-- other up.
ALTER TABLE timers ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
