"""Posture reports for people and for other tools."""
