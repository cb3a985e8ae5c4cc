"""Login profiles as people have them: each changes the shell that it runs in, and none may change what we do there."""

from __future__ import annotations

PROFILES = {
    "errexit": "set -e",
    "xtrace": "set -x",
    "nounset": "set -u",
    "noglob": "set -f",
    "noclobber": "set -o noclobber",
    "posix": "set -o posix",
    "pipefail and all that": "set -o pipefail -o allexport -o verbose -o functrace -o errtrace",
    "globbing": "shopt -s nullglob failglob dotglob extglob globstar",
    "echo": "shopt -s xpg_echo",
    "options in the environment": "shopt -s xpg_echo; set -e; export SHELLOPTS BASHOPTS",
    "separator": "IFS=:",
    "exported separator": "export IFS=,",
    "traps": "trap 'echo bye' EXIT ERR DEBUG RETURN",
    "alias": "shopt -s expand_aliases; alias ls='ls -F' cat='cat -n' exec='echo' printf='echo'",
    "functions": "ls() { command ls -F; }; cat() { :; }; printf() { echo; }; exec() { echo no; }; head() { :; }",
    "exported functions": "cat() { :; }; head() { :; }; cd() { :; }; export -f cat head cd",
    "directories": "export CDPATH=.. GLOBIGNORE='*'",
    "closed umask": "umask 077",
    "own path": "unset PATH; PATH=/usr/local/bin:/usr/bin:/bin",
    "path without the system": "export PATH=/opt/site/bin",
    "locale": "export LC_ALL=tr_TR.UTF-8 LANG=tr_TR.UTF-8",
    "start-up file": "export BASH_ENV=$HOME/.noise ENV=$HOME/.noise; command printf 'echo noise\\n' >$HOME/.noise",
    "options of programs": "export POSIXLY_CORRECT=1 TAR_OPTIONS=--no-such GREP_OPTIONS=--no-such",
    "time-out": "export TMOUT=1",
    "silent": "exec >/dev/null 2>&1",
    "chatty": "echo Welcome; echo Welcome >&2; head -c 20",
}
"""Name -> what stands in ``~/.bash_profile``."""
