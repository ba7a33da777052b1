"""The embedded world: a small language and a very small reasoning model trained in it (see docs/micro.md)."""
