# The job on the cluster: claims its run, has the command run in a child, says how it ended. Before this part stand the
# variables inherited (the environment as it came, see submission.py), base, root, batch, login ("-l" where the child
# begins as a login shell), setup, shell (program that runs the command), files_tree, outputs (paths, a line each) and
# launch (text of the child's second script), the functions scheduler_identity (sets job_id and index) and
# scheduler_exports (what the command's environment needs besides), child.sh and manifest.sh.
#
# This shell runs no text of a user: bash -p reads no profile, no BASH_ENV, and no functions or options out of the
# environment. Profile, setup and command run in a child, and its exit code alone says how it ended.
#
# The exit code is a promise to the controller: 0 only when exit.json says 0; 75 when another job holds the claim and
# nothing was run; 74 when the claim or the end could not be written down; 76 when the submission's table of runs is gone,
# so that nothing was claimed or run.
set +o posix
set -u
IFS=$' \t\n'
PATH=/usr/bin:/bin:/usr/local/bin${PATH:+:$PATH}
export PATH LC_ALL=C
unset CDPATH GLOBIGNORE TMOUT

stopping=0 interrupted=0 gone=0 heard='' child='' ear='' sentinel='' early=() arrived=() begun=0
for signal in HUP INT QUIT TERM USR1 USR2 CONT XCPU; do
  # shellcheck disable=SC2064
  trap "pass_on $signal" "$signal"
done

scheduler_identity
# The batch and the number of the try (the one argument) are part of it, since job ids are used again in time; all of
# it is the same after a requeue.
owner=${job_id}_$index@${batch:0:12}.$1
host=$(uname -n)
# A signal to all processes may end date(1), and an event has to be one all the same.
now() { date +%s.%N || printf '%(%s)T' -1; }
# failpoint NAME: end here as a power cut would, once, if a test has made the directory (see model/failpoints.py); or
# stay here while a test wants it.
failpoint() {
  if [ -d "$root/.failpoints/$1" ] && rmdir "$root/.failpoints/$1"; then kill -KILL $$; fi
  while [ -d "$root/.failpoints/$1.hold" ]; do : >"$control/held" && sleep 0.1; done
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
  exit 76
fi
run=$base/runs/$run_id
control=$base/control/$run_id
tilde='~' # by name: a bare one in a replacement would become the home directory
event_name=${run_id//\//$tilde}

# event KIND JSON-REST: into the run's control directory, and into the spool for the controller to find.
event() {
  local kind=$1 text
  mkdir -p "$control"
  text="{\"run\":\"$run_id\",\"kind\":\"$1\",\"owner\":\"$owner\",\"at\":$(now),\"host\":\"$host\"$2}"
  case $kind in
    exited) printf '%s' "$text" | put "$control/exit.json" || return 1 ;;
    *) printf '%s' "$text" | put "$control/$kind.json" ;;
  esac
  failpoint "job.$kind.after"
  mkdir -p "$base/spool"
  printf '%s' "$text" | put "$base/spool/$event_name.$kind.json"
  return 0
}

# take_claim DIRECTORY: take the run's claim there, if nobody has; sets holder.
take_claim() {
  local claim=$1/.claim.$owner.$$
  printf '%s\n' "$owner" >"$claim" && [ "$(cat "$claim")" = "$owner" ] || { rm -f "$claim"; exit 74; }
  ln "$claim" "$1/claim" 2>/dev/null
  rm -f "$claim"
  holder=$(cat "$1/claim" 2>/dev/null) || exit 74
}

leave_it() {
  echo "controller: run $run_id is held by ${holder:-nobody}, not by $owner: nothing was run" >&2
  exit 75
}

# Jobs of the version before have their claim in the run's directory. Files of the repository get there only after the
# claim here is taken, so that one that is there before is none of them.
if [ ! -e "$control/claim" ] && holder=$(cat "$run/.controller/claim" 2>/dev/null) && [ "$holder" != superseded ]; then
  leave_it
fi
mkdir -p "$control" "$run" "$base/spool" || exit 74
failpoint job.mkdir.after
take_claim "$control"
failpoint job.claim.after
if [ "$holder" != "$owner" ]; then leave_it; fi
if [ -e "$control/exit.json" ]; then
  # Started again by the scheduler after the run had ended.
  code=$(sed -n 's/.*"exit_code":\([0-9]*\).*/\1/p' "$control/exit.json")
  exit "${code:-74}"
fi

# text_of FILES: as the members of a JSON object, base64, those that are there and have at most 32 KiB together; the
# others are read by their paths (observe.sh). Their paths hold no character that JSON would have to escape: the schema
# sees to that.
text_of() {
  local file size left=32768 comma=''
  while IFS= read -r file; do
    if [ -n "$file" ] && [ -f "$run/$file" ] && size=$(stat -L -c %s "$run/$file") && [ "$size" -le "$left" ]; then
      printf '%s"%s":"%s"' "$comma" "$file" "$(head -c "$size" "$run/$file" | base64 -w 0)"
      left=$((left - size)) comma=,
    fi
  done <<<"$1"
}

stderr_tail() { tail -c 2000 "$control/stderr" 2>/dev/null | base64 -w 0; }

# finish PHASE CODE: say that the run has ended, for ever.
finish() {
  event exited ",\"exit_code\":$2,\"phase\":\"$1\",\"stderr\":\"$(stderr_tail)\",\"outputs\":{$(text_of "$outputs")}" || exit 74
  exit "$2"
}

# stop: a signal has asked the run to end. That is no end of its own: the scheduler knows whether the job is over.
stop() {
  event stopped ",\"stderr\":\"$(stderr_tail)\""
  exit 143
}

# explain TEXT: a line of ours at the end of what the run has on standard error.
explain() { echo "controller: $1" >>"$control/stderr"; }

# judge: go on where the end with this code is one of the run's own. No signal changes it from here on.
judge() {
  hear_the_rest
  if [ "$stopping" = 1 ]; then
    clear_up
    stop
  fi
}

staged=$root/files/$files_tree

# is_whole: whether the job's files are staged as their manifest says.
is_whole() { read_manifest "$staged.manifest" && holds "$staged" && same_bytes "$staged"; }

# copy_files: what the manifest names, and nothing else that lies there, into the run's directory, checked there. All of it
# gets the time of the claim, also after a requeue: old files are the first to go where scratch is cleared by age.
copy_files() {
  read_manifest "$staged.manifest" || return 1
  if [ "${#paths[@]}" -gt 0 ]; then
    (cd "$staged" && printf '%s\0' "${paths[@]}" | xargs -0 cp -P -p --remove-destination --parents -t "$run" --) 2>"$control/copy.err" || return 1
  fi
  holds "$run" && same_bytes "$run" || return 1
  if [ "${#paths[@]}" -gt 0 ]; then
    (cd "$run" && printf '%s\0' "${paths[@]}" | xargs -0 touch -h -c -r "$control/claim" --) 2>/dev/null
  fi
  rm -f "$control/copy.err"
}

# put_files: fails with 1 where the files cannot be copied, with 2 where what is staged is not whole. Sets differs to a
# path. Both are tried again: a node may see for a while what was there before, and a tree may be replaced at this moment.
put_files() {
  local attempt
  if [ -z "$files_tree" ]; then return 0; fi
  for attempt in 1 2 4 0; do
    if copy_files; then return 0; fi
    sleep "$attempt"
  done
  differs=${lacking:-its manifest}
  if is_whole; then
    cat "$control/copy.err" >>"$control/stderr" 2>/dev/null
    return 1
  fi
  # It is staged again before the next run, also where only its bytes are others.
  rm -f "$staged.manifest"
  return 2
}

write_scripts() {
  printf '%s' "$lock" | base64 -d | put "$control/run.lock.json"
  printf '%s' "$script" | base64 -d | put "$control/command.sh" && printf '%s\n' "$launch" | put "$control/launch.sh" &&
    printf '%s\n' "$setup" | put "$control/setup.sh"
}

# phase_reached: what the child was at when it ended.
phase_reached() {
  local each
  if [ "$begun" = 1 ]; then echo command; return; fi
  for each in command shell-missing image-missing image-changed setup; do
    if [ -e "$control/phase.$each" ]; then echo "$each"; return; fi
  done
  echo profile
}

# image_lacks_shell: whether the container program says so. Asked where the command has not begun: its words are no user's.
image_lacks_shell() {
  tail -c 4000 "$control/stderr" 2>/dev/null | grep -aF -- "$shell" | grep -aqiE 'not found|no such file'
}

rm -f "$control"/phase.* "$control/stopped.json"
post_sentinel
event started ''
put_files
code=$?
if [ "$code" -ne 0 ]; then
  judge
  if [ "$code" = 2 ]; then
    explain "the job's files are not whole in $staged: $differs is missing or differs"
    finish files-lost 74
  fi
  explain "the job's files could not be copied from $staged ($differs)"
  finish files 74
fi
if ! write_scripts; then
  code=74
  judge
  explain "the run's scripts could not be written to $control (disk or quota full?)"
  finish files 74
fi
failpoint job.files.after
if [ "$stopping" = 1 ]; then stop; fi
start_child
failpoint job.launch.after
await_child
judge
failpoint job.command.after
clear_up
phase=$(phase_reached)
case $phase:$code in
  command:*)
    if [ "$begun" = 0 ] && [ ! -e "$control/phase.begun" ]; then
      if image_lacks_shell; then
        phase=shell-missing code=$((code ? code : 127))
        explain "there is no $shell in the image"
      elif [ "$code" = 0 ]; then
        code=1
        explain "$shell ended with 0 and has not begun the command: a file that it reads first ends it (BASH_ENV, a profile), or the command may not write to $control (binds)"
      fi
    fi
    ;;
  setup:0)
    phase=setup-left code=1
    explain "the cluster's setup ended its shell before the command"
    ;;
  profile:*)
    tail -c 1500 "$control/profile.out" >>"$control/stderr" 2>/dev/null
    explain "the login shell ended in its start-up files (exit code $code), before the cluster's setup and the command"
    code=$((code ? code : 1))
    ;;
esac
finish "$phase" "$code"
