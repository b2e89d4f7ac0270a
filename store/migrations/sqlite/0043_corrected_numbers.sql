-- +goose Up
-- A tracking number that was corrected is still asked about by whoever was told it.
CREATE INDEX order_events_corrected ON order_events (order_id) WHERE event = 'correct_tracking';
