//! The Debian package, built by `.deb/build` from the program under test: checked, installed, used, started and purged.
//!
//! It is installed over this machine's files in a mount namespace whose writes go to memory, with the real dpkg, triggers and
//! maintainer scripts.
//!
//! Not here: a release build, and cargo-deb, which packs the same list of files for a release.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use runbook::actions::transport::process::output_detached;

use super::real;
use super::real::daemon::{free_port, get};
use super::real::eventually;
use super::real::units::Units;

/// The package, built once for all tests, with its files extracted.
struct Package {
    directory: tempfile::TempDir,
    file: PathBuf,
}

static PACKAGE: LazyLock<Package> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut build = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(".deb/build"));
    build.args(["--plain", env!("CARGO_BIN_EXE_runbook")]).arg(directory.path());
    let output = real::run(&mut build, "dpkg-dev");
    let file = PathBuf::from(String::from_utf8(output.stdout).expect("UTF-8").trim());
    let mut extract = Command::new("dpkg-deb");
    extract.arg("-x").arg(&file).arg(directory.path().join("root"));
    real::run(&mut extract, "dpkg");
    Package { directory, file }
});

impl Package {
    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root().join(path)).expect("the package has it")
    }
}

#[test]
fn the_package_has_no_error_by_debians_own_rules() {
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error", "--tag-display-limit", "0"]).arg(&PACKAGE.file);
    let output = output_detached(&mut lintian).expect("lintian starts; install the Debian package `lintian`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn units_completions_and_manual_pages_of_the_package_are_valid() {
    let root = PACKAGE.root();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]);
    verify.args(["socket", "service"].map(|kind| root.join(format!("lib/systemd/system/runbook.{kind}"))));
    let output = output_detached(&mut verify).expect("systemd-analyze starts; install the Debian package `systemd`");
    let printed = String::from_utf8_lossy(&output.stderr);
    // The program is not installed at the path in the unit.
    let ours = printed.lines().filter(|line| line.contains("runbook.s") && !line.contains("is not executable"));
    assert_eq!(ours.collect::<Vec<_>>(), [""; 0], "{printed}");
    let mut bash = Command::new("bash");
    bash.arg("-n").arg(root.join("usr/share/bash-completion/completions/runbook"));
    real::run(&mut bash, "bash");
    let mut page = Command::new("gzip");
    page.arg("-dc").arg(root.join("usr/share/man/man1/runbook-stats.1.gz"));
    let page = real::run(&mut page, "gzip");
    assert!(String::from_utf8_lossy(&page.stdout).contains("runbook stats"));
    assert!(PACKAGE.text("usr/share/zsh/vendor-completions/_runbook").starts_with("#compdef runbook"));
    assert!(PACKAGE.text("usr/share/fish/vendor_completions.d/runbook.fish").contains("complete -c runbook"));
}

#[test]
fn the_packaged_rule_allows_nothing_before_the_estate_names_a_unit() {
    let rule = PACKAGE.text("etc/polkit-1/rules.d/50-runbook.rules");
    assert!(!rule.contains("YES"), "{rule}");
}

/// Installs the package over this machine's files, uses it, removes and purges it. `$1` is a directory, `$2` the package.
const LIFE: &str = r#"
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/all"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/all"
mount --rbind /proc "$1/all/proc"
mount --rbind /dev "$1/all/dev"
# Without systemd's sockets.
mount -t tmpfs tmpfs "$1/all/run"
cp "$2" "$1/all/package.deb"
left() { (cd "$1/upper" && find . -name '*runbook*' -not -type c -not -path './var/lib/dpkg/*' | sort); }
inside() { chroot "$1/all" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -euc "$2" 2>&1; }
inside "$1" 'dpkg -i /package.deb'
echo '== used'
inside "$1" '
  getent passwd runbook
  install -d -m 700 -o runbook -g runbook /var/lib/runbook
  printf "runbook: look\ntitle: Look\nseverity: p4\nsteps: [{ id: look, name: Look, command: [\"true\"], effect: read }]\n" > /etc/runbook/runbooks/look.yaml
  as="setpriv --reuid runbook --regid runbook --clear-groups runbook --dir /etc/runbook --state /var/lib/runbook"
  $as lint
  $as start look --auto
  $as resolve last
  $as stats'
echo '== removed'
inside "$1" 'rm /etc/runbook/runbooks/look.yaml; dpkg -r runbook; test -e /var/lib/runbook/runbook.db; test -e /etc/runbook/runbooks/estate.yaml; ! test -e /usr/bin/runbook'
echo '== purged'
inside "$1" 'dpkg -P runbook; ! test -e /var/lib/runbook; test -s /var/backups/runbook-*/runbook.db; rm -r /var/backups/runbook-*'
echo '== left'
left "$1"
"#;

#[test]
fn purging_the_package_leaves_only_the_account_and_the_log() {
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let mut life = Command::new("unshare");
    life.args(["--mount", "--propagation", "private", "bash", "-c", LIFE, "life"]).arg(place.path()).arg(&PACKAGE.file);
    let output = output_detached(&mut life).expect("`unshare` is there: package util-linux");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let (_, used) = printed.split_once("== used").expect("there is a `== used` line");
    let (used, left) = used.split_once("== left\n").expect("there is a `== left` line");
    assert!(used.contains(":/var/lib/runbook:"), "the account: {printed}");
    assert!(used.contains("Time to:"), "statistics of its one incident: {printed}");
    assert!(used.contains("the log of incidents is kept in /var/backups/runbook-"), "{printed}");
    assert_eq!(left, "", "{printed}");
}

/// The packaged service for a private user manager: without settings that need the system manager, and with the paths of the
/// extracted package.
fn adapted(root: &Path, state: &Path) -> String {
    let text = PACKAGE.text("lib/systemd/system/runbook.service");
    let kept = ["[", "Description=", "Type=", "NotifyAccess=", "ExecStart=", "KillMode=", "TimeoutStopSec="];
    let lines = text.lines().filter(|line| kept.iter().any(|prefix| line.starts_with(prefix)));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    let program = lines.replace("ExecStart=/usr/bin/", &format!("ExecStart={}/usr/bin/", root.display()));
    assert_ne!(program, lines, "the program is in /usr/bin: {text}");
    assert!(text.contains("RUNBOOK_DIR=/etc/runbook"), "{text}");
    let place = format!("Environment=RUNBOOK_DIR={}/etc/runbook RUNBOOK_STATE={}", root.display(), state.display());
    format!("{program}[Service]\n{place} PATH=/usr/bin:/bin\n")
}

#[test]
fn the_packaged_service_starts_by_its_socket() {
    let (port, units) = (free_port(), Units::bare(&[]));
    let state = units.directory().join("state");
    units.write_unit("runbook.service", &adapted(&PACKAGE.root(), &state));
    let socket = PACKAGE.text("lib/systemd/system/runbook.socket");
    let there = socket.replace("127.0.0.1:8417", &format!("127.0.0.1:{port}"));
    assert_ne!(there, socket, "{socket}");
    units.write_unit("runbook.socket", &there);
    units.systemctl(&["daemon-reload"]);
    units.systemctl(&["start", "runbook.socket"]);
    eventually("the service answers", || get(port, "/health/ready").is_some_and(|(status, _)| status == 200));
    assert_eq!(units.property("runbook.service", "ActiveState"), "active");
    units.systemctl(&["stop", "runbook.service"]);
    assert_eq!(units.property("runbook.service", "Result"), "success");
    units.stop();
}
