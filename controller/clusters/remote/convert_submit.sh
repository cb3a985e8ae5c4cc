# Have a job make a SIF. Standard input: the job's script. Variables: those of images.sh; submit_line (shell text),
# job_id_pattern ("" for submit_line: only clear away what is over); gone (the job that the controller has seen to be over, "-" for a submit that became none, or "").
# The directory is the lock: whoever makes it submits, and it says whose it is.
making=$images/.making.$identity
mkdir -p "$images" "$root/cache" "$root/tmp" || die WorkdirUnwritable "cannot write below $root"
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi

if [ -n "${name:-}" ]; then use_image "$identity" "$name" || die WorkdirUnwritable "cannot write below $base"; fi

# retire: the directory's end. Of several that try, one alone can rename it.
retire() { if mv -T "$making" "$images/.gone.$nonce" 2>/dev/null; then rm -rf "$images/.gone.$nonce"; fi; }

finish() {
  say "$@"
  say complete
  exit 0
}

if [ -f "$target" ] && [ -s "$target" ]; then
  retire
  finish "present $identity"
fi
if [ -d "$making" ]; then
  if [ -s "$making/failed" ]; then
    words=$(cat "$making/failed")
    retire
    finish "failed $(one_line "$words")"
  fi
  known=-
  if [ -s "$making/job_id" ]; then IFS= read -r known <"$making/job_id"; fi
  if [ "$gone" != "$known" ]; then finish "busy $identity"; fi
  words=$(tail -c 800 "$making/job.out" 2>/dev/null)
  retire
  if [ "$gone" != - ]; then finish "failed ConversionLost $(one_line "$words")"; fi
fi
if [ -z "$submit_line" ]; then finish "cleared $identity"; fi
if ! mkdir "$making" 2>/dev/null; then finish "busy $identity"; fi
failpoint conversion.mkdir.after
if ! cat >"$making/job.sh" || ! printf '%s\n' "$instance" | put "$making/owner"; then
  retire
  give_up WorkdirUnwritable "cannot write below $making: $(room)"
fi
try=$nonce
fault=$making/.fault
output=$(cd "$making" && eval "$submit_line" 2>"$fault" </dev/null)
code=$?
failpoint conversion.sbatch.after
job_id=$(printf '%s\n' "$output" | grep -E "$job_id_pattern" | tail -n 1)
job_id=${job_id%%;*}
if [ "$code" -eq 0 ] && [ -n "$job_id" ]; then
  printf '%s\n' "$job_id" | put "$making/job_id"
  failpoint conversion.record.after
  finish "submitted $identity $job_id"
fi
if [ -n "$job_id" ]; then code=0; fi
said=$(one_line "$(last 2000 "$(cat "$fault" 2>/dev/null) $output")")
# What is only perhaps refused stays as it is: a job that was accepted all the same is found by its name.
finish "refused $identity $code $said"
