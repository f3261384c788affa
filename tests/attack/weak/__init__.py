"""A sandbox that is weak on purpose, in which each attempt must succeed before a refusal means anything."""
