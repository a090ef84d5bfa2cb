#!/bin/bash
# The cost of `runbook status` for nineteen services, compared with a script that calls `systemctl` for each, on one private
# systemd manager.
#
#   cargo build --release && benches/status.sh [PROGRAM]
#
# PROGRAM is the release build by default. Every figure is the best of rounds in turns, since other work on the machine only
# adds to it. Needs root for a control group, bash, python3, systemd, dbus-daemon and util-linux.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
program=$(realpath "${1:-${CARGO_TARGET_DIR:-$root/target}/release/runbook}")
place=$(mktemp -d /tmp/status.XXXXXX)
rounds=${ROUNDS:-20}
base=${PORT:-18500}
services=(gateway backend config notifications tracking scheduler fraud coupon loyalty invoicing pricing settlement whatsapp
  reports reconciliation search analytics moderation recommendations)
groups=()
manager=
made=

finish() {
  if [ -n "$manager" ]; then
    kill "$manager" 2>/dev/null || true
    wait "$manager" 2>/dev/null || true
  fi
  local group pid
  for group in "${groups[@]}"; do
    while read -r -d '' group_procs; do
      while read -r pid; do kill -9 "$pid" 2>/dev/null || true; done <"$group_procs"
    done < <(find "$group" -depth -name cgroup.procs -print0 2>/dev/null)
    find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
  [ -z "$made" ] || rmdir /run/systemd/system 2>/dev/null || true
  rm -rf "$place"
}
trap finish EXIT

# A manager treats the control group in which it starts as its root, so it gets its own.
own_groups() {
  local hierarchy path root
  while IFS=: read -r _ hierarchy path; do
    case $hierarchy in
      '') root=/sys/fs/cgroup; [ -e $root/cgroup.procs ] || root=/sys/fs/cgroup/unified ;;
      name=systemd | memory | pids) root=/sys/fs/cgroup/${hierarchy#name=} ;;
      *) continue ;;
    esac
    [ -d "$root" ] || continue
    mkdir "$root${path%/init.scope}/runbook_bench_$$.slice"
    groups+=("$root${path%/init.scope}/runbook_bench_$$.slice")
  done </proc/self/cgroup
}

unit() {
  mkdir -p "$place/units"
  cat >"$place/units/$1"
}

units() {
  printf '[Unit]\nWants=dbus.socket\nAfter=dbus.socket\n' | unit basic.target
  printf '[Unit]\nRequires=basic.target dbus.service\nAfter=basic.target dbus.service\n' | unit default.target
  printf '[Unit]\nDefaultDependencies=no\nRefuseManualStart=yes\n' | unit shutdown.target
  printf '[Unit]\nDefaultDependencies=no\nRequires=systemd-exit.service\nAfter=systemd-exit.service\n' | unit exit.target
  printf '[Unit]\nDefaultDependencies=no\nRequires=shutdown.target\nAfter=shutdown.target\nSuccessAction=exit-force\n[Service]\nSlice=-.slice\n' |
    unit systemd-exit.service
  printf '[Socket]\nListenStream=%%t/bus\n' | unit dbus.socket
  cat <<'UNIT' | unit dbus.service
[Unit]
Requires=dbus.socket
[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only
UNIT
  local at
  for at in "${!services[@]}"; do
    printf '[Service]\nExecStart=%s demo-service --name %s --port %s --fault-file %s/broken.%s\n' \
      "$program" "${services[at]}" "$((base + at))" "$place" "${services[at]}" | unit "pakashop-${services[at]}.service"
  done
}

estate() {
  mkdir -p "$place/project/runbooks"
  {
    printf 'estate: Bench\nenvironments:\n  production: { systemd: "unix:path=%s/run/bus" }\nservices:\n' "$place"
    for at in "${!services[@]}"; do
      printf '  %s: { unit: pakashop-%s.service, port: %s }\n' "${services[at]}" "${services[at]}" "$((base + at))"
    done
  } >"$place/project/runbooks/estate.yaml"
}

start() {
  mkdir -m 700 "$place/run"
  [ -d /run/systemd/system ] || { mkdir /run/systemd/system && made=yes; }
  own_groups
  (
    for group in "${groups[@]}"; do echo "$BASHPID" >"$group/cgroup.procs"; done
    exec env -i PATH="$PATH" HOME="$place" XDG_RUNTIME_DIR="$place/run" XDG_CONFIG_HOME="$place/config" \
      SYSTEMD_UNIT_PATH="$place/units" setpriv --pdeathsig KILL /lib/systemd/systemd --user --log-target=null \
      >"$place/manager.log" 2>&1 </dev/null
  ) &
  manager=$!
  export XDG_RUNTIME_DIR=$place/run
  unset DBUS_SESSION_BUS_ADDRESS
  local tries=0
  until systemctl --user is-active --quiet dbus.service 2>/dev/null && [ -S "$place/run/bus" ]; do
    kill -0 "$manager" && ((tries++ < 600)) || { cat "$place/manager.log" >&2; exit 1; }
    sleep 0.05
  done
  systemctl --user start "${services[@]/#/pakashop-}"
  for at in "${!services[@]}"; do
    tries=0
    until (exec 3<>"/dev/tcp/127.0.0.1/$((base + at))") 2>/dev/null; do
      ((tries++ < 600)) || { echo "${services[at]} does not listen" >&2; exit 1; }
      sleep 0.05
    done
  done
}

# The script that it is compared with: one process for the state of each service.
cat >"$place/loop.sh" <<'SCRIPT'
#!/bin/bash
for name; do
  if state=$(systemctl --user is-active "pakashop-$name"); then
    printf '\e[32m[OK]\e[0m   %s\n' "$name"
  else
    printf '\e[31m[FAIL]\e[0m %s: %s\n' "$name" "$state"
  fi
done
SCRIPT

loop() { bash "$place/loop.sh" "${services[@]}"; }
one_call() { busctl --user call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager \
  ListUnitsByNames as "${#services[@]}" "${services[@]/%/.service}"; }
spawn() { /bin/true; }
ours() { "$program" --dir "$place/project" status "$@"; }

# `best NAME COMMAND…` stores the shortest time of a command, in microseconds, in best_NAME.
best() {
  local name=best_$1 before after time
  shift
  before=$EPOCHREALTIME
  "$@" >"$place/log" 2>&1 </dev/null || { cat "$place/log" >&2; exit 1; }
  after=$EPOCHREALTIME
  time=$(((${after/./} - ${before/./})))
  if [ -z "${!name:-}" ] || ((time < ${!name})); then printf -v "$name" '%s' "$time"; fi
}

failed=0
# `line WHAT MICROSECONDS [TIMES]` prints a figure, and whether it is at least TIMES times faster than the loop.
line() {
  local verdict=
  if [ $# -gt 2 ]; then
    verdict=$(python3 -c "
times = $best_loop / $2
print('%.1f times faster than the loop, %s wanted%s' % (times, '$3', '' if times >= $3 else '  TOO SLOW'))")
    [[ $verdict != *'TOO SLOW' ]] || failed=1
  fi
  printf '%-48s %9.3f ms  %s\n' "$1" "$(python3 -c "print($2 / 1000)")" "$verdict"
}

units
estate
start
for ((round = 0; round < rounds; round++)); do
  best loop loop
  best plain ours --no-probes
  best probed ours
  best call one_call
  best spawn spawn
  best version "$program" --version
done

line 'floor: a process that does nothing' "$best_spawn"
line 'floor: runbook --version' "$best_version"
line 'floor: busctl, one call for the states only' "$best_call"
line 'peer: bash, systemctl is-active for each of 19' "$best_loop"
line 'ours: runbook status --no-probes' "$best_plain" 10
line 'ours: runbook status, 38 health requests besides' "$best_probed" 1
exit "$failed"
