"""The web console: server-rendered pages over the store, no JavaScript needed, no asset from elsewhere."""
