"""Places that want to know of settlements."""
