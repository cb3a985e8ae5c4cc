# Functions of the job script for its child, in which all text of users runs, and for the signals that it is to get.
# Variables: those of job.sh.

# What a scheduler or a person sends. A TERM or INT asks the run to end: the scheduler says why. Any other one is the
# program's own affair: it is passed on, and the program's exit counts. A trap only takes note of it: bash 5.2 loses sight
# of the child when a trap starts a process, and of the time-out of a read when a trap reads.
#
# stopping: asked to end; interrupted: by any signal since it was last set to 0; gone: the child has ended; heard: the last
# signal but CONT; early: what came before there was a child; arrived: what is to be passed on; ear: a descriptor whose
# other end the sentinel holds, "" while there is none.
pass_on() {
  interrupted=1
  case $1 in CONT) ;; *) heard=$1 ;; esac
  case $1 in TERM | INT) stopping=1 ;; esac
  if [ "$gone" = 1 ]; then return; fi
  if [ -z "$child" ]; then early+=("$1"); else arrived+=("$1"); fi
}

# deliver: pass on what has arrived. What was sent to every process of the job has reached the program already. CONT ends
# no sentinel; twice does no harm.
deliver() {
  local signal
  while [ "${#arrived[@]}" -gt 0 ]; do
    signal=${arrived[0]}
    arrived=("${arrived[@]:1}")
    if [ "$signal" = CONT ] || ! everyone_has_it 0.3; then kill -s "$signal" "$child" 2>/dev/null; fi
  done
}

# post_sentinel: a process that any signal ends, and the end of this shell too. While it lives, a signal that came here
# was sent to this process alone.
post_sentinel() {
  if [ -n "$ear" ]; then exec {ear}<&-; fi
  set -m
  { coproc SENTINEL { exec cat; }; } 2>/dev/null
  set +m
  sentinel=${SENTINEL_PID-}
  # It may have been signalled already: bash forgets it then.
  { exec {ear}<&"${SENTINEL[0]-}"; } 2>/dev/null || exec {ear}</dev/null
}

# everyone_has_it SECONDS: whether the sentinel got a signal as well. Processes are signalled one after the other, so it
# is waited for so long. With no sentinel nobody knows.
everyone_has_it() {
  local end attempt
  if [ -z "$ear" ]; then return 1; fi
  read -r -t "$1" -u "$ear" _ 2>/dev/null
  end=$?
  # Another signal ends read as the sentinel's end does: what counts is whether that process is gone.
  for attempt in 1 2 3; do
    if [ "$end" -gt 128 ] || ! kill -0 "$sentinel" 2>/dev/null; then break; fi
    read -r -t 0.1 -u "$ear" _ 2>/dev/null
  done
  if [ "$end" -gt 128 ] || kill -0 "$sentinel" 2>/dev/null; then return 1; fi
  exec {ear}<&-
  ear=
}

# quoted TEXT...: as words of shell.
quoted() { printf '%q ' "$@"; }

# enter: the child's first text, for a login shell: what a site and a user set there, then the cluster's setup. Nothing
# but environment, umask and limits gets from there to the second script. No variable and no function of ours is in
# it, since both may be theirs as well; and the marker of each phase is a file. In POSIX mode, which a variable sets, the
# special builtins go before functions of the same name, and a quoted word is no alias: bash(1).
enter() {
  local signals='EXIT ERR DEBUG RETURN HUP INT QUIT TERM USR1 USR2 CONT XCPU'
  printf '%s\n' 'POSIXLY_CORRECT=y' "\\trap - $signals" \
    '\set +aefknptuvxCEPT +o pipefail; shopt -u expand_aliases nullglob failglob dotglob nocasematch extdebug' \
    "unalias -a; \\unset IFS CDPATH GLOBIGNORE; cd $(quoted "$run")" \
    "\\exec >>$(quoted "$control/stdout") 2>>$(quoted "$control/stderr")" \
    ": >$(quoted "$control/phase.setup")"
  if [ -n "$setup" ]; then
    # Its exit code is kept in the variable that sets the mode.
    # shellcheck disable=SC2016
    printf '%s\n' '\set +o posix' ". $(quoted "$control/setup.sh")" 'POSIXLY_CORRECT=$?' \
      'case $POSIXLY_CORRECT in 0) ;; *) \exit $POSIXLY_CORRECT ;; esac' "\\trap - $signals"
  fi
  printf '%s\n' '\export -n POSIXLY_CORRECT' \
    "\\exec $(quoted "$BASH" --noprofile --norc -p "$control/launch.sh" "$run" "$control" "$root")"
}

# start_child: in a process group of its own, with the environment as it came. With job control, since bash has INT and
# QUIT ignored for good in whatever else it starts in the background. Every step execs the next, so that the child is
# the user's program in the end. A signal before the child has given up our traps would be lost in it.
start_child() {
  local pid
  post_sentinel
  set -m
  (
    exec {ear}<&-
    trap - HUP INT QUIT TERM USR1 USR2 CONT XCPU
    : >"$control/phase.started"
    set -- "$BASH" "$(enter)" "$inherited" $login
    unset PATH LC_ALL
    eval "$3"
    scheduler_exports
    exec "$1" ${4+"$4"} -c "$2" controller
  ) </dev/null >>"$control/profile.out" 2>&1 &
  pid=$!
  set +m
  for _ in {1..250}; do
    if [ -e "$control/phase.started" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.02
  done
  child=$pid
  for signal in ${early[@]+"${early[@]}"}; do kill -s "$signal" "$child" 2>/dev/null; done
}

# await_child: sets code to the child's own. bash 5.2 loses a signal that comes while wait handles another one (CONT and
# USR1, as SLURM sends them), and read does not: so read is what waits, on a pipe that stays empty, and CHLD ends it.
# A signal ends the last wait with a code that is not the child's, or is none at all (-1): then it is asked for once more,
# which bash remembers.
await_child() {
  local idle attempt
  exec {idle}<> <(:)
  trap : CHLD
  while kill -0 "$child" 2>/dev/null; do
    deliver
    # Seen while it is new: a run may last longer than files live on its file system.
    if [ "$begun" = 0 ] && [ -e "$control/phase.begun" ]; then begun=1; fi
    if [ -z "$ear" ]; then post_sentinel; fi
    read -r -t 0.2 -u "$idle" _
  done
  trap - CHLD
  exec {idle}<&-
  for attempt in 1 2 3 4 5; do
    interrupted=0
    wait "$child"
    code=$?
    if [ "$interrupted" = 0 ] && [ "$code" -ge 0 ]; then return; fi
  done
  code=255
}

# hear_the_rest: a scheduler signals the processes of a job one after the other. Where the program has had the signal and
# this shell has not yet, its end would be taken for one of its own, and a run that is about to be started again would be
# over. A sentinel that is gone says that there is one to come.
hear_the_rest() {
  local patience=1 attempt
  gone=1 heard=
  case $code in 0) patience=0.05 ;; 130 | 143) patience=5 ;; esac
  if [ "$stopping" = 1 ] || ! everyone_has_it "$patience"; then return; fi
  for attempt in {1..300}; do
    if [ -n "$heard" ]; then return; fi
    sleep 0.1
  done
}

# clear_up: nothing of a run outlives its command.
clear_up() {
  local attempt
  if [ -z "$child" ]; then return; fi
  kill -s TERM -- "-$child" 2>/dev/null || return
  for attempt in {1..30}; do
    kill -0 -- "-$child" 2>/dev/null || return
    if [ "$attempt" = 20 ]; then kill -s KILL -- "-$child" 2>/dev/null; fi
    sleep 0.1
  done
}
