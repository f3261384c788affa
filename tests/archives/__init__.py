"""Bundles by the thousand from a seed: well formed, odd, and hostile."""
