-- +goose Up
-- The blind index of the legal representative's mobile: who has proven it finds
-- what waits for him, also when the SMS is lost. Rows from before get it with
-- their next change.
ALTER TABLE authorizations ADD COLUMN signer_index TEXT NOT NULL DEFAULT '';
CREATE INDEX authorizations_signer ON authorizations (signer_index, id) WHERE signer_index <> '';
