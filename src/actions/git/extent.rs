//! What a commit changed, file by file, and whether a revert of it is no more and no less than its opposite.
//!
//! **Invariant:** a revert that is published changes only files that its commit changed, deletes only files that it added,
//! and leaves every file that nobody has changed since as it was before.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::repository::{Repository, Trouble};
use crate::domain::text;

/// A file's mode and object; nothing where there is no file.
type Content = Option<(String, String)>;

/// What two trees differ in. The paths are as git quotes them, so that any name is one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    files: BTreeMap<String, [Content; 2]>,
    added: u64,
    removed: u64,
}

/// What a revert does that was not announced.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Excess<'e> {
    /// It changes a file that the commit did not touch.
    Untouched(&'e str),
    /// It deletes a file that was there before the commit.
    Deleted(&'e str),
    /// It leaves a file other than it was before the commit, though nobody has changed it since.
    Other(&'e str),
}

impl Extent {
    /// The numbers of files and lines.
    pub(super) fn counts(&self) -> [(&'static str, Value); 3] {
        [("files", json!(self.files.len())), ("added", json!(self.added)), ("removed", json!(self.removed))]
    }

    /// The same numbers for the change that takes this one back.
    pub(super) fn counts_reversed(&self) -> [(&'static str, Value); 3] {
        [("files", json!(self.files.len())), ("added", json!(self.removed)), ("removed", json!(self.added))]
    }

    /// The same numbers for people.
    pub(super) fn summary(&self) -> String {
        let count = |count: u64, one: &str| match count {
            1 => format!("1 {one}"),
            many => format!("{} {one}s", text::grouped(many)),
        };
        let files = count(self.files.len() as u64, "file");
        format!("{files}, {} added, {} removed", count(self.added, "line"), text::grouped(self.removed))
    }

    /// What a revert does beyond taking `self` back, or leaves undone. `since` is what was changed after the commit, and
    /// `renamed` the present names of files that the commit changed.
    pub(super) fn excess<'e>(
        &'e self,
        revert: &'e Self,
        since: &Self,
        renamed: &BTreeSet<String>,
    ) -> Option<Excess<'e>> {
        for (path, [_, after]) in &revert.files {
            match self.files.get(path) {
                Some([Some(_), _]) if after.is_none() => return Some(Excess::Deleted(path)),
                None if after.is_none() || !renamed.contains(path) => return Some(Excess::Untouched(path)),
                _ => {}
            }
        }
        let is_settled = |path: &str, after: &Content| {
            // Git carries later changes of a renamed file over to its old name.
            !since.files.contains_key(path) && (after.is_some() || since.files.is_empty())
        };
        self.files.iter().filter(|(path, [_, after])| is_settled(path, after)).find_map(|(path, [before, _])| {
            let restored = revert.files.get(path).is_some_and(|[_, now]| now == before);
            (!restored).then_some(Excess::Other(path))
        })
    }

    /// Whether every file of a revert has a name that the commit knew.
    fn names_all_of(&self, revert: &Self) -> bool {
        revert.files.keys().all(|path| self.files.contains_key(path))
    }
}

impl Repository<'_> {
    /// What lies between two commits.
    pub(super) async fn extent(&self, from: &str, to: &str) -> Result<Extent, Trouble> {
        read(&self.differing(&["--no-renames", "--raw", "--numstat"], [from, to]).await?)
    }

    /// What `diff-tree` prints about the files of two commits.
    async fn differing(&self, how: &[&str], commits: [&str; 2]) -> Result<String, Trouble> {
        let mut arguments = vec!["-c", "core.quotePath=true", "diff-tree", "-r", "--no-abbrev", "--ignore-submodules=none"];
        arguments.extend(how);
        arguments.extend(commits);
        self.listing(&arguments).await
    }

    /// Refuses a revert that does anything but take its commit back.
    pub(super) async fn checked_revert(
        &self,
        [before, target]: [&str; 2],
        [base, revert]: [&str; 2],
    ) -> Result<Extent, Trouble> {
        let parents = self.parents_of(revert).await?;
        if parents.all != [base] {
            return Err(Trouble::new("the revert is not one commit upon the branch; a hook of the repository may have added another"));
        }
        let (own, made) = (self.extent(before, target).await?, self.extent(base, revert).await?);
        // Lines are not counted here: in a partial clone, every file that was changed since would have to be fetched.
        let since = read(&self.differing(&["--no-renames", "--raw"], [target, base]).await?)?;
        let renamed = match own.names_all_of(&made) {
            true => BTreeSet::new(),
            false => self.renamed(&own, target, base).await?,
        };
        let said = match own.excess(&made, &since, &renamed) {
            None => return Ok(made),
            Some(Excess::Untouched(path)) => format!("would change {}, which the commit did not touch", shown(path)),
            Some(Excess::Deleted(path)) => format!("would delete {}, which the commit did not add", shown(path)),
            Some(Excess::Other(path)) => format!("would not leave {} as it was before the commit", shown(path)),
        };
        Err(Trouble::new(format!("the revert {said}; nothing was changed, and a person has to revert it")))
    }

    /// The present names of files that a commit touched and that were renamed after it.
    async fn renamed(&self, own: &Extent, from: &str, to: &str) -> Result<BTreeSet<String>, Trouble> {
        let listed = self.differing(&["--find-renames", "--diff-filter=R", "--name-status"], [from, to]).await?;
        let names = listed.lines().filter_map(|line| {
            let mut fields = line.split('\t').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        Ok(names.filter(|(old, _)| own.files.contains_key(*old)).map(|(_, new)| new.to_owned()).collect())
    }
}

fn shown(path: &str) -> String {
    format!("`{}`", text::one_line(path, 80))
}

/// Reads what `diff-tree --raw --numstat` prints.
fn read(printed: &str) -> Result<Extent, Trouble> {
    let mut extent = Extent::default();
    for line in printed.lines() {
        line_read(line, &mut extent).ok_or_else(|| Trouble::new("`git diff-tree` printed what is not understood"))?;
    }
    Ok(extent)
}

fn line_read(line: &str, extent: &mut Extent) -> Option<()> {
    if let Some(raw) = line.strip_prefix(':') {
        let (fields, path) = raw.split_once('\t')?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let [before, after, old, new, _] = fields[..] else {
            return None;
        };
        let content = |mode: &str, object: &str| (mode != "000000").then(|| (mode.to_owned(), object.to_owned()));
        extent.files.insert(path.to_owned(), [content(before, old), content(after, new)]);
        return Some(());
    }
    let mut fields = line.splitn(3, '\t');
    let (added, removed, path) = (fields.next()?, fields.next()?, fields.next()?);
    // Of a file that is no text, git counts no lines.
    let lines = |count: &str| if count == "-" { Some(0) } else { count.parse::<u64>().ok() };
    extent.added += lines(added)?;
    extent.removed += lines(removed)?;
    extent.files.contains_key(path).then_some(())
}
