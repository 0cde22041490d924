"""What leaves the store as files: the page of a universe, and exports of it. Reads through the warehouse."""
