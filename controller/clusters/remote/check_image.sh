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

# first_record: of an image of ours whose record is gone. One job alone reads the file, the others do not wait for it.
first_record() {
  [ -n "$image_aside" ] && mkdir "$image_record.making" 2>/dev/null || return 0
  sum=$(sha256sum <"$image") && record "${sum%% *}" "$looks"
  rmdir "$image_record.making"
}

if [ ! -r "$image" ] || ! looks=$(stat -L -c '%s %Y %i' "$image"); then
  refuse image-missing "there is no $image that can be read"
fi
# A third line is how it looks once a submission has renewed its time stamp (fresh.sh).
expected='' known='' coming=''
{ read -r expected; read -r known; read -r coming; } 2>/dev/null <"$image_record"
if [ -n "$image_sum" ] && [ "$image_sum" != "$expected" ]; then expected=$image_sum known='' coming=''; fi
if [ -z "$expected" ]; then first_record; exit 0; fi
if [ "$looks" = "$known" ] || [ "$looks" = "$coming" ]; then exit 0; fi
sum=$(sha256sum <"$image")
sum=${sum%% *}
if [ "$sum" = "$expected" ]; then
  record "$sum" "$looks"
  exit 0
fi
# Out of the way, so that it is made again; unless that has happened while this one was read.
if [ -n "$image_aside" ] && [ "$(stat -L -c '%s %Y %i' "$image")" = "$looks" ]; then mv -f "$image" "$image_aside"; fi
refuse image-changed "the SHA-256 of $image is ${sum:-unknown}, not $expected"
