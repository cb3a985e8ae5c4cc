# What is kept of images: SIF files, what is half-made, who says that they are in use, and the images of submissions.
# Standard input: lines "BATCH".
mapfile -t batches

show_place() { printf 'root %s\n' "$root"; }

# An images directory that is gone together with the mark of a directory that was set up is one that is not mounted.
show_sifs() {
  [ -d "$root/images" ] || { [ -e "$root/.controller" ] || ! ls -d "$root"/*/runs >/dev/null 2>&1; return; }
  find "$root/images" -mindepth 1 -maxdepth 1 -type f -name '[0-9a-f]*.sif' ! -name '*[!0-9a-f]*.sif' -printf '%f %s %T@\n'
}

show_leftovers() {
  local file size
  [ -d "$root/images" ] || return 0
  find "$root/images" -mindepth 1 -maxdepth 1 -name '.*' ! -name '.lock.*' ! -name '*[!A-Za-z0-9._-]*' -printf '%f %T@\n' | while read -r file moment; do
    size=$(du -s -B 1 -- "$root/images/$file" 2>/dev/null) || continue
    printf '%s %s %s\n' "$file" "${size%%[!0-9]*}" "$moment"
  done
}

show_marks() {
  local mark instance text
  for mark in "$root"/*/uses/[0-9a-f]*; do
    [ -e "$mark" ] && ours "${mark#"$root"/}" || continue
    instance=${mark#"$root"/}
    IFS= read -r text <"$mark" || [ -n "$text" ] || return 1
    printf '%s %s %s\n' "${instance%%/*}" "${mark##*/}" "$text"
  done
}

show_batches() {
  local batch manifest
  for batch in "${batches[@]}"; do
    manifest=
    IFS= read -r manifest <"$base/submissions/$batch/manifest.json" || continue
    printf '%s %s\n' "$batch" "$manifest"
  done 2>/dev/null
  return 0
}

part place show_place
part sifs show_sifs
part leftovers show_leftovers
# Marks after the files that they are about: a file that came in between has one.
part marks show_marks
part batches show_batches
say complete
