# Whether a run's image is there, and what it was when it was made. That costs a stat while nobody has touched it; its
# bytes are read only where it looks different (another size, time or inode). Ends with 66 when it is not.
#
# Before it stand, in a shell of its own: control, image_sum (what its SHA-256 has to be, "" for what was recorded),
# image_record (where that is recorded), image_aside (where a changed one is put, "" for nowhere) and image (its path).
refuse() {
  echo "controller: $2" >&2
  : >"$control/phase.$1"
  exit 66
}

record() { printf '%s\n%s\n' "$1" "$2" >"$image_record.$BASHPID" && mv -f "$image_record.$BASHPID" "$image_record"; }

if [ ! -r "$image" ] || ! looks=$(stat -L -c '%s %Y %i' "$image"); then
  refuse image-missing "there is no $image that can be read"
fi
expected='' known=''
{ read -r expected; read -r known; } 2>/dev/null <"$image_record"
if [ -n "$image_sum" ] && [ "$image_sum" != "$expected" ]; then expected=$image_sum known=; fi
if [ -z "$expected" ] || [ "$looks" = "$known" ]; then exit 0; fi
sum=$(sha256sum <"$image")
sum=${sum%% *}
if [ "$sum" = "$expected" ]; then
  record "$sum" "$looks"
  exit 0
fi
# Out of the way, so that it is made again; unless that has happened while this one was read.
if [ -n "$image_aside" ] && [ "$(stat -L -c '%s %Y %i' "$image")" = "$looks" ]; then mv -f "$image" "$image_aside"; fi
refuse image-changed "the SHA-256 of $image is ${sum:-unknown}, not $expected"
