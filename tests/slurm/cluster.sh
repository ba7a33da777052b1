#!/usr/bin/env bash
# A SLURM of two nodes on this one machine, for tests: munge, slurmctld and two slurmd; no systemd, no accounting.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: cluster.sh up|down|node-kill NAME|node-up NAME    (as root; needs slurmctld, slurmd, slurm-client and munge)

Everything lies in $DGR_TEST_SLURM (default /tmp/dgr-slurm); /etc/slurm is not touched. Use the cluster with
  export SLURM_CONF=$DGR_TEST_SLURM/slurm.conf
TEXT
  exit 2
}

ROOT=${DGR_TEST_SLURM:-/tmp/dgr-slurm}
NODES=(dgr1 dgr2)
export SLURM_CONF=$ROOT/slurm.conf

end() { # end FILE: the process whose id is in the file, and what it started stays with its own pid files
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || true
  for _ in $(seq 50); do
    case "$(ps -o stat= -p "$pid")" in "" | Z*) break ;; esac # nobody may be there to reap it
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  rm -f "$1"
}

down() {
  [ -e "$SLURM_CONF" ] && timeout 5 scancel --user=root >/dev/null 2>&1 && sleep 1
  for node in "${NODES[@]}"; do end "$ROOT/$node.pid"; done
  end "$ROOT/slurmctld.pid"
  [ -e "$ROOT/munged.ours" ] && end /run/munge/munged.pid
  sed -i '/# dgr-test-slurm$/d' /etc/hosts 2>/dev/null || { # a mounted /etc/hosts cannot be replaced, only written
    grep -v '# dgr-test-slurm$' /etc/hosts >"$ROOT/hosts" && cat "$ROOT/hosts" >/etc/hosts
  } || true
  rm -rf "$ROOT"
}

munge_up() {
  munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return
  install -d -m 0755 -o munge -g munge /run/munge
  install -d -m 0700 -o munge -g munge /etc/munge /var/log/munge /var/lib/munge
  [ -s /etc/munge/munge.key ] || head -c 1024 /dev/urandom >/etc/munge/munge.key
  chown munge:munge /etc/munge/munge.key
  chmod 0400 /etc/munge/munge.key
  runuser -u munge -- /usr/sbin/munged
  touch "$ROOT/munged.ours"
  for _ in $(seq 50); do munge -n 2>/dev/null | unmunge >/dev/null 2>&1 && return; sleep 0.1; done
  echo "munge does not answer" >&2
  exit 1
}

configuration() {
  local host cpus memory
  host=$(hostname -s)
  cpus=$(nproc --all) # nproc alone heeds OMP_NUM_THREADS
  memory=$(($(awk '/MemTotal/{print $2}' /proc/meminfo) / 1024 - 1024))
  cat <<CONF
ClusterName=dgrtest
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
AuthType=auth/munge
AuthInfo=cred_expire=5
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
MailProg=/bin/true
SlurmctldPidFile=$ROOT/slurmctld.pid
SlurmctldLogFile=$ROOT/slurmctld.log
SlurmdPidFile=$ROOT/%n.pid
SlurmdLogFile=$ROOT/%n.log
SlurmdSpoolDir=$ROOT/%n.spool
StateSaveLocation=$ROOT/state
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
JobRequeue=1
InactiveLimit=0
KillWait=5
MinJobAge=300
Waittime=0
SlurmctldTimeout=30
SlurmdTimeout=10
TreeWidth=65533
NodeName=${NODES[0]} NodeHostname=$host NodeAddr=127.0.0.1 Port=16821 CPUs=$cpus RealMemory=$memory
NodeName=${NODES[1]} NodeHostname=$host NodeAddr=127.0.0.1 Port=16822 CPUs=$cpus RealMemory=$memory
PartitionName=low Nodes=ALL Default=YES MaxTime=60 DefaultTime=5 State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes=ALL MaxTime=60 DefaultTime=5 State=UP PriorityTier=10 PreemptMode=OFF
CONF
}

up() {
  for program in slurmctld slurmd munged sbatch; do
    command -v "$program" >/dev/null || { echo "$program is not installed: apt-get install slurmctld slurmd slurm-client munge" >&2; exit 1; }
  done
  down
  install -d -m 0755 "$ROOT" "$ROOT/state"
  for node in "${NODES[@]}"; do install -d "$ROOT/$node.spool"; done
  munge_up
  getent hosts "$(hostname -s)" >/dev/null || echo "127.0.0.1 $(hostname -s) # dgr-test-slurm" >>/etc/hosts
  for node in "${NODES[@]}"; do echo "127.0.0.1 $node # dgr-test-slurm" >>/etc/hosts; done
  configuration >"$SLURM_CONF"
  if scontrol ping 2>/dev/null | grep -q 'is UP'; then
    echo "another cluster of these tests is up (port 16817): take it down first" >&2
    exit 1
  fi
  /usr/sbin/slurmctld -c
  for _ in $(seq 100); do scontrol ping 2>/dev/null | grep -q 'is UP' && break; sleep 0.1; done
  for node in "${NODES[@]}"; do /usr/sbin/slurmd -N "$node"; done
  for _ in $(seq 100); do
    [ "$(sinfo -h -N -p low -o %T 2>/dev/null | grep -c '^idle$')" = "${#NODES[@]}" ] && return
    sleep 0.1
  done
  echo "the cluster did not come up" >&2
  sinfo -N -l >&2 || true
  tail -n 20 "$ROOT"/*.log >&2
  exit 1
}

case "${1:-}" in
  up) up ;;
  down) down ;;
  node-kill) kill -9 "$(cat "$ROOT/${2:?}.pid")" ;;
  node-up) /usr/sbin/slurmd -N "${2:?}" ;;
  *) usage ;;
esac
