//! The kind `disk`: how full file systems are, in bytes and in inodes.
//!
//! The share that is used is `df`'s: what is used of what anybody but root may use.
//!
//! Deliberately absent: what fills them, and cleaning up; a program that knows what may go is a `command`.
//!
//! **Invariant:** a file system that does not answer holds up nothing but a few threads that are left behind, however often
//! it is looked at; the others are told all the same.

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

/// Paths in one step.
const PATHS: usize = 100;

/// Characters of a path in a message.
const SHOWN: usize = 120;

/// Implements the kind `disk`.
#[derive(Debug)]
pub struct Disk;

static FORM: KindForm = KindForm {
    name: "disk",
    summary: "Says how full file systems are, in bytes and inodes.",
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
            "The percentage that bytes and inodes in use must be below, else the step fails.",
        ),
    ],
    effect: |_| EffectClass::Read,
    outputs: &[
        OutputField {
            name: "disks",
            help: "Each: `{path, mount, device, type, total, used, free (bytes), percent, inodes, inodes_free, inodes_percent, \
                   read_only}`; what is not known is null.",
        },
        OutputField { name: "percent", help: "The highest share in use of any of them, of bytes or of inodes." },
        OutputField { name: "fullest", help: "The path that it belongs to." },
        OutputField { name: "failing", help: "The paths that are not below the limit, or could not be looked at." },
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
        format!("`{}` {} % full, {} free{inodes}", one_line(&self.path, SHOWN), self.percent, bytes(self.free))
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
        let what = format!("look how full {} is", one_line(&path, SHOWN));
        PlannedChange { what, place: "this host".to_owned(), ..PlannedChange::default() }
    }

    async fn perform(&self, spec: &Value, context: &Context) -> Outcome {
        let spec = match Spec::deserialize(spec) {
            Ok(spec) => spec,
            Err(error) => return Reason::new("spec", format!("disk: {error}")).outcome(json!({})),
        };
        let paths = Vec::from(spec.path);
        if paths.is_empty() || paths.len() > PATHS {
            return Reason::new("spec", format!("disk: one to {PATHS} paths are looked at")).outcome(json!({}));
        }
        let is_far = context.environment.host.ssh().is_some();
        let looks = paths.iter().map(|path| async move {
            if is_far { remote::remote_usage(context, path).await } else { statfs::statfs_bounded(context, path).await }
        });
        let (mut found, mut failing, mut trouble) = (Vec::new(), Vec::new(), None);
        for (path, looked) in paths.iter().zip(join_all(looks).await) {
            match looked {
                Ok(usage) => found.push(usage),
                Err(why) => {
                    failing.push(path);
                    trouble.get_or_insert(why);
                }
            }
        }
        match trouble {
            None => report(&found, spec.below),
            Some(trouble) => trouble.outcome(json!({ "disks": found, "failing": failing })),
        }
    }
}

/// The used share in percent with one decimal. Rounded up, so that it shows 100 before the space has run out.
fn share(used: u64, free: u64) -> f64 {
    if used == 0 {
        return 0.0;
    }
    (used as f64 * 1000.0 / used.saturating_add(free) as f64).ceil() / 10.0
}

fn report(found: &[Usage], below: Option<f64>) -> Outcome {
    let fullest = found.iter().max_by(|one, other| one.fullness().total_cmp(&other.fullness()));
    let failing: Vec<&Usage> =
        found.iter().filter(|usage| below.is_some_and(|below| usage.fullness() >= below)).collect();
    let output = json!({
        "disks": found,
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
        _ => Outcome::succeeded(one_line(&lines(&mut found.iter()), 500), output),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_what_df_says() {
        assert_eq!(
            (share(0, 0), share(1, 1), share(999, 1), share(9_999, 1), share(7, 0)),
            (0.0, 50.0, 99.9, 100.0, 100.0)
        );
    }

    #[test]
    fn inodes_fill_a_disk_as_bytes_do() {
        let usage = Usage { path: "/".into(), percent: 10.0, inodes_percent: Some(97.0), ..Usage::default() };
        let full = report(&[usage], Some(90.0));
        assert_eq!(full.summary, "not below 90 %: `/` 10 % full, 0 B free, 97 % of the inodes");
        assert_eq!((&full.output["percent"], &full.output["failing"]), (&json!(97.0), &json!(["/"])));
    }
}
