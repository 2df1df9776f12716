//! Checks a case completely.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use stateright::{Checker as _, HasDiscoveries, Model as _};

use crate::model::{Act, Saga};
use crate::promise::Promise;
use crate::reach::{By, Mark, mark};
use crate::setup::Setup;
use crate::state::State;

/// What came of a check.
#[derive(Debug)]
pub struct Outcome {
    /// The case.
    pub name: &'static str,
    /// Different states.
    pub states: usize,
    /// Events on the longest of the shortest ways to a state.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Each promise that is broken somewhere, and the shortest way there.
    pub broken: Vec<(&'static str, String)>,
    /// What an end cannot be reached by, and the shortest way to such a state.
    pub lost: Vec<(By, String)>,
}

/// Threads of a check.
const THREADS: usize = 2;

/// Checks every promise in every state, and that an end can be reached from each.
pub fn check(setup: Setup) -> Outcome {
    let began = Instant::now();
    let name = setup.name;
    let checker = Saga::new(setup).noting().checker().threads(THREADS).spawn_bfs().join();
    let saga = checker.model();
    let lost = [By::Anything, By::Services].into_iter().filter_map(|by| {
        let lost = saga.graph.as_ref()?.lost(by).0;
        let is_lost = |_: &State, mark: Mark| lost.binary_search(&mark).is_ok();
        (!lost.is_empty()).then(|| (by, shortest(saga, is_lost)))
    });
    let lost = lost.collect();
    Outcome {
        name,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took: began.elapsed(),
        broken: broken(&checker),
        lost,
    }
}

/// Looks for the shortest way to break one promise.
pub fn find(setup: Setup, promise: Promise) -> Option<String> {
    let sought = HasDiscoveries::AnyOf([promise.name()].into());
    let checker = Saga::new(setup).checker().threads(THREADS).finish_when(sought);
    let checker = checker.spawn_bfs().join();
    let found = broken(&checker).into_iter().find(|(name, _)| *name == promise.name());
    found.map(|(_, way)| way)
}

/// Each promise that the checker found broken. It tells of some way there; people want a short one.
fn broken(checker: &impl stateright::Checker<Saga>) -> Vec<(&'static str, String)> {
    let saga = checker.model();
    let way = |name: &'static str| {
        let property = saga.property(name);
        (name, shortest(saga, |state, _| !(property.condition)(saga, state)))
    };
    let mut names: Vec<&'static str> = checker.discoveries().into_keys().collect();
    names.sort_unstable();
    names.into_iter().map(way).collect()
}

/// A way through the states, one event a line.
fn told(saga: &Saga, acts: Vec<Act>) -> String {
    let mut text = String::new();
    let mut state = saga.init_states().remove(0);
    for act in acts {
        let act_is = match act {
            Act::Work(hand, job, luck) => {
                let hand = &state.hands[hand];
                let service = &saga.book.services()[usize::from(hand.service)];
                format!("{service} goes on, luck {luck:?}: {:?}", hand.jobs[job])
            }
            other => format!("{other:?}"),
        };
        if let Some(next) = saga.next_state(&state, act) {
            state = next;
        }
        let page = saga.page(&state);
        let status = page.map_or_else(|| "gone".to_owned(), |page| page.status().to_string());
        writeln!(text, "  {act_is} -> {status}").unwrap_or_default();
    }
    write!(text, "  {state:#?}").unwrap_or_default();
    text
}

/// The shortest way to a state that is wanted.
fn shortest(saga: &Saga, is_wanted: impl Fn(&State, Mark) -> bool) -> String {
    let mut open: VecDeque<State> = saga.init_states().into();
    let mut from: HashMap<Mark, Option<(Mark, Act)>> =
        open.iter().map(|state| (mark(state), None)).collect();
    while let Some(state) = open.pop_front() {
        let here = mark(&state);
        if is_wanted(&state, here) {
            let mut acts = Vec::new();
            let mut at = here;
            while let Some((before, act)) = from[&at] {
                acts.push(act);
                at = before;
            }
            acts.reverse();
            return told(saga, acts);
        }
        let mut acts = Vec::new();
        saga.actions(&state, &mut acts);
        for act in acts {
            if let Some(next) = saga.next_state(&state, act) {
                from.entry(mark(&next)).or_insert_with(|| {
                    open.push_back(next.clone());
                    Some((here, act))
                });
            }
        }
    }
    "there is no way there".to_owned()
}

impl Outcome {
    /// Whether every promise is kept, and an end can be reached from everywhere.
    pub fn is_good(&self) -> bool {
        self.broken.is_empty() && self.lost.is_empty()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, states, depth, took, .. } = self;
        write!(f, "{name}: {states} states, depth {depth}, {:.1} s", took.as_secs_f32())?;
        for (promise, way) in &self.broken {
            write!(f, "\nbroken: {promise}\n{way}")?;
        }
        for (by, way) in &self.lost {
            write!(f, "\nno end can be reached by {by:?} from\n{way}")?;
        }
        Ok(())
    }
}
