"""Load what is due -> act on engines -> guarded write. Retries live here alone."""
