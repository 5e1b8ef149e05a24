#!/usr/bin/env bash
# The tour itself. script/demo runs it with two empty servers in MAIN_DATABASE_URL and CI_DATABASE_URL, and with lfk and sql
# on the PATH.
set -euo pipefail

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
  heading=$'\e[1;36m' typed=$'\e[1m' good=$'\e[32m' bad=$'\e[31m' plain=$'\e[0m'
else
  heading='' typed='' good='' bad='' plain=''
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/tour.XXXXXX")
daemon=
finish() {
  [[ -z $daemon ]] || kill -9 "$daemon" 2>/dev/null || true
  rm -rf -- "$folder"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cd "$folder"

title() { printf '\n%s== %s%s\n' "$heading" "$*" "$plain"; }
tell() { printf '%s\n' "$@"; }
# show COMMAND...: says what it runs, and runs it.
show() {
  printf '%s$ %s%s\n' "$typed" "$*" "$plain"
  "$@"
}
url_of() { if [[ $1 == main ]]; then printf '%s' "$MAIN_DATABASE_URL"; else printf '%s' "$CI_DATABASE_URL"; fi; }
# query DATABASE STATEMENTS: the same for SQL.
query() {
  printf '%s%s=# %s%s\n' "$typed" "$1" "$2" "$plain"
  sql "$(url_of "$1")" "$2"
}
value() { sql --value "$(url_of "$1")" "$2"; }

failed=0
# prove SENTENCE GOT WANTED
prove() {
  if [[ $2 == "$3" ]]; then
    printf '%sproven%s  %s: %s\n' "$good" "$plain" "$1" "$2"
  else
    printf '%sWRONG%s   %s: %s, and not %s\n' "$bad" "$plain" "$1" "$2" "$3"
    failed=1
  fi
}

title 'Two PostgreSQL servers: projects live in "main", their builds in "ci"'
query main "CREATE TABLE projects (id bigint PRIMARY KEY, name text NOT NULL);
         INSERT INTO projects SELECT n, 'project ' || n FROM generate_series(1, 100000) n"
query ci "CREATE TABLE ci_builds (id bigint PRIMARY KEY, project_id bigint NOT NULL, status text NOT NULL);
       INSERT INTO ci_builds SELECT n, 1 + n % 100000, 'ok' FROM generate_series(1, 500000) n;
       CREATE INDEX ci_builds_project ON ci_builds (project_id); ANALYZE"
tell 'No foreign key can hold these two together. lfk is told about it in a file:'
cat >lfk.toml <<'TOML'
format = 1
[database.main]
url = "${MAIN_DATABASE_URL}"
[database.ci]
url = "${CI_DATABASE_URL}"
rows_per_second = 10000        # slow enough to watch

[[loose_foreign_key]]
parent    = "main:public.projects(id)"
child     = "ci:public.ci_builds(project_id)"
on_delete = "delete"
TOML
show cat lfk.toml

title 'Plan and install'
show lfk plan
show lfk install

title 'A new definition observes: it counts what it would do, and changes nothing'
query main 'DELETE FROM projects WHERE id <= 20000'
show lfk run --until-drained
printf '%s$ lfk status --format json | grep -E "state|observed|affected"%s\n' "$typed" "$plain"
lfk status --format json | grep -E 'state|observed|affected'
query ci 'SELECT count(*) AS builds FROM ci_builds'

# What must be the same in the end, whatever happens until then.
kept="SELECT count(*) || ' rows, ' || sum(hashtextextended(b::text, 0)) FROM ci_builds b WHERE project_id > 20000 OR project_id = 4242"
parents="SELECT count(*) || ' rows, ' || sum(hashtextextended(p::text, 0)) FROM projects p"

title 'One project comes back before anybody has cleaned up'
query main "INSERT INTO projects VALUES (4242, 'came back')"
kept_before=$(value ci "$kept")
parents_before=$(value main "$parents")

title 'Activate, and run the daemon: 19,999 projects are gone, with 99,995 builds'
show lfk activate --all
printf '%s$ lfk run &%s\n' "$typed" "$plain"
lfk run &
daemon=$!
# A look costs more than this wait.
while [[ $(value ci 'SELECT count(*) FROM ci_builds') -gt 470000 ]]; do
  kill -0 "$daemon"
  sleep 0.05
done
tell 'In the middle of its work it is killed, as hard as can be:'
show kill -9 "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=
query ci 'SELECT count(*) AS builds FROM ci_builds'
query main "SELECT definition, lease_until > now() AS leased, ceil(extract(epoch FROM lease_until - now())) AS seconds
              FROM lfk.cursor WHERE isfinite(lease_until)"

title 'Another worker takes over when the lease has run out (10 s), and finishes'
printf '%s$ lfk run --until-drained%s\n' "$typed" "$plain"
if [[ -t 2 ]]; then lfk run --until-drained; else lfk -v run --until-drained; fi
show lfk status

title 'Proof, in SQL'
query ci "SELECT count(*) AS builds FROM ci_builds"
orphans="SELECT count(*) FROM unnest(:'stdin'::bigint[]) AS referred(id)
         WHERE NOT EXISTS (SELECT FROM projects p WHERE p.id = referred.id)"
printf '%sci=#   SELECT array_agg(DISTINCT project_id) FROM ci_builds          -- :stdin of the next\n' "$typed"
printf 'main=# %s%s\n' "$orphans" "$plain"
prove 'orphans among the builds' \
  "$(value ci 'SELECT array_agg(DISTINCT project_id) FROM ci_builds' | value main "$orphans")" 0
prove 'builds of the project that came back' "$(value ci 'SELECT count(*) FROM ci_builds WHERE project_id = 4242')" 5
prove 'builds that are left' "$(value ci 'SELECT count(*) FROM ci_builds')" 400005
prove 'all other builds are as they were' "$(value ci "$kept")" "$kept_before"
prove 'the projects are as they were' "$(value main "$parents")" "$parents_before"
prove 'keys that are still pending' "$(lfk status --format json | sed -n 's/.*"pending_keys": \([0-9]*\).*/\1/p')" 0

title 'Leave'
show lfk uninstall --all --yes
traces="SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'lfk') + (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'lfk%')"
prove 'schemas and triggers of lfk in main' "$(value main "$traces")" 0
prove 'schemas and triggers of lfk in ci' "$(value ci "$traces")" 0

if [[ $failed != 0 ]]; then
  tell '' "${bad}Something was not as it should be.$plain"
  exit 1
fi
