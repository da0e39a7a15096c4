"""The on-node program: meters, journal, wrapper. Standard library only; imports nothing of lowtide."""
