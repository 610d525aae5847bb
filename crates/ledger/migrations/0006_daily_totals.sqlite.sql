-- Daily sums over all keys, so that reports that tell nothing about keys read few rows. A day's rows lie side by side.
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
    PRIMARY KEY (kind, day, id, model, provider)
) WITHOUT ROWID;

-- A version that does not know them may book beside this one: what it adds to the sums is added here by the database.
-- Whoever adds it by himself, which is much quicker, has `adds_totals` among the facts meanwhile.
CREATE TRIGGER daily_spend_inserted AFTER INSERT ON daily_spend
WHEN NEW.kind <> 'key' AND NOT EXISTS (SELECT 1 FROM facts WHERE name = 'adds_totals')
BEGIN
    INSERT INTO daily_totals (kind, id, day, model, provider, requests, failed, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
    VALUES (NEW.kind, NEW.id, NEW.day, NEW.model, NEW.provider, NEW.requests, NEW.failed, NEW.input_tokens,
        NEW.output_tokens, NEW.cache_read_tokens, NEW.cache_write_tokens, NEW.cost_nano, NEW.duration_ms)
    ON CONFLICT (kind, day, id, model, provider) DO UPDATE SET
        requests = requests + excluded.requests,
        failed = failed + excluded.failed,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
        cost_nano = cost_nano + excluded.cost_nano,
        duration_ms = duration_ms + excluded.duration_ms;
END;
CREATE TRIGGER daily_spend_updated AFTER UPDATE ON daily_spend
WHEN NEW.kind <> 'key' AND NOT EXISTS (SELECT 1 FROM facts WHERE name = 'adds_totals')
BEGIN
    INSERT INTO daily_totals (kind, id, day, model, provider, requests, failed, input_tokens, output_tokens,
        cache_read_tokens, cache_write_tokens, cost_nano, duration_ms)
    VALUES (NEW.kind, NEW.id, NEW.day, NEW.model, NEW.provider, NEW.requests - OLD.requests,
        NEW.failed - OLD.failed, NEW.input_tokens - OLD.input_tokens, NEW.output_tokens - OLD.output_tokens,
        NEW.cache_read_tokens - OLD.cache_read_tokens, NEW.cache_write_tokens - OLD.cache_write_tokens,
        NEW.cost_nano - OLD.cost_nano, NEW.duration_ms - OLD.duration_ms)
    ON CONFLICT (kind, day, id, model, provider) DO UPDATE SET
        requests = requests + excluded.requests,
        failed = failed + excluded.failed,
        input_tokens = input_tokens + excluded.input_tokens,
        output_tokens = output_tokens + excluded.output_tokens,
        cache_read_tokens = cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = cache_write_tokens + excluded.cache_write_tokens,
        cost_nano = cost_nano + excluded.cost_nano,
        duration_ms = duration_ms + excluded.duration_ms;
END;

-- From this day on totals are complete. What was booked before is added up by and by; see `store/totals.rs`.
INSERT INTO facts (name, value) SELECT 'totals_from', COALESCE(MAX(day) + 1, -1000000) FROM daily_spend;
