# Runs "$@" as a child that cannot outlive the process which holds the other end of stdin.
#
# stdin   a pipe: each line is a signal for the server; its end means that the holder is gone
# stdout  a pipe: what the server logs
# stderr  the lock of the store, held open by the server for as long as it lives
exec 3<&0 4>&2 </dev/null 2>/dev/null

{
    "$@" 3<&- 2>&1 &
    server=$!
    {
        while read -r signal <&3; do
            kill -s "$signal" "$server"
        done
        kill -s TERM "$server"
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            sleep 1
            kill -0 "$server" || exit 0
        done
        kill -s KILL "$server"
    } >/dev/null 4>&- &
    watcher=$!
    exec 3<&- 4>&-
    wait "$server"
    echo "nats-server ended with code $?"
    kill -s KILL "$watcher"
} | {
    # Goes on reading when nobody listens any more: a server that writes its log into a closed pipe
    # would be killed in the middle of its shutdown.
    trap '' PIPE
    exec 3<&- 4>&-
    while IFS= read -r line; do
        printf '%s\n' "$line"
    done
}
