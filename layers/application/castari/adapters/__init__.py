"""One module for each outside system; nothing vendor-shaped leaves this package."""
