"""Ports fulfilled with Amazon Web Services. SDKs are imported where they are used."""
