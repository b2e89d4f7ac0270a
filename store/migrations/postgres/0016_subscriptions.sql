-- +goose Up
-- A yes pays for one subscription notice, and a WeChat message says by which way it
-- went out. A yes of before this migration is one that was not used yet.
ALTER TABLE wechat_consents ADD COLUMN remaining INTEGER NOT NULL DEFAULT 0;
UPDATE wechat_consents SET remaining = 1 WHERE accepted;
ALTER TABLE notifications ADD COLUMN way TEXT NOT NULL DEFAULT '';
ALTER TABLE notification_attempts ADD COLUMN way TEXT NOT NULL DEFAULT '';
UPDATE notifications SET way = 'template' WHERE medium = 'wechat' AND attempts > 0;
