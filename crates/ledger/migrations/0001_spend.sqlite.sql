-- One row per request. A request is known by its id and the moment it began, as on PostgreSQL, whose rows are kept by day.
CREATE TABLE spend (
    request_id TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    call_type TEXT NOT NULL,
    failed BIGINT NOT NULL,
    model TEXT NOT NULL,
    model_group TEXT,
    provider TEXT NOT NULL,
    deployment TEXT,
    key_id TEXT NOT NULL,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    customer_id TEXT,
    tags TEXT,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    -- NULL: nothing, as for nearly all.
    saved_nano BIGINT,
    estimated BIGINT NOT NULL,
    cache_hit BIGINT NOT NULL,
    catalog TEXT,
    session TEXT,
    detail TEXT,
    PRIMARY KEY (request_id, started_at)
);
CREATE INDEX spend_started ON spend (started_at);
CREATE INDEX spend_key ON spend (key_id, started_at);
