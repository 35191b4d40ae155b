"""Audit, cloud and registry logs in the forms that their sources deliver: bytes in, events and rejects out."""
