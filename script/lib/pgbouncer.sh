# Finds PgBouncer, or installs it. Sourced after postgres.sh; talks on stderr, answers on stdout.
#
#   LFK_PGBOUNCER  the program; nothing else is tried then

find_system_pgbouncer() {
  local candidate
  for candidate in /usr/sbin/pgbouncer /usr/local/sbin/pgbouncer "$(command -v pgbouncer || true)"; do
    if [[ -n $candidate && -x $candidate ]] && "$candidate" --version >/dev/null 2>&1; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

# Only the program is wanted: a package may start no service while this file says so.
install_pgbouncer_with_apt() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  say 'installing pgbouncer with apt-get'
  local policy=/usr/sbin/policy-rc.d ours= code=0
  local -x DEBIAN_FRONTEND=noninteractive
  if [[ ! -e $policy ]]; then
    ours=yes
    printf '#!/bin/sh\n# Written by script/lib/pgbouncer.sh of lfk while it installs.\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  { apt-get update -q && apt-get install -q -y --no-install-recommends pgbouncer; } >&2 </dev/null || code=$?
  [[ -z $ours ]] || rm -f -- "$policy"
  return "$code"
}

# Prints the program. Without any it says what to do, and exits the (sub)shell with 2.
find_or_install_pgbouncer() {
  if [[ -n ${LFK_PGBOUNCER:-} ]]; then
    if "$LFK_PGBOUNCER" --version >/dev/null 2>&1; then
      printf '%s\n' "$LFK_PGBOUNCER"
      return 0
    fi
    say "LFK_PGBOUNCER is $LFK_PGBOUNCER, which does not run"
    exit 2
  fi
  find_system_pgbouncer && return 0
  install_pgbouncer_with_apt && find_system_pgbouncer && return 0
  say 'PgBouncer was not found and could not be installed. Do one of these:'
  say "  - as root: apt-get install pgbouncer (or your system's package of it)"
  say '  - set LFK_PGBOUNCER to the program'
  exit 2
}
