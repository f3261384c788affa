"""Every test suite, and what they share: fixtures, fakes, a local AWS."""
