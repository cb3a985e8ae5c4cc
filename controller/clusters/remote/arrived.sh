# How much of an upload has arrived already, and whether there is room for the rest. Variables: sum, size.
images=$root/images
mkdir -p "$images" || die WorkdirUnwritable "cannot write below $root"
if [ ! -e "$root/.controller" ]; then : >"$root/.controller"; fi
# What nobody came back for in a month.
find "$images" -mindepth 1 -maxdepth 1 \( -name '.upload.*' -o -name '.gone.*' -o -name '.changed.*' \) -mtime +30 \
  -exec rm -rf -- {} +
file=$images/.upload.$sum
have=$(stat -c %s "$file" 2>/dev/null || echo 0)
if [ "$have" -gt "$size" ]; then
  rm -f "$file"
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
say "arrived $have"
say complete
