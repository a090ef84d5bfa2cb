//! Patterns of names: `*` and `?`, and `[…]` in patterns of units. And the suffix of a unit's name.
//!
//! Not here: braces, regular expressions, and patterns of paths.

/// The suffixes of unit names (systemd.unit(5)).
const UNIT_SUFFIXES: &[&str] = &[
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".scope",
    ".device",
];

/// Whether the whole `name` matches a pattern in which `*` stands for any text and `?` for one character. At worst it takes
/// time in proportion to the product of the two lengths.
pub fn matches(pattern: &str, name: &str) -> bool {
    matches_with(pattern, name, |pattern, at, character| match pattern[at] {
        '?' => Some(at + 1),
        other => (other == character).then_some(at + 1),
    })
}

/// Whether a text contains a character that makes it a pattern of units.
pub fn is_unit_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a unit's name matches a pattern as systemd reads it: like [`matches()`], and `[…]` stands for one character of a set.
pub fn matches_unit(pattern: &str, name: &str) -> bool {
    matches_with(pattern, name, after_unit_part)
}

/// Matches a name against a pattern. The function `after` matches every part of the pattern except `*`: it takes the index of
/// the part and a character, and returns the index after the part if the character matches.
fn matches_with(pattern: &str, name: &str, after: impl Fn(&[char], usize, char) -> Option<usize>) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some(next) = after(&pattern, p, name[n]) {
                    (p, n) = (next, n + 1);
                    continue;
                }
            }
            None => {}
        }
        // Backtrack: the last star takes one more character.
        let Some((at, taken)) = star else { return false };
        star = Some((at, taken + 1));
        (p, n) = (at + 1, taken + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The index after the part of a unit pattern at `at`, if that part matches `character`.
fn after_unit_part(pattern: &[char], at: usize, character: char) -> Option<usize> {
    match pattern[at] {
        '?' => Some(at + 1),
        '[' => {
            let close = at + 2 + pattern.get(at + 2..)?.iter().position(|c| *c == ']')?;
            let set = &pattern[at + 1..close];
            let (negated, set) = match set.first() {
                Some('!' | '^') => (true, &set[1..]),
                _ => (false, set),
            };
            (in_set(set, character) != negated).then_some(close + 1)
        }
        other => (other == character).then_some(at + 1),
    }
}

fn in_set(set: &[char], character: char) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set.get(at + 1) == Some(&'-') && at + 2 < set.len() {
            if (set[at]..=set[at + 2]).contains(&character) {
                return true;
            }
            at += 3;
        } else if set[at] == character {
            return true;
        } else {
            at += 1;
        }
    }
    false
}

/// A unit's full name: `.service` is added to a name without a suffix.
pub fn suffixed(name: String) -> String {
    if UNIT_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) { name } else { name + ".service" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_units_match_as_systemd_does() {
        for (pattern, name, expected) in [
            ("pakashop-*", "pakashop-gateway", true),
            ("pakashop-*", "nginx", false),
            ("*-gate*y", "pakashop-gateway", true),
            ("a?c", "abc", true),
            ("a[a-c]c", "abc", true),
            ("a[!a-c]c", "abc", false),
            ("a[", "a[", false),
            ("*", "", true),
            ("", "a", false),
            ("a*b*c", "a__b__b__c", true),
        ] {
            assert_eq!(matches_unit(pattern, name), expected, "{pattern} {name}");
        }
        let stars = "*a".repeat(200);
        assert!(!matches_unit(&stars, &"a".repeat(199)));
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        assert!(matches("pakashop-*", "pakashop-gateway.service") && matches("*", "") && matches("a?c*e", "abcdde"));
        assert!(!matches("web?", "web") && !matches("web", "web1") && !matches("*-a", "a-b"));
    }

    #[test]
    fn only_a_pattern_of_units_has_sets_in_brackets() {
        assert!(matches("web[1]-*", "web[1]-a") && !matches("web[1]-*", "web1-a"));
        assert!(matches_unit("web[1]-*", "web1-a") && !matches_unit("web[1]-*", "web[1]-a"));
        assert!(matches("*-gate?ay", "shop-gateway") && !matches("gate", "gateway"));
    }
}
