"""Engines that run launches."""
