//! "Did you mean": the known name that is nearest to a misspelt one.

/// The most names compared when a suggestion is looked for.
pub(crate) const MAX_SUGGESTED_FROM: usize = 200;

/// The longest name that a suggestion is looked for, in characters.
const MAX_MISSPELT: usize = 64;

/// The known name that a wrong one was most likely meant to be.
pub(crate) fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.chars().count() > MAX_MISSPELT {
        return None;
    }
    known
        .into_iter()
        .take(MAX_SUGGESTED_FROM)
        .map(|name| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(score, name)| *score > 0.82 || (wrong.len() > 2 && strsim::osa_distance(wrong, name) == 1))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}
