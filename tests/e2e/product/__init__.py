"""The whole platform, as its users meet it: over HTTP and S3, on a running local stack."""
