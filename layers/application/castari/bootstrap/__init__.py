"""The composition root: reads settings and builds what handlers call, each once for a worker.

Imports of what is built sit inside the functions, so that a Lambda pays only for what it uses. What is built
elsewhere is looked up in its module at each call, so that a test can put another in its place.
"""
