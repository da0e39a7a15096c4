"""Many jobs under shared capacity: one joint plan with a proven bound, and the same jobs as they arrive."""
