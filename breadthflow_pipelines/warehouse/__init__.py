"""The store: an embedded or external PostgreSQL, its tables, bulk in and out. The only room that speaks SQL."""
