"""What the functions behind the HTTP API share: admission, answers to errors, routing."""
