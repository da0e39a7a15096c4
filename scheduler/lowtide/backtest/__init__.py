"""Scores a forecast on a past series: what its plans saved of what a perfect one would have."""
