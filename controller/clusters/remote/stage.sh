# Put files in place. Standard input: a tar of TREE/... directories and a TREE.manifest for each (manifest.sh). Variable:
# trees (lines).
mkdir -p "$root/files" || die WorkdirUnwritable "cannot write below $root"
incoming=$root/files/.incoming.$nonce
mkdir "$incoming" || die WorkdirUnwritable "cannot write below $root/files"
trap 'rm -rf "$incoming"' EXIT
# What was left by one that was killed.
find "$root/files" -mindepth 1 -maxdepth 1 -name '.incoming.*' -mtime +1 -exec rm -rf -- {} + 2>/dev/null
# A connection that breaks looks like an end: the archive's last member says that it was all of it.
if ! tar -x -C "$incoming" -f - || [ ! -e "$incoming/$last_member" ]; then
  die UploadFailed "the files did not arrive whole on the cluster (disk full?)"
fi
# Now, and not what stands in the archive: old files are the first to go where scratch is cleared by age.
find "$incoming" -exec touch -h -c -d "@$today" -- {} + 2>/dev/null
failpoint stage.extract.after
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi

# put_tree TREE: what is there already stays when it is whole, else it is replaced. A tree counts once its manifest is
# beside it.
put_tree() {
  local there=$root/files/$1
  read_manifest "$incoming/$1.manifest" || return 1
  if [ -d "$there" ]; then
    if holds "$there" && same_bytes "$there"; then
      find "$there" -exec touch -h -c -d "@$today" -- {} + 2>/dev/null
    else
      rm -f "$there.manifest"
      mv -T "$there" "$incoming/.broken.$1" 2>/dev/null
    fi
  fi
  failpoint stage.aside.after
  if [ ! -d "$there" ]; then mv -T "$incoming/$1" "$there" 2>/dev/null; fi
  failpoint stage.rename.after
  holds "$there" && mv -f "$incoming/$1.manifest" "$there.manifest"
}

while IFS= read -r tree; do
  [ -n "$tree" ] || continue
  if put_tree "$tree"; then say "staged $tree"; else say "unwritten $tree"; fi
done <<<"$trees"
failpoint stage.manifest.after
say complete
