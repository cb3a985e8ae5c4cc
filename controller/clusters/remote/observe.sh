# One look at the cluster. Standard input: lines "ack FILE", "aside FILE", "run RUN", "batch BATCH", "tree TREE",
# "output RUN PATH", "directory RUN PATH". Variables: queue_command, accounting_command, facts_command (shell text, may be
# empty), full_scan (0 or 1), sif_paths (shell text that sets the array sifs). Before it stands manifest.sh.
acks=() asides=() runs=() batches=() trees=' ' outputs=() directories=()
while IFS=' ' read -r word value; do
  case $word in
    ack) acks+=("$value") ;;
    aside) asides+=("$value") ;;
    run) runs+=("$value") ;;
    batch) batches+=("$value") ;;
    tree) trees+="$value " ;;
    output) outputs+=("$value") ;;
    directory) directories+=("$value") ;;
  esac
done

# Bytes of a file that are read at most.
longest=4194304

# marked: whether the work directory has the mark of one that was set up. A mark that is gone alone, from a directory that
# holds what only a controller makes, is made again: scratch is cleared by age. A mount point is empty.
marked() {
  local place
  if [ -e "$root/.controller" ]; then return 0; fi
  for place in "$root"/files "$root"/images "$root"/*/owner.json "$root"/*/control "$root"/*/runs; do
    if [ -e "$place" ]; then : >"$root/.controller"; return; fi
  done
  return 1
}

show_place() {
  local marker=0
  if marked; then marker=1; fi
  # Once a day, with the facts.
  if [ -n "$facts_command" ]; then touch -c "$root/.controller" "$base/owner.json" "$base"/uses/* "$root"/bin/* 2>/dev/null; fi
  printf 'root %s\nuser %s\nhost %s\nnow %s\nmarker %s\n' "$root" "$(id -un)" "$(uname -n)" "$(date +%s.%N)" "$marker"
}

show_images() {
  [ -d "$root/images" ] || return 0
  find "$root/images" -maxdepth 1 -type f -name '[0-9a-f]*.sif' ! -name '*[!0-9a-f]*.sif' -printf '%f %s\n'
}

# Conversions in a job's hands: whose, the job, for how many seconds nothing has changed, and what went wrong.
show_conversions() {
  local place owner job_id failure now
  printf -v now '%(%s)T' -1
  for place in "$root"/images/.making.*; do
    [ -d "$place" ] && ours "${place##*/.making.}" || continue
    owner=- job_id=- failure=
    if [ -s "$place/owner" ]; then IFS= read -r owner <"$place/owner"; fi
    if [ -s "$place/job_id" ]; then IFS= read -r job_id <"$place/job_id"; fi
    if [ -s "$place/failed" ]; then failure=$(head -c 2000 "$place/failed"); fi
    printf '%s %s %s %s %s\n' "${place##*/.making.}" "$owner" "$job_id" "$((now - $(stat -c %Y "$place")))" "$(one_line "$failure")"
  done
}

# SIF files that specs name by path: a line each, in the order of the array; no path where a variable in it is not set.
show_sifs() {
  local path readable
  for path in "${sifs[@]}"; do
    readable=0
    if [ -f "$path" ] && [ -r "$path" ]; then readable=1; fi
    printf '%s %s %s\n' "$readable" "$(stat -L -c %s -- "$path" 2>/dev/null || echo 0)" "$(one_line "$path")"
  done
}

# The trees that are staged, as their manifests say; of those that were asked for, the whole ones alone.
show_files() {
  local manifest tree
  for manifest in "$root"/files/*.manifest; do
    tree=${manifest##*/}
    tree=${tree%.manifest}
    case $tree in '' | *[!0-9a-f]*) continue ;; esac
    [ -d "$root/files/$tree" ] || continue
    case $trees in
      *" $tree "*) if ! read_manifest "$manifest" || ! holds "$root/files/$tree"; then continue; fi ;;
    esac
    printf '%s\n' "$tree"
  done
}

# note_odd DEPTH DIRECTORY...: sets odd to the paths there, a line each, of what is to be read as news of runs and is too
# large, or no file: a FIFO and a device have no end.
note_odd() {
  local depth=$1
  shift
  odd=$'\n'$(find "$@" -mindepth "$depth" -maxdepth "$depth" -name '*.json' \( ! -type f -o -size "+${longest}c" \) -print 2>/dev/null)$'\n'
}

# first_line FILE: sets line: the first line of a file, "" where there is none, or "- WHY" where it cannot be read.
first_line() {
  line=
  case $odd in
    *$'\n'"$1"$'\n'*) line="- it is no regular file of at most $longest bytes" ;;
    *)
      if [ ! -f "$1" ]; then return 0; fi
      if [ ! -r "$1" ]; then line='- it may not be read'; return 0; fi
      IFS= read -r line <"$1" || return 0
      ;;
  esac
}

# News of runs, a line each. What is no file that a run of ours renames in is named, and set aside by the next look.
show_spool() {
  local file line odd
  [ -d "$base/spool" ] || return 0
  cd "$base/spool" || return 1
  if [ "${#acks[@]}" -gt 0 ]; then printf '%s\0' "${acks[@]}" | xargs -0 rm -f --; fi
  if [ "${#asides[@]}" -gt 0 ] && mkdir -p unreadable; then
    printf '%s\0' "${asides[@]}" | xargs -0 mv -f -t unreadable -- 2>/dev/null
  fi
  note_odd 1 "$base/spool"
  for file in *.json; do
    ours "$file" || continue
    first_line "$base/spool/$file"
    if [ -z "$line" ] && [ ! -f "$file" ]; then continue; fi
    printf '%s %s\n' "$file" "${line:-- it is empty}"
  done
}

# show_run RUN: what the run says of itself: who holds it, and its last event of each kind.
show_run() {
  local control name line
  find_control "$1" || { printf 'none %s\n' "$1"; return 0; }
  for name in claim started.json stopped.json cancelling.json exit.json; do
    first_line "$control/$name"
    [ -n "$line" ] || [ -f "$control/$name" ] || continue
    # An empty claim is held by somebody all the same; of an empty event nothing is known.
    if [ -z "$line" ] && [ "$name" != claim ]; then continue; fi
    printf '%s %s %s\n' "${name%.json}" "$1" "$line"
  done
}

show_runs() {
  local run odd=
  if [ "${#runs[@]}" -gt 0 ]; then note_odd 1 "${runs[@]/#/$base/control/}"; fi
  for run in "${runs[@]}"; do show_run "$run" || return 1; done
}

# The files of runs that were asked for, "RUN PATH" each: what is in it, or its size when that is over 1 MiB.
show_outputs() {
  local item file size text
  [ -d "$base/runs" ] || return 1
  for item in "${outputs[@]}"; do
    file=$base/runs/${item%% *}/${item#* }
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then printf 'none - %s\n' "$item"; continue; fi
    size=$(stat -L -c %s "$file") || return 1
    if [ "$size" -gt 1048576 ]; then printf 'large %s %s\n' "$size" "$item"; continue; fi
    text=$(head -c 1048576 "$file" | base64 -w 0) || return 1
    printf 'file %s %s\n' "${text:--}" "$item"
  done
}

# Of the runs' directories that were asked for, "RUN PATH" each, those that are gone, or purged: a purge leaves directories
# and takes all files, those in the control directory too. A run may well have made no file, and then has those.
show_gone() {
  local item place control
  [ -d "$root" ] && [ -x "$root" ] || return 1
  for item in "${directories[@]}"; do
    place=${item#* }
    if [ -d "$place" ]; then
      control=${place%/runs/"${item%% *}"}/control/${item%% *}
      if [ -n "$(find "$place" "$control" ! -type d -print -quit 2>/dev/null)" ]; then continue; fi
    fi
    printf '%s\n' "$place"
  done
}

# show_batch BATCH: whether its directory is there, how many tries were begun, the job it became, the runs in it.
show_batch() {
  local place=$base/submissions/$1 tries=() job_id='' manifest='{}'
  if [ ! -d "$place" ]; then printf 'none %s\n' "$1"; return 0; fi
  tries=("$place"/try-*)
  [ -e "${tries[0]}" ] || tries=()
  if [ -s "$place/job_id" ]; then IFS= read -r job_id <"$place/job_id"; fi
  if [ -s "$place/manifest.json" ]; then IFS= read -r manifest <"$place/manifest.json"; fi
  printf 'batch %s %s %s %s\n' "$1" "${#tries[@]}" "${job_id:--}" "$manifest"
}

show_batches() {
  local batch found
  for batch in "${batches[@]}"; do
    # Twelve digits come from a job's name in the queue: the whole id is the directory's name.
    if [ "${#batch}" -eq 12 ]; then
      for found in "$base/submissions/$batch"*; do
        if [ -d "$found" ]; then show_batch "${found##*/}"; fi
      done
    else
      show_batch "$batch"
    fi || return 1
  done
}

# Everything, for a controller that has lost its journal.
show_everything() {
  local place run odd
  note_odd 4 "$base/control"
  if [ -d "$base/submissions" ]; then
    for place in "$base"/submissions/*/; do
      place=${place%/}
      [ -d "$place" ] && ours "${place##*/}" || continue
      show_batch "${place##*/}" || return 1
    done
  fi
  for place in control runs; do
    [ -d "$base/$place" ] || continue
    if [ "$place" = control ]; then
      find "$base/control" -mindepth 3 -maxdepth 3 -type d -printf '%P\n'
    else
      find "$base/runs" -mindepth 4 -maxdepth 4 -type d -name .controller -printf '%P\n' | sed 's|/.controller$||'
    fi | while IFS= read -r run; do
      ours "$run" || continue
      show_whole_run "$place" "$run" || return 1
    done || return 1
  done
}

# show_whole_run PLACE RUN: its lock too. What has a control directory says nothing in its own.
show_whole_run() {
  local control line
  find_control "$2" || return 0
  if [ "$1" = runs ] && [ "$control" = "$base/control/$2" ]; then return 0; fi
  first_line "$control/run.lock.json"
  if [ -n "$line" ]; then printf 'lock %s %s\n' "$2" "$line"; fi
  show_run "$2"
}

# The instances that have this work directory: a line each, with its owner.json. Ours has to be readable.
show_owners() {
  local file line name
  for file in "$root"/*/owner.json; do
    name=${file%/owner.json}
    name=${name##*/}
    if [ ! -f "$file" ] || ! ours "$name"; then continue; fi
    line=
    if ! IFS= read -r -n 8192 line <"$file" && [ "$name" = "$instance" ] && [ ! -r "$file" ]; then return 1; fi
    printf '%s %s\n' "$name" "$line"
  done
}

part place show_place
# The queue before accounting, and both before the runs' own words: a run that ends in between is then seen to end.
part queue eval "$queue_command"
if [ -n "$accounting_command" ]; then part accounting eval "$accounting_command"; fi
part spool show_spool
part runs show_runs
part batches show_batches
if [ "${#outputs[@]}" -gt 0 ]; then part outputs show_outputs; fi
if [ "${#directories[@]}" -gt 0 ]; then part gone show_gone; fi
# Conversions before images: one that ends in between is then seen to have ended well.
part conversions show_conversions
part images show_images
if [ -n "$sif_paths" ]; then
  sifs=()
  eval "$sif_paths"
  part sifs show_sifs
fi
part files show_files
if [ -n "$facts_command" ]; then part facts eval "$facts_command"; fi
if [ "$full_scan" = 1 ]; then part everything show_everything; fi
# Last: where no owner is seen, none had begun to submit when all of the above was read.
part owners show_owners
say complete
