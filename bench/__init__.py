"""What is measured, and against what: every ratio's two sides come from one run, interleaved."""
