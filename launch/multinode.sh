#!/usr/bin/env bash
# One point over several nodes; prints the job's number. Grids: hydra.launcher.nodes=N with hydra/launcher=slurm.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: launch/multinode.sh NODES [options of sbatch] -- OVERRIDES ...

  launch/multinode.sh 4 --gpus-per-node=8 --cpus-per-task=64 -- model=r1_qwen_32b data=star1 trainer=zero3

The point runs on the first node; its training starts one torchrun a node with srun, and they meet on the first node.
Five minutes before the limit it saves a checkpoint and ends; the same command continues it.
TEXT
  exit 2
}

[[ "${1:-}" =~ ^[1-9][0-9]*$ ]] || usage
nodes=$1
shift
options=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  options+=("$1")
  shift
done
[ "${1:-}" = -- ] && shift || usage
here=$(dirname "${BASH_SOURCE[0]}")
exec "$here/slurm.sh" --nodes="$nodes" --ntasks-per-node=1 --signal=USR2@300 "${options[@]}" -- "${PYTHON:-python}" -m dgr.run "$@"
