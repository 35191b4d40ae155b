"""The nouns of the field, without any cloud, socket or clock. Standard library and msgspec only."""
