//! A search for many needles in one pass over a text, by the crate aho-corasick.
//!
//! For a text that arrives in pieces, it must be known how much of a needle the text ends with, which the crate's search does not
//! return. So this module steps the crate's automaton byte by byte, with a table of the depth of each state.
//!
//! **Invariant:** after any text, [`Automaton::depth`] is the length of the longest end of the text that is the beginning of a
//! needle. So no incomplete occurrence starts before it.

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;

/// A state of the automaton.
pub(super) type State = StateID;

/// The automaton of Aho and Corasick for the needles.
pub(super) struct Automaton {
    nfa: NFA,
    start: State,
    /// Whether a byte begins a needle. Most bytes do not, so the automaton is in the start state most of the time.
    begins: [bool; 256],
    /// The depth of each state: the length of the beginning of a needle that it stands for.
    depths: Vec<u32>,
}

impl Automaton {
    /// Builds the automaton. A needle is identified by its index; of equal ones, by the first index.
    pub(super) fn new(needles: &[&[u8]]) -> Self {
        // The crate's prefilter would not find needles that have white space in the text.
        let nfa = NFA::builder().prefilter(false).build(needles).expect("needles are limited far below 4 GiB");
        let start = nfa.start_state(Anchored::No).expect("it is built for unanchored searches too");
        let mut automaton = Self { nfa, start, begins: [false; 256], depths: vec![0; start.as_usize() + 1] };
        for byte in 0..=u8::MAX {
            automaton.begins[usize::from(byte)] = automaton.step(start, byte) != start;
        }
        for needle in needles {
            automaton.set_depths(needle);
        }
        automaton
    }

    /// Sets the depth of every state along a needle.
    fn set_depths(&mut self, needle: &[u8]) {
        let mut state = self.start;
        for (depth, &byte) in (1..).zip(needle) {
            state = self.step(state, byte);
            let index = state.as_usize();
            self.depths.resize(self.depths.len().max(index + 1), 0);
            self.depths[index] = depth;
        }
    }

    /// The state before the text.
    pub(super) fn start(&self) -> State {
        self.start
    }

    /// The state after one more byte.
    #[inline]
    pub(super) fn step(&self, state: State, byte: u8) -> State {
        self.nfa.next_state(Anchored::No, state, byte)
    }

    /// The number of bytes at the beginning of a text that begin no needle.
    #[inline]
    pub(super) fn idle(&self, text: &[u8]) -> usize {
        text.iter().position(|&byte| self.begins[usize::from(byte)]).unwrap_or(text.len())
    }

    /// The longest needle that ends in this state.
    #[inline]
    pub(super) fn ends(&self, state: State) -> Option<usize> {
        self.nfa.is_match(state).then(|| self.nfa.match_pattern(state, 0).as_usize())
    }

    /// The length of the longest end of the text so far that is the beginning of a needle.
    pub(super) fn depth(&self, state: State) -> usize {
        self.depths[state.as_usize()] as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(needles: &[&[u8]], text: &[u8]) -> Vec<(usize, usize)> {
        let automaton = Automaton::new(needles);
        let mut state = automaton.start();
        let mut found = Vec::new();
        for (at, &byte) in text.iter().enumerate() {
            state = automaton.step(state, byte);
            if let Some(needle) = automaton.ends(state) {
                found.push((at + 1 - needles[needle].len(), at + 1));
            }
        }
        found
    }

    #[test]
    fn the_longest_needle_is_found_at_each_end() {
        assert_eq!(found(&[b"he", b"she", b"hers"], b"ushers"), [(1, 4), (2, 6)]);
        assert_eq!(found(&[b"aa"], b"aaaa"), [(0, 2), (1, 3), (2, 4)]);
    }

    #[test]
    fn the_first_of_equal_needles_is_found() {
        let needles: [&[u8]; 4] = [b"other", b"same", b"same", b"me"];
        let automaton = Automaton::new(&needles);
        let state = b"the same".iter().fold(automaton.start(), |state, &byte| automaton.step(state, byte));
        assert_eq!(automaton.ends(state), Some(1));
    }

    proptest! {
        #[test]
        fn it_finds_the_same_as_a_plain_search(
            needles in prop::collection::vec("[ab]{1,4}", 1..5),
            text in "[abc]{0,30}",
        ) {
            let needles: Vec<&[u8]> = needles.iter().map(String::as_bytes).collect();
            let mut expected = Vec::new();
            for end in 0..=text.len() {
                let longest = needles.iter().filter(|n| text.as_bytes()[..end].ends_with(n)).map(|n| n.len()).max();
                expected.extend(longest.map(|len| (end - len, end)));
            }
            prop_assert_eq!(found(&needles, text.as_bytes()), expected);
        }

        #[test]
        fn depth_is_the_longest_end_that_begins_a_needle(
            needles in prop::collection::vec("[ab]{1,4}", 1..5),
            text in "[abc]{0,30}",
        ) {
            let automaton = Automaton::new(&needles.iter().map(String::as_bytes).collect::<Vec<_>>());
            let state = text.bytes().fold(automaton.start(), |s, b| automaton.step(s, b));
            let longest = (0..=text.len()).find(|&at| needles.iter().any(|n| n.starts_with(&text[at..])));
            prop_assert_eq!(automaton.depth(state), text.len() - longest.unwrap_or(text.len()));
        }
    }
}
