"""What the pipeline says while it works: structured logs and progress."""
