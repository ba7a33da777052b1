#!/usr/bin/env bash
# A grid over the GPUs of one machine: as many points at a time as there are GPUs, each with one of its own.
set -euo pipefail

usage() {
  cat >&2 <<'TEXT'
usage: launch/local_queue.sh [-w WORKERS] -- OVERRIDES ...

  launch/local_queue.sh -- refine=dgr,vanilla n_samples=10,100,1000 model=r1_qwen_1_5b data=star1
  launch/local_queue.sh -w 2 -- refine=dgr,vanilla                  two points at a time; the way without GPUs

Takes the devices in CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists. With -w and GPUs, at most that many are
used. Mistakes are found before the first point starts; finished points are left out; the table comes at the end.
PYTHON names the interpreter (python).
TEXT
  exit 2
}

workers=
while getopts hw: option; do
  case "$option" in
    w) workers=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1)) # getopts has taken the --
[ $# -gt 0 ] && [[ "${workers:-1}" =~ ^[1-9][0-9]*$ ]] || usage

if [ -n "${CUDA_VISIBLE_DEVICES-}" ]; then
  IFS=, read -ra devices <<<"$CUDA_VISIBLE_DEVICES"
elif command -v nvidia-smi >/dev/null; then
  mapfile -t devices < <(nvidia-smi --query-gpu=index --format=csv,noheader)
else
  devices=()
fi
if [ "${#devices[@]}" -gt 0 ]; then
  [ -n "$workers" ] && devices=("${devices[@]:0:workers}")
  workers=${#devices[@]}
elif [ -z "$workers" ]; then
  echo "there is no GPU here; say how many points run at a time: -w WORKERS" >&2
  exit 2
fi

export PYTHON=${PYTHON:-python} DGR_DEVICES="${devices[*]}"
points=$(mktemp)
trap 'rm -f "$points"' EXIT
"$PYTHON" -m dgr.command -m "$@" >"$points" # every mistake is found here; one point a line, as shell words

# xargs gives no two running workers the same slot.
# shellcheck disable=SC2016 # expanded by the worker's shell
xargs -a "$points" -d '\n' -r -n 1 -P "$workers" --process-slot-var=DGR_SLOT bash -c '
  read -ra devices <<<"$DGR_DEVICES"
  [ ${#devices[@]} -eq 0 ] || export CUDA_VISIBLE_DEVICES=${devices[DGR_SLOT]}
  eval "exec \"\$PYTHON\" -m dgr.run $1" >/dev/null
' worker || true # what failed is named below the table

"$PYTHON" -m dgr.command --table -m "$@"
