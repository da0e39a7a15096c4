"""``PlanProblem`` -> ``Plan``: exact, arrays only; no clock, no I/O, no global state."""
