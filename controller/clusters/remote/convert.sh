# Make a SIF here, on the log-in node. Variables: those of images.sh, and name (the image's, for the mark that it is
# in use; "" for none).
mkdir -p "$images" "$root/cache" "$root/tmp" || die WorkdirUnwritable "cannot write below $root"
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi
alone
if [ -n "${name:-}" ]; then use_image "$identity" "$name" || die WorkdirUnwritable "cannot write below $base"; fi
if [ -f "$target" ] && [ -s "$target" ]; then
  if [ -n "$upload" ]; then rm -f "$archive"; fi
  say "present $identity"
  say complete
  exit 0
fi
make_sif
say "converted $identity"
say complete
