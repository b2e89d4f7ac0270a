-- +goose Up
-- Counts the orders of a day (yyyymmdd, Asia/Shanghai) for the tails of their
-- numbers: row s of n gives s+1, s+1+n, s+1+2n …
CREATE TABLE order_numbers (
    day   TEXT    NOT NULL,
    slot  INTEGER NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (day, slot)
);
DELETE FROM counters WHERE name LIKE 'order:%';

-- +goose Down
DROP TABLE order_numbers;
