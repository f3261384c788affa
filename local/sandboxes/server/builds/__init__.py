"""Templates that clients build: their steps, the builds, and what came of them."""
