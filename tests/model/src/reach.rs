//! What leads where: whether an end can be reached from everywhere.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;

use crate::state::State;

/// A state's hash.
pub type Mark = u64;

/// What leads where.
#[derive(Debug, Default)]
pub struct Graph {
    edges: Mutex<Vec<Edge>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    to: Mark,
    from: Mark,
    by_services: bool,
    is_end: bool,
    is_stuck: bool,
}

/// What an end has to be reached by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Anything that may happen.
    Anything,
    /// Services alone, with the timers and signals that are part of the definition: nobody calls
    /// anything late and no person helps, except where an undo was given up.
    Services,
}

/// The hash of a state.
pub fn mark(state: &State) -> Mark {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

impl Graph {
    pub(crate) fn note(
        &self,
        from: &State,
        to: &State,
        by_services: bool,
        (is_end, is_stuck): (bool, bool),
    ) {
        let edge = Edge { from: mark(from), to: mark(to), by_services, is_end, is_stuck };
        self.edges.lock().expect("no writer panics").push(edge);
    }

    /// States from which no end can be reached, and how many states were looked at.
    ///
    /// # Panics
    /// When another thread panicked with the graph in hand.
    pub fn lost(&self, by: By) -> (Vec<Mark>, usize) {
        let mut edges = self.edges.lock().expect("no writer panics");
        edges.sort_unstable();
        edges.dedup();
        let mut reaches: HashMap<Mark, bool> = HashMap::with_capacity(edges.len() / 2);
        let mut open = Vec::new();
        for edge in edges.iter() {
            reaches.entry(edge.from).or_insert(false);
            let is_goal = edge.is_end || (by == By::Services && edge.is_stuck);
            let known = reaches.entry(edge.to).or_insert(false);
            if is_goal && !*known {
                *known = true;
                open.push(edge.to);
            }
        }
        while let Some(to) = open.pop() {
            let first = edges.partition_point(|edge| edge.to < to);
            for edge in edges[first..].iter().take_while(|edge| edge.to == to) {
                let counts = by == By::Anything || edge.by_services;
                if let Some(known) = reaches.get_mut(&edge.from).filter(|known| counts && !**known)
                {
                    *known = true;
                    open.push(edge.from);
                }
            }
        }
        let mut lost: Vec<Mark> =
            reaches.iter().filter(|(_, reaches)| !**reaches).map(|(mark, _)| *mark).collect();
        lost.sort_unstable();
        (lost, reaches.len())
    }
}
