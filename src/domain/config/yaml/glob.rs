//! Patterns over unit names: `*`, `?` and `[…]`, as systemd's own.
//!
//! Deliberately absent: paths, braces and regular expressions.

/// Whether `text` holds a character that makes it a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` matches the whole of `name`. Takes time in proportion to the product of the two at worst.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
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
                if let Some(next) = one(&pattern, p, name[n]) {
                    (p, n) = (next, n + 1);
                    continue;
                }
            }
            None => {}
        }
        // Give the last star one character more, and try again from there.
        let Some((at, taken)) = star else { return false };
        star = Some((at, taken + 1));
        (p, n) = (at + 1, taken + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The place after the part of the pattern at `at`, if that part matches `character`.
fn one(pattern: &[char], at: usize, character: char) -> Option<usize> {
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

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_systemd_does() {
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
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        let stars = "*a".repeat(200);
        assert!(!matches(&stars, &"a".repeat(199)));
    }
}
