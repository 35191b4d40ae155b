"""From collected objects to the asset graph: what each object is, and what it points at."""
