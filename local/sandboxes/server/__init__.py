"""E2B's control plane and its road to each sandbox's daemon, over any engine."""
