# Write down whose this instance's directory is. Variables: owner (the line to be written), seen (the line that was read
# there, "" for no file), force (1: what is there cannot be read, and goes).
mkdir -p "$base" || die WorkdirUnwritable "cannot write below $base"
place=$base/owner.json

# Made by link, so that of two that begin at once one alone makes it; the answer says what is there in the end.
make_owner() {
  local aside=$base/.owner.$nonce
  if printf '%s\n' "$owner" >"$aside"; then ln "$aside" "$place" 2>/dev/null; fi
  rm -f "$aside"
}

current=
if [ -e "$place" ]; then IFS= read -r current <"$place"; fi
if [ "$current" != "$owner" ]; then
  failpoint own.before
  if [ ! -e "$place" ]; then
    make_owner
  elif [ "$force" = 1 ] || [ "$current" = "$seen" ]; then
    printf '%s\n' "$owner" | put "$place"
  fi
  failpoint own.after
fi
part owner cat "$place"
say complete
