# Cancel runs. Standard input: lines "RUN TARGET TAG REASON", TARGET the scheduler's id of the job or "-" when none is known.
# Variable: cancel_command (shell text, takes "TARGET TAG" pairs as arguments).
targets=()
while IFS=' ' read -r run target tag reason; do
  [ -n "$run" ] || continue
  place=$base/runs/$run/.controller
  mkdir -p "$place"
  # Whose wish it was outlives the controller's memory: after that, any other cancellation is a stranger's.
  printf '{"run":"%s","kind":"cancelling","owner":"","at":%s,"reason":"%s"}' "$run" "$(date +%s)" "$reason" |
    put "$place/cancelling.json"
  # Taking the claim of a run that has not started makes sure that it never does, whatever becomes of its job.
  if printf 'cancelled\n' >"$place/.claim.$nonce" && [ "$(cat "$place/.claim.$nonce")" = cancelled ]; then
    ln "$place/.claim.$nonce" "$place/claim" 2>/dev/null
  fi
  rm -f "$place/.claim.$nonce"
  failpoint cancel.claim.after
  say "claim $run $(cat "$place/claim" 2>/dev/null)"
  if [ "$target" != - ]; then targets+=("$target" "$tag"); fi
done
if [ "${#targets[@]}" -gt 0 ]; then part cancel eval "$cancel_command \"\${targets[@]}\""; fi
failpoint cancel.scancel.after
say complete
