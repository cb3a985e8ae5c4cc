# How a SIF is made, checked, recorded and put in place, on the log-in node and in a job alike. Before it stand root,
# identity, nonce, upload (SHA-256 of the upload that it is made from, "" for none),
# squash (words, one for each way to compress that is tried), build_command and check_command (shell text that reads
# $archive, $sif and $way), and a function "die REASON TEXT".
images=$root/images
target=$images/$identity.sif
archive=$images/.upload.$upload
sif=$images/.aside.$identity.$nonce.sif
scratch=$root/tmp/$identity.$nonce

# room: what is left where the images are, for an error message.
room() {
  local _ size='?' free='?' place='?' quota
  { read -r _; read -r _ size _ free _ place; } < <(df -hP "$images" 2>/dev/null)
  printf '%s of %s free on %s' "$free" "$size" "$place"
  quota=$(quota -s 2>/dev/null) && [ -n "$quota" ] && printf '; quota: %s' "$(last 300 "$quota")"
}

# give_up REASON TEXT: for the reason that the text itself tells of, where it does.
give_up() {
  local text
  text=$(last 1500 "$2")
  case $2 in
    *[Nn]'o space left on device'* | *[Qq]'uota exceeded'*)
      if [ -n "$upload" ]; then rm -f "$archive"; fi
      die DiskFull "the disk or the quota is full ($(room)); make room, or set workdir elsewhere: $text"
      ;;
    *'neither apptainer nor singularity'*) die ContainerProgramMissing "$text" ;;
    *'environment-lost '*) die EnvironmentLost "${2##*environment-lost }" ;;
  esac
  if [ -z "$upload" ]; then
    case $2 in
      *unauthorized* | *UNAUTHORIZED* | *'authentication required'* | *'access to the resource is denied'*)
        die RegistryUnauthorized "the registry refuses the cluster; log in there once with 'apptainer registry login' (or 'remote login'): $text"
        ;;
      *'manifest unknown'* | *'not found'*) die ImageNotFound "the registry has no such image: $text" ;;
      *'no such host'* | *'connection refused'* | *'i/o timeout'* | *'network is unreachable'*)
        die RegistryUnreachable "the cluster cannot reach the registry; have it pull where there is a network (convert_on): $text"
        ;;
    esac
  fi
  die "$1" "$text"
}

# alone: be the only one at work on this image until this shell ends. flock(1) says 1 when another is; anything else
# means that the file system has no such locks, and then the worst is that the same is done twice.
alone() {
  exec 9>"$images/.lock.$identity"
  if command -v flock >/dev/null 2>&1; then
    flock -n 9 || [ "$?" -ne 1 ] || die ConversionBusy "another controller converts this image on the cluster right now"
  fi
}

# one_way: build and check once; what went wrong is in $output.
one_way() {
  output=$(eval "$build_command" 2>&1 </dev/null 9>&-) || { output="the conversion to SIF failed: $output"; return 1; }
  failpoint convert.build.after
  output=$(eval "$check_command" 2>&1 </dev/null 9>&-) || {
    case $output in *environment-lost*) ;; *) output="the new SIF does not run: $output" ;; esac
    return 1
  }
  failpoint convert.check.after
}

make_sif() {
  local way output made=0 sum
  # Left behind by a conversion that was killed: nobody else can be at work on them while the lock is ours.
  rm -rf "$images/.aside.$identity."* "$root/tmp/$identity."*
  mkdir -p "$scratch" || give_up WorkdirUnwritable "cannot write below $root"
  trap 'rm -rf "$sif" "$scratch"' EXIT
  export APPTAINER_CACHEDIR=$root/cache APPTAINER_TMPDIR=$scratch TMPDIR=$scratch
  export SINGULARITY_CACHEDIR=$root/cache SINGULARITY_TMPDIR=$scratch
  for way in $squash; do
    rm -f "$sif"
    if one_way; then made=1; break; fi
    # Another way to compress mends nothing but what compressing broke.
    case $output in
      *environment-lost*) break ;;
      *squash* | *zstd* | *ompress* | *'does not run'*) ;;
      *) break ;;
    esac
  done
  if [ "$made" = 0 ]; then give_up ConversionFailed "$output"; fi
  # In place before the SIF is, so that every SIF has one beside it: its hash, then how it looks from outside.
  sum=$(sha256sum <"$sif") && printf '%s\n%s\n' "${sum%% *}" "$(stat -c '%s %Y %i' "$sif")" | put "$images/$identity.sha256" ||
    give_up WorkdirUnwritable "cannot record the hash of the SIF in $images: $(room)"
  failpoint convert.record.after
  # Before the SIF is there, since nobody comes back for them afterwards.
  if [ -n "$upload" ]; then rm -f "$archive"; fi
  rm -f "$images/.changed.$identity.sif"
  mv -fT "$sif" "$target" || die WorkdirUnwritable "cannot rename the SIF into $images"
  failpoint convert.rename.after
}
