#!/bin/bash
# The cost of a search of a journal with a million lines, compared with `journalctl` and `grep`, on the same files.
#
#   cargo build --release && benches/logs.sh [PROGRAM] [DIRECTORY]
#
# PROGRAM is the release build by default. systemd-journal-remote makes the journal, 0.7 GB, below DIRECTORY, by default the
# target directory: one day of nineteen services that log pino's JSON. Every time is the best of three rounds in turns, since
# other work on the machine only adds to it, with the files in memory. The benchmark fails if the two find different lines.
# Needs bash, coreutils, grep, python3, systemd and systemd-journal-remote.
# shellcheck disable=SC2016,SC2154,SC2317  # `bash -c` expands its words and calls the functions, and `best` sets its variables
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
runbook=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/runbook}")
place=$(mktemp -d "${2:-$(dirname "$runbook")}/logs.XXXXXX")
trap 'rm -rf "$place"' EXIT

lines=${LINES_OF_JOURNAL:-1000000}
rounds=${ROUNDS:-3}
# A past day, so that both search the same lines.
from='2025-11-23 00:00:00'

mkdir -p "$place/journal" "$place/project/runbooks"
python3 - "$lines" "$place/project/runbooks/estate.yaml" "$place/journal" <<'PYTHON' | /lib/systemd/systemd-journal-remote --output="$place/journal/day.journal" - 2>/dev/null
import json, random, sys
count, estate, journal = int(sys.argv[1]), sys.argv[2], sys.argv[3]
names = """gateway backend config notifications tracking scheduler fraud coupon loyalty invoicing pricing settlement whatsapp
reports reconciliation search analytics moderation recommendations""".split()
with open(estate, "w") as file:
    file.write(f"estate: Bench\nenvironments:\n  here: {{ host: local, journal: {journal} }}\nservices:\n")
    for name in names:
        file.write(f"  {name}: {{ unit: shop-{name}.service }}\n")
words = ["order placed", "payment accepted", "connect ECONNREFUSED 10.0.3.%d:5432", "cache miss for key user:%d",
         "GET /api/v1/products/%d 200", "reserved stock for order", "zra.validate took %d ms", "slow query: %d ms"]
random.seed(7)
begin, step, boot = 1763856000 * 10**6, 86400 * 10**6 // count, "6a3f0c5d9e1b4f7ca2d84b60e7913c55"
out = sys.stdout.buffer
for line in range(count):
    place, at = line * 7 % 19, begin + line * step
    name, message = names[place], random.choice(words)
    level = random.choices([20, 30, 40, 50, 60], [10, 80, 6, 3.9, 0.1])[0]
    pino = json.dumps({
        "level": level, "time": at // 1000, "pid": 1000 + place, "hostname": "web1", "service": f"shop-{name}",
        "traceId": "%032x" % random.getrandbits(128), "spanId": "%016x" % random.getrandbits(64),
        "msg": message % random.randrange(1000) if "%" in message else message,
        "orderId": "A-%d" % (77777 if line % 100000 == 1 else random.randrange(70000)), "gateway": "pawapay",
        "phone": "+26097%07d" % random.randrange(10**7)}, separators=(",", ":"))
    out.write(f"""__REALTIME_TIMESTAMP={at}
__MONOTONIC_TIMESTAMP={line * step}
_BOOT_ID={boot}
_TRANSPORT=stdout
_MACHINE_ID={boot}
_HOSTNAME=web1
PRIORITY=6
SYSLOG_FACILITY=3
SYSLOG_IDENTIFIER=shop-{name}
_UID=1001
_GID=1001
_COMM=node
_EXE=/usr/bin/node
_CMDLINE=node dist/main.js
_CAP_EFFECTIVE=0
_SYSTEMD_CGROUP=/system.slice/shop-{name}.service
_SYSTEMD_UNIT=shop-{name}.service
_SYSTEMD_SLICE=system.slice
_PID={1000 + place}
MESSAGE={pino}

""".encode())
PYTHON
order=A-77777

run() { TZ=UTC "$runbook" --state "$place/state" --dir "$place/project" logs --since "$from" "$@"; }
peer() { TZ=UTC journalctl --directory="$place/journal" --no-pager --since "$from" "$@"; }

# Runs a command with its output in $place/<name>; stores its shortest time in seconds in best_<name>, and the least processor
# time of it and its children, which other work on the machine hardly changes, in cpu_<name>.
best() {
  local name=$1 time cpu
  shift
  read -r time cpu < <(python3 - "$place/$name" "$@" <<'PYTHON'
import resource, subprocess, sys, time
begun = time.perf_counter()
with open(sys.argv[1], "wb") as out:
    subprocess.run(sys.argv[2:], stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(time.perf_counter() - begun, used.ru_utime + used.ru_stime)
PYTHON
  )
  local best_name=best_$name cpu_name=cpu_$name
  printf -v "$best_name" '%s' "$(python3 -c "print(min($time, float('${!best_name:-inf}')))")"
  printf -v "$cpu_name" '%s' "$(python3 -c "print(min($cpu, float('${!cpu_name:-inf}')))")"
}

# Runs a command and prints the peak anonymous memory of it and its children, in MiB. Pages of journal files are page cache.
# Separate from the times, since the measurement slows the command down.
peak() {
  python3 - "$@" <<'PYTHON'
import os, subprocess, sys
def memory(pid):
    total, waiting = 0, [pid]
    while waiting:
        pid = waiting.pop()
        try:
            with open(f"/proc/{pid}/status") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("RssAnon"))
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as file:
                    waiting += [int(child) for child in file.read().split()]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return total
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
most = 0
while child.poll() is None:
    most = max(most, memory(child.pid))
    try:
        child.wait(0.05)
    except subprocess.TimeoutExpired:
        pass
print(round(most / 1024, 1))
PYTHON
}
export -f run peer
export runbook place from order

failed=0
# `verdict WHAT OURS THEIRS` prints both times, with processor time in brackets, and whether ours is no slower.
verdict() {
  local ours=best_$2 theirs=best_$3 mine=cpu_$2 its=cpu_$3 line
  line=$(python3 -c "print('%6.2f s (%5.2f)   %6.2f s (%5.2f)   %5.1f x  %s' % (${!ours}, ${!mine}, ${!theirs}, ${!its}, ${!theirs} / ${!ours}, 'no slower' if ${!ours} <= ${!theirs} else 'SLOWER'))")
  [[ $line != *SLOWER ]] || failed=1
  printf '%-50s %s\n' "$1" "$line"
}
# `same WHAT OURS THEIRS` fails if the two numbers of lines differ.
same() {
  local ours theirs
  ours=$(wc -l <"$place/$2") theirs=$(wc -l <"$place/$3")
  if [ "$ours" != "$theirs" ] || [ "$ours" = 0 ]; then
    printf '%s: %s lines, and the other %s\n' "$1" "$ours" "$theirs"
    failed=1
  fi
}

peer -o cat >/dev/null # Into memory.
for ((round = 0; round < rounds; round++)); do
  best order bash -c 'run --order "$order" -o json'
  best order_cat bash -c 'peer -o cat | grep -w -- "$order"'
  best order_unit bash -c "peer -o cat -u 'shop-*' | grep -w -- \"\$order\""
  best order_short bash -c 'peer | grep -w -- "$order"'
  best order_grep bash -c 'peer -o cat --grep="$order"'
  best one bash -c 'run --order "$order" --service reports -o json'
  best one_cat bash -c 'peer -o cat -u shop-reports | grep -w -- "$order" || true'
  best errors bash -c 'run --level error -o json'
  best errors_cat bash -c "peer -o cat | grep -E '\"level\":(5|6)0,'"
  best people bash -c 'run --order "$order"'
  best summary bash -c 'run --summary'
done
best order_json bash -c 'peer -o json | grep -w -- "$order"' # Half a minute a round.

printf '%s lines, %s, %s cores\n' "$lines" "$(journalctl --version | head -n 1)" "$(nproc)"
printf '%-50s %s\n' '' '     ours              peer, (processor time)'
verdict "one order: journalctl -o cat | grep" order order_cat
verdict "one order: journalctl -o cat -u 'shop-*' | grep" order order_unit
verdict "one order: journalctl | grep" order order_short
verdict "one order: journalctl -o json | grep" order order_json
verdict "one order: journalctl -o cat --grep" order order_grep
verdict "one order, drawn: journalctl -o cat | grep" people order_cat
verdict "one order of one service" one one_cat
verdict "every error" errors errors_cat
printf '%-50s %6.2f s (%5.2f)\n' 'summary of every line' "$best_summary" "$cpu_summary"
for search in "--order $order" '--level error -o json' --summary; do
  most=$(peak bash -c "run $search")
  printf '%-50s %6.1f MiB\n' "most memory, its readers included: $search" "$most"
  python3 -c "import sys; sys.exit($most > 128)" || { echo 'more than 128 MiB'; failed=1; }
done
printf '%-50s %6.1f MiB\n' 'most memory: journalctl -o cat | grep' "$(peak bash -c 'peer -o cat | grep -w -- "$order"')"
same 'one order' order order_cat
same 'every error' errors errors_cat
exit "$failed"
