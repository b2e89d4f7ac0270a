-- +goose Up
-- What admins set up in the console: the newest version of a name is true, and the
-- versions are the history (order.Settings).
CREATE TABLE settings (
    name    TEXT      NOT NULL,
    version INTEGER   NOT NULL,
    body    TEXT      NOT NULL, -- JSON
    set_by  TEXT      NOT NULL REFERENCES staff (id),
    set_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (name, version)
);
