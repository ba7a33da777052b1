"""Where every point of a sweep is: what `python -m dgr.status outputs/<sweep>` reads and shows."""
