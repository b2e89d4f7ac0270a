-- +goose Up
-- The certificate that an order is about, and one open renewal of each (F72).
ALTER TABLE orders ADD COLUMN certificate TEXT;
CREATE INDEX orders_certificate ON orders (certificate, created_at DESC, id DESC) WHERE certificate IS NOT NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX orders_certificate_key ON orders (certificate)
    WHERE business = 'renewal' AND deleted_at IS NULL AND status NOT IN ('completed', 'refunded') AND stage <> 'closed';

-- What became of an item's certificate: the bound user when it is no longer the
-- order's person, and the serial of the certificate that it was renewed by.
ALTER TABLE order_items ADD COLUMN holder_id TEXT REFERENCES people (id);
ALTER TABLE order_items ADD COLUMN superseded_by TEXT;
CREATE INDEX order_items_holder ON order_items (holder_id) WHERE holder_id IS NOT NULL;
CREATE INDEX order_items_token ON order_items (token_serial) WHERE token_serial <> '';
