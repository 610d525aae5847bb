-- The log of a team, and of a user, newest first. Rows of neither cost nothing. An existing log is read once for each:
-- seconds for millions of rows, before the gateway answers; nobody else has the file open for writing then.
CREATE INDEX spend_team ON spend (team_id, started_at) WHERE team_id IS NOT NULL;
CREATE INDEX spend_user ON spend (user_id, started_at) WHERE user_id IS NOT NULL;
