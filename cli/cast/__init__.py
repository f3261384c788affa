"""`cast`, the command line client: it packs agents, deploys and invokes them, over HTTP alone."""
