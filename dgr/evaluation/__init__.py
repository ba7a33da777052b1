"""Evaluation: benchmarks are asked, judges give verdicts, verdicts become metrics with n and a standard error."""
