"""Advisories from the outside: OSV exports, CISA KEV, EPSS; and the advisory file on disk."""
