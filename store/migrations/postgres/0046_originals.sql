-- +goose Up
-- The SHA-256 (hex) of the file that was sent. What is kept is a picture made of it; empty
-- for what nobody sent, and for what came before.
ALTER TABLE uploads ADD COLUMN original TEXT NOT NULL DEFAULT '';
