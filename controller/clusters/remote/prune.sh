# Give up images that this instance no longer uses, and take away those that nobody uses. Standard input: lines
# "IDENTITY TEXT", TEXT being this instance's mark as it was when it was decided, "-" for none.
#
# Whoever wants to use an image writes a mark and then looks whether the file is there. Here the file is renamed aside,
# and then it is looked whether a mark came meanwhile. So one of the two sees the other, whoever comes first; and what
# was renamed aside by a process that was killed is put back, or taken away, by the next.
images=$root/images

# marked IDENTITY: the instances that say that they use an image. By pattern, so that the directories are read: NFS may
# remember for a while that a single name was not there.
marked() {
  local mark instance
  for mark in "$root"/*/uses/"$1"*; do
    [ -e "$mark" ] || continue
    instance=${mark#"$root"/}
    printf '%s ' "${instance%%/*}"
  done
}

# alone IDENTITY: be the only one at work on an image until the next; the lock is the one that conversions take.
alone() {
  exec 9>"$images/.lock.$1" || return 1
  command -v flock >/dev/null 2>&1 || return 0
  flock -n 9 || [ "$?" -ne 1 ]
}

put_back() {
  if [ -e "$images/$1.sif" ]; then rm -f "$2"; else mv -n "$2" "$images/$1.sif"; fi
}

mend() {
  local aside identity mark
  for mark in "$base"/uses/.given-up.*; do
    [ -e "$mark" ] || continue
    identity=${mark##*/.given-up.}
    mv -n "$mark" "$base/uses/${identity%%.*}"
    rm -f "$mark"
  done
  for aside in "$images"/.pruned.*; do
    [ -e "$aside" ] || continue
    identity=${aside##*/.pruned.}
    identity=${identity%%.*}
    alone "$identity" || continue
    if [ -n "$(marked "$identity")" ]; then put_back "$identity" "$aside"; else rm -f "$aside"; fi
    if [ ! -e "$images/$identity.sif" ]; then rm -f "$images/$identity.sha256"; fi
  done
}

prune_image() {
  local identity=$1 seen=$2 mark=$base/uses/$1 sif=$images/$1.sif aside=$images/.pruned.$1.$nonce.sif text=- others
  local given_up=$base/uses/.given-up.$1.$nonce
  if ! alone "$identity"; then say "kept $identity a conversion of it is under way"; return; fi
  if [ -e "$mark" ]; then IFS= read -r text <"$mark"; fi
  if [ "$text" != "$seen" ]; then say "kept $identity it has come into use again"; return; fi
  others=$(marked "$identity")
  others=" $others"
  others=${others/" $instance "/ }
  if [ -n "${others// /}" ]; then
    if [ "$text" != - ]; then rm -f "$mark"; fi
    say "shared $identity ${others# }"
    return
  fi
  if ! mv "$sif" "$aside" 2>/dev/null; then
    if [ -e "$sif" ]; then say "kept $identity it cannot be renamed"; return; fi
    rm -f "$mark"
    say "gone $identity"
    return
  fi
  failpoint prune.aside.after
  # The mark itself goes by renaming, so that one that was written anew meanwhile is not taken for it.
  if [ "$text" != - ] && mv "$mark" "$given_up" 2>/dev/null; then
    IFS= read -r text <"$given_up"
    if [ "$text" != "$seen" ]; then mv -n "$given_up" "$mark"; fi
  fi
  failpoint prune.mark.after
  if [ -n "$(marked "$identity")" ]; then
    put_back "$identity" "$aside"
    say "kept $identity it has come into use again"
  elif rm -f "$aside"; then
    rm -f "$images/$identity.sha256"
    say "removed $identity"
  else
    put_back "$identity" "$aside"
    say "kept $identity it cannot be removed"
  fi
  rm -f "$given_up"
}

if [ -d "$images" ]; then
  mend
  while IFS=' ' read -r identity seen; do
    if [ -n "$identity" ]; then prune_image "$identity" "$seen"; fi
  done
fi
say complete
