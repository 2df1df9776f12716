//! The topology on a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use async_nats::jetstream::{self, stream};
use jetsaga_nats::testing::broker;
use jetsaga_nats::topology::{self, Error, Wanted};
use saga_core::{Definition, Plan, Step, subject};
use saga_engine::Topology;
use serde_json::{Value, json};

/// Two compensable steps, `flight` by `airline` and `hotel` by `hotels`.
fn trip() -> Plan {
    let definition = Definition::new("trip", 1)
        .step(Step::compensable("flight", "airline").timeout_ms(5_000))
        .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
    Plan::new(definition).unwrap()
}

/// The same with a step before the others, by a service of its own.
fn longer_trip() -> Plan {
    let definition = Definition::new("trip", 2)
        .step(Step::compensable("visa", "embassy").timeout_ms(5_000))
        .step(Step::compensable("flight", "airline").timeout_ms(5_000))
        .step(Step::compensable("hotel", "hotels").timeout_ms(5_000));
    Plan::new(definition).unwrap()
}

fn topology(plans: &[&Plan]) -> Topology {
    Topology::of(plans, &[("trip", "airline")], 1)
}

fn stream_name() -> String {
    subject::stream("trip", None)
}

async fn jetstream() -> jetstream::Context {
    broker().await.account().jetstream().await
}

/// The stream's configuration as the server has it.
async fn config(jetstream: &jetstream::Context, name: &str) -> stream::Config {
    let mut stream = jetstream.get_stream(name).await.unwrap();
    stream.info().await.unwrap().config.clone()
}

/// The filters of a consumer as the server has them.
async fn filters(jetstream: &jetstream::Context, consumer: &str) -> Vec<String> {
    let stream = jetstream.get_stream(stream_name()).await.unwrap();
    stream.consumer_info(consumer).await.unwrap().config.filter_subjects
}

/// An event of saga `id`, outside the engine.
async fn publish(jetstream: &jetstream::Context, id: &str) {
    let subject = subject::filter("trip", id).replace('>', "001.saga.started.running");
    jetstream.publish(subject, "{}".into()).await.unwrap().await.unwrap();
}

fn of_the_shop() -> Topology {
    let plans: Vec<Plan> =
        saga_workflows::all().into_iter().map(|it| Plan::new(it).unwrap()).collect();
    let mirrors = [("order", "order"), ("order", "notification")];
    Topology::of(&plans.iter().collect::<Vec<_>>(), &mirrors, 1).with_view()
}

/// For one with several the server walks over all subjects, and everybody waits.
#[test]
fn each_consumer_of_the_shop_has_one_filter() {
    for consumer in of_the_shop().consumers {
        assert_eq!(consumer.filters.len(), 1, "{}: {:?}", consumer.name, consumer.filters);
    }
}

#[test]
fn the_topology_of_the_shop_is_as_written_down() {
    let topology = of_the_shop();
    let wanted = serde_json::to_value(Wanted::of(&topology)).unwrap();
    let text = format!("{}\n", serde_json::to_string_pretty(&sorted(wanted)).unwrap());
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("topology.golden.json");
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(&golden, &text).unwrap();
    }
    let written = std::fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(text, written, "if this is meant: UPDATE=1 cargo test -p jetsaga-nats");
}

/// Keys in alphabetical order, however `serde_json` is built.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[tokio::test]
async fn an_empty_server_gets_everything_and_then_nothing_more() {
    let (jetstream, topology) = (jetstream().await, topology(&[&trip()]));
    let planned = topology::plan(&jetstream, &topology).await.unwrap();
    let text = planned.to_string();
    for line in ["create stream SAGA_TRIP", "create consumer SAGA_TRIP airline-undo"] {
        assert!(text.lines().any(|it| it == line), "{line} is missing in:\n{text}");
    }
    let unapplied = topology::check(&jetstream, &topology).await.unwrap_err();
    assert!(matches!(&unapplied, Error::NotApplied(changes) if *changes == planned), "{unapplied}");

    let done = topology::apply(&jetstream, &topology).await.unwrap();
    assert_eq!(done, planned);
    topology::check(&jetstream, &topology).await.unwrap();
    let again = topology::apply(&jetstream, &topology).await.unwrap();
    assert_eq!(again.to_string(), "nothing differs");
}

#[tokio::test]
async fn the_stream_of_sagas_keeps_what_it_has_but_for_purges() {
    let jetstream = jetstream().await;
    topology::apply(&jetstream, &topology(&[&trip()])).await.unwrap();
    publish(&jetstream, "one").await;
    publish(&jetstream, "two").await;
    let stream = jetstream.get_stream(stream_name()).await.unwrap();
    stream.delete_message(1).await.unwrap_err();
    let mut roll_up = async_nats::HeaderMap::new();
    roll_up.insert("Nats-Rollup", "all");
    let subject = subject::filter("trip", "one").replace('>', "002.flight.done.running");
    let ack = jetstream.publish_with_headers(subject, roll_up, "{}".into()).await.unwrap();
    ack.await.unwrap_err();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 2);
    let purged = stream.purge().filter(subject::filter("trip", "one")).await.unwrap();
    assert_eq!(purged.purged, 1);
}

#[tokio::test]
async fn buckets_work_with_the_key_value_client() {
    let jetstream = jetstream().await;
    topology::apply(&jetstream, &topology(&[&trip()])).await.unwrap();
    for bucket in ["saga_definitions", "saga_checkpoints", "saga_barrier"] {
        let bucket = jetstream.get_key_value(bucket).await.unwrap();
        let revision = bucket.create("key", "one".into()).await.unwrap();
        bucket.update("key", "two".into(), revision).await.unwrap();
        bucket.update("key", "three".into(), revision).await.unwrap_err();
        assert_eq!(bucket.get("key").await.unwrap().unwrap(), "two");
        bucket.purge("key").await.unwrap();
    }
}

#[tokio::test]
async fn filters_widen_for_a_new_version_and_stay_wide_for_an_old_one() {
    let jetstream = jetstream().await;
    let (old, new) = (trip(), longer_trip());
    topology::apply(&jetstream, &topology(&[&old])).await.unwrap();
    let before = filters(&jetstream, "airline").await;
    let widened = topology::apply(&jetstream, &topology(&[&old, &new])).await.unwrap();
    assert!(widened.to_string().contains("update consumer SAGA_TRIP airline\n"), "{widened}");
    let after = filters(&jetstream, "airline").await;
    assert!(before.iter().all(|it| after.contains(it)) && after.len() > before.len(), "{after:?}");

    let narrower = topology::apply(&jetstream, &topology(&[&old])).await.unwrap();
    assert!(narrower.is_empty(), "{narrower}");
    assert_eq!(filters(&jetstream, "airline").await, after);
}

#[tokio::test]
async fn two_programs_that_apply_at_once_both_get_what_they_need() {
    let jetstream = jetstream().await;
    let (old, new) = (topology(&[&trip()]), topology(&[&longer_trip()]));
    let applying: Vec<_> = (0..8)
        .map(|number| {
            let (jetstream, old, new) = (jetstream.clone(), old.clone(), new.clone());
            tokio::spawn(async move {
                let mine = if number % 2 == 0 { old } else { new };
                topology::apply(&jetstream, &mine).await
            })
        })
        .collect();
    for task in applying {
        task.await.unwrap().unwrap();
    }
    topology::check(&jetstream, &old).await.unwrap();
    topology::check(&jetstream, &new).await.unwrap();
}

#[tokio::test]
async fn what_somebody_changed_is_told_and_put_right_and_the_rest_is_kept() {
    let (jetstream, topology) = (jetstream().await, topology(&[&trip()]));
    topology::apply(&jetstream, &topology).await.unwrap();
    let mut changed = config(&jetstream, &stream_name()).await;
    changed.max_age = std::time::Duration::from_hours(1);
    changed.max_message_size = 123_456;
    changed.metadata.insert("team".to_owned(), "east".to_owned());
    jetstream.update_stream(changed).await.unwrap();

    let planned = topology::plan(&jetstream, &topology).await.unwrap();
    assert_eq!(planned.to_string(), "update stream SAGA_TRIP\n  max_age: 3600000000000 -> 0");
    topology::apply(&jetstream, &topology).await.unwrap();
    let now = config(&jetstream, &stream_name()).await;
    assert_eq!((now.max_age, now.max_message_size), (std::time::Duration::ZERO, 123_456));
    assert_eq!(now.metadata.get("team").map(String::as_str), Some("east"));
}

#[tokio::test]
async fn a_stream_that_cannot_be_made_right_is_left_alone() {
    let (jetstream, topology) = (jetstream().await, topology(&[&trip()]));
    let in_memory = stream::Config {
        name: stream_name(),
        subjects: vec![subject::all("trip")],
        storage: stream::StorageType::Memory,
        ..Default::default()
    };
    jetstream.create_stream(in_memory).await.unwrap();
    let error = topology::apply(&jetstream, &topology).await.unwrap_err();
    assert!(matches!(error, Error::Conflict(_)), "{error}");
    assert!(error.to_string().contains("storage: \"memory\" -> \"file\""), "{error}");
    assert!(jetstream.get_stream(subject::dead::STREAM).await.is_err(), "nothing was changed");
}

#[tokio::test]
async fn subjects_taken_by_another_stream_are_told_in_the_words_of_the_server() {
    let (jetstream, topology) = (jetstream().await, topology(&[&trip()]));
    let other = stream::Config {
        name: "OTHER".to_owned(),
        subjects: vec![subject::all("trip")],
        ..Default::default()
    };
    jetstream.create_stream(other).await.unwrap();
    let error = topology::apply(&jetstream, &topology).await.unwrap_err();
    let is_overlap =
        matches!(&error, Error::Refused { what, code: 10065, .. } if what == "stream SAGA_TRIP");
    assert!(is_overlap, "{error}");
}

#[tokio::test]
async fn the_view_follows_every_saga() {
    let jetstream = jetstream().await;
    let with_view = topology(&[&trip()]).with_view();
    topology::apply(&jetstream, &with_view).await.unwrap();
    publish(&jetstream, "one").await;
    let view = jetstream.get_key_value("sagas").await.unwrap();
    wait_for_key(&view, "trip.one").await;
    let again = topology::apply(&jetstream, &with_view).await.unwrap();
    assert!(again.is_empty(), "{again}");
}

async fn wait_for_key(bucket: &jetstream::kv::Store, key: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while bucket.get(key).await.unwrap().is_none() {
        assert!(std::time::Instant::now() < deadline, "{key} is not there after 20 s");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[test]
fn a_sharded_type_has_a_stream_for_each_shard_and_one_view() {
    let mut definition = trip().definition().clone();
    definition.shards = Some(2);
    let topology = topology(&[&Plan::new(definition).unwrap()]).with_view();
    let wanted = serde_json::to_value(Wanted::of(&topology)).unwrap();
    let names: Vec<_> =
        wanted["streams"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert!(names.starts_with(&[&json!("SAGA_TRIP_0"), &json!("SAGA_TRIP_1")]), "{names:?}");
    let view = wanted["streams"].as_array().unwrap().last().unwrap();
    let key = json!("$KV.sagas.trip.{{wildcard(1)}}");
    for source in [0, 1] {
        assert_eq!(view["sources"][source]["subject_transforms"][0]["dest"], key);
    }
}
