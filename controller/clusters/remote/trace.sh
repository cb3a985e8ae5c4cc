# What is left of one run, to be told where its result comes from. Variable: run.
find_control "$run"

# show FILE: a control file of the run.
show() {
  [ -e "$control/$1" ] || { echo "there is no $control/$1" >&2; return 1; }
  cat "$control/$1"
}

# named KEY: the 64 hex digits that the lock has under a key; any text that only looks so does no harm.
named() {
  grep -o "\"$1\": *\"[0-9a-f]\{64\}\"" "$control/run.lock.json" 2>/dev/null | grep -o '[0-9a-f]\{64\}' | sort -u
}

# Of each batch: the hash of the script that the scheduler was given, and the job that it became.
show_scripts() {
  local batch sum job_id
  for batch in $(named batch); do
    sum=$(sha256sum <"$base/submissions/$batch/job.sh") || continue
    job_id=
    if [ -s "$base/submissions/$batch/job_id" ]; then IFS= read -r job_id <"$base/submissions/$batch/job_id"; fi
    printf '%s %s %s\n' "$batch" "${sum%% *}" "${job_id:--}"
  done
}

# Of each image: the size of its SIF and the hash that was taken when it was made, "-" where there is none.
show_images() {
  local identity sum
  for identity in $(named image); do
    sum=
    [ -e "$root/images/$identity.sif" ] || continue
    if [ -s "$root/images/$identity.sha256" ]; then IFS= read -r sum <"$root/images/$identity.sha256"; fi
    printf '%s %s %s\n' "$identity" "$(stat -L -c %s "$root/images/$identity.sif")" "${sum:--}"
  done
}

# The staged files that are there whole, as their manifest (manifest.sh) has them.
show_trees() {
  local tree
  for tree in $(named files); do
    if read_manifest "$root/files/$tree.manifest" && holds "$root/files/$tree"; then printf '%s\n' "$tree"; fi
  done
}

# Sizes and paths of what the run has left, so many at most.
show_outputs() {
  cd "$base/runs/$run" || return 1
  local ours=()
  case $control in */.controller) ours=(-path ./.controller -prune -o) ;; esac
  find . "${ours[@]}" -type f -printf '%s %P\0' | LC_ALL=C sort -z -k 2 | head -z -n 1000 | tr '\n\0' '?\n'
}

part lock show run.lock.json
part claim show claim
part exit show exit.json
part scripts show_scripts
part images show_images
part trees show_trees
part outputs show_outputs
say complete
