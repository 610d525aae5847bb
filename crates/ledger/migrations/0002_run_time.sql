-- Models, what they are grouped by, and what their providers ask for: added at run time.

CREATE TABLE access_groups (
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
CREATE UNIQUE INDEX access_groups_alias ON access_groups (alias);

-- What is secret in `data` is sealed; see the module `vault`.
CREATE TABLE credentials (
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

-- `alias` is the name that clients ask for; secrets in `data` are sealed.
CREATE TABLE models (
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
CREATE INDEX models_alias ON models (alias);
CREATE INDEX models_team ON models (team_id, created_at);

-- What other instances have to look at again, in the order of commits. Old ones are deleted.
CREATE TABLE feed (
    number BIGINT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    object_id TEXT NOT NULL,
    is_spend BIGINT NOT NULL
);
INSERT INTO facts (name, value) VALUES ('feed', 0);
