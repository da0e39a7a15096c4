"""Settlements -> tables, JSON, CSV, one HTML file."""
