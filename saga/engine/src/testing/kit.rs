//! The saga kit: whether a service's steps keep the promises of a saga, whatever goes wrong.
//!
//! It plays sagas of a definition in memory, without a server, through the participant's own code:
//! every message is delivered twice, every step is interrupted at every point, every step of the
//! saga fails in turn, undos overtake their steps and are repeated. After each rollback the world
//! must be as it was before the saga. After each saga the rows of the barrier must be what the log
//! says, and [`Step::audit`] must find nothing. Other services, timers and signals are played by
//! the kit.
//!
//! ```
//! # use std::sync::Arc;
//! # use saga_core::{Definition, Plan, Step};
//! # use saga_engine::testing::{MemoryBarrier, SagaKit};
//! # use saga_engine::{Answer, Job, Undo, UndoAnswer};
//! # struct Allocate;
//! # impl saga_engine::Step for Allocate {
//! #     type Input = serde_json::Value;
//! #     type Output = serde_json::Value;
//! #     type Work = i64;
//! #     async fn run(&self, _: &Job<Self::Input>) -> Answer<Self::Output, i64> {
//! #         Answer::Done(serde_json::json!({}), 1)
//! #     }
//! #     async fn undo(&self, _: &Undo<Self::Input, Self::Output>) -> UndoAnswer<i64> {
//! #         UndoAnswer::Undone(-1)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let plan = Arc::new(Plan::new(
//! #     Definition::new("order", 1)
//! #         .step(Step::compensable("inventory", "inventory").timeout_ms(5_000))
//! #         .step(Step::compensable("payment", "payment").timeout_ms(5_000)),
//! # )?);
//! let barrier = MemoryBarrier::<i64>::default();
//! let world = barrier.clone();
//! let report = SagaKit::new(plan, "inventory", barrier)
//!     .step("inventory", Allocate)
//!     .world(move || {
//!         let works = world.works();
//!         async move { works.iter().map(|(_, change)| change).sum::<i64>() }
//!     })
//!     .check()
//!     .await?;
//! assert!(report.scenarios.len() > 10);
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use saga_core::Plan;
use serde_json::{Value, json};

use crate::barrier::Barrier;
use crate::participant::{Participant, StartError};
use crate::step::Step;

mod play;
mod scenario;

use play::Stage;
use scenario::Scenario;

/// Checks the steps of one service in one definition.
pub struct SagaKit<B: Barrier, S = ()> {
    plan: Arc<Plan>,
    participant: Participant<B>,
    service: String,
    input: Input,
    refused: Option<Input>,
    outputs: BTreeMap<String, Value>,
    id: Box<dyn Fn(usize) -> String + Send + Sync>,
    world: World<S>,
}

type Input = Box<dyn Fn(&str) -> Value + Send + Sync>;
type World<S> = Box<dyn Fn() -> BoxFuture<'static, S> + Send + Sync>;

/// What was played, and held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// One line per scenario.
    pub scenarios: Vec<String>,
}

/// What did not hold.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// Handlers and definition do not match.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The world after a saga that was rolled back is not the world before it.
    #[error("{scenario}: the world is not as before:\n  before: {before}\n  after:  {after}")]
    World {
        /// What was played.
        scenario: String,
        /// The world before, as `Debug` writes it.
        before: String,
        /// The world after.
        after: String,
    },
    /// Rows of the barrier, or what [`Step::audit`] compares, contradict the log.
    #[error("{scenario}: an audit finds: {findings}")]
    Audit {
        /// What was played.
        scenario: String,
        /// What is wrong.
        findings: String,
    },
    /// The saga did not end as it must.
    #[error("{scenario}: {why}")]
    Saga {
        /// What was played.
        scenario: String,
        /// What happened instead.
        why: String,
    },
}

impl<B: Barrier<Work: Default>> SagaKit<B, ()> {
    /// A kit for the steps of `service`, whose rows are in `barrier`. Unless set, a saga's input
    /// is `{}`, and so are the outputs of other services' steps.
    pub fn new(plan: Arc<Plan>, service: &str, barrier: B) -> Self {
        Self {
            participant: Participant::detached(service, barrier).saga(Arc::clone(&plan)),
            plan,
            service: service.to_owned(),
            input: Box::new(|_| json!({})),
            refused: None,
            outputs: BTreeMap::new(),
            id: Box::new(|number| format!("kit-{number}")),
            world: Box::new(|| Box::pin(async {})),
        }
    }
}

impl<B: Barrier<Work: Default>, S: PartialEq + Debug> SagaKit<B, S> {
    /// The handler of a step of this service.
    #[must_use]
    pub fn step<T: Step<Work = B::Work>>(mut self, name: &str, step: T) -> Self {
        self.participant = self.participant.step(name, step);
        self
    }

    /// Makes the input of a saga from its id. With it every own step must succeed.
    #[must_use]
    pub fn input(mut self, input: impl Fn(&str) -> Value + Send + Sync + 'static) -> Self {
        self.input = Box::new(input);
        self
    }

    /// Makes an input that one of the own steps refuses: then nothing may remain either.
    #[must_use]
    pub fn refused(mut self, input: impl Fn(&str) -> Value + Send + Sync + 'static) -> Self {
        self.refused = Some(Box::new(input));
        self
    }

    /// Makes the id of saga number 0, 1, … for services whose ids have a form; unless set it is
    /// `kit-0`, `kit-1`, …
    #[must_use]
    pub fn ids(mut self, id: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.id = Box::new(id);
        self
    }

    /// What a step of another service (or a signal) puts out.
    #[must_use]
    pub fn output(mut self, step: &str, output: Value) -> Self {
        self.outputs.insert(step.to_owned(), output);
        self
    }

    /// How to look at the world: everything that an undo has to put back, and nothing else (no
    /// barrier rows, no history that only grows).
    #[must_use]
    pub fn world<T, F, R>(self, world: F) -> SagaKit<B, T>
    where
        T: PartialEq + Debug,
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = T> + Send + 'static,
    {
        let Self { plan, participant, service, input, refused, outputs, id, .. } = self;
        let world: World<T> = Box::new(move || Box::pin(world()));
        SagaKit { plan, participant, service, input, refused, outputs, id, world }
    }

    /// Plays everything.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub async fn check(self) -> Result<Report, Broken> {
        self.participant.check()?;
        let mut scenarios = Scenario::all(&self.plan, &self.service);
        if self.refused.is_some() {
            scenarios.push(Scenario::Refused);
        }
        let stage = Stage::new(self.participant, self.plan, self.service, self.outputs);
        let mut report = Report { scenarios: Vec::new() };
        for (number, scenario) in scenarios.iter().enumerate() {
            let id = (self.id)(number);
            let before = (self.world)().await;
            let broken = |why| Broken::Saga { scenario: scenario.to_string(), why };
            let input = match &self.refused {
                Some(refused) if *scenario == Scenario::Refused => refused(&id),
                _ => (self.input)(&id),
            };
            stage.start(&id, input).await.map_err(broken)?;
            scenario.play(&stage, &id).await.map_err(broken)?;
            let after = (self.world)().await;
            // Whatever came of it: the same messages once more change nothing.
            stage.repeat_everything(&id).await.map_err(broken)?;
            let repeated = (self.world)().await;
            let expected = if scenario.is_undone() { &before } else { &after };
            for found in [&after, &repeated] {
                if found != expected {
                    return Err(Broken::World {
                        scenario: scenario.to_string(),
                        before: format!("{expected:?}"),
                        after: format!("{found:?}"),
                    });
                }
            }
            let findings = stage.audit(&id).await.map_err(broken)?;
            if !findings.is_empty() {
                let scenario = scenario.to_string();
                return Err(Broken::Audit { scenario, findings: findings.join("; ") });
            }
            report.scenarios.push(scenario.to_string());
        }
        Ok(report)
    }
}
