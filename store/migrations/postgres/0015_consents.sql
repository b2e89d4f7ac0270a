-- +goose Up
-- Which notices a follower allows: order.WeChatConsent says what each column holds.
CREATE TABLE wechat_consents (
    app_id      TEXT NOT NULL,
    open_id     TEXT NOT NULL,
    template_id TEXT NOT NULL,
    accepted    BOOLEAN NOT NULL,
    decided_at  TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (app_id, open_id, template_id)
);
