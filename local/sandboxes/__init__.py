"""A server that speaks E2B's API and envd, with real isolation."""
