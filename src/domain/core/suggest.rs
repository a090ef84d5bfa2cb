//! "Did you mean": the known names that are nearest to a misspelt one, and how they are offered.

/// The most names compared when a suggestion is looked for: all time zones, or the metrics of a large page. Each takes about a microsecond.
pub(crate) const MAX_SUGGESTED_FROM: usize = 1_000;

/// The longest name that a suggestion is looked for, in characters.
const MAX_MISSPELT: usize = 64;

/// How alike two names must be, from 0 to 1.
const ALIKE: f64 = 0.82;

/// How much less alike than the nearest name another may be and still be offered with it: names of one project often begin
/// alike, and are alike by that alone.
const AS_NEAR: f64 = 0.05;

/// The ending of a unit's name that people leave out.
const UNIT_SUFFIX: &str = ".service";

/// The known name that a wrong one was most likely meant to be; the first where several are as near.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    scored(wrong, known).into_iter().next().map(|(_, name)| name)
}

/// The known names that a wrong one may have been meant to be, the nearest first, `most` of them at most.
pub fn several_nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let scored = scored(wrong, known);
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in scored.into_iter().filter(|(score, _)| *score >= best - AS_NEAR) {
        if names.len() < most && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The question whether something was meant, as a sentence.
pub fn did_you_mean(what: &str) -> String {
    format!("Did you mean `{what}`?")
}

/// The question whether one of some names was meant, as the end of a sentence; nothing where there are none.
pub fn or_did_you_mean<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// Those names that are alike at all with how much they are, the nearest first.
fn scored<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<(f64, &'a str)> {
    if wrong.chars().count() > MAX_MISSPELT {
        return Vec::new();
    }
    let known = known.into_iter().take(MAX_SUGGESTED_FROM);
    let mut scored: Vec<(f64, &str)> =
        known.filter_map(|name| likeness(wrong, name).map(|score| (score, name))).collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    scored
}

/// How much alike two names are; none where that is too little.
fn likeness(wrong: &str, name: &str) -> Option<f64> {
    let bare = |name: &str| name.strip_suffix(UNIT_SUFFIX).unwrap_or(name).to_lowercase();
    let (wrong, name) = (bare(wrong), bare(name));
    // A forgotten prefix is a common mistake, and no measure of likeness sees it.
    if wrong.len() > 2 && name.strip_suffix(&wrong).is_some_and(|prefix| prefix.ends_with('-')) {
        return Some(1.0);
    }
    let score = strsim::jaro_winkler(&wrong, &name);
    (score > ALIKE || wrong.len() > 2 && strsim::osa_distance(&wrong, &name) == 1).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [&str; 3] = ["pakashop-gateway.service", "pakashop-search.service", "postgresql.service"];

    #[test]
    fn the_nearest_name_is_found_and_a_stranger_is_not() {
        assert_eq!(nearest("payemnts", ["orders", "payments"]), Some("payments"));
        assert_eq!(nearest("Payments", ["payments"]), Some("payments"));
        assert_eq!(nearest("nginx", ["orders", "payments"]), None);
        assert_eq!(nearest("abd", ["abc"]), Some("abc"), "one letter of a short name");
        assert_eq!(nearest(&"a".repeat(65), ["a"]), None);
    }

    #[test]
    fn names_that_only_begin_alike_are_not_offered_beside_the_nearest() {
        assert_eq!(several_nearest("pakashop-gatway.service", UNITS, 3), ["pakashop-gateway.service"]);
        assert!(several_nearest("nginx.service", UNITS, 3).is_empty());
        assert_eq!(
            several_nearest("shop-a", ["shop-b", "shop-c", "shop-d", "shop-e"], 3),
            ["shop-b", "shop-c", "shop-d"]
        );
    }

    #[test]
    fn a_forgotten_prefix_is_seen() {
        assert_eq!(several_nearest("search.service", UNITS, 3), ["pakashop-search.service"]);
        assert_eq!(nearest("gateway", UNITS), Some("pakashop-gateway.service"));
    }

    #[test]
    fn the_question_is_asked_in_one_way() {
        assert_eq!(did_you_mean("--env staging"), "Did you mean `--env staging`?");
        assert_eq!(or_did_you_mean(["a", "b"]), "; did you mean `a` or `b`?");
        assert_eq!(or_did_you_mean(None), "");
    }
}
