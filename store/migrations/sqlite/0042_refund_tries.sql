-- +goose Up
-- The number under which the gateway is asked for keys that were given up: a refund that it has
-- closed is tried again under a new one. And when it is asked what became of an abnormal one.
ALTER TABLE keys_refunds ADD COLUMN number TEXT NOT NULL DEFAULT '';
UPDATE keys_refunds SET number = refund_no;
CREATE UNIQUE INDEX keys_refunds_number ON keys_refunds (number);
ALTER TABLE keys_refunds ADD COLUMN next_query TIMESTAMP;
CREATE INDEX keys_refunds_due ON keys_refunds (next_query) WHERE next_query IS NOT NULL;
