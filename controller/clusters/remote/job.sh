# The job on the cluster: claims its run, runs the command, says how it ended. The variables base, root, batch, setup,
# files_tree, outputs (paths, a line each), image (path of its SIF, "" for none), image_sum (what its SHA-256 has to be,
# "" for what was recorded), image_record (where that is recorded) and image_aside (where a changed one is put, "" for
# nowhere), and the functions scheduler_identity (sets job_id and index) and launch (runs "$@" in the container, or as it
# is) stand before this part.
#
# The exit code is a promise to the controller: 0 only when exit.json says 0; 75 when another job holds the claim and
# nothing was run; 74 when the claim or the end could not be written down.
set -u
scheduler_identity
# The batch and the number of the try (the one argument) are part of it, since job ids are used again in time; all of
# it is the same after a requeue.
owner=${job_id}_$index@${batch:0:12}.$1
now() { date +%s.%N; }
# failpoint NAME: end here as a power cut would, once, if a test has made the directory (see model/failpoints.py).
failpoint() {
  if [ -d "$root/.failpoints/$1" ] && rmdir "$root/.failpoints/$1"; then kill -KILL $$; fi
}

# put FILE: standard input becomes FILE, whole or not at all; tried again for a while, since disks get emptied.
put() {
  local text aside attempt
  text=$(cat)
  aside="$(dirname "$1")/.aside.$owner.$(basename "$1")"
  for attempt in 1 2 3 4 5; do
    if printf '%s\n' "$text" 2>/dev/null >"$aside" && [ "$(cat "$aside" 2>/dev/null)" = "$text" ] && mv -f "$aside" "$1"; then
      return 0
    fi
    sleep "$attempt"
  done
  rm -f "$aside"
  return 1
}

tasks=$base/submissions/$batch/tasks
for attempt in 1 2 4 8 15 30; do
  # A compute node may see a new file on the shared file system only after a while.
  line=$(sed -n "$((index + 1))p" "$tasks" 2>/dev/null)
  [ -n "$line" ] && break
  sleep "$attempt"
done
IFS=$'\t' read -r run_id lock script <<<"$line"
if [ -z "${script:-}" ]; then
  echo "controller: $tasks has no line for index $index" >&2
  exit 74
fi
run=$base/runs/$run_id
place=$run/.controller
tilde='~' # by name: a bare one in a replacement would become the home directory
event_name=${run_id//\//$tilde}

# event KIND JSON-REST: into the run's own directory, and into the spool for the controller to find.
event() {
  local kind=$1 text
  text="{\"run\":\"$run_id\",\"kind\":\"$1\",\"owner\":\"$owner\",\"at\":$(now),\"host\":\"$(uname -n)\"$2}"
  case $kind in
    exited) printf '%s' "$text" | put "$place/exit.json" || return 1 ;;
    *) printf '%s' "$text" | put "$place/$kind.json" ;;
  esac
  failpoint "job.$kind.after"
  printf '%s' "$text" | put "$base/spool/$event_name.$kind.json"
  return 0
}

mkdir -p "$place" "$base/spool" || exit 74
failpoint job.mkdir.after
claim=$place/.claim.$owner.$$
printf '%s\n' "$owner" >"$claim" && [ "$(cat "$claim")" = "$owner" ] || { rm -f "$claim"; exit 74; }
ln "$claim" "$place/claim" 2>/dev/null
rm -f "$claim"
failpoint job.claim.after
holder=$(cat "$place/claim" 2>/dev/null) || exit 74
if [ "$holder" != "$owner" ]; then
  echo "controller: run $run_id is held by ${holder:-nobody}, not by $owner: nothing was run" >&2
  exit 75
fi
if [ -e "$place/exit.json" ]; then
  # Started again by the scheduler after the run had ended.
  code=$(sed -n 's/.*"exit_code":\([0-9]*\).*/\1/p' "$place/exit.json")
  exit "${code:-74}"
fi

# text_of FILES: as the members of a JSON object, base64, the first 32 KiB of each that is there. Their paths hold no
# character that JSON would have to escape: the schema sees to that.
text_of() {
  local file comma=''
  while IFS= read -r file; do
    if [ -n "$file" ] && [ -f "$run/$file" ]; then
      printf '%s"%s":"%s"' "$comma" "$file" "$(head -c 32768 "$run/$file" | base64 -w 0)"
      comma=,
    fi
  done <<<"$1"
}

# finish CODE: say that the run has ended, for ever.
finish() {
  local tail
  trap - EXIT
  tail=$(tail -c 2000 "$run/stderr" 2>/dev/null | base64 -w 0)
  event exited ",\"exit_code\":$1,\"phase\":\"$phase\",\"stderr\":\"$tail\",\"outputs\":{$(text_of "$outputs")}" || exit 74
  exit "$1"
}

# check_image: it is there, and what it was when it was made. That costs a stat while nobody has touched it; its bytes are
# read only where it looks different (another size, time or inode).
check_image() {
  local looks sum expected='' known=''
  if [ ! -r "$image" ] || ! looks=$(stat -L -c '%s %Y %i' "$image"); then
    echo "controller: there is no $image that can be read" >>"$run/stderr"
    phase='image-missing'
    finish 66
  fi
  { read -r expected; read -r known; } 2>/dev/null <"$image_record"
  if [ -n "$image_sum" ] && [ "$image_sum" != "$expected" ]; then expected=$image_sum known=; fi
  if [ -z "$expected" ] || [ "$looks" = "$known" ]; then return 0; fi
  sum=$(sha256sum <"$image")
  sum=${sum%% *}
  if [ "$sum" = "$expected" ]; then
    printf '%s\n%s' "$sum" "$looks" | put "$image_record"
    return 0
  fi
  echo "controller: the SHA-256 of $image is ${sum:-unknown}, not $expected" >>"$run/stderr"
  # Out of the way, so that it is made again; unless that has happened while this one was read.
  if [ -n "$image_aside" ] && [ "$(stat -L -c '%s %Y %i' "$image")" = "$looks" ]; then mv -f "$image" "$image_aside"; fi
  phase='image-changed'
  finish 66
}

stopping=0
child=
# A set-up line that says "exit", or a signal that nobody expects, still ends in a word about it.
trap 'finish $?' EXIT
stop() {
  stopping=1
  if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; fi
}
trap stop TERM INT

phase=files
event started ''
printf '%s' "$lock" | base64 -d | put "$place/run.lock.json"
if [ -n "$files_tree" ] && ! cp -R -P -p "$root/files/$files_tree/." "$run/" 2>>"$run/stderr"; then
  echo "controller: the job's files could not be copied from $root/files/$files_tree" >>"$run/stderr"
  finish 74
fi
printf '%s' "$script" | base64 -d | put "$place/command.sh" || finish 74
cd "$run" || finish 74
failpoint job.files.after
phase=setup
if [ -n "$setup" ]; then
  set +u
  eval "$setup" >>"$run/stdout" 2>>"$run/stderr" </dev/null || finish $?
  set -u
fi
if [ -n "$image" ] && [ "$stopping" = 0 ]; then check_image; fi
phase=command
if [ "$stopping" = 0 ]; then
  launch /bin/sh -e "$place/command.sh" >>"$run/stdout" 2>>"$run/stderr" </dev/null &
  child=$!
  # A signal ends wait early: wait again until the command itself is gone.
  while :; do
    wait "$child"
    code=$?
    kill -0 "$child" 2>/dev/null || break
  done
  # The scheduler signals this script and the command together, and the command's end may be seen first: taken for an
  # exit of its own it would end a run that is about to be started again.
  if [ "$code" -ne 0 ] && [ "$stopping" = 0 ]; then sleep 1; fi
fi
failpoint job.command.after
if [ "$stopping" = 1 ]; then
  trap - EXIT
  event stopped ",\"stderr\":\"$(tail -c 2000 "$run/stderr" 2>/dev/null | base64 -w 0)\""
  exit 143
fi
finish "$code"
