"""Readings x vintages -> settlements, savings, the difference. No I/O."""
