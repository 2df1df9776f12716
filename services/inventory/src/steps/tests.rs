use std::sync::Arc;

use jetsaga_contracts::order_saga::{OrderLine, refusal};
use proptest::prelude::*;
use saga_core::Plan;
use saga_core::barrier::{Key, Row};
use saga_engine::testing::SagaKit;
use saga_engine::{Barrier as _, Change};
use serde_json::{Value, json};
use service_kit::Store;

use super::*;
use crate::stock::Level;

fn input(lines: &[(&str, i64)]) -> OrderInput {
    let lines: Vec<Value> =
        lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
    serde_json::from_value(json!({
        "customer": { "name": "Ada", "email": "ada@example.com" },
        "lines": lines, "currency": "EUR", "payment": { "token": "pm_card_visa" },
    }))
    .unwrap()
}

fn job(id: &str, lines: &[(&str, i64)]) -> Job<OrderInput> {
    Job {
        saga_type: "order".to_owned(),
        saga_id: id.to_owned(),
        step: "inventory".to_owned(),
        effect_id: format!("order.{id}.inventory"),
        attempt: 1,
        left: std::time::Duration::from_secs(5),
        at_ms: 1_700_000_000_000,
        input: input(lines),
        outputs: std::collections::BTreeMap::new(),
        traceparent: None,
    }
}

async fn warehouse() -> Warehouse {
    let warehouse = Warehouse::new(Store::in_memory(store::SCHEMA).await.unwrap());
    warehouse.seed(&[("tea", 10), ("cup", 2)]).await.unwrap();
    warehouse
}

async fn level(warehouse: &Warehouse, sku: &str) -> Level {
    warehouse.levels(&[sku]).await.unwrap().remove(0).level
}

fn change(id: &str, row: Row, work: Work) -> Change<Work> {
    Change { key: Key::new("order", id, "inventory"), seen: None, row, work }
}

#[tokio::test]
async fn a_batch_never_takes_more_than_there_is() {
    let warehouse = warehouse().await;
    let step = Allocate::new(warehouse.clone());
    let jobs: Vec<_> = (0..6).map(|n| job(&format!("o{n}"), &[("tea", 2), ("cup", 1)])).collect();
    let answers = step.run_all(&jobs).await;
    let done = answers.iter().filter(|answer| matches!(answer, Answer::Done(..))).count();
    assert_eq!(done, 2, "there are two cups");
    let refused = |answer: &&Result| matches!(answer, Answer::Refused(reason, _) if reason.code == refusal::OUT_OF_STOCK);
    assert_eq!(answers.iter().filter(refused).count(), 4);
    let changes = jobs.iter().zip(answers).filter_map(|(job, answer)| match answer {
        Answer::Done(output, work) => {
            let row = Row::done("r", serde_json::to_value(output).unwrap());
            Some(change(&job.saga_id, row, work))
        }
        _ => None,
    });
    let results = warehouse.barrier().commit(changes.collect()).await;
    assert!(results.iter().all(std::result::Result::is_ok), "{results:?}");
    assert_eq!(level(&warehouse, "tea").await, Level { on_hand: 10, allocated: 4 });
    assert_eq!(level(&warehouse, "cup").await, Level { on_hand: 2, allocated: 2 });
}

/// What was decided over a shelf that somebody emptied meanwhile does not hold.
#[tokio::test]
async fn a_decision_over_an_old_shelf_is_raced() {
    let warehouse = warehouse().await;
    let lines = lines(&input(&[("tea", 6)]));
    let take = |id: &str| change(id, Row::done("r", json!({})), store::allocate(id, &lines, 1));
    assert!(warehouse.barrier().commit(vec![take("a")]).await[0].is_ok());
    let raced = warehouse.barrier().commit(vec![take("b")]).await.remove(0);
    assert!(matches!(raced, Err(saga_engine::CommitError::Raced)), "{raced:?}");
    assert_eq!(level(&warehouse, "tea").await.allocated, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_promises_of_a_saga_hold_whatever_goes_wrong() {
    let warehouse = warehouse().await;
    // Sagas that complete keep what they took: there must be enough for all of them.
    for sku in ["tea", "cup"] {
        warehouse.adjust(sku, 1_000, "delivery", 1).await.unwrap();
    }
    let plan = Arc::new(Plan::new(saga_workflows::order()).unwrap());
    let world = warehouse.clone();
    let report =
        SagaKit::new(plan, "inventory", warehouse.barrier().clone())
            .step("inventory", Allocate::new(warehouse.clone()))
            .input(|_id| serde_json::to_value(input(&[("tea", 1), ("cup", 1)])).unwrap())
            .world(move || {
                let world = world.clone();
                async move {
                    (level(&world, "tea").await.allocated, level(&world, "cup").await.allocated)
                }
            })
            .check()
            .await
            .unwrap();
    assert!(report.scenarios.len() > 10, "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is ordered and given back: what is allocated is the sum of what is held, and never
    /// more than there is.
    #[test]
    fn what_is_allocated_is_what_is_held(wishes in proptest::collection::vec((1_i64..5, any::<bool>()), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let warehouse = warehouse().await;
            let step = Allocate::new(warehouse.clone());
            let mut held = 0;
            for (n, (quantity, gives_back)) in wishes.into_iter().enumerate() {
                let id = format!("o{n}");
                let job = job(&id, &[("tea", quantity)]);
                let Answer::Done(output, work) = step.run(&job).await else { continue };
                let row = Row::done("r", serde_json::to_value(output).unwrap());
                let done = change(&id, row.clone(), work);
                assert!(warehouse.barrier().commit(vec![done]).await[0].is_ok());
                held += quantity;
                if gives_back {
                    let undo = Undo { job, undo_id: String::new(), output: None, cause: None };
                    let UndoAnswer::Undone(work) = step.undo(&undo).await else { panic!() };
                    let undone = Change { seen: Some(row.clone()), ..change(&id, row.undone(), work) };
                    assert!(warehouse.barrier().commit(vec![undone]).await[0].is_ok());
                    held -= quantity;
                }
                let level = level(&warehouse, "tea").await;
                assert_eq!(level.allocated, held);
                assert!(level.allocated <= level.on_hand);
            }
        });
    }
}

#[test]
fn every_line_of_an_order_is_set_aside() {
    let order = input(&[("tea", 3)]);
    let OrderLine { sku, quantity } = order.lines[0].clone();
    assert_eq!(lines(&order), [AllocatedLine { sku, quantity }]);
}
