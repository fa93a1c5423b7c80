#!/bin/bash
# Carry out a study with a SLURM job array, every task of which takes a share of the runs:
#
#   bash protocols/cluster/slurm.sh TASKS PROTOCOL [options of elastic run]
#   SBATCH_PARTITION=short bash protocols/cluster/slurm.sh 16 quickstart.yaml --out /scratch/me/results
#
# Outside a job it checks the number of tasks and submits itself. Options of sbatch come from its environment variables
# (SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT, …), which override the lines below. --out is to be a folder that
# all nodes see.
#SBATCH --job-name=elastic
#SBATCH --cpus-per-task=1
#SBATCH --mem=2G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=elastic-%A_%a.log
# 120 seconds before the end of a job, and where it is preempted, this shell gets a signal: enough for an epoch to end.
#SBATCH --signal=B:TERM@120
set -u

if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]]; then
  echo "usage: bash $0 TASKS PROTOCOL [options of elastic run]" >&2
  exit 2
fi
tasks=$1
shift

if [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then
  most=$(scontrol show config | awk '$1 == "MaxArraySize" { print $3 }')
  if [ -n "$most" ] && [ "$tasks" -gt "$most" ]; then
    echo "$0: TASKS should be at most $most, the MaxArraySize of this cluster; found $tasks;" \
      "try $most: each task takes further runs when its own have ended" >&2
    exit 2
  fi
  exec sbatch --array="0-$((tasks - 1))" "$0" "$tasks" "$@"
fi

stopped=
elastic run "$@" --share "$SLURM_ARRAY_TASK_ID/$tasks" &
run=$!
trap 'stopped=yes; kill -TERM "$run"' TERM
wait "$run"
code=$?
while kill -0 "$run" 2>/dev/null; do  # the signal ended the wait, not the run
  wait "$run"
  code=$?
done
if [ -n "$stopped" ] && [ "$code" -ne 0 ]; then
  # SLURM requeues a job that is preempted, and not one that is at the end of its time.
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" || true
fi
exit "$code"
