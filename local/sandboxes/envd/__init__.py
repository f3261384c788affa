"""The daemon inside each sandbox: processes and files, over E2B's envd API."""
