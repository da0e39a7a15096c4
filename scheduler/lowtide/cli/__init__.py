"""Commands, one file per verb; wiring only."""
