#!/bin/bash -p
# A scheduler for one machine: detached processes, a queue kept in files, one slot for each job that may run at once.
# It lives through the end of whoever called it. Usage: local.sh HOME submit|queue|history|cancel|runner|execute ...
#
#   HOME/queue/ITEM       waiting        ITEM is <job id>_<index>, padded with zeros, so that names sort by age
#   HOME/running/ITEM     running: a directory with pid (process id and its start time), and marks cancel, timeout
#   HOME/jobs/<job id>/   name, script, walltime
#   HOME/ended            one line for each that ended: id|index|name|state|exit code|start|end
#
# All processes of a running item are in one session, whatever groups they make: that is how they are found, as by a
# scheduler's cgroup. What is started in the background is started with job control: without, bash has INT and QUIT
# ignored in it, for good.
set -u
export LC_ALL=C
# What an account sets for SLURM, a token among it, is for no job here.
unset ${!SLURM_*} ${!SBATCH_*}
home=$1
verb=$2
shift 2
mkdir -p "$home/queue" "$home/running" "$home/jobs" "$home/slots" || exit 1

item_of() { printf '%010d_%06d' "$((10#$1))" "$((10#$2))"; }
job_of() { printf '%d' "$((10#${1%_*}))"; }
known() { [[ $1 =~ ^[0-9]+_[0-9]+$ ]]; }
index_of() { printf '%d' "$((10#${1#*_}))"; }

started_at() {
  # Field 22 of /proc/PID/stat, counted behind the command's name, which may hold blanks: see proc(5).
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- ${stat##*) }
  printf '%s' "${20}"
}

# members SESSION: sets pids to the processes of a session, but for this one. Field 6 of /proc/PID/stat.
members() {
  local stat
  pids=()
  for stat in /proc/[0-9]*/stat; do
    { IFS= read -r stat <"$stat"; } 2>/dev/null || continue
    set -- "$1" "${stat%% *}" ${stat##*) }
    if [ "$6" = "$1" ] && [ "$3" != Z ] && [ "$2" != "$BASHPID" ]; then pids+=("$2"); fi
  done
  [ "${#pids[@]}" -gt 0 ]
}

# signal_all SIGNAL SESSION: to every process of a session, but for this one.
signal_all() {
  if members "$2"; then kill -s "$1" "${pids[@]}" 2>/dev/null; fi
}

# end_all SESSION START: TERM to all of it, KILL to what is left ten seconds later: the job script has its end to write.
end_all() {
  local seen
  signal_all TERM "$1"
  for _ in {1..100}; do
    sleep 0.1
    if seen=$(started_at "$1") && [ "$seen" != "$2" ]; then return; fi
    members "$1" || return
  done
  kill_all "$1"
}

# kill_all SESSION: until nothing of it is left but for this process.
kill_all() {
  for _ in {1..50}; do
    members "$1" || return
    kill -s KILL "${pids[@]}" 2>/dev/null
    sleep 0.02
  done
}

# alive ITEM: whether anything of it is left.
alive() {
  local pid='' start='' seen
  [ -s "$home/running/$1/pid" ] || { starting "$1" || find_again "$1"; return; }
  read -r pid start <"$home/running/$1/pid"
  if seen=$(started_at "$pid"); then [ "$seen" = "$start" ]; return; fi
  members "$pid"
}

# starting ITEM: taken from the queue a moment ago, its process not yet written down.
starting() { [ -n "$(find "$home/running/$1" -maxdepth 0 -newermt '-30 seconds' 2>/dev/null)" ]; }

# find_again ITEM: its process, of which the record was deleted.
find_again() {
  local place words pid session
  for place in /proc/[0-9]*/cmdline; do
    words=$({ tr '\0' '\n' <"$place"; } 2>/dev/null) || continue
    pid=${place#/proc/} pid=${pid%/cmdline}
    # Its session has the number of the process that executes it; what that starts has the same words.
    case $words in *$'\n'"$home"$'\nexecute\n'"$1") ;; *) continue ;; esac
    session=
    read -r _ _ _ session _ < <(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null)
    if [ "$session" = "$pid" ] && mkdir -p "$home/running/$1" && printf '%s %s\n' "$pid" "$(started_at "$pid")" >"$home/running/$1/pid"; then
      return 0
    fi
  done
  return 1
}

# end ITEM STATE CODE START: one line in the record, then forget it.
end() {
  local job
  job=$(job_of "$1")
  (
    flock 7
    [ -d "$home/running/$1" ] || exit 0
    printf '%s|%s|%s|%s|%s|%s|%s\n' "$job" "$(index_of "$1")" "$(cat "$home/jobs/$job/name")" "$2" "$3" "$4" "$(date +%s)" \
      >>"$home/ended" && rm -rf "$home/running/$1"
  ) 7>"$home/ended.lock"
}

reap() {
  local place item state
  for place in "$home"/running/*; do
    item=${place##*/}
    [ -d "$place" ] && known "$item" || continue
    alive "$item" && continue
    # A runner that died between taking an item and emptying its place in the queue: the item still waits.
    if [ -e "$home/queue/$item" ]; then rmdir "$place"; continue; fi
    state=NODE_FAIL
    if [ -e "$place/cancel" ]; then state=CANCELLED; elif [ -e "$place/timeout" ]; then state=TIMEOUT; fi
    end "$item" "$state" 137 "$(stat -c %Y "$place/pid" 2>/dev/null || echo 0)"
  done
}

start_runner() {
  [ -n "$(ls -A "$home/queue")" ] || return 0
  detached runner 7>&- 8>&- 9>&-
}

# detached VERB ARGUMENTS...: this program in a session of its own.
detached() {
  set -m
  setsid bash -p "$0" "$home" "$@" </dev/null >/dev/null 2>&1 &
  set +m
}

submit() { # NAME COUNT WALLTIME SCRIPT LIMIT ARGUMENT
  local job
  # The record has a line for each job that ended.
  case $1 in *[!A-Za-z0-9._-]*) echo "local.sh: a job's name holds letters, digits, dots and dashes only" >&2; exit 2 ;; esac
  exec 7>"$home/next.lock"
  flock 7
  job=$(($(cat "$home/next" 2>/dev/null || echo 0) + 1))
  while ! mkdir "$home/jobs/$job" 2>/dev/null; do job=$((job + 1)); done
  printf '%s\n' "$job" >"$home/next" || exit 1
  exec 7>&-
  cp "$4" "$home/jobs/$job/script" && printf '%s\n' "$1" >"$home/jobs/$job/name" &&
    printf '%s\n' "$3" >"$home/jobs/$job/walltime" && printf '%s\n' "${5:-0}" >"$home/jobs/$job/limit" &&
    printf '%s\n' "${6:-}" >"$home/jobs/$job/argument" || { rm -rf "${home:?}/jobs/$job"; exit 1; }
  (cd "$home/queue" && seq -f "$(printf '%010d' "$job")_%06g" 0 "$(($2 - 1))" | xargs touch) || exit 1
  start_runner
  printf '%s\n' "$job"
}

# record NONCE FIELD...: see records.py.
record() {
  local nonce=$1 IFS='|'
  shift
  printf '@%s|%s|%s@\n' "$nonce" "$*" "$nonce"
}

# freshen: once a day, the time stamps of what waits and runs, for a work directory that is cleared by age.
freshen() {
  local place
  [ -n "$(find "$home/next" -maxdepth 0 -mtime +0 2>/dev/null)" ] || return 0
  touch -c "$home/next" "$home/ended" "$home/slots/count"
  for place in "$home"/queue/* "$home"/running/*; do
    known "${place##*/}" && touch -c "$place" "$home/jobs/$(job_of "${place##*/}")"/*
  done
}

queue() { # NONCE
  local place item start job
  freshen
  reap
  start_runner
  for place in "$home"/queue/*; do
    item=${place##*/}
    [ -e "$place" ] && known "$item" || continue
    job=$(job_of "$item")
    record "$1" "$job" "$(index_of "$item")" PENDING Resources '' "$(cat "$home/jobs/$job/name")"
  done
  for place in "$home"/running/*; do
    item=${place##*/}
    [ -d "$place" ] && known "$item" || continue
    start=$(stat -c %Y "$place/pid" 2>/dev/null || echo '')
    job=$(job_of "$item")
    record "$1" "$job" "$(index_of "$item")" RUNNING '' "$start" "$(cat "$home/jobs/$job/name")"
  done
}

history() { # SINCE NONCE; a line that was cut off by a full disk says nothing
  [ -e "$home/ended" ] || return 0
  awk -F'|' -v since="$1" -v nonce="$2" '
    NF == 7 && $7 >= since { print "@" nonce "|" $1 "|" $2 "|" $4 "|" $5 "|" $6 "|" $7 "|" $3 "|" nonce "@" }
  ' "$home/ended"
}

cancel() { # TARGET NAME ...: <job id> or <job id>_<index>, and the name that its job has to have; prints those found
  local target name item pid start
  while [ "$#" -gt 1 ]; do
    target=$1 name=$2
    shift 2
    if [ "$(cat "$home/jobs/${target%_*}/name" 2>/dev/null)" != "$name" ]; then continue; fi
    case $target in *_*) ;; *) target=${target}_0 ;; esac
    item=$(item_of "${target%_*}" "${target#*_}")
    # Who moves it out of the queue owns it: this, or the runner.
    if mkdir "$home/running/$item" 2>/dev/null; then
      if rm "$home/queue/$item" 2>/dev/null; then
        end "$item" CANCELLED 0 0
        printf '%s\n' "$target"
      else
        rmdir "$home/running/$item"
      fi
      continue
    fi
    : 2>/dev/null >"$home/running/$item/cancel" || continue
    printf '%s\n' "$target"
    if read -r pid start 2>/dev/null <"$home/running/$item/pid"; then detached end_all "$pid" "$start"; fi
  done
}

runner() {
  local slots place item slot busy limit running
  exec 8>"$home/runner.lock"
  flock -n 8 || exit 0
  slots=$(cat "$home/slots/count" 2>/dev/null || nproc)
  while :; do
    for place in "$home"/queue/*; do
      item=${place##*/}
      [ -e "$place" ] && known "$item" || continue
      limit=$(cat "$home/jobs/$(job_of "$item")/limit" 2>/dev/null || echo 0)
      if [ "$limit" -gt 0 ]; then
        running=("$home/running/${item%_*}"_*)
        if [ -e "${running[0]}" ] && [ "${#running[@]}" -ge "$limit" ]; then sleep 0.1; continue; fi
      fi
      busy=1
      while [ "$busy" = 1 ]; do
        for ((slot = 1; slot <= slots; slot++)); do
          exec 9>"$home/slots/$slot"
          if flock -n 9; then busy=0; break; fi
        done
        if [ "$busy" = 1 ]; then sleep 0.1; fi
      done
      # Whatever deleted this program will have been noticed by whoever asks for the queue: then another goes on.
      if [ ! -s "$0" ]; then exit 0; fi
      if ! mkdir "$home/running/$item" 2>/dev/null; then continue; fi
      if ! rm "$place" 2>/dev/null; then rmdir "$home/running/$item"; continue; fi
      detached execute "$item" 8>&-
      exec 9>&-
    done
    [ -z "$(ls -A "$home/queue")" ] && break
  done
}

execute() { # ITEM, the slot's lock on descriptor 9
  local item=$1 job walltime start begun code state
  job=$(job_of "$item")
  start=$(date +%s)
  begun=$(started_at $$)
  printf '%s %s\n' "$$" "$begun" >"$home/running/$item/pid"
  trap : TERM
  walltime=$(cat "$home/jobs/$job/walltime")
  if [ -e "$home/running/$item/cancel" ]; then end "$item" CANCELLED 0 "$start"; exit 0; fi
  # Deleted while it waited: the code of a submission whose files are gone (job.sh).
  if [ ! -s "$home/jobs/$job/script" ]; then end "$item" FAILED 76 "$start"; exit 0; fi
  set -m
  CONTROLLER_JOB_ID=$job CONTROLLER_JOB_INDEX=$(index_of "$item") bash -p "$home/jobs/$job/script" \
    "$(cat "$home/jobs/$job/argument")" 9>&- &
  script=$!
  set +m
  if [ "$walltime" -gt 0 ]; then expire "$item" "$walltime" "$begun" 9>&- & fi
  while :; do
    wait "$script"
    code=$?
    kill -0 "$script" 2>/dev/null || break
  done
  state=COMPLETED
  if [ -e "$home/running/$item/cancel" ]; then
    state=CANCELLED
  elif [ -e "$home/running/$item/timeout" ]; then
    state=TIMEOUT
  elif [ "$code" -ne 0 ]; then
    state=FAILED
  fi
  # What the job left running in the background goes with it, as on a cluster, before its end is said.
  kill_all $$
  end "$item" "$state" "$code" "$start"
}

# expire ITEM SECONDS START: the time limit, in a process of the job's own session, which goes with it, and ends where
# nothing else is left of it.
expire() {
  local now end
  printf -v now '%(%s)T' -1
  end=$((now + $2))
  while [ "$now" -lt "$end" ]; do
    sleep "$((end - now < 5 ? end - now : 5))"
    if ! kill -0 $$ 2>/dev/null && ! members $$; then exit 0; fi
    printf -v now '%(%s)T' -1
  done
  : >"$home/running/$1/timeout"
  detached end_all $$ "$3"
}

case $verb in
  submit | queue | history | cancel | runner | execute | end_all) "$verb" "$@" ;;
  *) echo "local.sh: no verb $verb" >&2; exit 2 ;;
esac
