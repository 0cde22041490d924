-- Run by the image when it makes a new volume. What the server counts of all databases is read in this one.
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
