"""Alerts become incidents: which belong together, how bad it is, what a person should read first."""
