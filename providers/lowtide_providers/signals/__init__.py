"""Carbon-intensity sources."""
