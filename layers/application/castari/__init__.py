"""The control plane's own package, shared by every function through the application layer."""
