"""Clouds that bring machines up and take them down."""
