"""The whole platform on one machine: AWS by ministack, E2B by a sandbox server of our own."""
