"""Use cases: what the platform does, with no word of HTTP, AWS or E2B."""
