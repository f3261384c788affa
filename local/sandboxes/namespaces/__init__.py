"""The engine that isolates sandboxes with Linux namespaces, cgroups, an overlay, nftables and seccomp."""
