"""Replays history through forecasting and planning."""
