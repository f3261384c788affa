"""Lets sandboxes out by name: a process that reads where a connection wants to go, and connects."""
