"""The public shapes of the HTTP API: what clients send and get, one module per noun."""
