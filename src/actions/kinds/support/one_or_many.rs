//! A field that takes one value or a list.

use serde::Deserialize;

/// One value or a list of values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany<T = String> {
    /// `to: incidents`
    One(T),
    /// `to: [incidents, statuspage]`
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    /// The values as a slice.
    pub fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(values: OneOrMany<T>) -> Self {
        match values {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_value_is_a_list_of_one() {
        let read = |text: &str| serde_json::from_str::<OneOrMany<u16>>(text).map(Vec::from).ok();
        assert_eq!(read("200"), Some(vec![200]));
        assert_eq!(read("[200, 204]"), Some(vec![200, 204]));
        assert_eq!(read("\"ok\""), None);
        assert!(OneOrMany::<String>::default().as_slice().is_empty());
    }
}
