-- Entities. What is filtered, sorted or joined by is a column; `data` is the whole entity as JSON.
-- Times are milliseconds since 1970-01-01 UTC, amounts whole nano-dollars (1e-9 USD).

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX keys_alias ON keys (alias);
CREATE INDEX keys_user ON keys (user_id, created_at);
CREATE INDEX keys_team ON keys (team_id, created_at);
CREATE INDEX keys_organization ON keys (organization_id, created_at);
CREATE INDEX keys_created ON keys (created_at);

-- A key has several hashes while the secret before its last regeneration is still good.
CREATE TABLE key_hashes (
    hash TEXT NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL,
    expires_at BIGINT
);
CREATE INDEX key_hashes_key ON key_hashes (key_id);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX teams_organization ON teams (organization_id, created_at);

-- The id is the team's, U+001F, and the user's.
CREATE TABLE members (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX members_team ON members (team_id, created_at);
CREATE INDEX members_user ON members (user_id, created_at);

-- `alias` is the e-mail address.
CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (alias);
CREATE INDEX users_organization ON users (organization_id, created_at);

CREATE TABLE organizations (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE customers (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE tags (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);

CREATE TABLE budgets (
    id TEXT NOT NULL PRIMARY KEY,
    alias TEXT,
    user_id TEXT,
    team_id TEXT,
    organization_id TEXT,
    blocked BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    data TEXT NOT NULL
);

-- What was deleted, so that reports can still name it.
CREATE TABLE deleted (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    deleted_at BIGINT NOT NULL,
    deleted_by TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (kind, id, deleted_at)
);

-- Who changed what.
CREATE TABLE changes (
    id TEXT NOT NULL PRIMARY KEY,
    changed_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_by_key TEXT,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    before_data TEXT,
    after_data TEXT
);
CREATE INDEX changes_at ON changes (changed_at);
CREATE INDEX changes_object ON changes (kind, object_id, changed_at);

-- Sums of rows per day and who: written in the transaction that writes the rows.
CREATE TABLE daily_spend (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    day BIGINT NOT NULL,
    key_id TEXT NOT NULL,
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
    PRIMARY KEY (kind, id, day, key_id, model, provider)
);
CREATE INDEX daily_spend_day ON daily_spend (day, kind);

-- Spend per budget window; `period` is empty for all time, `model` for all models. `adjusted_nano` is the part that
-- comes from an administrator (reset) and not from rows.
CREATE TABLE window_spend (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    period TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    spend_nano BIGINT NOT NULL,
    adjusted_nano BIGINT NOT NULL,
    PRIMARY KEY (kind, id, model, period, window_start)
);

-- Facts about the database itself.
CREATE TABLE facts (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
