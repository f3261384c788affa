"""What E2B's SDKs, unmodified, see of the local sandbox server."""
