-- How much of a budget window's spend each of several instances has booked: written in the transaction that adds to
-- `window_spend`, so that what is booked does not count as lent as well; see the module `shared`. `booked_on` is the
-- day of the last row in it.
CREATE TABLE instance_spend (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    period TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    instance_id TEXT NOT NULL,
    spend_nano BIGINT NOT NULL,
    booked_on BIGINT NOT NULL,
    PRIMARY KEY (kind, id, model, period, window_start, instance_id)
);
