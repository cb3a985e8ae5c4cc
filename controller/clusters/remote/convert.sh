# Make a SIF of a Docker archive. Standard input: the archive. Variables: identity, name, size (bytes of the archive),
# build_command and check_command (shell text; they read $archive and $sif).
mkdir -p "$root/images" "$root/cache" "$root/tmp" || die WorkdirUnwritable "cannot write below $root"
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi
target=$root/images/$identity.sif
archive=$root/images/.incoming.$identity.$nonce.tar
sif=$root/images/.aside.$identity.$nonce.sif
exec 9>"$root/images/.lock.$identity"
if command -v flock >/dev/null 2>&1 && ! flock -n 9; then
  die ConversionBusy "another controller converts this image on the cluster right now"
fi
use_image "$identity" "$name" || die WorkdirUnwritable "cannot write below $base"
if [ -s "$target" ]; then
  say "present $identity"
  say complete
  exit 0
fi
# Left behind by a conversion that was killed: nobody else can be at work on them while the lock is ours.
rm -rf "$root/images/.incoming.$identity."* "$root/images/.aside.$identity."*
trap 'rm -rf "$archive" "$sif"' EXIT
cat >"$archive" || die UploadFailed "the image did not arrive whole on the cluster (disk full?)"
got=$(stat -c %s "$archive")
if [ "$size" -ge 0 ] && [ "$got" -ne "$size" ]; then
  die UploadFailed "the image did not arrive whole on the cluster: $got of $size bytes"
fi
say uploaded
failpoint convert.upload.after
export APPTAINER_CACHEDIR=$root/cache APPTAINER_TMPDIR=$root/tmp SINGULARITY_CACHEDIR=$root/cache SINGULARITY_TMPDIR=$root/tmp
if ! output=$(eval "$build_command" 2>&1 </dev/null); then
  die ConversionFailed "the conversion to SIF failed: ${output: -1500}"
fi
failpoint convert.build.after
if ! output=$(eval "$check_command" 2>&1 </dev/null); then
  die ConversionFailed "the new SIF does not run: ${output: -1500}"
fi
failpoint convert.check.after
rm -f "$archive"
# In place before the SIF is, so that every SIF made from here on has one beside it.
sum=$(sha256sum <"$sif") && printf '%s\n' "${sum%% *}" | put "$root/images/$identity.sha256" ||
  die WorkdirUnwritable "cannot record the hash of the SIF in $root/images"
mv -f "$sif" "$target" || die WorkdirUnwritable "cannot rename the SIF into $root/images"
failpoint convert.rename.after
say "converted $identity"
say complete
