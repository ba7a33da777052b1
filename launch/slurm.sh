#!/usr/bin/env bash
# One command as one SLURM job; prints the job's number and nothing else.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: launch/slurm.sh [options of sbatch] -- COMMAND ...

  launch/slurm.sh --gpus-per-node=1 --time=8:00:00 -- python -m dgr.prepare refine=dgr n_samples=1000

Prints the job's number, for another job's --dependency=afterok:NUMBER. The log is slurm-NUMBER.out in the working
directory (--output=FILE). Without --cpus-per-task the job gets what the cluster gives by default, often one core.
TEXT
  exit 2
}

options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case "$1" in -h | --help) usage ;; esac
  options+=("$1")
  shift
done
[ "${1:-}" = -- ] && shift || usage
[ $# -gt 0 ] || usage
command -v sbatch >/dev/null || { echo "there is no sbatch here; use a login node of the cluster" >&2; exit 2; }

# One task on the first node, as a step of its own: only steps hear --signal. srun inherits no cores.
number=$(
  sbatch --parsable --nodes=1 --job-name=dgr --requeue "${options[@]}" <<SCRIPT
#!/usr/bin/env bash
exec srun --nodes=1 --ntasks=1 \${SLURM_CPUS_PER_TASK:+--cpus-per-task=\$SLURM_CPUS_PER_TASK} $(printf '%q ' "$@")
SCRIPT
)
echo "${number%%;*}" # NUMBER;CLUSTER where there are several clusters
