-- +goose Up
-- A trade is paid, and its money goes back, through one channel; until now that was WeChat Pay.
ALTER TABLE payments ADD COLUMN channel TEXT NOT NULL DEFAULT 'wechatpay';
