#!/usr/bin/env bash
# Install Debian's Slurm and munge where they are missing (run by `make slurm-test`). Their services are not needed: the
# tests start daemons of their own, in a temporary folder.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/installer.sh
. scripts/installer.sh

PATH=$PATH:/usr/sbin
missing=0
for program in munged slurmctld slurmd sbatch srun; do
  command -v "$program" >/dev/null || missing=1
done
((missing)) || exit 0
((EUID == 0)) || fail "Slurm is not installed; as root: apt-get install slurm-wlm munge"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
