-- +goose Up
-- A trade is paid by QR code or inside the mini-program, by one WeChat user.
ALTER TABLE payments ADD COLUMN way TEXT NOT NULL DEFAULT 'qr';
ALTER TABLE payments ADD COLUMN prepay_id TEXT NOT NULL DEFAULT '';
ALTER TABLE payments ADD COLUMN payer TEXT NOT NULL DEFAULT '';

-- One person's accounts of WeChat, the official account's and the mini-program's, are joined by the union id.
CREATE INDEX wechat_identities_union ON wechat_identities (union_id) WHERE union_id <> '';
