"""An engine without any isolation, to measure and test what the others add to it."""
