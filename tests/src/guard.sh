# Waits until the test process is gone, then stops its servers and removes its folder.
# $1: the folder of the run. $2: "keep" leaves the folder.
trap '' HUP INT TERM
cat >/dev/null

# Servers are found by the folder that their command lines name: their own files say nothing of one that has only begun.
# The pattern comes through a pipe, else grep would find itself.
servers() {
    printf '%s/' "$1" | grep -laF -f - /proc/[0-9]*/cmdline 2>/dev/null | while IFS=/ read -r _ _ pid _; do echo "$pid"; done
}

for signal in QUIT KILL; do
    patience=100
    while [ "$patience" -gt 0 ]; do
        left=$(servers "$1")
        [ -n "$left" ] || break
        # shellcheck disable=SC2086 # one number each
        [ "$patience" -lt 100 ] || kill -s "$signal" $left 2>/dev/null
        patience=$((patience - 1))
        sleep 0.05
    done
    [ -n "$left" ] || break
done

# A server that was killed has left its System V segment; the seventh line of its file says which.
for file in "$1"/*/pg/postmaster.pid; do
    [ -f "$file" ] || continue
    segment=$(sed -n 's/^ *[0-9][0-9]* *\([0-9][0-9]*\) *$/\1/p' "$file" | head -n 1)
    [ -z "$segment" ] || ipcrm -m "$segment" 2>/dev/null
done

[ "$2" = keep ] && exit 0
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" && break
    sleep 0.2
done
