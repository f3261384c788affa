"""The processes that clients start in sandboxes, as the server sees and serves them."""
