//! What a definition must fulfil.

use std::collections::BTreeMap;

use super::{Plan, can_fail, is_point_of_no_return, is_step_name};
use crate::definition::{Definition, Kind, Step};
use crate::event::Author;
use crate::limits;

/// Why a definition cannot be used: every problem found, not only the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the definition {name}.{version} cannot be used: {}", list(.problems))]
pub struct Invalid {
    /// The definition's name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant means")]
pub enum Problem {
    #[error("the name must be [a-z0-9_-]{{1,64}} and must not end in -<digits>")]
    Name,
    #[error("the version must be at least 1")]
    Version,
    #[error("there must be 1 to {} steps", limits::STEPS_MAX)]
    StepCount,
    #[error("the deadline must be at least 1 ms")]
    Deadline,
    #[error("the number of shards must be at least 1")]
    Shards,
    #[error("step {0:?}: the name must be [a-z0-9_-]{{1,64}} and not \"saga\"")]
    StepName(String),
    #[error("step {0}: the name stands twice")]
    StepTwice(String),
    #[error(
        "step {0}: it needs a service, named [a-z0-9_-]{{1,64}}, not one of coordinator, operator, client"
    )]
    Service(String),
    #[error("step {0}: a timer or signal has no service")]
    NoService(String),
    #[error("step {step}: its predecessor {after:?} does not exist")]
    UnknownPredecessor { step: String, after: String },
    #[error("steps {0:?} wait for each other")]
    Cycle(Vec<String>),
    #[error("step {0}: it needs a time-out of at least 1 ms")]
    Timeout(String),
    #[error("step {0}: its time-out is longer than the saga's deadline")]
    TimeoutPastDeadline(String),
    #[error("step {0}: only a timer has a delay, and it needs one shorter than the deadline")]
    Delay(String),
    #[error("step {0}: the pauses of its attempts add up to more than its time-out")]
    Backoff(String),
    #[error("step {0}: attempts must be at least 1")]
    Attempts(String),
    #[error(
        "step {step}: it can fail, so it must come before {later}, after which nothing is undone"
    )]
    CanFailTooLate { step: String, later: String },
    #[error("step {0}: its condition must point into /input or into /steps/<earlier step>/output")]
    Condition(String),
    #[error(
        "input and outputs may add up to {sum} bytes with their reserve; a record holds {}",
        limits::RECORD_MAX
    )]
    Size { sum: u64 },
}

/// Checks a definition and works out its graph.
pub(super) fn plan(definition: Definition) -> Result<Plan, Invalid> {
    let mut problems = head(&definition);
    definition.steps.iter().for_each(|step| check_step(step, &definition, &mut problems));
    let index = index(&definition, &mut problems);
    let predecessors = predecessors(&definition, &index, &mut problems);
    let order = order(&definition, &predecessors, &mut problems);
    if !problems.is_empty() {
        let (name, version) = (definition.name, definition.version);
        return Err(Invalid { name, version, problems });
    }
    let descendants = descendants(&predecessors, &order);
    let value = serde_json::to_value(&definition).unwrap_or_default();
    let digest = crate::digest(&value);
    let plan = Plan { definition, digest, index, predecessors, descendants, order };
    let problems = graph(&plan);
    if problems.is_empty() {
        Ok(plan)
    } else {
        let (name, version) = (plan.definition.name, plan.definition.version);
        Err(Invalid { name, version, problems })
    }
}

/// Whether a type name ends like a shard: `-<digits>`.
fn ends_like_a_shard(name: &str) -> bool {
    name.rsplit_once('-')
        .is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

fn head(definition: &Definition) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut unless = |good: bool, problem: Problem| {
        if !good {
            problems.push(problem);
        }
    };
    let name = &definition.name;
    unless(limits::is_name(name) && !ends_like_a_shard(name), Problem::Name);
    unless(definition.version > 0, Problem::Version);
    unless((1..=limits::STEPS_MAX).contains(&definition.steps.len()), Problem::StepCount);
    unless(definition.deadline_ms > 0, Problem::Deadline);
    unless(definition.shards != Some(0), Problem::Shards);
    let per_step = |step: &Step| u64::from(step.output_max) + u64::from(limits::STEP_RESERVE);
    let sum = u64::from(definition.input_max)
        + u64::from(limits::RECORD_RESERVE)
        + definition.steps.iter().map(per_step).sum::<u64>();
    unless(sum <= u64::from(limits::RECORD_MAX), Problem::Size { sum });
    problems
}

fn check_step(step: &Step, definition: &Definition, problems: &mut Vec<Problem>) {
    let name = || step.name.clone();
    if !is_step_name(&step.name) {
        problems.push(Problem::StepName(name()));
    }
    let is_service =
        limits::is_name(&step.service) && !Author::RESERVED.contains(&step.service.as_str());
    if step.kind.has_effect() && !is_service {
        problems.push(Problem::Service(name()));
    }
    if !step.kind.has_effect() && !step.service.is_empty() {
        problems.push(Problem::NoService(name()));
    }
    let needs_timeout = step.kind.has_effect();
    if step.timeout_ms.map_or(needs_timeout, |timeout| timeout == 0) {
        problems.push(Problem::Timeout(name()));
    }
    if step.timeout_ms.is_some_and(|timeout| timeout > definition.deadline_ms) {
        problems.push(Problem::TimeoutPastDeadline(name()));
    }
    let delay_is_right = match (step.kind, step.delay_ms) {
        (Kind::Timer, delay) => delay.is_some_and(|delay| delay < definition.deadline_ms),
        (_, delay) => delay.is_none(),
    };
    if !delay_is_right {
        problems.push(Problem::Delay(name()));
    }
    if step.attempts == Some(0) {
        problems.push(Problem::Attempts(name()));
    }
    if step.timeout_ms.is_some_and(|timeout| pauses(step) > timeout) {
        problems.push(Problem::Backoff(name()));
    }
}

/// The pauses between all attempts, in milliseconds; without a limit on attempts, the first one.
fn pauses(step: &Step) -> u64 {
    if !step.kind.has_effect() {
        return 0;
    }
    let retries = step.attempts.map_or(1, |attempts| attempts.saturating_sub(1));
    (1..=retries.min(10_000))
        .fold(0_u64, |sum, attempt| sum.saturating_add(step.backoff.pause_ms(attempt)))
}

fn index(definition: &Definition, problems: &mut Vec<Problem>) -> BTreeMap<String, usize> {
    let mut index = BTreeMap::new();
    for (position, step) in definition.steps.iter().enumerate() {
        if index.insert(step.name.clone(), position).is_some() {
            problems.push(Problem::StepTwice(step.name.clone()));
        }
    }
    index
}

fn predecessors(
    definition: &Definition,
    index: &BTreeMap<String, usize>,
    problems: &mut Vec<Problem>,
) -> Vec<Vec<usize>> {
    let mut all = Vec::new();
    for (position, step) in definition.steps.iter().enumerate() {
        let Some(names) = &step.after else {
            all.push(position.checked_sub(1).into_iter().collect());
            continue;
        };
        let mut found = Vec::new();
        for after in names {
            match index.get(after) {
                Some(&predecessor) if !found.contains(&predecessor) => found.push(predecessor),
                Some(_) => {}
                None => problems.push(Problem::UnknownPredecessor {
                    step: step.name.clone(),
                    after: after.clone(),
                }),
            }
        }
        all.push(found);
    }
    all
}

fn order(
    definition: &Definition,
    predecessors: &[Vec<usize>],
    problems: &mut Vec<Problem>,
) -> Vec<usize> {
    let mut order = Vec::new();
    let mut open: Vec<usize> = (0..predecessors.len()).collect();
    loop {
        let is_free = |step: &usize| predecessors[*step].iter().all(|p| order.contains(p));
        let (free, rest): (Vec<_>, Vec<_>) = open.iter().copied().partition(is_free);
        if free.is_empty() {
            break;
        }
        order.extend(free);
        open = rest;
    }
    if !open.is_empty() {
        let names = open.iter().map(|&step| definition.steps[step].name.clone());
        problems.push(Problem::Cycle(names.collect()));
    }
    order
}

fn descendants(predecessors: &[Vec<usize>], order: &[usize]) -> Vec<u64> {
    let mut descendants = vec![0_u64; predecessors.len()];
    for &step in order.iter().rev() {
        for &predecessor in &predecessors[step] {
            descendants[predecessor] |= descendants[step] | (1 << step);
        }
    }
    descendants
}

fn graph(plan: &Plan) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (position, step) in plan.steps().iter().enumerate() {
        if can_fail(step) {
            for (other, later) in plan.steps().iter().enumerate() {
                let comes_before = other == position || plan.is_after(other, position);
                if is_point_of_no_return(later.kind) && !comes_before {
                    problems.push(Problem::CanFailTooLate {
                        step: step.name.clone(),
                        later: later.name.clone(),
                    });
                }
            }
        }
        if !condition_is_known(plan, position, step) {
            problems.push(Problem::Condition(step.name.clone()));
        }
    }
    problems
}

fn condition_is_known(plan: &Plan, position: usize, step: &Step) -> bool {
    let Some(condition) = &step.when else { return true };
    let pointer = &condition.pointer;
    if pointer == "/input" || pointer.starts_with("/input/") {
        return true;
    }
    condition.output_of().is_some_and(|(earlier, rest)| {
        let is_earlier = plan.index_of(earlier).is_some_and(|index| plan.is_after(position, index));
        is_earlier && (rest.is_empty() || rest.starts_with('/'))
    })
}
