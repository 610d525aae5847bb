-- The log of a team, and of a user, newest first. Rows of neither cost nothing.
-- ON ONLY: the days that are there are not read, so that the log is locked for a moment only, however long it is. Days
-- that are made from now on have the indexes (`LIKE spend INCLUDING ALL`); those before are read by when their requests began,
-- until retention drops them.
CREATE INDEX spend_team ON ONLY spend (hashtextextended(team_id, 0), started_at) WHERE team_id IS NOT NULL;
CREATE INDEX spend_user ON ONLY spend (hashtextextended(user_id, 0), started_at) WHERE user_id IS NOT NULL;
