"""What a job is, its states, and the one table of legal transitions. No I/O."""
