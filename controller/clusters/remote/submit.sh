# Submit batches. Standard input: a tar of BATCH/{job.sh,tasks,manifest.json,submit}. Variables: batches (lines
# "BATCH TRIES IMAGE" where TRIES is how many tries the controller knows to have failed and IMAGE is the identity of the
# SIF in images/ that its runs are in, "-" for none), images (lines "IDENTITY NAME", each of those once), trees (lines, their staged files), job_id_pattern. Before it stands
# fresh.sh.
mkdir -p "$base/submissions" "$base/runs" "$base/control" "$base/spool" || die WorkdirUnwritable "cannot write below $base"
incoming=$base/.incoming.$nonce
mkdir "$incoming" || die WorkdirUnwritable "cannot write below $base"
trap 'rm -rf "$incoming"' EXIT
# A connection that breaks looks like an end: the archive's last member says that it was all of it.
if ! tar -x -C "$incoming" -f - || [ ! -e "$incoming/$last_member" ]; then
  die UploadFailed "the batches did not arrive whole on the cluster (disk full?)"
fi
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi

while IFS=' ' read -r identity name; do
  if [ -n "$identity" ]; then
    use_image "$identity" "$name" || die WorkdirUnwritable "cannot write below $base"
    fresh_image "$identity"
  fi
done <<<"$images"
failpoint submit.use.after
while IFS= read -r tree; do
  if [ -n "$tree" ]; then fresh_tree "$tree"; fi
done <<<"$trees"
failpoint submit.fresh.after

# of_before PLACE: whether the submission there is of the version that kept control files in the run's own directory.
of_before() { [ -s "$1/job.sh" ] && ! grep -q 'control=\$base/control' "$1/job.sh"; }

# Runs of which a job of that version may still come, whatever batch they are in now: written down once, by the first
# submit of this version, since none are added to them.
before=$base/control/.before
if [ ! -e "$before" ]; then
  for place in "$base"/submissions/*/; do
    if of_before "$place"; then cut -f 1 "$place/tasks" 2>/dev/null; fi
  done | put "$before" || die WorkdirUnwritable "cannot write below $base"
fi

# prepare_runs BATCH OLD: make the directories for the control files of a batch's runs, before any job can be there. OLD is
# 1 when an earlier try may have become a job of the version before. Such a job looks for its claim in the run's own
# directory: that is taken here, or the run stays that job's.
prepare_runs() {
  local run place tasks=$base/submissions/$1/tasks
  cd "$base/control" || return
  if [ "$2" = 0 ] && ! { [ -s "$before" ] && cut -f 1 "$tasks" | grep -qxFf "$before"; }; then
    cut -f 1 "$tasks" | xargs mkdir -p --
    return
  fi
  cut -f 1 "$tasks" | while IFS= read -r run; do
    place=$base/runs/$run/.controller
    if [ "$2" = 0 ] && ! grep -qxF -e "$run" "$before"; then
      mkdir -p "$run" || return
    elif [ ! -d "$run" ]; then
      mkdir -p "$place" && printf 'superseded\n' >"$place/.claim.$nonce" || return
      ln "$place/.claim.$nonce" "$place/claim" 2>/dev/null
      rm -f "$place/.claim.$nonce"
      if [ "$(cat "$place/claim")" != superseded ]; then continue; fi
    fi
    mkdir -p "$run" || return
  done
}

submit_batch() {
  local batch=$1 try=$(($2 + 1)) image=$3 place=$base/submissions/$1 old=0 file output code job_id fault found
  if [ -s "$place/job_id" ]; then
    say "adopted $batch $(cat "$place/job_id")"
    return
  fi
  # Said to be in use before this look, so nobody takes it away from here on. By pattern, so that the directory is read.
  found=("$root/images/$image".sif*)
  if [ "$image" != - ] && [ ! -e "${found[0]}" ]; then
    say "imageless $batch the SIF of its image is gone from $root/images"
    return
  fi
  failpoint submit.mkdir.before
  mkdir -p "$place" || { say "unwritten $batch cannot make $place"; return; }
  # Of all that ever try to submit this batch, one alone makes this directory; the others wait and see.
  if ! mkdir "$place/try-$try" 2>/dev/null; then
    say "busy $batch"
    return
  fi
  failpoint submit.try.after
  if of_before "$place"; then old=1; fi
  for file in manifest.json tasks job.sh submit; do
    if ! put "$place/$file" <"$incoming/$batch/$file"; then
      rmdir "$place/try-$try"
      say "unwritten $batch cannot write $place/$file (disk full?)"
      return
    fi
  done
  # Where a run's control files are is said before any job of it can be there.
  if ! (prepare_runs "$batch" "$old"); then
    rmdir "$place/try-$try"
    say "unwritten $batch cannot make its directories in $base/control (disk full?)"
    return
  fi
  failpoint submit.control.after
  fault=$place/.fault.$nonce
  failpoint submit.write.after
  # The command in the file "submit" hands $try on to the job.
  output=$(cd "$place" && . ./submit 2>"$fault" </dev/null)
  code=$?
  failpoint submit.sbatch.after
  job_id=$(printf '%s\n' "$output" | grep -E "$job_id_pattern" | tail -n 1)
  job_id=${job_id%%;*}
  if [ "$code" -eq 0 ] && [ -n "$job_id" ]; then
    # A full disk must not hide the job: the answer is said even when it cannot be written down.
    printf '%s\n' "$job_id" | put "$place/job_id"
    failpoint submit.record.after
    say "submitted $batch $job_id"
  else
    # A number was printed all the same: there may be a job, whatever the exit code says.
    if [ -n "$job_id" ]; then code=0; fi
    # The scheduler's answer is the last line; what a site's plugins and banners say before it may be long.
    say "refused $batch $code $(one_line "$(last 2000 "$(cat "$fault" 2>/dev/null) $output")")"
  fi
  rm -f "$fault"
}

while IFS=' ' read -r batch tries image; do
  if [ -n "$batch" ]; then submit_batch "$batch" "$tries" "$image"; fi
done <<<"$batches"
say complete
