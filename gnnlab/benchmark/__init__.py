"""Published numbers, records of runs, and what the difference between them amounts to."""
