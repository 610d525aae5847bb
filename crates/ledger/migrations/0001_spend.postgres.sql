-- One row per request, in a partition per day (UTC) that the writer makes; see `store/postgres.rs`. Columns of fixed
-- width come first: rows are smaller without the padding between them.
CREATE TABLE spend (
    started_at BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    saved_nano BIGINT NOT NULL,
    failed SMALLINT NOT NULL,
    estimated SMALLINT NOT NULL,
    cache_hit SMALLINT NOT NULL,
    request_id TEXT NOT NULL,
    call_type TEXT NOT NULL,
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
    catalog TEXT,
    session TEXT,
    detail TEXT,
    PRIMARY KEY (request_id, started_at)
) PARTITION BY RANGE (started_at);
CREATE INDEX spend_started ON spend (started_at);
CREATE INDEX spend_key ON spend (key_id, started_at);
