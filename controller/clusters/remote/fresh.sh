# Time stamps renewed of what is in use, once a day at most: scratch file systems delete what nobody has touched for weeks.
printf -v today '%(%s)T' -1

# is_old FILE: whether its time stamp is a day old or more; not where there is no such file.
is_old() { [ -n "$(find "$1" -maxdepth 0 -mtime +0 2>/dev/null)" ]; }

# fresh_tree TREE: all of its files get one and the same time, so that none is newer than the other (make).
fresh_tree() {
  if is_old "$root/files/$1.manifest"; then
    find "$root/files/$1" -exec touch -h -c -d "@$today" -- {} + && touch -c "$root/files/$1.manifest"
  fi
}

# fresh_image IDENTITY: its record (check_image.sh) knows the file by its time: the new one is written there first, so
# that a job which looks in between finds either. A file that looks changed already is left as it is, for the next job.
fresh_image() {
  local sif=$root/images/$1.sif record=$root/images/$1.sha256 sum='' known='' looks coming
  if ! is_old "$sif" && ! is_old "$record"; then return; fi
  { read -r sum; read -r known; } 2>/dev/null <"$record"
  looks=$(stat -c '%s %Y %i' "$sif" 2>/dev/null) || return
  if [ -z "$sum" ]; then touch -c -d "@$today" "$sif"; return; fi
  coming="${looks%% *} $today ${looks##* }"
  if [ "$looks" = "$known" ] && printf '%s\n%s\n%s\n' "$sum" "$known" "$coming" | put "$record" &&
    touch -c -d "@$today" "$sif"; then
    printf '%s\n%s\n' "$sum" "$coming" | put "$record"
  fi
} 2>/dev/null
