"""Wiring of the ticks: no arithmetic on energy or carbon."""
