//! Random small histories, cloned to some depth: the pushed commit is the one that a full clone would make, or nothing is
//! pushed.

use super::*;

/// A reproducible sequence of numbers.
struct RandomNumbers(u64);

impl RandomNumbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Commits that write, delete and rename a few files, and merges of them, all pushed.
fn history(template: &TestRepository, random: &mut RandomNumbers) -> TestRepository {
    let repository = template.copy();
    for number in 0..3 + random.below(4) {
        let merge = random.below(3) == 0;
        if merge {
            repository.git(&format!("checkout -q -b side{number} HEAD~{}", random.below(2)));
        }
        let commits = if merge { 1 + random.below(3) } else { 1 };
        for part in 0..commits {
            random_commit(&repository, random, &format!("{number}-{part}"));
        }
        if merge {
            repository.git("checkout -q production");
            let merge = format!("merge -q --no-ff -m merge{number} side{number}");
            if tried(&repository.0.work(), &merge).is_err() {
                repository.git("merge --abort");
            }
        }
    }
    repository.0.push();
    repository
}

/// Makes a commit that changes, adds, moves or deletes a file.
fn random_commit(repository: &TestRepository, random: &mut RandomNumbers, name: &str) {
    let files = repository.git("ls-files");
    let files: Vec<&str> = files.lines().collect();
    let file = files[usize::try_from(random.below(files.len() as u64)).expect("a small number")];
    match random.below(5) {
        0 if files.len() > 2 => drop(repository.git(&format!("rm -q {file}"))),
        1 => drop(repository.git(&format!("mv {file} moved-{name}"))),
        2 => fs::write(repository.file(&format!("new-{name}")), format!("{name}\n")).expect("written"),
        _ => {
            let path = repository.file(file);
            let text = fs::read_to_string(&path).expect("the file is there");
            fs::write(path, format!("{name}\n{text}")).expect("written");
        }
    }
    repository.git("add --all");
    repository.git(&format!("commit -q --allow-empty -m {name}"));
}

/// The tree that a revert in a full clone would give; `None` if git makes no revert.
fn expected(repository: &TestRepository, target: &str) -> Option<String> {
    let is_merge = repository.git_in_full(&format!("rev-list --parents -1 {target}")).split(' ').count() > 2;
    let mainline = if is_merge { "--mainline 1 " } else { "" };
    tried(&repository.path("full"), &format!("revert --no-edit {mainline}{target}")).ok()?;
    Some(repository.git_in_full("rev-parse HEAD^{tree}"))
}

#[tokio::test]
async fn a_shallow_clone_pushes_the_revert_of_a_full_clone_or_nothing() {
    let (template, mut made, mut refused) = (TestRepository::new(), 0, 0);
    for seed in 0..24 {
        let mut random = RandomNumbers(seed);
        let repository = history(&template, &mut random);
        let commits = repository.git("rev-list production");
        let commits: Vec<&str> = commits.lines().collect();
        let target = commits[usize::try_from(random.below(commits.len().min(4) as u64)).expect("a small number")];
        let options =
            ["--depth 1", "--depth 2", "--depth 3", "--depth 4", ""][usize::try_from(random.below(5)).expect("small")];
        let repository = repository.cloned(options);
        let before = repository.everything();
        let outcome = repository.perform(json!({"revert": target, "push": true})).await;
        let tree = expected(&repository, target);
        let case = format!("seed {seed}, {options}, {target}: {}", outcome.summary);
        if outcome.verdict == Verdict::Succeeded {
            assert_eq!(Some(repository.on_remote("^{tree}")), tree, "{case}");
            assert_eq!(repository.on_remote("~1"), before[0], "{case}");
            made += 1;
        } else {
            assert_eq!(repository.everything(), before, "{case}");
            refused += usize::from(tree.is_some());
        }
    }
    assert!(made >= 10 && refused == 0, "{made} were made, and {refused} refused that could have been made");
}
