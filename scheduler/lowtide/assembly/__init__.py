"""The only room that gathers: facts, signals and offers -> one ``PlanProblem``."""
