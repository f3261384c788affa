"""Suites that need the real sandbox server, and some the whole platform."""
