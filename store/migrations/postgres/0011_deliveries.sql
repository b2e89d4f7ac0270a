-- +goose Up
-- A message may be about no order (a summary of the day), be for somebody else than
-- the order's 经办人, wait until its hour, and says to whom it went and why it did not.
ALTER TABLE notifications ALTER COLUMN order_id DROP NOT NULL;
ALTER TABLE notifications ADD COLUMN person_id TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications ADD COLUMN told TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications ADD COLUMN send_at TIMESTAMPTZ;
ALTER TABLE notifications ADD COLUMN read_at TIMESTAMPTZ;
ALTER TABLE notification_attempts ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE notifications DROP CONSTRAINT notifications_order_id_seq_notice_medium_audience_staff_id_key;
CREATE UNIQUE INDEX notifications_once ON notifications (COALESCE(order_id, ''), seq, notice, medium, audience, staff_id);
CREATE INDEX notifications_order ON notifications (order_id, created_at, id) WHERE order_id IS NOT NULL;
CREATE INDEX notifications_staff ON notifications (staff_id, id) WHERE staff_id <> '';
CREATE INDEX notifications_person ON notifications (person_id, id) WHERE person_id <> '';
CREATE INDEX notifications_held ON notifications (send_at, id) WHERE state = 'held';

-- Staff who lead hear of what is late; the quiet hours are minutes of a day in Shanghai.
ALTER TABLE staff ADD COLUMN leader BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE staff ADD COLUMN quiet_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE staff ADD COLUMN quiet_to INTEGER NOT NULL DEFAULT 0;
