"""The read API, runs by API, and the live page: FastAPI over what warehouse/ lists. Imported by whoever serves it."""
