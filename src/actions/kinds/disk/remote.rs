//! Measures a file system of a remote host, with `stat -f`, `readlink` (coreutils or BusyBox) and the host's list of mounts.
//!
//! **Invariant:** unexpected output of these programs is an error, never a number.

use std::path::Path;

use super::mounts;
use super::mounts::Mount;
use super::{SHOWN_LIMIT, Usage, share};
use crate::actions::transport::host;
use crate::actions::transport::process::{Ending, Job};
use crate::actions::{Context, Progress};
use crate::domain::core::reason::{Reason, ReasonCode};
use crate::domain::core::text::one_line;

/// Prints block size, blocks, free, free for users, inodes and free inodes; then the canonical path; then the mounts.
const SCRIPT: &str = "stat -f -c '%S %b %f %a %c %d' -- \"$1\" && readlink -f -- \"$1\" && cat /proc/self/mountinfo";

/// Measures the file system of a path on the environment's host.
///
/// # Errors
/// `missing`, `access`, `timeout`, `cancelled`, `connection`, `host_unreachable` or `system`, with the path.
pub(super) async fn remote_usage(context: &Context, path: &str) -> Result<Usage, Reason> {
    let shown = one_line(path, SHOWN_LIMIT);
    let error = |code: &'static str, reason: &str| Reason::new(code, format!("`{shown}`: {reason}"));
    let target = context.there(path);
    let target = if path.starts_with('/') { target } else { Path::new(".").join(target) };
    let quiet = Context { progress: Progress::none(), ..context.clone() };
    let argv = ["sh", "-c", SCRIPT, "sh"].map(str::to_owned).into_iter().chain([target.display().to_string()]);
    let job = Job::new(argv, &quiet).env("LC_ALL", "C");
    let (exit, capture) = host::run(&job, &quiet).await?;
    match exit.ending {
        Ending::Code(0) => parse(path, &capture.stdout())
            .ok_or_else(|| error("system", "the output of `stat` and `readlink` has an unknown format")),
        Ending::TimedOut => Err(error("timeout", "no answer in time")),
        Ending::Cancelled => Err(error("cancelled", "it was stopped before an answer came")),
        Ending::Lost => Err(error(ReasonCode::CONNECTION_LOST.as_str(), "the connection was lost")),
        // coreutils have one exit code for every failure; only the message, under LC_ALL=C, distinguishes them.
        Ending::Code(_) | Ending::Signal(_) => Err(match capture.stderr() {
            stderr if stderr.contains("No such file") => Reason::new("missing", format!("there is no `{shown}`")),
            stderr if stderr.contains("Permission denied") => {
                Reason::new("access", format!("this account may not access `{shown}`"))
            }
            stderr => error("system", &one_line(stderr.lines().next_back().unwrap_or_default(), SHOWN_LIMIT)),
        }),
    }
}

/// Parses the output of [`SCRIPT`]. `None` if it has another format.
fn parse(path: &str, printed: &str) -> Option<Usage> {
    let mut lines = printed.lines();
    let numbers: Vec<u64> = lines.next()?.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [block, blocks, unused, free, inodes, inodes_free] = numbers[..] else { return None };
    let canonical = lines.next().filter(|line| line.starts_with('/'))?;
    let list: Vec<&str> = lines.collect();
    let mounts: Vec<Mount> = list.iter().filter_map(|line| mounts::parsed(line)).collect();
    let mount = mounts::of(Path::new(canonical), &mounts);
    let used = blocks.saturating_sub(unused);
    let has_inodes = inodes > 0;
    Some(Usage {
        path: path.to_owned(),
        read_only: mount.read_only,
        mount,
        total: blocks.saturating_mul(block),
        used: used.saturating_mul(block),
        free: free.saturating_mul(block),
        percent: share(used, free),
        inodes: has_inodes.then_some(inodes),
        inodes_free: has_inodes.then_some(inodes_free),
        inodes_percent: has_inodes.then(|| share(inodes.saturating_sub(inodes_free), inodes_free)),
    })
}

#[cfg(test)]
mod tests {
    const MOUNTS: &str = "1 0 8:1 / / rw - ext4 /dev/root rw\n2 1 8:2 / /var ro,noatime shared:1 - xfs /dev/b ro\n";

    #[test]
    fn output_in_another_format_is_not_a_measurement() {
        let parse = |front: &str| super::parse("/var", &format!("{front}\n{MOUNTS}"));
        let var = parse("4096 100 50 40 10 9\n/var").unwrap();
        assert_eq!((var.total, var.used, var.free, var.percent), (409_600, 204_800, 163_840, 55.6));
        assert_eq!(
            (var.inodes_percent, var.read_only, var.mount.device.as_deref()),
            (Some(10.0), true, Some("/dev/b"))
        );
        assert!(!parse("4096 100 50 40 0 0\n/x").unwrap().read_only);
        for wrong in
            ["", "4096 100 50 40 10\n/var", "a b c d e f\n/var", "4096 100 50 40 10 9\nvar", "4096 -1 50 40 10 9\n/var"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
