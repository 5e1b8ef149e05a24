# Waits until the test process is gone, then stops its servers and removes its folder.
# $1: the folder of the run. $2: "keep" leaves the folder.
trap '' HUP INT TERM
cat >/dev/null

# A number may have been given to another process since: only one whose command line names the folder is ours.
ours() { grep -aqF -- "$1/" "/proc/$2/cmdline" 2>/dev/null; }

for signal in QUIT KILL; do
    patience=100
    while [ "$patience" -gt 0 ]; do
        left=
        for file in "$1"/*/pg/postmaster.pid "$1"/*/redis.pid; do
            [ -f "$file" ] || continue
            pid=$(head -n 1 "$file")
            ours "$1" "$pid" || continue
            left=yes
            [ "$patience" -lt 100 ] || kill -s "$signal" "$pid" 2>/dev/null
        done
        [ -n "$left" ] || break
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
