# shellcheck shell=sh
# Sites set this for log-in shells, not for `ssh host command`.
if [ -d "/scratch/$(id -un)" ]; then
    SCRATCH=/scratch/$(id -un)
    export SCRATCH
fi
