//! A definition that was checked, with its graph worked out.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::definition::{Condition, Definition, Kind, Step, Test};
use crate::event::SAGA;
use crate::record::{DefinitionRef, Record};

mod validate;

pub use validate::{Invalid, Problem};

/// A valid [`Definition`] and what follows from it.
///
/// Steps are named by their index in [`Definition::steps`].
#[derive(Debug, Clone)]
pub struct Plan {
    definition: Definition,
    digest: String,
    index: BTreeMap<String, usize>,
    predecessors: Vec<Vec<usize>>,
    /// Bit `j` of entry `i`: step `j` comes after step `i`, directly or through others.
    descendants: Vec<u64>,
    /// Every step after its predecessors.
    order: Vec<usize>,
}

impl Plan {
    /// Checks a definition.
    ///
    /// # Errors
    /// [`Invalid`] names every problem found.
    pub fn new(definition: Definition) -> Result<Self, Invalid> {
        validate::plan(definition)
    }

    /// The definition.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// The saga type.
    pub fn name(&self) -> &str {
        &self.definition.name
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.definition.version
    }

    /// The digest over the definition's canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How a record names this definition.
    pub fn reference(&self) -> DefinitionRef {
        DefinitionRef { version: self.version(), digest: self.digest.clone() }
    }

    /// Whether `record` follows exactly this definition.
    pub fn serves(&self, record: &Record) -> bool {
        record.saga_type == self.name()
            && record.definition.version == self.version()
            && record.definition.digest == self.digest
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.index.get(name).map(|&step| &self.definition.steps[step])
    }

    /// The index of the step of that name.
    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The steps, in the order of the definition.
    pub fn steps(&self) -> &[Step] {
        &self.definition.steps
    }

    /// The predecessors of a step.
    pub(crate) fn predecessors(&self, step: usize) -> &[usize] {
        &self.predecessors[step]
    }

    /// The names of a step's predecessors; empty for a first step or an unknown one.
    pub fn predecessor_names(&self, step: &str) -> Vec<&str> {
        let of = |step: usize| {
            self.predecessors[step].iter().map(|&p| self.steps()[p].name.as_str()).collect()
        };
        self.index_of(step).map(of).unwrap_or_default()
    }

    /// Whether `later` comes after `earlier`, directly or through others.
    pub(crate) fn is_after(&self, later: usize, earlier: usize) -> bool {
        self.descendants[earlier] & (1 << later) != 0
    }

    /// Whether a rollback may have to undo it.
    pub(crate) fn is_undone(&self, step: usize) -> bool {
        self.steps()[step].kind == Kind::Compensable
    }

    /// The steps that a rollback undoes before it.
    pub(crate) fn undone_before(&self, step: usize) -> impl Iterator<Item = &str> {
        let later = move |&it: &usize| self.is_after(it, step) && self.is_undone(it);
        (0..self.steps().len()).filter(later).map(|it| self.steps()[it].name.as_str())
    }

    /// Whether another step can be refused when it may have begun: one that does not come before
    /// it. Of a step that is refused itself nothing remains.
    pub(crate) fn is_undone_after_a_refusal(&self, step: usize) -> bool {
        let is_refused =
            |it: usize| matches!(self.steps()[it].kind, Kind::Compensable | Kind::Pivot);
        let is_other = |it: usize| it != step && !self.is_after(step, it);
        (0..self.steps().len()).any(|it| is_refused(it) && is_other(it))
    }

    /// Every step after its predecessors.
    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    /// The services that take part, sorted.
    pub fn services(&self) -> BTreeSet<&str> {
        let effects = self.steps().iter().filter(|step| step.kind.has_effect());
        effects.map(|step| step.service.as_str()).collect()
    }

    /// The steps after whose `done` or `skipped` the step may become ready: its predecessors, and
    /// where one of those is conditional, also what may become omitted in the same append. `None`
    /// stands for the saga's start.
    pub(crate) fn triggers(&self, step: usize) -> BTreeSet<Option<usize>> {
        let mut found = BTreeSet::new();
        let mut open = vec![step];
        while let Some(step) = open.pop() {
            if self.predecessors[step].is_empty() {
                found.insert(None);
            }
            for &predecessor in &self.predecessors[step] {
                let is_new = found.insert(Some(predecessor));
                if is_new && self.steps()[predecessor].when.is_some() {
                    open.push(predecessor);
                }
            }
        }
        found
    }

    /// The stream shard of a saga; `None` for an unsharded type.
    pub fn shard(&self, id: &str) -> Option<u32> {
        let shards = self.definition.shards?;
        let digest = Sha256::digest(id.as_bytes());
        let first = digest.iter().take(8).fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
        u32::try_from(first % u64::from(shards)).ok()
    }

    /// Every shard: `[None]` for an unsharded type.
    pub fn shards(&self) -> Vec<Option<u32>> {
        match self.definition.shards {
            None => vec![None],
            Some(shards) => (0..shards).map(Some).collect(),
        }
    }
}

impl Condition {
    /// Whether it holds for what `record` knows.
    pub fn holds(&self, record: &Record) -> bool {
        let found = self.find(record).filter(|value| !value.is_null());
        match &self.test {
            Test::Exists(wanted) => found.is_some() == *wanted,
            Test::Equals(value) => found == Some(value),
        }
    }

    fn find<'a>(&self, record: &'a Record) -> Option<&'a serde_json::Value> {
        if let Some(rest) = self.pointer.strip_prefix("/input") {
            return record.input.pointer(rest);
        }
        let (step, rest) = self.output_of()?;
        record.output(step)?.pointer(rest)
    }

    /// The step whose output it reads, and the pointer into that output.
    pub(crate) fn output_of(&self) -> Option<(&str, &str)> {
        let (step, rest) = self.pointer.strip_prefix("/steps/")?.split_once('/')?;
        Some((step, rest.strip_prefix("output")?))
    }
}

/// Whether nothing may be called off any more once the step is ready.
pub(crate) fn is_point_of_no_return(kind: Kind) -> bool {
    matches!(kind, Kind::Pivot | Kind::Retriable)
}

/// Whether the step can end a saga's way forward.
pub(crate) fn can_fail(step: &Step) -> bool {
    match step.kind {
        Kind::Compensable | Kind::Pivot => true,
        Kind::Signal => step.timeout_ms.is_some(),
        Kind::Retriable | Kind::Timer => false,
    }
}

/// Whether `name` may name a step.
pub(crate) fn is_step_name(name: &str) -> bool {
    crate::limits::is_name(name) && name != SAGA
}
