# The second script of a run's child, for bash -p: environment, umask and limits are all that it has of the login shell
# before it. $1 is the run's directory, $2 its control directory, $3 the work directory. No variable is set here, since
# the environment is the command's. What comes after this part is put together in launching.py, and execs the command.
failpoint() {
  if [ -d "$2/.failpoints/$1" ] && rmdir "$2/.failpoints/$1"; then kill -KILL $$; fi
}
cd "$1" || exit 74
exec </dev/null >>"$2/stdout" 2>>"$2/stderr"
export -n SHELLOPTS BASHOPTS
unset CDPATH GLOBIGNORE
