"""May this image run here: reviews of an API server, a policy, and what is known of each image."""
