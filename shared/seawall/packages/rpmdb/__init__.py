"""The rpm database in its three forms, read from bytes without librpm: each module yields header blobs."""
