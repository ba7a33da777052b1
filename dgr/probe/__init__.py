"""Is it activation? Linear probes for harm, the direction of harm, weight changes and interventions along a sweep.

`python -m dgr.probe sweep=NAME` measures a finished sweep; without `sweep` the untouched target alone.
"""
