#!/bin/bash
# The cost of a step, compared with the spawn of a process, an fsync and a bash loop, on one disk.
#
#   cargo build --release && benches/overhead.sh [PROGRAM] [DIRECTORY]
#
# PROGRAM is the release build by default. Logs are written below DIRECTORY, by default the target directory; on a tmpfs an
# fsync costs nothing, and the figures mean nothing. The cost of a step is the difference between a run of many steps and a
# run of one; the cost of a run has its own line. Every figure is the best of five rounds in turns, since other work on the
# machine only adds to it. Needs bash, coreutils and python3.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/runbook}")
place=$(mktemp -d "${2:-$(dirname "$program")}/overhead.XXXXXX")
trap 'kill "${waiting:-}" 2>/dev/null || true; rm -rf "$place"' EXIT

rounds=5
spawns=1000
steps=200

# Seconds since the epoch with a fraction, without a process.
now() { printf '%s' "$EPOCHREALTIME"; }

# `best NAME COMMAND…` stores the shortest time of a command, in milliseconds, in best_NAME.
best() {
  local name=best_$1 before after time
  shift
  before=$(now)
  "$@" >/dev/null 2>&1 </dev/null
  after=$(now)
  time=$(python3 -c "print(($after - $before) * 1000)")
  printf -v "$name" '%s' "$(python3 -c "print(min($time, float('${!name:-inf}')))")"
}

bash_loop() { bash -c 'for ((i = 0; i < '$spawns'; i++)); do /bin/true; done'; }

# Prints the milliseconds of a spawn (posix_spawn and wait) and of an appended block with its fsync, both measured in one
# process.
floors() {
  python3 - "$place/floor" <<'PYTHON'
import os, sys, time
def best(action, count, rounds=5):
    shortest = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(count):
            action()
        shortest = min(shortest, (time.perf_counter() - begun) / count)
    return shortest * 1000
def spawn():
    os.waitpid(os.posix_spawn("/bin/true", ["/bin/true"], {}), 0)
file = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
block = bytes(4120)
def sync():
    os.write(file, block)
    os.fsync(file)
print(best(spawn, 200), best(sync, 100))
PYTHON
}

project() {
  mkdir -p "$place/project/runbooks"
  printf 'estate: Bench\nenvironments:\n  here: { host: local }\n' >"$place/project/runbooks/estate.yaml"
  runbook reads 'effect: read'
  steps=1 runbook one 'effect: read'
  runbook changes 'effect: once, verify: { command: [/bin/true], effect: read, within: 5s }'
  printf 'runbook: waits\ntitle: Waits\nseverity: p4\nsteps:\n  - { id: pause, wait: 1h }\n' \
    >"$place/project/runbooks/waits.yaml"
}

# A runbook of many steps that do nothing.
runbook() {
  {
    printf 'runbook: %s\ntitle: Steps that do nothing\nseverity: p4\nsteps:\n' "$1"
    for ((i = 0; i < steps; i++)); do
      printf '  - { id: s%s, command: [/bin/true], %s }\n' "$i" "$2"
    done
  } >"$place/project/runbooks/$1.yaml"
}

run() { "$program" --state "$place/state" --dir "$place/project" "$@"; }

memory() {
  # Not by `run`: the memory of its shell must not count.
  "$program" --state "$place/state" --dir "$place/project" start waits --auto --output jsonl </dev/null >"$place/waits" 2>&1 &
  waiting=$!
  # It is at rest when it has printed what it waits for.
  until grep -q '"asked"' "$place/waits"; do
    kill -0 "$waiting" || { cat "$place/waits" >&2; exit 1; }
    sleep 0.05
  done
  sleep 1
  rss=$(awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$waiting/status")
  kill "$waiting"
  wait "$waiting" 2>/dev/null || true
  waiting=
}

# `line WHAT VALUE UNIT [LIMIT LIMITNAME]` prints a figure, and whether it is within its limit.
failed=0
line() {
  local verdict=
  if [ $# -gt 3 ]; then
    verdict=$(python3 -c "print('%.2f of %s (%.2f %s)%s' % ($2 / $4, '$5', $4, '$3', '' if $2 <= $4 else '  TOO MUCH'))")
    [[ $verdict != *'TOO MUCH' ]] || failed=1
  fi
  printf '%-44s %9.3f %-4s %s\n' "$1" "$2" "$3" "$verdict"
}

project
run lint >/dev/null 2>&1
run start reads --auto </dev/null >/dev/null 2>&1 # Creates the log, and fails if it cannot.
read -r spawn sync < <(floors)
for ((round = 0; round < rounds; round++)); do
  best loop bash_loop
  best one run start one --auto
  best reads run start reads --auto
  best changes run start changes --auto
  best version run --version
  best list run list
done
read -r again_spawn again_sync < <(floors)
memory

eval "$(python3 - <<PYTHON
spawn, sync = min($spawn, $again_spawn), min($sync, $again_sync)
print(f"spawn={spawn} sync={sync} syncs={2 * sync} floor={2 * (spawn + 2 * sync)}")
print(f"loop={$best_loop / $spawns} loops={1.5 * $best_loop / $spawns}")
print(f"read={($best_reads - $best_one) / ($steps - 1)} change={($best_changes - $best_one) / ($steps - 1) / 2}")
PYTHON
)"

line 'spawn of /bin/true' "$spawn" ms
line 'a block and its fsync' "$sync" ms
line 'two of them' "$syncs" ms
line 'bash loop, each /bin/true' "$loop" ms
line 'runbook, each step that reads' "$read" ms "$floor" '2 x (spawn + 2 fsyncs)'
line '' "$read" ms "$loops" '1.5 x bash'
line 'runbook, each of a change and its check' "$change" ms "$floor" '2 x (spawn + 2 fsyncs)'
line '' "$change" ms "$loops" '1.5 x bash'
line 'runbook, a run of one step' "$best_one" ms
line 'runbook --version' "$best_version" ms 20 'the limit'
line 'runbook list' "$best_list" ms 20 'the limit'
line 'resident memory of a waiting run' "$rss" MiB 20 'the limit'
exit "$failed"
