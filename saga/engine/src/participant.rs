//! A service's part in sagas: it runs and undoes its steps, and may follow endings.
//!
//! One [`Participant`] per service; any number of processes may host the same one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{self, PullConsumer};
use saga_core::{Plan, subject};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::barrier::Barrier;
use crate::engine::{DefinitionError, Engine};
use crate::step::{Mirror, Step};
use crate::testing::fault::Faults;

mod audit;
pub(crate) mod backoff;
pub(crate) mod executor;
mod handle;
pub(crate) mod handler;
mod meter;
mod micro;
mod op;
mod pull;
mod source;
mod steps;
mod valve;
pub(crate) mod worker;

pub use handle::ParticipantHandle;
pub use meter::Stats;
pub use valve::Valve;

use executor::{Bench, Executor};
use handle::Ends;
use handler::{Endings, Handler, Typed};
use meter::Meter;
use pull::Lane;
use worker::{Role, Worker};

/// Messages in hand per consumer: each costs a task and its record.
const IN_HAND: usize = 1_024;
/// Calls outside that may be under way at the same time, unless set.
const CALLS: usize = 64;

/// Builds a participant.
///
/// `B` is the store of its barrier rows; all of its steps speak of work in that store's terms.
pub struct Participant<B: Barrier> {
    engine: Option<Engine>,
    service: String,
    barrier: B,
    plans: Vec<Arc<Plan>>,
    steps: BTreeMap<String, Arc<dyn Handler<B::Work>>>,
    twice: Vec<String>,
    mirror: Option<Arc<dyn Endings<B::Work>>>,
    samples: Vec<(String, Value)>,
    input_samples: Vec<Value>,
    calls: usize,
    valve: Valve,
    faults: Faults,
}

/// Why a participant cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No definition was given.
    #[error("{service} takes part in no saga")]
    NoSaga {
        /// The service.
        service: String,
    },
    /// Two definitions of one name and version differ.
    #[error("two different definitions are called {saga_type}.{version}")]
    TwoDefinitions {
        /// The saga type.
        saga_type: String,
        /// The version.
        version: u32,
    },
    /// A step of this service has no handler.
    #[error("{service} has no handler for step {step} of {saga_type}.{version}")]
    MissingHandler {
        /// The service.
        service: String,
        /// The saga type.
        saga_type: String,
        /// The version.
        version: u32,
        /// The step.
        step: String,
    },
    /// A handler was given for a step that no definition gives to this service.
    #[error("{service} has a handler for {step}, which is none of its steps")]
    UnknownStep {
        /// The service.
        service: String,
        /// The step.
        step: String,
    },
    /// Two handlers were given for one step.
    #[error("two handlers were given for step {0}")]
    TwoHandlers(String),
    /// A sample of an input or output does not fit a handler's type.
    #[error("step {step} cannot read the sample: {why}")]
    Sample {
        /// The step; `saga` for the mirror.
        step: String,
        /// What serde says.
        why: String,
    },
    /// A definition is registered with another content, or cannot be read.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A consumer that the topology should have made is not there.
    #[error("the stream {stream} has no consumer {consumer}: apply the topology first ({why})")]
    NoConsumer {
        /// The stream.
        stream: String,
        /// The consumer.
        consumer: String,
        /// What the server says.
        why: String,
    },
    /// The NATS service endpoints could not be registered.
    #[error("the service's endpoints could not be registered: {0}")]
    Endpoints(String),
}

impl<B: Barrier<Work: Default>> Participant<B> {
    /// A participant called `service`, whose rows are in `barrier`.
    pub fn new(engine: Engine, service: &str, barrier: B) -> Self {
        let faults = engine.faults();
        Self { engine: Some(engine), faults, ..Self::detached(service, barrier) }
    }

    /// A participant without a server, for the saga kit.
    pub(crate) fn detached(service: &str, barrier: B) -> Self {
        Self {
            engine: None,
            service: service.to_owned(),
            barrier,
            plans: Vec::new(),
            steps: BTreeMap::new(),
            twice: Vec::new(),
            mirror: None,
            samples: Vec::new(),
            input_samples: Vec::new(),
            calls: CALLS,
            valve: Valve::default(),
            faults: Faults::default(),
        }
    }

    /// Takes part in sagas of this definition; one call per type and version served.
    #[must_use]
    pub fn saga(mut self, plan: Arc<Plan>) -> Self {
        self.plans.push(plan);
        self
    }

    /// Performs this step, in every definition that has it.
    #[must_use]
    pub fn step<S: Step<Work = B::Work>>(mut self, name: &str, step: S) -> Self {
        let known = self.steps.insert(name.to_owned(), Arc::new(Typed(step)));
        if known.is_some() {
            self.twice.push(name.to_owned());
        }
        self
    }

    /// Follows endings. The topology must name this service as a mirror.
    #[must_use]
    pub fn on_end<M: Mirror<Work = B::Work>>(mut self, mirror: M) -> Self {
        self.mirror = Some(Arc::new(Typed(mirror)));
        self
    }

    /// A sample of the saga's input: the start fails when a handler cannot read it.
    #[must_use]
    pub fn sample_input(mut self, input: Value) -> Self {
        self.input_samples.push(input);
        self
    }

    /// A sample of a step's output: the start fails when its handler cannot read it.
    #[must_use]
    pub fn sample_output(mut self, step: &str, output: Value) -> Self {
        self.samples.push((step.to_owned(), output));
        self
    }

    /// Most calls of outside steps that are under way at the same time; 64 unless set.
    #[must_use]
    pub fn calls(mut self, most: usize) -> Self {
        self.calls = most.max(1);
        self
    }

    /// The valve on its forward consumers, to be closed while something it depends on is down.
    #[must_use]
    pub fn valve(mut self, valve: Valve) -> Self {
        self.valve = valve;
        self
    }

    /// Asks a hook at every fail-point; for tests.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Checks everything and starts to pull.
    ///
    /// # Errors
    /// See [`StartError`]; nothing runs then.
    pub async fn start(self) -> Result<ParticipantHandle, StartError> {
        self.check()?;
        let Some(engine) = self.engine.clone() else {
            return Err(StartError::NoSaga { service: self.service });
        };
        for plan in &self.plans {
            match engine.plan(plan.name(), plan.version()).await {
                Ok(known) if known.digest() != plan.digest() => {
                    let (name, version) = (plan.name().to_owned(), plan.version());
                    return Err(DefinitionError::Changed { name, version }.into());
                }
                Ok(_) | Err(DefinitionError::Unknown { .. }) => engine.know(Arc::clone(plan)),
                Err(error) => return Err(error.into()),
            }
        }
        let (valve, plans) = (self.valve.clone(), self.plans.clone());
        let (has_steps, has_mirror) = (!self.steps.is_empty(), self.mirror.is_some());
        let worker = Arc::new(self.worker(
            Arc::new(wall_clock),
            Arc::new(backoff::random),
            engine.log().clone(),
        ));
        let (ends, tasks) = (Ends::default(), TaskTracker::new());
        let mut lanes = Vec::new();
        for (stream, token) in streams(&plans) {
            for (role, is_wanted) in [
                (Role::Forward, has_steps),
                (Role::Backward, has_steps),
                (Role::Ending, has_mirror),
            ] {
                let of_stream =
                    plans.iter().filter(|plan| plan.name() == subject::type_of_token(&token));
                let names = is_wanted.then(|| consumers(role, &worker.service, of_stream));
                for consumer in names.into_iter().flatten() {
                    let found = consumer_config(&engine, &stream, &consumer).await?;
                    lanes.push(Arc::new(Lane {
                        worker: Arc::clone(&worker),
                        client: engine.client().clone(),
                        context: engine.jetstream().clone(),
                        stream: stream.clone(),
                        consumer,
                        token: token.clone(),
                        role,
                        ack_wait: found.ack_wait.max(Duration::from_millis(30)),
                        has_one_filter: found.filter_subjects.len() < 2,
                        hands: Arc::new(Semaphore::new(IN_HAND)),
                        valve: (role == Role::Forward).then(|| valve.clone()),
                        ends: ends.clone(),
                        tasks: tasks.clone(),
                    }));
                }
            }
        }
        let endpoints = micro::start(&engine, &worker, &valve, &ends.stop).await;
        let endpoints = endpoints.map_err(StartError::Endpoints)?;
        let pulls = lanes.into_iter().map(|lane| tokio::spawn(lane.run())).collect();
        let meter = Arc::clone(&worker.meter);
        let client = engine.client().clone();
        Ok(ParticipantHandle::new(client, meter, valve, ends, tasks, pulls, endpoints))
    }

    /// Whether handlers and definitions match.
    pub(crate) fn check(&self) -> Result<(), StartError> {
        let service = self.service.clone();
        if self.plans.is_empty() {
            return Err(StartError::NoSaga { service });
        }
        if let Some(step) = self.twice.first() {
            return Err(StartError::TwoHandlers(step.clone()));
        }
        let mut known: BTreeMap<(&str, u32), &str> = BTreeMap::new();
        let mut own: BTreeSet<&str> = BTreeSet::new();
        for plan in &self.plans {
            let (name, version) = (plan.name(), plan.version());
            if known.insert((name, version), plan.digest()).is_some_and(|it| it != plan.digest()) {
                let saga_type = name.to_owned();
                return Err(StartError::TwoDefinitions { saga_type, version });
            }
            let is_own =
                |step: &&saga_core::Step| step.kind.has_effect() && step.service == self.service;
            for step in plan.steps().iter().filter(is_own) {
                if !self.steps.contains_key(&step.name) {
                    let (saga_type, step) = (name.to_owned(), step.name.clone());
                    return Err(StartError::MissingHandler { service, saga_type, version, step });
                }
                own.insert(&step.name);
            }
        }
        if let Some(step) = self.steps.keys().find(|step| !own.contains(step.as_str())) {
            return Err(StartError::UnknownStep { service, step: step.clone() });
        }
        self.check_samples()
    }

    fn check_samples(&self) -> Result<(), StartError> {
        let unfit = |step: &str, why: String| StartError::Sample { step: step.to_owned(), why };
        for input in &self.input_samples {
            for (step, handler) in &self.steps {
                handler.reads_input(input).map_err(|why| unfit(step, why))?;
            }
            if let Some(mirror) = &self.mirror {
                mirror.reads_input(input).map_err(|why| unfit("saga", why))?;
            }
        }
        for (step, output) in &self.samples {
            if let Some(handler) = self.steps.get(step) {
                handler.reads_output(output).map_err(|why| unfit(step, why))?;
            }
        }
        Ok(())
    }

    pub(crate) fn worker(
        self,
        clock: executor::Clock,
        jitter: backoff::Jitter,
        log: Arc<dyn crate::log::Log>,
    ) -> Worker<B> {
        let meter = Arc::new(Meter::new(&self.service));
        let bench = Arc::new(Bench {
            barrier: Arc::new(self.barrier),
            steps: self.steps,
            mirror: self.mirror,
            clock,
            jitter,
            meter: Arc::clone(&meter),
            commit: tokio::sync::Mutex::new(()),
        });
        Worker {
            service: self.service,
            log,
            plans: self.plans,
            engine: self.engine,
            forward: Executor::start(Arc::clone(&bench)),
            backward: Executor::start(Arc::clone(&bench)),
            ending: Executor::start(Arc::clone(&bench)),
            bench,
            outside: Semaphore::new(self.calls),
            faults: self.faults,
            meter,
        }
    }
}

/// Streams of the plans' types and the type token of each; versions of one type share them.
fn streams(plans: &[Arc<Plan>]) -> BTreeSet<(String, String)> {
    let of_plan = |plan: &Arc<Plan>| {
        let name = plan.name().to_owned();
        plan.shards()
            .into_iter()
            .map(move |shard| (subject::stream(&name, shard), subject::type_token(&name, shard)))
    };
    plans.iter().flat_map(of_plan).collect()
}

/// The consumers of a service for a role in sagas of these plans.
fn consumers<'a>(
    role: Role,
    service: &str,
    plans: impl Iterator<Item = &'a Arc<Plan>>,
) -> BTreeSet<String> {
    match role {
        Role::Forward => BTreeSet::from([subject::consumer::forward(service)]),
        Role::Backward => plans
            .flat_map(|plan| subject::backward_consumers(plan, plan.name(), service))
            .map(|(name, _)| name)
            .collect(),
        Role::Ending => subject::consumer::endings(service).into(),
    }
}

async fn consumer_config(
    engine: &Engine,
    stream: &str,
    consumer: &str,
) -> Result<consumer::Config, StartError> {
    let found = engine.jetstream().get_consumer_from_stream(consumer, stream).await;
    let found: PullConsumer = found.map_err(|error| StartError::NoConsumer {
        stream: stream.to_owned(),
        consumer: consumer.to_owned(),
        why: error.to_string(),
    })?;
    Ok(found.cached_info().config.clone())
}

/// Milliseconds since the epoch by this machine's clock.
pub(crate) fn wall_clock() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
