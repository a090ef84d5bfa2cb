//! The kind `disk`: measures how full file systems are, in bytes and in inodes. The percentage is that of `df`: the used
//! share of the space that users other than root can use.
//!
//! **Invariant:** a file system that does not respond blocks only a few threads, however often it is measured. The
//! others are still reported.
//!
//! Not here: listing and deleting files; use a `command`.

mod mounts;
mod remote;
mod statfs;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::mounts::Mount;
use super::support::one_or_many::OneOrMany;
use crate::actions::{Context, Kind};
use crate::domain::config::kind_schema::{Field, KindForm, OutputField, Shape};
use crate::domain::core::effect::EffectClass;
use crate::domain::core::reason::Reason;
use crate::domain::core::text::{bytes, one_line};
use crate::domain::incident::outcome::Outcome;
use crate::domain::incident::plan::PlannedChange;

/// Maximum number of paths in one step.
const PATHS: usize = 100;

/// Characters of a path in a summary.
const SHOWN_LIMIT: usize = 120;

/// Implements the kind `disk`.
#[derive(Debug)]
pub struct Disk;

static FORM: KindForm = KindForm {
    name: "disk",
    summary: "Measures how full file systems are, in bytes and inodes.",
    shorthand: Some("path"),
    verbs: &[],
    fields: &[
        Field::required(
            "path",
            Shape::OneOrMany(&Shape::Text),
            "A path on each file system, such as `/` or `/var/log`.",
        ),
        Field::optional(
            "below",
            Shape::Number,
            "The percentage that bytes and inodes in use must be below; otherwise the step fails.",
        ),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "disks",
            help: "Each: `{path, mount, device, type, total, used, free (bytes), percent, inodes, inodes_free, inodes_percent, \
                   read_only}`; an unknown value is null.",
        },
        OutputField { name: "percent", help: "The highest percentage in use of any of them, of bytes or of inodes." },
        OutputField { name: "fullest", help: "The path with this percentage." },
        OutputField { name: "failing", help: "The paths that are not below the limit, or could not be measured." },
        OutputField {
            name: "trouble",
            help: "When it failed: `{kind, message}`; kinds: full, missing, access, timeout, system.",
        },
    ],
    example: "disk:\n  path: [/, /var/log]\n  below: 85\n",
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    path: OneOrMany,
    #[serde(default)]
    below: Option<f64>,
}

/// The measurement of one file system.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Usage {
    path: String,
    #[serde(flatten)]
    mount: Mount,
    total: u64,
    used: u64,
    free: u64,
    percent: f64,
    inodes: Option<u64>,
    inodes_free: Option<u64>,
    inodes_percent: Option<f64>,
    read_only: bool,
}

impl Usage {
    /// The higher of the percentages of bytes and inodes.
    fn fullness(&self) -> f64 {
        self.percent.max(self.inodes_percent.unwrap_or(0.0))
    }

    fn line(&self) -> String {
        let inodes = self.inodes_percent.filter(|inodes| *inodes > self.percent);
        let inodes = inodes.map_or_else(String::new, |inodes| format!(", {inodes} % of the inodes"));
        format!("`{}` {} % full, {} free{inodes}", one_line(&self.path, SHOWN_LIMIT), self.percent, bytes(self.free))
    }
}

#[async_trait]
impl Kind for Disk {
    fn form(&self) -> &'static KindForm {
        &FORM
    }

    fn describe(&self, spec: &Value) -> PlannedChange {
        let path = spec.get("path").unwrap_or(spec);
        let path = path.as_str().map_or_else(|| path.to_string(), str::to_owned);
        let what = format!("measure how full {} is", one_line(&path, SHOWN_LIMIT));
        PlannedChange { what, place: "this host".to_owned(), ..PlannedChange::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let spec = match Spec::deserialize(spec) {
            Ok(spec) => spec,
            Err(error) => return Reason::new("spec", format!("disk: {error}")).outcome(json!({})),
        };
        let paths = Vec::from(spec.path);
        if paths.is_empty() || paths.len() > PATHS {
            return Reason::new("spec", format!("disk: `path` takes one to {PATHS} paths")).outcome(json!({}));
        }
        let is_remote = context.environment.host.ssh().is_some();
        let measurements = paths.iter().map(|path| async move {
            match is_remote {
                true => remote::remote_usage(context, path).await,
                false => statfs::statfs_bounded(context, path).await,
            }
        });
        let (mut usages, mut failing, mut first_error) = (Vec::new(), Vec::new(), None);
        for (path, measured) in paths.iter().zip(join_all(measurements).await) {
            match measured {
                Ok(usage) => usages.push(usage),
                Err(error) => {
                    failing.push(path);
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            None => report(&usages, spec.below),
            Some(error) => error.outcome(json!({ "disks": usages, "failing": failing })),
        }
    }
}

/// The used share in percent with one decimal, rounded up.
fn share(used: u64, free: u64) -> f64 {
    if used == 0 {
        return 0.0;
    }
    (used as f64 * 1000.0 / used.saturating_add(free) as f64).ceil() / 10.0
}

fn report(usages: &[Usage], below: Option<f64>) -> Outcome {
    let fullest = usages.iter().max_by(|one, other| one.fullness().total_cmp(&other.fullness()));
    let failing: Vec<&Usage> =
        usages.iter().filter(|usage| below.is_some_and(|below| usage.fullness() >= below)).collect();
    let output = json!({
        "disks": usages,
        "percent": fullest.map(Usage::fullness),
        "fullest": fullest.map(|usage| &usage.path),
        "failing": failing.iter().map(|usage| &usage.path).collect::<Vec<_>>(),
    });
    let lines = |of: &mut dyn Iterator<Item = &Usage>| of.map(Usage::line).collect::<Vec<_>>().join("; ");
    match (below, failing.is_empty()) {
        (Some(below), false) => {
            let lines = one_line(&lines(&mut failing.into_iter()), 500);
            Reason::new("full", format!("not below {below} %: {lines}")).outcome(output)
        }
        _ => Outcome::succeeded(one_line(&lines(&mut usages.iter()), 500), output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_as_df_does() {
        assert_eq!(
            (share(0, 0), share(1, 1), share(999, 1), share(9_999, 1), share(7, 0)),
            (0.0, 50.0, 99.9, 100.0, 100.0)
        );
    }

    #[test]
    fn a_disk_without_free_inodes_is_full() {
        let usage = Usage { path: "/".into(), percent: 10.0, inodes_percent: Some(97.0), ..Usage::default() };
        let full = report(&[usage], Some(90.0));
        assert_eq!(full.summary, "not below 90 %: `/` 10 % full, 0 B free, 97 % of the inodes");
        assert_eq!((&full.output["percent"], &full.output["failing"]), (&json!(97.0), &json!(["/"])));
    }
}
