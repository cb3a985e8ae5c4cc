# Put files in place. Standard input: a tar of TREE/... directories. Variable: trees (lines).
mkdir -p "$root/files" || die WorkdirUnwritable "cannot write below $root"
incoming=$root/files/.incoming.$nonce
mkdir "$incoming" || die WorkdirUnwritable "cannot write below $root/files"
trap 'rm -rf "$incoming"' EXIT
# A connection that breaks looks like an end: the archive's last member says that it was all of it.
if ! tar -x -C "$incoming" -f - || [ ! -e "$incoming/$last_member" ]; then
  die UploadFailed "the files did not arrive whole on the cluster (disk full?)"
fi
failpoint stage.extract.after
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi
while IFS= read -r tree; do
  [ -n "$tree" ] || continue
  if [ ! -d "$root/files/$tree" ]; then mv -T "$incoming/$tree" "$root/files/$tree" 2>/dev/null; fi
  if [ -d "$root/files/$tree" ]; then say "staged $tree"; else say "unwritten $tree"; fi
done <<<"$trees"
failpoint stage.rename.after
say complete
