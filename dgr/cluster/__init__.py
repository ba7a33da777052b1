"""Points as SLURM jobs: what may be asked of the cluster, submission, the job itself, and the queue."""
