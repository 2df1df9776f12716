//! What only a server can do to an append.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use jetsaga_nats::testing::{broker, own_server};
use saga_core::{Plan, Record, subject};
use saga_engine::log::advance::{AdvanceError, Advanced, advance, start};
use saga_engine::log::jetstream::JetStreamLog;
use saga_engine::log::{AppendError, Log};
use saga_engine::{Tail, Trace};
use serde_json::json;

use super::bed::{Bed, appended, done};
use super::proxy::{Network, Proxy};
use crate::runtime::world::until;

/// A bed, and the stream of its trips.
pub(super) struct Server {
    pub(super) bed: Bed,
    pub(super) context: jetstream::Context,
    pub(super) stream: stream::Stream,
}

impl Server {
    pub(super) async fn new() -> Self {
        Self::on(broker().await.account().client().await).await
    }

    async fn on(client: async_nats::Client) -> Self {
        let bed = Bed::on(&client).await;
        let context = jetstream::new(client);
        let stream = context.get_stream(subject::stream("trip", None)).await.unwrap();
        Self { bed, context, stream }
    }

    async fn update(&self, change: impl FnOnce(&mut stream::Config)) {
        let mut config = self.stream.get_info().await.unwrap().config;
        change(&mut config);
        self.context.update_stream(config).await.unwrap();
    }

    async fn messages(&self) -> u64 {
        self.stream.get_info().await.unwrap().state.messages
    }
}

/// What was taken out is still told by a replica that lags behind.
async fn comes_to(bed: &Bed, name: &str, wanted: &[&str]) {
    until("the history without what was taken out", async || {
        let told = bed.told(name).await;
        (told == wanted, told)
    })
    .await;
}

async fn advance_error(bed: &Bed, tail: &Tail) -> AdvanceError {
    advance(bed.log.as_ref(), &bed.plan, tail, done("flight")).await.unwrap_err()
}

#[tokio::test]
async fn a_message_has_the_subject_and_headers_of_the_protocol() {
    let server = Server::new().await;
    let (bed, filter) = (&server.bed, subject::filter("trip", &server.bed.id("one")));
    let tail = bed.start("one").await;
    let append = bed.next(&tail, done("flight"));
    let sequence = bed.put(&append).await;
    let message = server.stream.get_raw_message(sequence).await.unwrap();
    assert_eq!(message.subject.as_str(), filter.replace('>', "002.flight.done.running"));
    assert_eq!(message.payload, append.record.to_json());
    let headers: BTreeMap<String, Vec<String>> = (message.headers.iter())
        .map(|(name, values)| (name.to_string(), values.iter().map(ToString::to_string).collect()))
        .collect();
    let wanted = [
        ("Nats-Expected-Last-Subject-Sequence", tail.last_sequence.to_string()),
        ("Nats-Expected-Last-Subject-Sequence-Subject", filter),
        ("Nats-Expected-Stream", "SAGA_TRIP".to_owned()),
        ("Saga-Append", append.append_id.clone()),
        ("traceparent", append.trace.parent.clone().unwrap()),
        ("tracestate", append.trace.state.clone().unwrap()),
    ];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), vec![value]));
    assert_eq!(headers, BTreeMap::from(wanted));
}

#[tokio::test]
async fn a_record_over_a_limit_is_refused_and_nothing_is_stored() {
    let server = Server::new().await;
    let bed = &server.bed;
    let tail = bed.start("one").await;
    server.update(|config| config.max_message_size = 1_000).await;
    // Over the stream's limit, and over that of the server (1 MiB), which is not even sent.
    for bytes in [2_000, 2_000_000] {
        let mut record = bed.started("large", json!({})).record;
        record.input = json!("x".repeat(bytes)).into();
        let append = bed.append(record.clone(), 0);
        let refused = bed.log.append(&bed.plan, &append).await;
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{bytes}: {refused:?}");
        let error = start(bed.log.as_ref(), &bed.plan, record, Trace::default()).await.unwrap_err();
        assert!(matches!(error, AdvanceError::Refused(_)), "{bytes}: {error:?}");
    }
    let mut large = tail.clone();
    large.stored.trace.state = Some("x".repeat(1_000));
    let error = advance_error(bed, &large).await;
    assert!(matches!(&error, AdvanceError::Refused(why) if why.contains("size")), "{error:?}");
    assert_eq!(server.messages().await, 1);
}

#[tokio::test]
async fn without_a_stream_nothing_is_acknowledged() {
    let client = broker().await.account().client().await;
    let log = JetStreamLog::new(client.clone());
    let plan = Plan::new(super::bed::trip()).unwrap();
    let record = Record::start(&plan, "one", json!({})).unwrap();
    let began = Instant::now();
    let error = start(&log, &plan, record.clone(), Trace::default()).await.unwrap_err();
    assert!(matches!(error, AdvanceError::Read(_)), "{error:?}");
    assert!(began.elapsed() < Duration::from_secs(4), "it is told at once, not by a time-out");
    log.last(&plan, "one", 0).await.unwrap_err();
    log.history(&plan, "one", 0).await.unwrap_err();

    let server = Server::on(client).await;
    let started = start(&log, &plan, record, Trace::default()).await.unwrap();
    assert_eq!(appended(started).stored.sequence, 1);
    assert_eq!(server.messages().await, 1);
}

#[tokio::test]
async fn a_stream_of_another_name_takes_nothing() {
    let client = broker().await.account().client().await;
    let config = stream::Config {
        name: "OTHER".to_owned(),
        subjects: vec![subject::all("trip")],
        allow_direct: true,
        ..stream::Config::default()
    };
    let stream = jetstream::new(client.clone()).create_stream(config).await.unwrap();
    let bed = Bed::new(std::sync::Arc::new(JetStreamLog::new(client)));
    // A server of a cluster may not have heard of the stream yet.
    let refused = until("an answer", async || {
        let answer = bed.log.append(&bed.plan, &bed.started("one", json!({}))).await;
        (!matches!(answer, Err(AppendError::Unanswered(_))), answer)
    })
    .await;
    assert!(matches!(&refused, Err(AppendError::Refused(_))), "{refused:?}");
    assert_eq!(stream.get_info().await.unwrap().state.messages, 0);
}

#[tokio::test]
async fn a_full_stream_takes_nothing_and_goes_on_when_it_has_room() {
    let server = Server::new().await;
    let bed = &server.bed;
    let tail = bed.start("one").await;
    server.update(|config| config.max_messages = 1).await;
    let error = advance_error(bed, &tail).await;
    let is_known = matches!(error, AdvanceError::Unanswered(_) | AdvanceError::Refused(_));
    assert!(is_known && error.to_string().contains("maximum messages"), "{error:?}");
    assert_eq!(bed.told("one").await, ["saga started"]);
    server.update(|config| config.max_messages = -1).await;
    appended(bed.advance(&tail, done("flight")).await);
    assert_eq!(bed.told("one").await, ["saga started", "flight done"]);
}

#[tokio::test]
async fn after_retention_a_history_begins_with_its_last_event() {
    let server = Server::new().await;
    let bed = &server.bed;
    let started = bed.start("one").await;
    let flown = appended(bed.advance(&started, done("flight")).await);
    let filter = subject::filter("trip", &bed.id("one"));
    server.stream.purge().filter(&filter).sequence(flown.last_sequence).await.unwrap();
    comes_to(bed, "one", &["flight done"]).await;
    assert_eq!(bed.newest("one").await.stored.record, flown.stored.record);
    let slept = appended(bed.advance(&bed.newest("one").await, done("hotel")).await);
    comes_to(bed, "one", &["flight done", "hotel done"]).await;

    server.stream.purge().filter(&filter).await.unwrap();
    // Until the replica that answers has heard of it, the saga stands where it stood.
    until("the saga is gone", async || {
        let advanced = bed.advance(&slept, done("papers")).await;
        (advanced == Advanced::Gone, advanced)
    })
    .await;
    assert_eq!(server.messages().await, 0);
}

#[tokio::test]
async fn a_server_that_dies_and_comes_back_is_waited_for() {
    let mut own = own_server().await;
    let client = jetsaga_nats::connect_as(own.url(), "log").await.unwrap();
    let bed = Bed::on(&client).await;
    let mut tails = Vec::new();
    for number in 0..8 {
        tails.push((number, bed.start(&format!("s{number}")).await));
    }
    own.kill().await;
    let writing: Vec<_> = tails
        .into_iter()
        .map(|(number, tail)| {
            let bed = bed.clone();
            tokio::spawn(async move {
                appended(bed.advance(&tail, done("flight")).await);
                number
            })
        })
        .collect();
    own.restart().await;
    for written in writing {
        let name = format!("s{}", written.await.unwrap());
        assert_eq!(bed.told(&name).await, ["saga started", "flight done"], "{name}");
    }
}

#[tokio::test]
async fn a_server_that_dies_under_load_leaves_every_saga_whole() {
    let mut own = own_server().await;
    let client = jetsaga_nats::connect_as(own.url(), "log").await.unwrap();
    let bed = Bed::on(&client).await;
    let writing: Vec<_> = (0..24)
        .map(|number| {
            let bed = bed.clone();
            tokio::spawn(async move { walk(&bed, &format!("s{number}")).await })
        })
        .collect();
    // Some of it is written by now, and most is not.
    let end = Instant::now() + Duration::from_secs(20);
    while bed.history("s0").await.is_empty() {
        assert!(Instant::now() < end, "nothing is written");
    }
    own.kill().await;
    own.restart().await;
    for (number, written) in writing.into_iter().enumerate() {
        written.await.unwrap();
        let history = bed.history(&format!("s{number}")).await;
        let told = super::bed::told(&history);
        assert_eq!(told, ["saga started", "flight done", "hotel done", "papers done"]);
    }
}

/// Moves a saga to its end, as whoever is told of no answer tries again.
async fn walk(bed: &Bed, name: &str) {
    let end = Instant::now() + Duration::from_mins(1);
    let record = bed.started(name, json!({})).record;
    let mut tail: Option<Tail> = None;
    while tail.as_ref().is_none_or(|tail| !tail.stored.record.status.is_end()) {
        let outcome = match &tail {
            None => start(bed.log.as_ref(), &bed.plan, record.clone(), Trace::default()).await,
            Some(tail) => {
                let steps = ["flight", "hotel", "papers"];
                let step = steps.iter().find(|step| tail.stored.record.state(step).is_none());
                advance(bed.log.as_ref(), &bed.plan, tail, done(step.unwrap())).await
            }
        };
        match outcome {
            Ok(Advanced::Appended(next) | Advanced::Moved(next)) => tail = Some(next),
            Ok(Advanced::Gone) => panic!("{name} is gone"),
            Err(error) => assert!(Instant::now() < end, "{name} after a minute: {error}"),
        }
    }
}

#[tokio::test]
async fn an_acknowledgement_lost_on_the_way_does_no_harm() {
    let account = broker().await.account();
    let proxy = Proxy::before(account.url()).await;
    let near = Bed::on(&account.client().await).await;
    // The servers of a cluster tell of each other, and there the network is well.
    let through = async_nats::ConnectOptions::new().ignore_discovered_servers();
    let client = jetsaga_nats::connect(&proxy.url, through).await.unwrap();
    let far = near.with(std::sync::Arc::new(JetStreamLog::new(client)));

    for (name, network) in [("acked", Network::AnswersLost), ("asked", Network::RequestsLost)] {
        let tail = far.start(name).await;
        let before = proxy.lost();
        proxy.set(network);
        let (bed, trigger) = (far.clone(), tail.clone());
        let writing = tokio::spawn(async move { bed.advance(&trigger, done("flight")).await });
        let end = Instant::now() + Duration::from_secs(20);
        let arrives = network == Network::AnswersLost;
        while proxy.lost() == before || (arrives && near.history(name).await.len() < 2) {
            assert!(
                Instant::now() < end,
                "{name}: nothing was lost, or the request did not arrive"
            );
            tokio::task::yield_now().await;
        }
        assert_eq!(near.history(name).await.len(), if arrives { 2 } else { 1 });
        proxy.set(Network::Well);
        let ours = appended(writing.await.unwrap());
        assert_eq!(near.told(name).await, ["saga started", "flight done"], "{name}");
        assert_eq!(near.newest(name).await.stored.append_id, ours.stored.append_id);
        // The event is the first publish's, whose answer was lost.
        assert_eq!(ours.stored.record.base, tail.stored.sequence);
    }
}
