"""Refusals told by rules: the acts that sentences perform, and what a reply made of them amounts to."""
