"""Safety datasets: where the rows are (`source`), how a row becomes a Sample (`parsers`)."""
