//! A world in which the steps do what a saga's input says, and what is checked of every saga.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use saga_core::{Author, Change, Definition, Event, Record, Status};
use saga_engine::coordinator::{Coordinator, CoordinatorHandle};
use saga_engine::log::advance::{Advanced, advance};
use saga_engine::testing::Faults;
use saga_engine::wishes::{Cancel, Moved, Signal, WishClient, WishError};
use saga_engine::{Engine, Participant, ParticipantHandle, audit};
use serde_json::Value;

use super::acts::Acts;
use super::provider::{Abroad, Provider};
use crate::coordinator::world::quick;
use crate::runtime::books::{Books, Entry};
use crate::runtime::world::{World, until};

/// Sagas of one kind that are played side by side.
pub(super) const ALIKE: usize = 8;

/// What a test plays in; its services share their books.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) books: Books,
    pub(super) acts: Acts,
    pub(super) engine: Engine,
    pub(super) provider: Provider,
    /// Services whose steps call the provider, and how long a call may take.
    abroad: BTreeMap<String, Duration>,
    wishes: WishClient,
}

/// The code with which a wish was refused.
pub(super) fn refusal(answer: Result<Moved, WishError>) -> String {
    match answer {
        Err(WishError::Refused { code, .. }) => code,
        other => panic!("not refused: {other:?}"),
    }
}

impl Stage {
    /// In an account of its own. The definition's name is `trip`.
    pub(super) async fn new(definition: Definition) -> Self {
        let world = World::new(definition).await;
        let engine = Engine::new(world.client.clone());
        engine.know(Arc::clone(&world.plan));
        let wishes = WishClient::new(world.client.clone());
        let (books, acts, provider) = (Books::default(), Acts::default(), Provider::default());
        Self { world, books, acts, engine, provider, abroad: BTreeMap::new(), wishes }
    }

    /// The steps of this service call the provider, and wait so long for an answer.
    pub(super) fn abroad(mut self, service: &str, limit: Duration) -> Self {
        self.abroad.insert(service.to_owned(), limit);
        self
    }

    /// A service with all of its steps, which asks `faults` at every point.
    pub(super) fn part(&self, service: &str, faults: Faults) -> Participant<Books> {
        let engine = Engine::with_faults(self.world.client.clone(), faults);
        let mut part = Participant::new(engine, service, self.books.clone());
        part = part.saga(Arc::clone(&self.world.plan));
        for step in self.world.plan.steps().iter().filter(|step| step.service == service) {
            part = match self.abroad.get(service) {
                None => part.step(&step.name, self.acts.clone()),
                Some(&limit) => {
                    let (provider, acts) = (self.provider.clone(), self.acts.clone());
                    part.step(&step.name, Abroad { provider, acts, limit })
                }
            };
        }
        part
    }

    /// A service that nothing comes between.
    pub(super) async fn serve(&self, service: &str) -> ParticipantHandle {
        self.part(service, Faults::default()).start().await.unwrap()
    }

    /// Every service of the definition, by name.
    pub(super) async fn serve_all(&self) -> BTreeMap<String, ParticipantHandle> {
        let services = self.world.plan.services();
        let starting = services.iter().map(|&service| self.serve(service));
        let handles = join_all(starting).await;
        services.into_iter().map(str::to_owned).zip(handles).collect()
    }

    /// A coordinator that takes nothing out of the stream.
    pub(super) async fn coordinator(&self) -> CoordinatorHandle {
        let engine = Engine::new(self.world.client.clone());
        let coordinator = Coordinator::new(engine).saga(Arc::clone(&self.world.plan));
        coordinator.options(quick()).start().await.unwrap()
    }

    /// Starts this many sagas alike; returns their ids.
    pub(super) async fn start_alike(&self, name: &str, count: usize, input: &Value) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|number| format!("{name}{number}")).collect();
        join_all(ids.iter().map(|id| self.world.start(id, input.clone()))).await;
        ids
    }

    /// An operator moves a saga, whoever else does so meanwhile.
    pub(super) async fn wish(&self, id: &str, change: Change) -> Record {
        let log = self.engine.log().as_ref();
        let mut tail =
            log.last(&self.world.plan, id, saga_engine::log::NEWEST).await.unwrap().unwrap();
        loop {
            let event = Event::new(Author::Operator, change.clone());
            match advance(log, &self.world.plan, &tail, event).await.unwrap() {
                Advanced::Appended(tail) => return tail.stored.record,
                Advanced::Moved(moved) => tail = moved,
                Advanced::Gone => panic!("{id} is gone"),
            }
        }
    }

    /// Asks a coordinator to call a saga off.
    pub(super) async fn cancel(&self, id: &str) -> Result<Moved, WishError> {
        let (actor, reason) = ("ann".to_owned(), "changed her mind".to_owned());
        let (saga_type, id) = ("trip".to_owned(), id.to_owned());
        self.wishes.ask(&Cancel { saga_type, id, actor, reason }).await
    }

    /// Tells a coordinator of a signal.
    pub(super) async fn signal(
        &self,
        id: &str,
        step: &str,
        output: Value,
    ) -> Result<Moved, WishError> {
        let (actor, reason) = ("ann".to_owned(), "looks right".to_owned());
        let (saga_type, id, step) = ("trip".to_owned(), id.to_owned(), step.to_owned());
        self.wishes.ask(&Signal { saga_type, id, step, output, actor, reason }).await
    }

    /// Waits until the saga has this status.
    pub(super) async fn until_status(&self, id: &str, status: Status) -> Record {
        until(&format!("{id} is {status}"), async || {
            let found = self.world.get(id).await;
            (found.as_ref().is_some_and(|it| it.status == status), found)
        })
        .await
        .unwrap()
    }

    /// Waits until `step.kind` stands in the saga's log.
    pub(super) async fn until_told(&self, id: &str, event: &str) {
        until(&format!("{event} of {id}"), async || {
            let told = self.world.told(id).await;
            (told.iter().any(|it| it == event), told)
        })
        .await;
    }

    /// Waits until the saga's log has so many events.
    pub(super) async fn until_events(&self, id: &str, count: usize) {
        until(&format!("{count} events of {id}"), async || {
            let told = self.world.told(id).await;
            (told.len() == count, told)
        })
        .await;
    }

    /// Waits until the provider was called for this step so often.
    pub(super) async fn until_called(&self, id: &str, step: &str, calls: usize) {
        until(&format!("call {calls} for {step} of {id}"), async || {
            let account = self.provider.account(id, step);
            (account.calls == calls, account)
        })
        .await;
    }

    /// Waits until nobody asks this consumer for messages any more.
    pub(super) async fn idle(&self, consumer: &str) {
        until(&format!("nobody pulls from {consumer}"), async || {
            let info = self.world.consumer(consumer).await;
            (info.num_waiting == 0, info)
        })
        .await;
    }

    /// Waits for this end, and finds exactly these effects in the books, in an order that the
    /// definition allows. Nothing else ever was in them, since books only grow.
    pub(super) async fn ended(
        &self,
        id: &str,
        status: Status,
        did: &[&str],
        undid: &[&str],
    ) -> Record {
        let record = self.until_status(id, status).await;
        let history = self.world.history(id).await;
        audit::fold(&self.world.plan, &history).unwrap();
        let entries = self.books.of(id);
        let all = |steps: &[&str], entry| -> Vec<(String, Entry)> {
            steps.iter().map(|&step| (step.to_owned(), entry)).collect()
        };
        let mut expected = [all(did, Entry::Did), all(undid, Entry::Undid)].concat();
        expected.sort();
        let mut found = entries.clone();
        found.sort();
        assert_eq!(found, expected, "the books of {id}: {record:?}");
        self.assert_order(id, &entries);
        record
    }

    /// Nobody ran before what it waits for, nobody was undone before what builds on it.
    fn assert_order(&self, id: &str, entries: &[(String, Entry)]) {
        let at =
            |step: &str, entry: Entry| entries.iter().position(|it| it.0 == step && it.1 == entry);
        let is_in_order = |first: Option<usize>, second: Option<usize>| match (first, second) {
            (Some(first), Some(second)) => first < second,
            _ => true,
        };
        for step in self.world.plan.steps() {
            let name = step.name.as_str();
            assert!(is_in_order(at(name, Entry::Did), at(name, Entry::Undid)), "{id}: {entries:?}");
            for before in self.before(name) {
                let (ran, undone) = (
                    is_in_order(at(before, Entry::Did), at(name, Entry::Did)),
                    is_in_order(at(name, Entry::Undid), at(before, Entry::Undid)),
                );
                assert!(ran && undone, "{id}: {before} comes before {name}: {entries:?}");
            }
        }
    }

    /// Every step before this one, directly or through others.
    fn before<'a>(&'a self, step: &str) -> Vec<&'a str> {
        let mut found = self.world.plan.predecessor_names(step);
        let mut next = 0;
        while next < found.len() {
            for before in self.world.plan.predecessor_names(found[next]) {
                if !found.contains(&before) {
                    found.push(before);
                }
            }
            next += 1;
        }
        found
    }

    /// Waits until nothing is left to be delivered to anybody, and audits the whole stream.
    pub(super) async fn is_well(&self) {
        let played = self.world.topology.consumers.iter().filter(|it| it.service != "desk");
        join_all(played.map(|consumer| self.world.drained(&consumer.name))).await;
        let found = audit::streams(&self.engine, &[Arc::clone(&self.world.plan)]).await.unwrap();
        assert_eq!(found, [], "what the audit says");
    }
}
