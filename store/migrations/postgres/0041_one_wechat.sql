-- +goose Up
-- A person is one WeChat user in each app: the one bound last.
DELETE FROM wechat_identities
WHERE EXISTS (
    SELECT 1 FROM wechat_identities n
    WHERE n.person_id = wechat_identities.person_id AND n.app_id = wechat_identities.app_id
      AND (n.updated_at > wechat_identities.updated_at OR n.updated_at = wechat_identities.updated_at AND n.open_id < wechat_identities.open_id)
);
DROP INDEX wechat_identities_person;
CREATE UNIQUE INDEX wechat_identities_person ON wechat_identities (person_id, app_id);

-- +goose Down
DROP INDEX wechat_identities_person;
CREATE INDEX wechat_identities_person ON wechat_identities (person_id, app_id);
