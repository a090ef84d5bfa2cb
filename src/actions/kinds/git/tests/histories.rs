//! Small histories by seed, cloned to some depth: what is pushed is what a full clone would make, or nothing.

use super::*;

/// A reproducible sequence of numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Commits that write, delete and rename a few files, and merges of them, all pushed.
fn history(template: &TestRepository, dice: &mut Dice) -> TestRepository {
    let shop = template.copy();
    for number in 0..3 + dice.below(4) {
        let merge = dice.below(3) == 0;
        if merge {
            shop.git(&format!("checkout -q -b side{number} HEAD~{}", dice.below(2)));
        }
        let commits = if merge { 1 + dice.below(3) } else { 1 };
        for part in 0..commits {
            changed(&shop, dice, &format!("{number}-{part}"));
        }
        if merge {
            shop.git("checkout -q production");
            if shop.tried_in("work", &format!("merge -q --no-ff -m merge{number} side{number}")).is_err() {
                shop.git("merge --abort");
            }
        }
    }
    shop.git("push -q origin production");
    shop
}

fn changed(shop: &TestRepository, dice: &mut Dice, name: &str) {
    let files = shop.git("ls-files");
    let files: Vec<&str> = files.lines().collect();
    let file = files[usize::try_from(dice.below(files.len() as u64)).expect("a small number")];
    match dice.below(5) {
        0 if files.len() > 2 => drop(shop.git(&format!("rm -q {file}"))),
        1 => drop(shop.git(&format!("mv {file} moved-{name}"))),
        2 => fs::write(shop.path("work").join(format!("new-{name}")), format!("{name}\n")).expect("written"),
        _ => {
            let path = shop.path("work").join(file);
            let text = fs::read_to_string(&path).expect("the file is there");
            fs::write(path, format!("{name}\n{text}")).expect("written");
        }
    }
    shop.git("add --all");
    shop.git(&format!("commit -q --allow-empty -m {name}"));
}

/// The tree that a revert in a full clone would give; `None` if git makes no revert.
fn expected(shop: &TestRepository, target: &str) -> Option<String> {
    let is_merge = shop.git_in("full", &format!("rev-list --parents -1 {target}")).split(' ').count() > 2;
    let mainline = if is_merge { "--mainline 1 " } else { "" };
    shop.tried_in("full", &format!("revert --no-edit {mainline}{target}")).ok()?;
    Some(shop.git_in("full", "rev-parse HEAD^{tree}"))
}

#[tokio::test]
async fn from_any_clone_of_any_history_the_remote_gets_what_a_full_clone_would_make_or_nothing() {
    let (template, mut made, mut refused) = (TestRepository::new(), 0, 0);
    for seed in 0..24 {
        let mut dice = Dice(seed);
        let shop = history(&template, &mut dice);
        let commits = shop.git("rev-list production");
        let commits: Vec<&str> = commits.lines().collect();
        let target = commits[usize::try_from(dice.below(commits.len().min(4) as u64)).expect("a small number")];
        let options =
            ["--depth 1", "--depth 2", "--depth 3", "--depth 4", ""][usize::try_from(dice.below(5)).expect("small")];
        let shop = shop.cloned(options);
        let before = shop.everything();
        let outcome = Git.perform(&json!({"revert": target, "push": true}), &shop.context()).await;
        let tree = expected(&shop, target);
        let said = format!("seed {seed}, {options}, {target}: {}", outcome.summary);
        if outcome.verdict == Verdict::Succeeded {
            assert_eq!(Some(shop.on_remote("^{tree}")), tree, "{said}");
            assert_eq!(shop.on_remote("~1"), before[0], "{said}");
            made += 1;
        } else {
            assert_eq!(shop.everything(), before, "{said}");
            refused += usize::from(tree.is_some());
        }
    }
    assert!(made >= 10 && refused == 0, "{made} were made, and {refused} refused that could have been made");
}
