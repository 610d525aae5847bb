-- What one instance does for all, such as telling somebody something: until then nobody else does it.
CREATE TABLE claims (
    name TEXT NOT NULL PRIMARY KEY,
    until_at BIGINT NOT NULL
);
