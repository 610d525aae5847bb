-- Daily sums over all keys, so that reports that tell nothing about keys read few rows. Room is left on the pages, so
-- that a row that grows stays where its indexes know it to be.
CREATE TABLE daily_totals (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    day BIGINT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    cache_read_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    cost_nano BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    PRIMARY KEY (kind, id, day, model, provider)
) WITH (fillfactor = 50);
CREATE INDEX daily_totals_day ON daily_totals (kind, day);
ALTER TABLE daily_spend SET (fillfactor = 50);
ALTER TABLE window_spend SET (fillfactor = 50);

-- Whoever adds to daily sums, also a version that does not know the totals, has the database add the same to those: a
-- whole statement at once. One transaction at a time, or two would wait for each other's totals in a circle.
CREATE FUNCTION queue_for_daily_sums() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(1414483802, hashtext(current_schema()));
    RETURN NULL;
END $$;
CREATE FUNCTION add_inserted_to_daily_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO daily_totals AS t (kind, id, day, model, provider, requests, failed, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
    SELECT n.kind, n.id, n.day, n.model, n.provider, SUM(n.requests), SUM(n.failed), SUM(n.input_tokens),
        SUM(n.output_tokens), SUM(n.cache_read_tokens), SUM(n.cache_write_tokens), SUM(n.cost_nano),
        SUM(n.duration_ms)
    FROM added n WHERE n.kind <> 'key' GROUP BY n.kind, n.id, n.day, n.model, n.provider
    ON CONFLICT (kind, id, day, model, provider) DO UPDATE SET
        requests = t.requests + excluded.requests,
        failed = t.failed + excluded.failed,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        cache_read_tokens = t.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = t.cache_write_tokens + excluded.cache_write_tokens,
        cost_nano = t.cost_nano + excluded.cost_nano,
        duration_ms = t.duration_ms + excluded.duration_ms;
    RETURN NULL;
END $$;
CREATE FUNCTION add_updated_to_daily_totals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO daily_totals AS t (kind, id, day, model, provider, requests, failed, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
    SELECT n.kind, n.id, n.day, n.model, n.provider, SUM(n.requests), SUM(n.failed), SUM(n.input_tokens),
        SUM(n.output_tokens), SUM(n.cache_read_tokens), SUM(n.cache_write_tokens), SUM(n.cost_nano),
        SUM(n.duration_ms)
    FROM (
        SELECT kind, id, day, model, provider, requests, failed, input_tokens, output_tokens, cache_read_tokens,
            cache_write_tokens, cost_nano, duration_ms
        FROM added
        UNION ALL
        SELECT kind, id, day, model, provider, -requests, -failed, -input_tokens, -output_tokens,
            -cache_read_tokens, -cache_write_tokens, -cost_nano, -duration_ms
        FROM removed
    ) n WHERE n.kind <> 'key' GROUP BY n.kind, n.id, n.day, n.model, n.provider
    ON CONFLICT (kind, id, day, model, provider) DO UPDATE SET
        requests = t.requests + excluded.requests,
        failed = t.failed + excluded.failed,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens,
        cache_read_tokens = t.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = t.cache_write_tokens + excluded.cache_write_tokens,
        cost_nano = t.cost_nano + excluded.cost_nano,
        duration_ms = t.duration_ms + excluded.duration_ms;
    RETURN NULL;
END $$;
CREATE TRIGGER daily_spend_queue BEFORE INSERT OR UPDATE ON daily_spend
    FOR EACH STATEMENT EXECUTE FUNCTION queue_for_daily_sums();
CREATE TRIGGER daily_spend_inserted AFTER INSERT ON daily_spend REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION add_inserted_to_daily_totals();
CREATE TRIGGER daily_spend_updated AFTER UPDATE ON daily_spend REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION add_updated_to_daily_totals();

-- From this day on totals are complete. What was booked before is added up by and by; see `store/totals.rs`.
INSERT INTO facts (name, value) SELECT 'totals_from', COALESCE(MAX(day) + 1, -1000000) FROM daily_spend;
