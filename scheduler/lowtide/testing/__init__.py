"""Fakes of the ports, shipped for everybody who writes a test."""
