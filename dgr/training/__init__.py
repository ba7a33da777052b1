"""Supervised fine-tuning of the target: which weights move (adapter), how (trainer), what is left behind (export)."""
