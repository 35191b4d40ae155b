"""Destinations that need no cloud."""
