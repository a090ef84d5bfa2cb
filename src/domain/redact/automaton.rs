//! Finds many needles in one pass over a text: the automaton of Aho and Corasick ("Efficient
//! string matching", 1975), written here because it must also tell how much of a needle the text
//! ends with; libraries keep that to themselves. Deliberately absent: what the needles mean.
//!
//! **Invariant:** after any text, [`Automaton::depth`] is the length of the longest ending of the
//! text that is the beginning of a needle. So an occurrence that is still incomplete starts
//! nowhere before that ending.

use std::collections::VecDeque;

/// A place in the automaton; [`Automaton::START`] before any text.
pub(super) type State = u32;

/// The needles, as one tree of bytes with links to where to go on after a mismatch.
pub(super) struct Automaton {
    nodes: Vec<Node>,
    /// What every byte does at the start, where most text keeps the automaton.
    first: [State; 256],
}

#[derive(Default)]
struct Node {
    edges: Vec<(u8, State)>,
    /// The node of the longest proper ending of this one.
    fallback: State,
    depth: u32,
    /// The longest needle that ends here.
    ends: Option<u32>,
}

impl Automaton {
    pub(super) const START: State = 0;

    /// Builds the automaton; needles are known by their position, and of equal ones the first counts.
    pub(super) fn new<'a>(needles: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut automaton = Self { nodes: vec![Node::default()], first: [Self::START; 256] };
        for (number, needle) in (0u32..).zip(needles) {
            automaton.insert(needle, number);
        }
        automaton.link();
        automaton
    }

    /// The state after one more byte.
    #[inline]
    pub(super) fn step(&self, mut state: State, byte: u8) -> State {
        while state != Self::START {
            if let Some(next) = self.edge(state, byte) {
                return next;
            }
            state = self.node(state).fallback;
        }
        self.first[usize::from(byte)]
    }

    /// How many bytes from the front of a text begin no needle.
    #[inline]
    pub(super) fn idle(&self, text: &[u8]) -> usize {
        text.iter().position(|&byte| self.first[usize::from(byte)] != Self::START).unwrap_or(text.len())
    }

    /// The longest needle that ends in this state.
    #[inline]
    pub(super) fn ends(&self, state: State) -> Option<usize> {
        self.node(state).ends.map(|number| number as usize)
    }

    /// How many of the latest bytes are the beginning of a needle.
    pub(super) fn depth(&self, state: State) -> usize {
        self.node(state).depth as usize
    }

    fn insert(&mut self, needle: &[u8], number: u32) {
        let mut state = Self::START;
        for &byte in needle {
            state = self.edge(state, byte).unwrap_or_else(|| self.grow(state, byte));
        }
        self.node_mut(state).ends.get_or_insert(number);
    }

    fn grow(&mut self, from: State, byte: u8) -> State {
        let new = State::try_from(self.nodes.len()).expect("needles are limited far below 4 GiB");
        let depth = self.node(from).depth + 1;
        self.nodes.push(Node { depth, ..Node::default() });
        self.node_mut(from).edges.push((byte, new));
        if from == Self::START {
            self.first[usize::from(byte)] = new;
        }
        new
    }

    /// Links every node to its longest proper ending, nearest the start first, since a link is
    /// found by way of shorter ones.
    fn link(&mut self) {
        let mut queue: VecDeque<State> = self.nodes[0].edges.iter().map(|&(_, to)| to).collect();
        while let Some(state) = queue.pop_front() {
            for (byte, to) in self.node(state).edges.clone() {
                let fallback = self.step(self.node(state).fallback, byte);
                let inherited = self.node(fallback).ends;
                let node = self.node_mut(to);
                node.fallback = fallback;
                node.ends = node.ends.or(inherited);
                queue.push_back(to);
            }
        }
    }

    fn edge(&self, state: State, byte: u8) -> Option<State> {
        self.node(state).edges.iter().find(|(b, _)| *b == byte).map(|&(_, to)| to)
    }

    fn node(&self, state: State) -> &Node {
        &self.nodes[state as usize]
    }

    fn node_mut(&mut self, state: State) -> &mut Node {
        &mut self.nodes[state as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(needles: &[&[u8]], text: &[u8]) -> Vec<(usize, usize)> {
        let automaton = Automaton::new(needles.iter().copied());
        let mut state = Automaton::START;
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
    fn needles_that_contain_each_other_are_all_seen() {
        assert_eq!(found(&[b"he", b"she", b"hers"], b"ushers"), [(1, 4), (2, 6)]);
        assert_eq!(found(&[b"aa"], b"aaaa"), [(0, 2), (1, 3), (2, 4)]);
    }

    proptest! {
        #[test]
        fn it_finds_what_a_plain_search_finds(
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
        fn depth_is_the_longest_ending_that_begins_a_needle(
            needles in prop::collection::vec("[ab]{1,4}", 1..5),
            text in "[abc]{0,30}",
        ) {
            let automaton = Automaton::new(needles.iter().map(|n| n.as_bytes()));
            let state = text.bytes().fold(Automaton::START, |s, b| automaton.step(s, b));
            let longest = (0..=text.len()).find(|&at| needles.iter().any(|n| n.starts_with(&text[at..])));
            prop_assert_eq!(automaton.depth(state), text.len() - longest.unwrap_or(text.len()));
        }
    }
}
