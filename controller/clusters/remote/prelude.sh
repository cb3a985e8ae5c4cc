# First part of every script that runs on a cluster. The variables nonce, root_expression and instance are set before.
# Only bash, coreutils, findutils and tar are expected there. It runs in a bash that no profile has touched: what comes
# from there is the environment, the umask and the limits (decisions/0060).
set -u
umask u+rwx
export LC_ALL=C
unset TAR_OPTIONS GREP_OPTIONS TMOUT
# How SLURM is reached, and where jobs go when neither spec nor cluster says it, is for the account to set; all else that
# its programs read would change what they do or print (decisions/0062).
for name in ${!SLURM_*} ${!SBATCH_*} ${!SQUEUE_*} ${!SACCT_*} ${!SCANCEL_*} ${!SINFO_*} ${!SCONTROL_*}; do
  case $name in
    SLURM_CONF | SLURM_CONF_SERVER | SLURM_JWT | SBATCH_ACCOUNT | SBATCH_PARTITION | SBATCH_QOS | SBATCH_RESERVATION) ;;
    *) unset "$name" ;;
  esac
done

# Lines for the controller start with a nonce, so that no banner, log-in profile or file content can be taken for one.
say() { printf '\n@@%s %s\n' "$nonce" "$*"; }

# one_line TEXT: at most 2,000 characters on one line.
one_line() {
  local text=${1//[$'\n\r\t']/ }
  printf '%s' "${text:0:2000}"
}

# last NUMBER TEXT: so many characters of its end at most.
last() { if [ "${#2}" -gt "$1" ]; then printf '%s' "${2: -$1}"; else printf '%s' "$2"; fi; }

# ours NAME: whether it can be one of ours: no blank, no line break, nothing that would need quotes.
ours() { case $1 in '' | *[!A-Za-z0-9._=,+~/-]*) return 1 ;; esac; }

# part NAME COMMAND...: its output between two marks, the second with its exit code and what it said on stderr.
part() {
  local name=$1 fault code
  shift
  say "begin $name"
  { fault=$({ "$@" >&3 3>&-; } 2>&1 </dev/null); code=$?; } 3>&1
  say "end $name $code $(one_line "$fault")"
}

# apart COMMAND...: what it prints into $output, what it says on stderr into $fault.
apart() { eval "$({ fault=$({ printf 'output=%q\n' "$("$@")" >&3; } 2>&1); printf 'fault=%q\n' "$fault"; } 3>&1)"; }

die() {
  say "fatal $1 $(one_line "$2")"
  exit 1
}

# put FILE: standard input becomes FILE, whole or not at all.
put() {
  local aside
  aside="$(dirname "$1")/.aside.$nonce.$(basename "$1")"
  if cat >"$aside" && mv -f "$aside" "$1"; then return 0; fi
  rm -f "$aside"
  return 1
}

# find_control RUN: sets control to where a run's control files are, and fails where it has none. They are made with the
# submission, before anything of the run's own. In the run's own directory they are of the version before only.
find_control() {
  control=$base/control/$1
  if [ -d "$control" ]; then return 0; fi
  if [ -d "$base/runs/$1/.controller" ]; then control=$base/runs/$1/.controller; return 0; fi
  return 1
}

# use_image IDENTITY NAME: say that this instance uses an image; whether the file is there is to be asked after (prune.sh).
use_image() { mkdir -p "$base/uses" && printf '%s %s\n' "$2" "$nonce" | put "$base/uses/$1"; }

# after_setup SETUP COMMAND: run a command as it is after a cluster's setup. SETUP is evaluated in a login shell of its own
# (in a plain one where the controller runs on the cluster itself), which has the functions of the profile, such as
# "module". From there COMMAND gets environment, umask and limits alone, and those of our variables that it reads.
# The directories for temporary files are ours, unless SETUP says otherwise.
after_setup() {
  local controller_directories controller_setup=$1 controller_command
  controller_directories=$(declare -p TMPDIR {APPTAINER,SINGULARITY}_{CACHEDIR,TMPDIR} 2>/dev/null)
  controller_command="unset \${!controller_*}; export LC_ALL=C"$'\n'"$(declare -p sif archive way 2>/dev/null)"$'\n'$2
  export controller_directories controller_setup controller_command
  bash ${login_option:+"$login_option"} -c '
    \set +aefuvxC +o posix +o pipefail
    \trap - EXIT ERR DEBUG RETURN
    IFS=$'\'' \t\n'\''
    \eval "$controller_directories"
    \eval "$controller_setup"
    POSIXLY_CORRECT=y; \export -n POSIXLY_CORRECT
    \exec "$BASH" --noprofile --norc -p -c "$controller_command" <&67 >&68 2>&69 67<&- 68>&- 69>&-
  ' 67<&0 68>&1 69>&2 </dev/null >&2
}

# failpoint NAME: end here as a power cut would, once, if a test has made the directory (see model/failpoints.py).
failpoint() {
  if [ -d "$root/.failpoints/$1" ] && rmdir "$root/.failpoints/$1"; then kill -KILL $$; fi
}

if ! root=$(eval "printf '%s.' $root_expression" 2>/dev/null); then
  die WorkdirUnset "the work directory cannot be resolved on the cluster: $(eval ": $root_expression" 2>&1)"
fi
root=${root%.}
case $root in
  *[:,$'\n']*) die WorkdirInvalid "the work directory is \"$root\" on the cluster: containers cannot be given a directory whose name holds a colon, a comma or a line break; set workdir to another one" ;;
  /*) ;;
  *) die WorkdirInvalid "the work directory is \"$root\" on the cluster, which is no absolute path: set workdir to one that begins with /, or correct the variable that it is made of" ;;
esac
base=$root/$instance
# Where runs were and no new work goes: nothing is made anew there.
if [ -n "${former:-}" ] && [ ! -d "$base" ]; then die WorkdirGone "$base is gone or not mounted: mount it again, and its runs are followed to their ends"; fi
