"""Ports fulfilled with Google Cloud. SDKs are imported where they are used."""
