"""Let `python -m cast` do what the installed `cast` does."""

from cast.main import app

app(prog_name="cast")
