"""The whole stack while AWS and the sandbox service fail at every tenth call."""
