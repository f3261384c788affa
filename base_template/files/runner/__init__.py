"""Runs one attempt: feeds the prompt, keeps the output, hands in the result. Standard library only.

Imports are a cost here: each one delays an answer. What the agent's start does not need is imported
while the agent starts.
"""
