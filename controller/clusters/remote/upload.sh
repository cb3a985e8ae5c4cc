# Take in the rest of an upload. Standard input: its bytes from offset on. Variables: sum (SHA-256 of all of it), size,
# offset. A part that arrived stays, so that the next try goes on from there: whoever comes with another offset is told
# how much there is, and nothing is read.
images=$root/images
mkdir -p "$images" || die WorkdirUnwritable "cannot write below $root"
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi
# What nobody came back for in a month.
find "$images" -mindepth 1 -maxdepth 1 \( -name '.upload.*' -o -name '.gone.*' -o -name '.changed.*' \) -mtime +30 \
  -exec rm -rf -- {} +
file=$images/.upload.$sum

fail() {
  case $1 in
    *[Nn]'o space left on device'* | *[Qq]'uota exceeded'*)
      rm -f "$file"
      { read -r _; read -r _ total _ free _ place; } < <(df -hP "$images" 2>/dev/null)
      words=$(quota -s 2>/dev/null)
      die DiskFull "the disk or the quota is full (${free:-?} of ${total:-?} free on ${place:-?}${words:+; quota: $(last 300 "$words")}); make room, or set workdir elsewhere: $1"
      ;;
  esac
  die UploadFailed "$1"
}

exec 9>>"$file" || die WorkdirUnwritable "cannot write below $images"
if command -v flock >/dev/null 2>&1; then
  flock -n 9 || [ "$?" -ne 1 ] || die UploadBusy "another upload of the same image is under way"
fi
have=$(stat -c %s "$file")
if [ "$have" -gt "$size" ]; then
  : >"$file"
  have=0
fi
free=
{ read -r _; read -r _ _ _ free _ place; } < <(df -kP "$images" 2>/dev/null)
case $free in
  '' | *[!0-9]*) ;;
  *)
    if [ "$((free * 1024))" -lt "$((size - have))" ]; then
      rm -f "$file"
      die DiskFull "an upload of $((size / 1000000)) MB has no room: $((free / 1000)) MB are free on $place; make room, or set workdir elsewhere"
    fi
    ;;
esac
if [ "$have" != "$offset" ]; then
  say "arrived $have"
  say complete
  exit 0
fi
if [ "$offset" = 0 ]; then
  # Hashed as it comes in.
  take() { tee --output-error=exit -a "$file" | sha256sum; }
else
  take() { cat >>"$file"; sha256sum <"$file"; }
fi
apart take
said=$fault got=$output
failpoint upload.bytes.after
have=$(stat -c %s "$file" 2>/dev/null)
if [ "$have" != "$size" ]; then fail "$have of $size bytes arrived on the cluster. ${said}"; fi
if [ "${got%% *}" != "$sum" ]; then
  rm -f "$file"
  die UploadFailed "the image arrived damaged on the cluster: its SHA-256 is ${got%% *}, not $sum"
fi
say "uploaded $sum"
say complete
