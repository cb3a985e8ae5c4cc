# Whether a container of the SIF $sif gets the environment that its image gives, value by value. $container_program is
# set before. Apptainer writes ENV into a script that a shell reads, without quoting for one (1.4.5: insertEnv in
# internal/pkg/build/sources/conveyorPacker_oci.go; seen in a SIF's /.singularity.d/env/10-docker2singularity.sh): one
# backquote, and the whole script is passed over, with a line on standard error and exit code 0; "$" is expanded, quotes
# and backslashes get another backslash. The image's own configuration is in the SIF beside it (oci-config.json).

# Standard input: an image's configuration. Out: NAME=VALUE, a line each, line breaks in a value as \001.
wanted_program='
function code(digits,  at, value) {
  for (at = 1; at <= 4; at++) value = value * 16 + index("0123456789abcdef", tolower(substr(digits, at, 1))) - 1
  return value
}
function bytes(point) {
  if (point < 128) return sprintf("%c", point)
  if (point < 2048) return sprintf("%c%c", 192 + int(point / 64), 128 + point % 64)
  if (point < 65536) return sprintf("%c%c%c", 224 + int(point / 4096), 128 + int(point / 64) % 64, 128 + point % 64)
  return sprintf("%c%c%c%c", 240 + int(point / 262144), 128 + int(point / 4096) % 64, 128 + int(point / 64) % 64, 128 + point % 64)
}
{ text = text $0 }
END {
  at = index(text, "\"Env\":[")
  if (!at) exit
  for (at += 7; substr(text, at, 1) == "\""; at += substr(text, at, 1) == ",") {
    value = ""
    for (at++; (sign = substr(text, at, 1)) != "\"" && sign != ""; at++) {
      if (sign == "\\") {
        sign = substr(text, ++at, 1)
        if (sign == "u") {
          point = code(substr(text, at + 1, 4))
          at += 4
          if (point >= 55296 && point < 56320 && substr(text, at + 1, 2) == "\\u") {
            point = 65536 + (point - 55296) * 1024 + code(substr(text, at + 3, 4)) - 56320
            at += 6
          }
          sign = point == 10 ? "\001" : bytes(point)
        } else if (sign == "n") sign = "\001"
        else if (sign == "t") sign = "\t"
        else if (sign == "r") sign = "\r"
        else if (sign == "b") sign = "\b"
        else if (sign == "f") sign = "\f"
      }
      value = value sign
    }
    at++
    print value
  }
}'

# Standard input: lines of what is wanted with W before each, of what is seen with S. Out: what is wrong, a line each.
compared_program='
function shown(name) { gsub(/[^A-Za-z0-9_.-]/, "?", name); return name == "" ? "?" : substr(name, 1, 60) }
{
  side = substr($0, 1, 1)
  at = index($0, "=")
  if (!at) next
  name = substr($0, 2, at - 2)
  value = substr($0, at + 1)
  if (side == "S") { seen[name] = value; next }
  if (!(name in wanted)) names[++count] = name
  wanted[name] = value
}
END {
  for (at = 1; at <= count; at++) {
    name = names[at]
    # What the program, or an interactive shell, sets or takes from outside.
    if (name ~ /^(HOME|PWD|OLDPWD|SHLVL|TERM|LANG|USER|LOGNAME|PS1|PROMPT_COMMAND|_)$/) continue
    if (name ~ /^(APPTAINER|SINGULARITY)/ || tolower(name) ~ /_proxy$/) continue
    if (name in seen) {
      if (seen[name] == wanted[name]) continue
      # The program adds to these at their end.
      if (name ~ /^(PATH|LD_LIBRARY_PATH)$/ && index(seen[name], wanted[name] ":") == 1) continue
      if (++others <= 10) changed = changed (changed == "" ? "" : ", ") shown(name)
    } else if (++gone <= 10) lost = lost (lost == "" ? "" : ", ") shown(name)
  }
  if (!gone && !others) exit
  for (at = 1; at <= count; at++)
    if (names[at] !~ /^[A-Za-z_][A-Za-z0-9_]*$/ || wanted[names[at]] ~ /[`$"\\\001-\037\177]/)
      if (++causes <= 10) cause = cause (cause == "" ? "" : ", ") shown(names[at])
  if (gone) print "gone are " lost (gone > 10 ? " and " gone - 10 " more" : "")
  if (others) print "changed are " changed (others > 10 ? " and " others - 10 " more" : "")
  if (causes) print "what cannot be carried over is in " cause (causes > 10 ? " and " causes - 10 " more" : "")
}'

# image_config: the configuration of the image that the SIF was made from; nothing from programs that do not keep it.
image_config() {
  local id
  for id in $("$container_program" sif list "$sif" 2>/dev/null | awk -F'|' '/JSON.Generic/ { print $1 + 0 }'); do
    if "$container_program" sif info "$id" "$sif" 2>/dev/null | grep -q 'oci-config\.json'; then
      "$container_program" sif dump "$id" "$sif" 2>/dev/null
      return
    fi
  done
}

# environment_seen: NAME=VALUE as wanted_program has it; nothing from an image without a program that could tell.
environment_seen() {
  local way
  for way in 'env -0' 'cat /proc/self/environ'; do
    # shellcheck disable=SC2086
    if "$container_program" exec --cleanenv --no-home "$sif" $way 2>/dev/null | tr '\n\0' '\1\n' | grep .; then return; fi
  done
}

# check_environment: whether all of it is there; what is not is said on standard output.
check_environment() (
  export LC_ALL=C
  # What a site or a user adds to each container is not the image's.
  unset ${!APPTAINERENV_*} ${!SINGULARITYENV_*} APPTAINER_ENV APPTAINER_ENV_FILE SINGULARITY_ENV SINGULARITY_ENV_FILE
  wanted=$(image_config | awk "$wanted_program")
  if [ -z "$wanted" ]; then exit 0; fi
  seen=$(environment_seen)
  if [ -z "$seen" ]; then exit 0; fi
  wrong=$({ printf '%s\n' "$wanted" | sed 's/^/W/'; printf '%s\n' "$seen" | sed 's/^/S/'; } | awk "$compared_program")
  if [ -z "$wrong" ]; then exit 0; fi
  said=$("$container_program" exec --cleanenv --no-home "$sif" true 2>&1 | grep -m 1 docker2singularity)
  printf 'environment-lost the environment that the image gives does not reach a container: %s. ' "${wrong//$'\n'/; }"
  printf '%s' 'In a SIF, the values of ENV are read as shell text: keep `, $, ", \ and line breaks out of them, and names '
  printf '%s' 'to letters, digits and _. Change ENV in the Dockerfile (of an image that is not yours, build one FROM it '
  printf '%s' 'that sets these anew), and set such values in env: of the job'
  if [ -n "$said" ]; then printf ' (%s)' "$said"; fi
  printf '\n'
  exit 1
)
