# Finds redis-server, or installs it. Sourced after postgres.sh; talks on stderr, answers on stdout.
#
#   LFK_REDIS  the program; nothing else is tried then

find_system_redis() {
  local candidate
  for candidate in "$(command -v redis-server || true)" /usr/bin/redis-server /usr/local/bin/redis-server; do
    if [[ -n $candidate && -x $candidate ]] && "$candidate" --version >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# Only the program is wanted: a package may start no service while this file says so.
install_redis_with_apt() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say 'installing redis-server with apt-get'
  local policy=/usr/sbin/policy-rc.d ours= code=0
  local -x DEBIAN_FRONTEND=noninteractive
  if [[ ! -e $policy ]]; then
    ours=yes
    printf '#!/bin/sh\n# Written by script/lib/redis.sh of lfk while it installs.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  { apt-get update -q && apt-get install -q -y --no-install-recommends redis-server; } >&2 </dev/null || code=$?
  [[ -z $ours ]] || rm -f -- "$policy"
  return "$code"
}

# Prints the program. Without any it says what to do, and exits the (sub)shell with 2.
find_or_install_redis() {
  if [[ -n ${LFK_REDIS:-} ]]; then
    if "$LFK_REDIS" --version >/dev/null 2>&1; then
      printf '%s\n' "$LFK_REDIS"
      return 0
    fi
    say "LFK_REDIS is $LFK_REDIS, which does not run"
    exit 2
  fi
  find_system_redis && return 0
  install_redis_with_apt && find_system_redis && return 0
  say 'redis-server was not found and could not be installed. lfk does not need it, but its tests do. Do one of these:'
  say "  - as root: apt-get install redis-server (or your system's package of it)"
  say '  - set LFK_REDIS to the program, 6.2 or later'
  exit 2
}
