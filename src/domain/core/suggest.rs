//! "Did you mean …?": the known names that are most similar to an unknown one, and the text of the question.

/// The most names that are compared: enough for all time zones, or the metrics of a large page. Each takes about a microsecond.
pub(crate) const MAX_SUGGESTED_FROM: usize = 1_000;

/// The longest unknown name with a suggestion, in characters.
const MAX_MISSPELT: usize = 64;

/// The least similarity of a suggestion, from 0 to 1.
const LEAST_SIMILARITY: f64 = 0.82;

/// The most by which a further suggestion is less similar than the first. It is small, because the names of one project often
/// have a common prefix and are similar by that alone.
const MARGIN: f64 = 0.05;

/// The suffix of a unit's name that people leave out.
const UNIT_SUFFIX: &str = ".service";

/// The known name that is most similar to a wrong one; the first of several that are equally similar.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    scored(wrong, known).into_iter().next().map(|(_, name)| name)
}

/// The known names that are most similar to a wrong one, at most `most`, the most similar first.
pub fn several_nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>, most: usize) -> Vec<&'a str> {
    let scored = scored(wrong, known);
    let best = scored.first().map_or(0.0, |(score, _)| *score);
    let mut names: Vec<&str> = Vec::new();
    for (_, name) in scored.into_iter().filter(|(score, _)| *score >= best - MARGIN) {
        if names.len() < most && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The question as a sentence.
pub fn did_you_mean(what: &str) -> String {
    format!("Did you mean `{what}`?")
}

/// The question as the end of a sentence; empty without names.
pub fn or_did_you_mean<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

/// The names that are similar enough, each with its similarity, the most similar first.
fn scored<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<(f64, &'a str)> {
    if wrong.chars().count() > MAX_MISSPELT {
        return Vec::new();
    }
    let known = known.into_iter().take(MAX_SUGGESTED_FROM);
    let mut scored: Vec<(f64, &str)> =
        known.filter_map(|name| similarity(wrong, name).map(|score| (score, name))).collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    scored
}

/// The similarity of two names, from 0 to 1; none if it is too small.
fn similarity(wrong: &str, name: &str) -> Option<f64> {
    let bare = |name: &str| name.strip_suffix(UNIT_SUFFIX).unwrap_or(name).to_lowercase();
    let (wrong, name) = (bare(wrong), bare(name));
    // A missing prefix is a common mistake, and the measures below do not recognise it.
    if wrong.len() > 2 && name.strip_suffix(&wrong).is_some_and(|prefix| prefix.ends_with('-')) {
        return Some(1.0);
    }
    let score = strsim::jaro_winkler(&wrong, &name);
    (score > LEAST_SIMILARITY || wrong.len() > 2 && strsim::osa_distance(&wrong, &name) == 1).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: [&str; 3] = ["pakashop-gateway.service", "pakashop-search.service", "postgresql.service"];

    #[test]
    fn only_a_similar_name_is_suggested() {
        assert_eq!(nearest("payemnts", ["orders", "payments"]), Some("payments"));
        assert_eq!(nearest("Payments", ["payments"]), Some("payments"));
        assert_eq!(nearest("nginx", ["orders", "payments"]), None);
        assert_eq!(nearest("abd", ["abc"]), Some("abc"), "one letter of a short name");
        assert_eq!(nearest(&"a".repeat(65), ["a"]), None);
    }

    #[test]
    fn names_with_only_a_common_prefix_are_not_suggested_beside_the_nearest() {
        assert_eq!(several_nearest("pakashop-gatway.service", UNITS, 3), ["pakashop-gateway.service"]);
        assert!(several_nearest("nginx.service", UNITS, 3).is_empty());
        assert_eq!(
            several_nearest("shop-a", ["shop-b", "shop-c", "shop-d", "shop-e"], 3),
            ["shop-b", "shop-c", "shop-d"]
        );
    }

    #[test]
    fn a_name_without_its_prefix_is_recognised() {
        assert_eq!(several_nearest("search.service", UNITS, 3), ["pakashop-search.service"]);
        assert_eq!(nearest("gateway", UNITS), Some("pakashop-gateway.service"));
    }

    #[test]
    fn the_question_names_the_suggestions() {
        assert_eq!(did_you_mean("--env staging"), "Did you mean `--env staging`?");
        assert_eq!(or_did_you_mean(["a", "b"]), "; did you mean `a` or `b`?");
        assert_eq!(or_did_you_mean(None), "");
    }
}
