"""Says in stack traces where in the sources something happened, not where in the bundle.

`node --enable-source-maps` would say it too, but reads the map at every start, which makes it a tenth to a
quarter slower (measured); most agents never throw.
"""

BUNDLE_STEM = "castari-bundle"
_TRANSLATOR = __file__.removesuffix(".py") + ".cjs"
_SECONDS = 0.4


def in_sources(text: str) -> str:
    """Return the text with places in a bundle replaced by those in its sources, or as it is."""
    if f"{BUNDLE_STEM}." not in text:
        return text
    import os
    import subprocess

    try:
        done = subprocess.run(
            ["node", _TRANSLATOR],
            input=text.encode(),
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return text
    return done.stdout.decode("utf-8", "replace")
