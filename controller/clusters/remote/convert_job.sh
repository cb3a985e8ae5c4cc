# The job that makes a SIF on a compute node. Before it stand prelude.sh, images.sh with its variables, and job_id.
making=$images/.making.$identity
owner=$job_id.$1

# The directory may be gone, with whoever put the job there: then nobody wants to know.
die() {
  one_line "$1 $2" | put "$making/failed"
  echo "$1: $2" >&2
  exit 1
}

claim=$making/.claim.$owner.$$
if printf '%s\n' "$owner" >"$claim" 2>/dev/null; then ln "$claim" "$making/claim" 2>/dev/null; fi
rm -f "$claim"
failpoint conversion.claim.after
holder=$(cat "$making/claim" 2>/dev/null)
if [ "$holder" != "$owner" ]; then
  echo "the conversion is held by ${holder:-nobody}, not by $owner: nothing was done" >&2
  exit 75
fi
# A job that the scheduler has started again.
rm -f "$making/failed"
alone
if [ ! -f "$target" ] || [ ! -s "$target" ]; then make_sif; fi
rm -rf "$making"
