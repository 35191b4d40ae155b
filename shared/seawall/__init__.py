"""Seawall: open, event-driven container security."""
