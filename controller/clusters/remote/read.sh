# Print a piece of a run's output. Variables: run, stream, offset (negative: from the end), limit.
find_control "$run"
case $control:$stream in */.controller:stdout | */.controller:stderr) control=${control%/.controller} ;; esac
read_piece() {
  local file=$control/$stream from
  [ -e "$file" ] || { echo "there is no $file yet" >&2; return 1; }
  if [ "$offset" -lt 0 ]; then from=${offset#-}; else from=+$((offset + 1)); fi
  tail -c "$from" "$file" | head -c "$limit" | base64 -w 0
}
part output read_piece
say complete
