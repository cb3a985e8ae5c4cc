# What a tree of files holds stands beside it, in files/TREE.manifest (archives.py): whether a directory holds all of it.
#
# A record for each file, a NUL behind it: "KIND SIZE SHA256 PATH", KIND f (plain file), x (program) or l (link, without a
# hash). The first is "manifest 1 COUNT BYTES", the last "end SHA256", of the targets of all links, a line each. Links
# come last. Hashes are compared where all files together have at most so many bytes:
most_hashed=67108864

# read_manifest FILE: sets paths, looks ("KIND SIZE"), sums, links, targets and bytes; fails where it is none, or not whole.
read_manifest() {
  local record kind rest count=-1
  paths=() looks=() sums=() links=() targets='' bytes=0
  [ -r "$1" ] || return 1
  while IFS= read -r -d '' record; do
    kind=${record%% *} rest=${record#* }
    case $kind in
      manifest)
        case $rest in '1 '*) ;; *) return 1 ;; esac
        rest=${rest#1 } count=${rest% *} bytes=${rest##* }
        ;;
      f | x | l)
        looks+=("$kind ${rest%% *}")
        rest=${rest#* }
        paths+=("./${rest#* }")
        if [ "$kind" = l ]; then links+=("./${rest#* }"); else sums+=("${rest%% *}"); fi
        ;;
      end) targets=$rest ;;
    esac
  done <"$1"
  [ -n "$targets" ] && [ "${#paths[@]}" = "$count" ]
}

# holds DIRECTORY: whether every file of the manifest is there, by kind and size. A plain file may be a program, since
# some file systems know no other. Sets lacking to the first path that is not.
holds() {
  local seen=() index
  lacking=
  [ -d "$1" ] || { lacking=$1; return 1; }
  if [ "${#paths[@]}" = 0 ]; then return 0; fi
  mapfile -t seen < <(
    cd "$1" 2>/dev/null && printf '%s\0' "${paths[@]}" | xargs -0 stat -c '%A %s' 2>/dev/null |
      sed 's/^l[^ ]*/l/; s/^-..[xs][^ ]*/x/; s/^-[^ ]*/f/'
  )
  if [ "${#seen[@]}" != "${#paths[@]}" ]; then
    for lacking in "${paths[@]}"; do
      if [ ! -e "$1/$lacking" ] && [ ! -L "$1/$lacking" ]; then return 1; fi
    done
    return 1
  fi
  for index in "${!paths[@]}"; do
    case ${seen[index]} in
      "${looks[index]}" | "x ${looks[index]#f }") ;;
      *) lacking=${paths[index]}; return 1 ;;
    esac
  done
}

# same_bytes DIRECTORY: whether the files that it holds are those of the manifest by hash, and its links by target.
same_bytes() {
  local seen=() index sum
  lacking=
  if [ "${#links[@]}" -gt 0 ]; then
    sum=$(cd "$1" && printf '%s\0' "${links[@]}" | xargs -0 readlink -- | sha256sum)
    if [ "${sum%% *}" != "$targets" ]; then lacking=${links[0]}; return 1; fi
  fi
  if [ "${#sums[@]}" = 0 ] || [ "$bytes" -gt "$most_hashed" ]; then return 0; fi
  # sha256sum writes a backslash before the hash of a name that it has to quote.
  mapfile -t seen < <(
    cd "$1" && printf '%s\0' "${paths[@]:0:${#sums[@]}}" | xargs -0 sha256sum -- 2>/dev/null | sed 's/^\\//; s/ .*//'
  )
  for index in "${!sums[@]}"; do
    if [ "${seen[index]-}" != "${sums[index]}" ]; then lacking=${paths[index]}; return 1; fi
  done
}
