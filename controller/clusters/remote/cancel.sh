# Cancel runs. Standard input: lines "RUN TARGET TAG REASON", TARGET the scheduler's id of the job or "-" when none is known.
# Variable: cancel_command (shell text, takes "TARGET TAG" pairs as arguments).
targets=()
while IFS=' ' read -r run target tag reason; do
  [ -n "$run" ] || continue
  # Taking the claim of a run that has not started makes sure that it never does, whatever becomes of its job. Where the
  # run's job will look is where its control files are; a submit that is still on its way may be the version before's.
  places=("$base/control/$run")
  if [ ! -d "${places[0]}" ]; then
    if [ -d "$base/runs/$run/.controller" ]; then places=(); fi
    places=("$base/runs/$run/.controller" "${places[@]}")
  fi
  holder=
  for place in "${places[@]}"; do
    mkdir -p "$place"
    # Whose wish it was outlives the controller's memory: after that, any other cancellation is a stranger's.
    printf '{"run":"%s","kind":"cancelling","owner":"","at":%s,"reason":"%s"}' "$run" "$(date +%s)" "$reason" |
      put "$place/cancelling.json"
    if printf 'cancelled\n' >"$place/.claim.$nonce" && [ "$(cat "$place/.claim.$nonce")" = cancelled ]; then
      ln "$place/.claim.$nonce" "$place/claim" 2>/dev/null
    fi
    rm -f "$place/.claim.$nonce"
    holder=$(cat "$place/claim" 2>/dev/null)
    if [ "$holder" != cancelled ]; then break; fi
  done
  failpoint cancel.claim.after
  say "claim $run $holder"
  if [ "$target" != - ]; then targets+=("$target" "$tag"); fi
done
if [ "${#targets[@]}" -gt 0 ]; then part cancel eval "$cancel_command \"\${targets[@]}\""; fi
failpoint cancel.scancel.after
say complete
