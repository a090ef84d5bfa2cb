//! Reads the changes of a commit file by file, and checks that a revert is exactly their opposite.
//!
//! **Invariant:** a published revert changes only files that its commit changed, and deletes only files that it added.
//! Files unchanged since the commit get their content from before it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::repository::{GitError, Repository};
use crate::domain::core::text;

/// A file's mode and object; `None` if the file does not exist.
type Content = Option<(String, String)>;

/// The difference of two trees. Paths are quoted by git, so that each is one line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    files: BTreeMap<String, [Content; 2]>,
    added: u64,
    removed: u64,
}

/// A change in a revert that does not undo the commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Excess<'e> {
    /// It changes a file that the commit did not touch.
    Untouched(&'e str),
    /// It deletes a file that existed before the commit.
    Deleted(&'e str),
    /// It leaves a file different from its state before the commit, although the file has not changed since.
    Other(&'e str),
}

impl Extent {
    /// The numbers of files and lines, as outputs of the step.
    pub(super) fn counts(&self) -> [(&'static str, Value); 3] {
        [("files", json!(self.files.len())), ("added", json!(self.added)), ("removed", json!(self.removed))]
    }

    /// The same numbers for the reverse change.
    pub(super) fn counts_reversed(&self) -> [(&'static str, Value); 3] {
        [("files", json!(self.files.len())), ("added", json!(self.removed)), ("removed", json!(self.added))]
    }

    /// The same numbers for people.
    pub(super) fn summary(&self) -> String {
        let count = |count: u64, noun: &str| match count {
            1 => format!("1 {noun}"),
            many => format!("{} {noun}s", text::grouped(many)),
        };
        let files = count(self.files.len() as u64, "file");
        format!("{files}, {} added, {} removed", count(self.added, "line"), text::grouped(self.removed))
    }

    /// The first change of a revert that does not undo `self`, or that it leaves out. `since` are the changes after the
    /// commit; `renamed` are the present names of files that the commit changed.
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
        // If the commit renamed a file, git applies later changes to the old name, which the commit deleted. So a deleted
        // file is compared only if nothing has changed since.
        let is_unchanged = |path: &str, after: &Content| {
            !since.files.contains_key(path) && (after.is_some() || since.files.is_empty())
        };
        self.files.iter().filter(|(path, [_, after])| is_unchanged(path, after)).find_map(|(path, [before, _])| {
            let restored = revert.files.get(path).is_some_and(|[_, now]| now == before);
            (!restored).then_some(Excess::Other(path))
        })
    }

    /// Whether `other` changes only files that `self` changes.
    fn covers(&self, other: &Self) -> bool {
        other.files.keys().all(|path| self.files.contains_key(path))
    }
}

impl Repository<'_> {
    /// The changes between two commits.
    pub(super) async fn extent(&self, from: &str, to: &str) -> Result<Extent, GitError> {
        parse(&self.diff_tree(&["--no-renames", "--raw", "--numstat"], [from, to]).await?)
    }

    /// The output of `diff-tree` for two commits.
    async fn diff_tree(&self, options: &[&str], commits: [&str; 2]) -> Result<String, GitError> {
        let mut arguments =
            vec!["-c", "core.quotePath=true", "diff-tree", "-r", "--no-abbrev", "--ignore-submodules=none"];
        arguments.extend(options);
        arguments.extend(commits);
        self.listing(&arguments).await
    }

    /// Returns the changes of a revert. Fails if the revert does anything but undo its commit.
    ///
    /// `before` and `base` are the parents of the commit `target` and of `revert`.
    pub(super) async fn checked_revert(
        &self,
        [before, target]: [&str; 2],
        [base, revert]: [&str; 2],
    ) -> Result<Extent, GitError> {
        let parents = self.parents_of(revert).await?;
        if parents.all != [base] {
            return Err(GitError::new(
                "the revert is not a single commit on top of the branch; a hook of the repository may have added another",
            ));
        }
        let (target_extent, revert_extent) = (self.extent(before, target).await?, self.extent(base, revert).await?);
        // Without line counts: a partial clone would have to fetch every file changed since.
        let since = parse(&self.diff_tree(&["--no-renames", "--raw"], [target, base]).await?)?;
        let renamed = match target_extent.covers(&revert_extent) {
            true => BTreeSet::new(),
            false => self.renamed(&target_extent, target, base).await?,
        };
        let problem = match target_extent.excess(&revert_extent, &since, &renamed) {
            None => return Ok(revert_extent),
            Some(Excess::Untouched(path)) => format!("would change {}, which the commit did not touch", shown(path)),
            Some(Excess::Deleted(path)) => format!("would delete {}, which the commit did not add", shown(path)),
            Some(Excess::Other(path)) => format!("would not restore {} as it was before the commit", shown(path)),
        };
        Err(GitError::new(format!("the revert {problem}; nothing was changed, and a person has to revert it")))
    }

    /// The present names of files in `extent` that were renamed after the commit.
    async fn renamed(&self, extent: &Extent, from: &str, to: &str) -> Result<BTreeSet<String>, GitError> {
        let listed = self.diff_tree(&["--find-renames", "--diff-filter=R", "--name-status"], [from, to]).await?;
        let names = listed.lines().filter_map(|line| {
            let mut fields = line.split('\t').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        Ok(names.filter(|(old, _)| extent.files.contains_key(*old)).map(|(_, new)| new.to_owned()).collect())
    }
}

fn shown(path: &str) -> String {
    format!("`{}`", text::one_line(path, 80))
}

/// Parses the output of `diff-tree --raw --numstat`.
fn parse(printed: &str) -> Result<Extent, GitError> {
    let mut extent = Extent::default();
    for line in printed.lines() {
        parse_line(line, &mut extent).ok_or_else(|| GitError::new("`git diff-tree` printed an unknown line"))?;
    }
    Ok(extent)
}

/// Adds one line to the extent. `None` if the line has another format.
fn parse_line(line: &str, extent: &mut Extent) -> Option<()> {
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
    // git counts no lines of a binary file.
    let lines = |count: &str| if count == "-" { Some(0) } else { count.parse::<u64>().ok() };
    extent.added += lines(added)?;
    extent.removed += lines(removed)?;
    extent.files.contains_key(path).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An extent of files, each with one letter for its content before and after; `-` is no file.
    fn extent(files: &[(&str, char, char)]) -> Extent {
        let content = |letter: char| (letter != '-').then(|| ("100644".to_owned(), letter.to_string()));
        let files = files.iter().map(|(path, old, new)| ((*path).to_owned(), [content(*old), content(*new)]));
        Extent { files: files.collect(), ..Extent::default() }
    }

    #[test]
    fn a_revert_may_do_nothing_but_the_opposite_of_its_commit() {
        let commit = extent(&[("changed", 'a', 'b'), ("added", '-', 'c'), ("deleted", 'd', '-')]);
        let opposite = [("changed", 'b', 'a'), ("added", 'c', '-'), ("deleted", '-', 'd')];
        let none = BTreeSet::new();
        let excess = |revert: &[(&str, char, char)], since: &[(&str, char, char)]| {
            commit.excess(&extent(revert), &extent(since), &none).map(|excess| format!("{excess:?}"))
        };
        assert_eq!(excess(&opposite, &[]), None);
        let with = |file| [&opposite[..], &[file]].concat();
        assert_eq!(excess(&with(("other", 'x', 'y')), &[]).as_deref(), Some("Untouched(\"other\")"));
        assert_eq!(excess(&with(("other", 'x', '-')), &[]).as_deref(), Some("Untouched(\"other\")"));
        let with = |at: usize, file| [&opposite[..at], &[file], &opposite[at + 1..]].concat();
        assert_eq!(excess(&with(0, ("changed", 'b', '-')), &[]).as_deref(), Some("Deleted(\"changed\")"));
        assert_eq!(excess(&with(0, ("changed", 'b', 'x')), &[]).as_deref(), Some("Other(\"changed\")"));
        assert_eq!(excess(&opposite[1..], &[]).as_deref(), Some("Other(\"changed\")"));
        assert_eq!(excess(&opposite[..2], &[]).as_deref(), Some("Other(\"deleted\")"));
        // Files changed since keep the later changes.
        assert_eq!(excess(&with(0, ("changed", 'e', 'x')), &[("changed", 'b', 'e')]), None);
        assert_eq!(
            excess(&with(0, ("changed", 'e', '-')), &[("changed", 'b', 'e')]).as_deref(),
            Some("Deleted(\"changed\")")
        );
    }

    #[test]
    fn a_revert_may_change_but_not_delete_a_renamed_file() {
        let (commit, since) = (extent(&[("old", 'a', 'b')]), extent(&[("old", 'b', '-'), ("new", '-', 'b')]));
        let renamed = BTreeSet::from(["new".to_owned()]);
        let (changed, deleted) = (extent(&[("new", 'b', 'a')]), extent(&[("new", 'b', '-')]));
        assert_eq!(commit.excess(&changed, &since, &renamed), None);
        assert_eq!(commit.excess(&deleted, &since, &renamed), Some(Excess::Untouched("new")));
        assert_eq!(commit.excess(&changed, &since, &BTreeSet::new()), Some(Excess::Untouched("new")));
    }

    #[test]
    fn output_in_another_format_is_an_error() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let printed = format!(
            ":000000 100644 {zero} {one} A\t\"a\\tb\"\n:100755 000000 {one} {zero} D\tc d\n1\t0\t\"a\\tb\"\n-\t-\tc d\n"
        );
        let extent = parse(&printed).expect("git prints this");
        assert_eq!(extent.summary(), "2 files, 1 line added, 0 removed");
        assert_eq!(extent.files["c d"], [Some(("100755".to_owned(), one)), None]);
        for broken in ["x", ":000000 100644\ta", "1\t2\tnobody", "one\t2\ta", ""] {
            assert_eq!(parse(broken).is_ok(), broken.is_empty(), "{broken}");
        }
    }
}
