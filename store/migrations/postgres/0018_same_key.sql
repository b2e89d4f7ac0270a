-- +goose Up
-- A key pair is certified once, and again only in a renewal of the certificate that
-- has it already: renews names that one, and the foreign key holds the two together.
ALTER TABLE issues DROP CONSTRAINT issues_key_hash_key;
ALTER TABLE issues ADD COLUMN renews TEXT;
CREATE UNIQUE INDEX issues_key_hash_key ON issues (key_hash) WHERE renews IS NULL;
CREATE UNIQUE INDEX issues_key_hash_serial ON issues (key_hash, serial);
ALTER TABLE issues ADD CONSTRAINT issues_renews_fkey FOREIGN KEY (renews, key_hash) REFERENCES issues (serial, key_hash);
-- Without a key hash the foreign key would not look.
ALTER TABLE issues ADD CONSTRAINT issues_renews_check CHECK (renews IS NULL OR key_hash IS NOT NULL);
