#!/bin/bash
# The cost of an alert, compared with bare servers and with Debian's `webhook` and `prometheus-alertmanager`, on one disk.
#
#   cargo build --release && benches/ingest.sh [PROGRAM] [DIRECTORY]
#
# PROGRAM is the release build by default. Logs are written below DIRECTORY, by default the target directory; on a tmpfs an
# fsync costs nothing, and the figures mean nothing. Every request posts one alert with a kilobyte of body and a different
# firing, with 100 names. Servers that are compared run three times in turns, and the median counts. Takes three minutes, and
# the time that ten thousand incidents take to resolve. Needs bash, coreutils, python3, rustc and the two packages.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/runbook}")
place=$(mktemp -d "${2:-$(dirname "$program")}/ingest.XXXXXX")
server=
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$place"' EXIT

port=${PORT:-8420}
token=0123456789abcdef0123456789abcdef
failed=0

# Compiled alone: with the project it would take minutes.
rustc -O --edition 2024 --allow unknown_lints --allow warnings "$root/benches/ingest/main.rs" -o "$place/ingest"
ingest() { "$place/ingest" "$@"; }

# `figures NAME ARGUMENTS…` runs ingest, and stores each printed `key=value` as was[NAME_key].
declare -A was
figures() {
  local name=$1 pair printed
  shift
  printed=$(ingest "$@")
  for pair in $printed; do was["${name}_${pair%%=*}"]=${pair#*=}; done
}

# `middle WHICH NAME KEY…` stores the first, middle or last value of each key of three runs, NAME1 to NAME3, as was[NAME_key].
middle() {
  local which=$1 name=$2 key
  for key in "${@:3}"; do
    was["${name}_$key"]=$(printf '%s\n' "${was[${name}1_$key]}" "${was[${name}2_$key]}" "${was[${name}3_$key]}" | sort -n | sed -n "${which}p")
  done
}

# `begin PATH COMMAND…` starts a server and waits until it answers on the port; its output is in $place/log.
begin() {
  local path=$1
  shift
  "$@" >"$place/log" 2>&1 &
  server=$!
  until curl --silent --output /dev/null "http://127.0.0.1:$port$path"; do
    kill -0 "$server" 2>/dev/null || { cat "$place/log" >&2; exit 1; }
    sleep 0.01
  done
}

end() {
  kill "$server"
  wait "$server" 2>/dev/null || true
  server=
}

# `memory FIELD` prints a field of the server's memory, in MiB.
memory() { awk -v field="$1:" '$1 == field { print $2 / 1024 }' "/proc/$server/status"; }

# `project NAME` makes a project that accepts alerts; each alert name is an incident.
project() {
  mkdir -p "$place/$1/runbooks"
  printf '%s' "$token" >"$place/token"
  cat >"$place/$1/runbooks/estate.yaml" <<YAML
estate: Bench
default_environment: here
environments: { here: { host: local } }
secrets: { token: { file: "$place/token" } }
senders: { alertmanager: { auth: { bearer: { secret: token } } } }
alerts: { environment: here, group_by: [name], window: 1h, resolve_after: ${resolve_after:-5m} }
YAML
}

# Our log is on the measured disk.
ours() { "$program" --state "$place/$1.state" --dir "$place/$1" "${@:2}"; }
serve() { begin /health "$program" --state "$place/$1.state" --dir "$place/$1" serve --listen "127.0.0.1:$port"; }
hook=(path=/hooks/alertmanager "token=$token")

# `line WHAT VALUE UNIT [LIMIT LIMITNAME [least]]` prints a figure, and whether it is within its limit.
line() {
  local verdict=
  if [ $# -gt 3 ]; then
    verdict=$(python3 -c "
value, limit, least = $2, $4, '${6:-}' == 'least'
within = value >= limit if least else value <= limit
print('%.2f of %s (%.2f %s)%s' % (value / limit, '$5', limit, '$3', '' if within else '  TOO LITTLE' if least else '  TOO MUCH'))")
    [[ $verdict != *TOO* ]] || failed=1
  fi
  printf '%-52s %10.3f %-4s %s\n' "$1" "$2" "$3" "$verdict"
}

# The servers that are compared, three times in turns.
in_turns() {
  local round name
  printf 'route: { receiver: none }\nreceivers: [ { name: none } ]\n' >"$place/alertmanager.yml"
  for round in 1 2 3; do
    begin / "$place/ingest" threads "$port" "$place/threads$round.log"
    figures "threads$round" post "$port" 64 50000
    end
    begin /-/ready prometheus-alertmanager "--config.file=$place/alertmanager.yml" "--storage.path=$place/alertmanager$round" \
      "--web.listen-address=127.0.0.1:$port" --cluster.listen-address= --log.level=error
    figures "alertmanager$round" post "$port" 64 50000 path=/api/v2/alerts form=api
    alertmanager_memory=$(memory VmRSS)
    end
    project "many$round"
    serve "many$round"
    figures "disk$round" sync "$place"
    figures "alone$round" post "$port" 1 2000 "${hook[@]}" from=1000000
    figures "ours$round" post "$port" 64 50000 "${hook[@]}"
    end
  done
  middle 1 disk p50
  for name in threads alertmanager ours; do middle 2 "$name" rate p50 p99; done
  middle 2 alone p50 p99
}

floors() {
  begin / "$place/ingest" bare "$port" "$place/bare.log"
  figures bare post "$port" 64 100000
  figures bare_alone post "$port" 1 3000
  figures bare_first first "$port" 300 "$place/bare.stamps" "path=/twice?$place/ingest,stamp,$place/bare.stamps"
  end

  printf '[{"id":"alerts","execute-command":"/bin/true"}]' >"$place/hooks.json"
  begin / webhook -hooks "$place/hooks.json" -ip 127.0.0.1 -port "$port"
  figures webhook post "$port" 64 5000 path=/hooks/alerts
  end
}

held() {
  project held
  serve held
  sleep 1
  idle=$(memory VmRSS)
  figures held post "$port" 64 100000 "${hook[@]}"
  sleep 2
  after=$(memory VmRSS)
  end
}

first() {
  project first
  printf 'runbook: first\ntitle: First\nseverity: p4\non: { alert: "*", start: auto }\nsteps:\n  - { id: stamp, command: [%s, stamp, %s], effect: read }\n' \
    "$place/ingest" "$place/ours.stamps" >"$place/first/runbooks/first.yaml"
  ours first lint >/dev/null 2>"$place/log" || { cat "$place/log" >&2; exit 1; }
  serve first
  figures ours_first first "$port" 300 "$place/ours.stamps" "${hook[@]}" name=first names=1000000
  end
}

storm() {
  project storm
  serve storm
  figures storm post "$port" 8 10000 "${hook[@]}" rate=167 "taken=$place/taken"
  storm_memory=$(memory VmHWM)
  # Killed at once, without a clean stop.
  kill -KILL "$server"
  wait "$server" 2>/dev/null || true
  server=
  read -r incidents lost < <(python3 - "$place/storm.state/"*.db "$place/taken" <<'PYTHON'
import re, sqlite3, sys
log = sqlite3.connect(sys.argv[1])
bodies = [str(body) for (body,) in log.execute("select body from events")]
held = {number for body in bodies for number in re.findall(r"[0-9a-f]{16}", body)}
taken = open(sys.argv[2]).read().split()
print(log.execute("select count(*) from streams").fetchone()[0], sum(number not in held for number in taken))
PYTHON
)
}

# Ten thousand incidents that alerts opened and resolved.
past() {
  resolve_after=1s project past
  serve past
  ingest post "$port" 64 10000 "${hook[@]}" name=past names=10000 >/dev/null
  ingest post "$port" 64 10000 "${hook[@]}" name=past names=10000 status=resolved >/dev/null
  until [ "$(curl --silent "http://127.0.0.1:$port/metrics" | awk '$1 == "runbook_incidents_live" { print $2 }')" = 0 ]; do sleep 0.2; done
  end
}

# `start NAME` prints the median of five starts, in milliseconds.
start() {
  local round
  for ((round = 0; round < 5; round++)); do
    ingest ready "$program" --state "$place/$1.state" --dir "$place/$1" serve --listen "127.0.0.1:$port"
  done | sort -n | sed -n 3p
}

in_turns
floors
held
first
storm

read -r sync syncs thrice half twice < <(python3 - <<PYTHON
sync = ${was[disk_p50]}
print(sync, 1000 / sync, 3 * sync, ${was[threads_rate]} / 2, 2 * ${was[bare_first_p50]})
PYTHON
)

line 'a block and its fsync' "$sync" ms
line 'fsyncs one after the other' "$syncs" /s
line '64 connections: a bare server, one thread for all' "${was[bare_rate]}" /s
line '64 connections: a bare server, a thread each' "${was[threads_rate]}" /s
line "64 connections: Debian's webhook" "${was[webhook_rate]}" /s
line "64 connections: Debian's Alertmanager" "${was[alertmanager_rate]}" /s
line '64 connections: runbook serve' "${was[ours_rate]}" /s "$half" 'half of a thread each' least
line '' "${was[ours_rate]}" /s "${was[alertmanager_rate]}" 'Alertmanager' least
line '  p50 of the bare server' "${was[bare_p50]}" ms
line '  p99 of the bare server' "${was[bare_p99]}" ms
line '  p50 of Alertmanager' "${was[alertmanager_p50]}" ms
line '  p99 of Alertmanager' "${was[alertmanager_p99]}" ms
line '  p50' "${was[ours_p50]}" ms
line '  p99' "${was[ours_p99]}" ms 50 'the limit'
line 'one connection: p50 of the bare server' "${was[bare_alone_p50]}" ms
line 'one connection: p50' "${was[alone_p50]}" ms "$thrice" '3 fsyncs'
line '  p99' "${was[alone_p99]}" ms
line 'to the first program: p50 of the bare server' "${was[bare_first_p50]}" ms
line 'to the first program: p50' "${was[ours_first_p50]}" ms "$twice" '2 x the bare server'
line '  p99' "${was[ours_first_p99]}" ms
line '10,000 alerts in a minute: incidents' "$incidents" '' 100 'the limit'
line '  not taken' "$((10000 - was[storm_taken]))" '' 1 'one'
line '  taken and not in the log after kill -9' "$lost" '' 0.5 'none'
line '  memory' "$storm_memory" MiB 128 'the limit'
line 'memory: idle' "$idle" MiB 20 'the limit'
line 'memory: after 100,000 alerts' "$after" MiB 64 'the limit'
line "memory: Debian's Alertmanager after 50,000" "$alertmanager_memory" MiB
project empty
ready_empty=$(start empty)
line 'start to ready: empty' "$ready_empty" ms 50 'the limit'
past
ready_past=$(start past)
line 'start to ready: 10,000 past incidents' "$ready_past" ms 200 'the limit'
exit "$failed"
