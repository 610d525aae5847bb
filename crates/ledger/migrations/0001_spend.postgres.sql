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
    -- NULL: nothing, as for nearly all.
    saved_nano BIGINT,
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
    detail TEXT
) PARTITION BY RANGE (started_at);
-- Of texts in indexes their hash is enough, in a quarter of the space. Two requests that begin in the same millisecond
-- and have the same 64 bits would be taken for one: that is not going to happen.
CREATE UNIQUE INDEX spend_request ON spend (hashtextextended(request_id, 0), started_at);
CREATE INDEX spend_key ON spend (hashtextextended(key_id, 0), started_at);
CREATE INDEX spend_started ON spend (started_at) WITH (fillfactor = 100);
