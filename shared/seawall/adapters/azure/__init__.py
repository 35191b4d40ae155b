"""Ports fulfilled with Microsoft Azure. SDKs are imported where they are used."""
