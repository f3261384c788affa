"""Attacks on the sandboxes: what an agent and a hostile client could try, and what refuses it."""
