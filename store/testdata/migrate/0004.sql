-- What an office of version 4 holds: a finished order with two keys, one of them revoked, one draft, their people, money,
-- messages and history. Braces are filled in by the test: sealed data and blobs are written differently in each database.
INSERT INTO counters (name, value) VALUES ('token', 8), ('order:20260301', 17);

INSERT INTO people (id, sealed_mobile, mobile_index, created_at) VALUES
    ('p1', {{seal "people" "sealed_mobile" "p1" "13800138000"}}, '{{index "mobile" "13800138000"}}', '2026-03-01 02:00:00+00:00'),
    ('p2', {{seal "people" "sealed_mobile" "p2" "13900139000"}}, '{{index "mobile" "13900139000"}}', '2026-03-01 02:00:00+00:00');
INSERT INTO wechat_identities (app_id, open_id, union_id, person_id, subscribed, updated_at) VALUES
    ('wx1', 'openid-1', 'union-1', 'p1', TRUE, '2026-03-01 02:00:00+00:00');
INSERT INTO staff (id, person_id, sealed_name, roles, company, sealed_totp, disabled, created_at) VALUES
    ('s1', 'p2', {{seal "staff" "sealed_name" "s1" "李审核"}}, '["reviewer"]', '', NULL, FALSE, '2026-03-01 02:00:00+00:00');

INSERT INTO orders (id, no, business, person_id, draft_token, status, stage, refund, rev, seq, product, product_name, lines, amount, sealed_form, company, uscc, submission,
    snapshot, consent, real_name, reviewer_id, first_approver, sealed_reasons, trade_no, verified, given_up, carrier, tracking_no, due_at, created_at, updated_at,
    placed_at, paid_at, approved_at, shipped_at, completed_at, deleted_at) VALUES
    ('o1', 'SAAS1202603010000170001', 'initial', 'p1', NULL, 'completed', '', '', 9, 8, '{"code":"yd-initial","name":"初购","business":"initial","issue_mode":"admin","algorithm":"p256","term":1}', '初购',
        '[{"seal":"company","quantity":2}]', 60000, {{seal "orders" "sealed_form" "o1" "{\"agent.name\":\"王小琪\",\"org.name\":\"云岭公司\"}"}}, '云岭公司', '91110108MA00TEN18F', 1,
        'c0ffee', '{}', '', 's1', '', NULL, 'T1', 2, 0, 'sf', 'SF1234567890123', NULL, '2026-03-01 02:00:00+00:00', '2026-03-03 02:00:00+00:00',
        '2026-03-01 03:00:00+00:00', '2026-03-01 03:05:00+00:00', '2026-03-02 02:00:00+00:00', '2026-03-03 02:00:00+00:00', '2026-03-03 02:00:00+00:00', NULL),
    ('o2', NULL, 'initial', NULL, 'browser-2', 'draft', '', '', 1, 1, '{"code":"yd-initial","name":"初购","business":"initial","issue_mode":"admin","algorithm":"p256","term":1}', '初购',
        '[{"seal":"company","quantity":1}]', 30000, NULL, '', '', 0, '', '{}', '', '', '', NULL, '', 0, 0, '', '', NULL, '2026-03-04 02:00:00+00:00', '2026-03-04 02:00:00+00:00',
        NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO issues (id, item, snapshot_hash, profile, company, uscc, years, stage, token_serial, csr, key_hash, serial, issuer, tbs, tbs_hash, not_before, not_after, certificate,
    revoked_at, revocation_reason, failure, created_at, updated_at, status_rev, status_due) VALUES
    ('i1-1', 'i1', {{blob "01"}}, 'company-p256', '云岭公司', '91110108MA00TEN18F', 1, 'done', NULL, {{blob "02"}}, 'k1', '4100000000000000000000000000000000000001', 'ycd-issuing-p256',
        {{blob "03"}}, {{blob "04"}}, '2026-03-02 02:00:00+00:00', '2027-03-02 15:59:59+00:00', {{blob "05"}}, NULL, 0, NULL, '2026-03-02 02:00:00+00:00', '2026-03-02 02:00:00+00:00', 0, NULL),
    ('i2-1', 'i2', {{blob "01"}}, 'company-p256', '云岭公司', '91110108MA00TEN18F', 1, 'done', NULL, {{blob "02"}}, 'k2', '4100000000000000000000000000000000000002', 'ycd-issuing-p256',
        {{blob "03"}}, {{blob "04"}}, '2026-03-02 02:00:00+00:00', '2027-03-02 15:59:59+00:00', {{blob "06"}}, '2026-03-20 02:00:00+00:00', 1, NULL, '2026-03-02 02:00:00+00:00', '2026-03-20 02:00:00+00:00', 1, NULL),
    ('i9-1', 'i9', {{blob "01"}}, 'company-rsa2048', '云岭公司', '91110108MA00TEN18F', 1, 'failed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 'token_dead', '2026-03-02 02:00:00+00:00', '2026-03-02 02:00:00+00:00', 0, NULL);
INSERT INTO tokens (serial, state, issue_id, sealed_so_pin, sealed_user_pin, sealed_secret, created_at, updated_at) VALUES
    ('TW11782207000008', 'personalized', 'i1-1', {{blob "0a"}}, {{blob "0b"}}, {{blob "0c"}}, '2026-03-02 02:00:00+00:00', '2026-03-02 02:00:00+00:00');
UPDATE issues SET token_serial = 'TW11782207000008' WHERE id = 'i1-1';
INSERT INTO crls (issuer, number, this_update, next_update, der, changes, included) VALUES ('ycd-issuing-p256', 3, '2026-03-20 02:00:00+00:00', '2026-03-21 02:00:00+00:00', {{blob "10"}}, 1, 1);
INSERT INTO ocsp_responses (serial, der) VALUES ('4100000000000000000000000000000000000001', {{blob "0d"}});

INSERT INTO order_items (id, order_id, n, seal, stage, attempt, token_serial, cert_serial, note, updated_at) VALUES
    ('i1', 'o1', 1, 'company', 'verified', 1, 'TW11782207000008', '4100000000000000000000000000000000000001', '', '2026-03-02 02:00:00+00:00'),
    ('i2', 'o1', 2, 'company', 'verified', 1, 'TW11782207000009', '4100000000000000000000000000000000000002', '', '2026-03-02 02:00:00+00:00');
INSERT INTO order_events (order_id, seq, event, from_status, from_stage, to_status, to_stage, actor_id, role, channel, note, at) VALUES
    ('o1', 1, 'confirm', 'draft', '', 'awaiting_payment', '', 'p1', 'applicant', 'web', '', '2026-03-01 03:00:00+00:00'),
    ('o1', 8, 'ship', 'to_ship', 'to_post', 'completed', '', 's1', 'shipper', 'web', '', '2026-03-03 02:00:00+00:00');
INSERT INTO approvals (order_id, submission, step, staff_id, person_id, applicant_id, snapshot, at) VALUES ('o1', 1, 1, 's1', 'p2', 'p1', 'c0ffee', '2026-03-02 02:00:00+00:00');
INSERT INTO payments (trade_no, order_id, amount, state, code_url, transaction_id, refund_no, refund_reason, created_at, expires_at, paid_at, next_query, queries, updated_at) VALUES
    ('T1', 'o1', 60000, 'paid', 'weixin://pay/1', 'WX1', NULL, '', '2026-03-01 03:00:00+00:00', '2026-03-01 05:00:00+00:00', '2026-03-01 03:05:00+00:00', NULL, 0, '2026-03-01 03:05:00+00:00');
INSERT INTO ledger (trade_no, kind, order_id, amount, at) VALUES ('T1', 'payment', 'o1', 60000, '2026-03-01 03:05:00+00:00');
INSERT INTO notifications (id, order_id, seq, notice, medium, audience, staff_id, state, attempts, provider_id, fallback_of, created_at, updated_at) VALUES
    ('n1', 'o1', 8, 'shipped', 'sms', 'recipient', '', 'delivered', 1, 'sms-1', '', '2026-03-03 02:00:00+00:00', '2026-03-03 02:00:00+00:00'),
    ('n2', 'o1', 8, 'shipped', 'wechat', 'agent', '', 'sent', 1, 'wx-1', '', '2026-03-03 02:00:00+00:00', '2026-03-03 02:00:00+00:00');
INSERT INTO notification_attempts (notification_id, attempt, state, provider_id, at) VALUES ('n1', 1, 'delivered', 'sms-1', '2026-03-03 02:00:00+00:00');
INSERT INTO timers (order_id, seq, event, notice, at) VALUES ('o2', 1, '', 'unpaid_reminder', '2026-03-10 02:00:00+00:00');
INSERT INTO issuer_requests (id, kind, subject, body, state, answer, refusal, created_at, expires_at, answered_at) VALUES
    ('r1', 'unlock', 'TW11782207000008', {{blob "0e"}}, 'answered', NULL, '{}', '2026-03-05 02:00:00+00:00', '2026-03-05 03:00:00+00:00', '2026-03-05 02:01:00+00:00');
INSERT INTO helper_tickets (id, secret_hash, purpose, cert_serial, token_serial, order_id, person_id, state, step, failure, public_key, challenge, created_at, expires_at, updated_at) VALUES
    ('t1', 'hash', 'unlock', '4100000000000000000000000000000000000001', 'TW11782207000008', '', 'p1', 'done', 'proof', '', NULL, {{blob "0f"}}, '2026-03-05 02:00:00+00:00', '2026-03-05 02:10:00+00:00', '2026-03-05 02:01:00+00:00');
