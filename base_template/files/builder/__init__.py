"""Makes a bundle runnable, step by step, and tells each step as a line of JSON. Standard library only."""
