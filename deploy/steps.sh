# shellcheck shell=bash
# Sourced by the scripts beside it: messages, timed steps, questions, Debian packages.
# It must stay free of anything that only one of them needs.

say() { printf '%s\n' "$*" >&2; }

# fail REASON [REMEDY...]: say what went wrong and what helps, then end.
fail() {
    say "error: $1"
    shift
    local line
    for line in "$@"; do say "  $line"; done
    exit 1
}

# step MESSAGE COMMAND...: run a command quietly, show that it is alive and how long it took.
# Its output is shown only when it fails. Its status is returned.
step() {
    local message=$1 log start=$SECONDS ticker status=0
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/controller-step.XXXXXX")
    say "$message ..."
    (
        trap 'exit 0' TERM
        while sleep 15 & wait $!; do say "$message ... $((SECONDS - start)) s"; done
    ) </dev/null >/dev/null &
    ticker=$!
    ("$@") >"$log" 2>&1 </dev/null || status=$?
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    if [ "$status" -eq 0 ]; then
        say "$message: done, $((SECONDS - start)) s"
    else
        say "$message: FAILED after $((SECONDS - start)) s; the end of what it printed:"
        tail -n "${STEP_TAIL:-25}" "$log" | sed 's/^/  | /' >&2
    fi
    rm -f "$log"
    return "$status"
}

have() { command -v "$1" >/dev/null 2>&1; }

# may_install WHAT: whether packages may be installed here. Asks on a terminal; ASSUME_YES=1 answers yes.
may_install() {
    [ "$(id -u)" -eq 0 ] && have apt-get || return 1
    [ "${ASSUME_YES:-}" = 1 ] && return 0
    if ! [ -t 0 ]; then
        say "$1 is missing and there is no terminal to ask on: say --yes to have it installed."
        return 1
    fi
    local answer
    read -r -p "$1 is missing. Install it with apt-get? [y/N] " answer
    case $answer in [yY]*) return 0 ;; *) return 1 ;; esac
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    # Another apt may be at work (unattended upgrades): wait for it rather than fail.
    step "reading the package lists" apt-get -o DPkg::Lock::Timeout=300 update -q || return
    step "installing $*" apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "$@"
}
