lock:  ## Resolve every dependency again into the one lock file
	.venv/bin/uv pip compile --universal --generate-hashes --python-version 3.11 --quiet \
		--all-extras --group dev --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile --universal --generate-hashes --python-version 3.11 --quiet --constraint requirements.lock \
		--custom-compile-command "make lock" pyproject.toml -o layers/dependencies/requirements.txt
