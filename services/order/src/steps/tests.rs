use std::sync::Arc;

use jetsaga_contracts::{
    http::order::OrderStatus,
    ids::OrderId,
    order_saga::{OrderPriced, refusal},
};
use saga_core::Plan;
use saga_engine::{Answer, Step as _, UndoAnswer, testing::SagaKit};
use service_kit::Work;

use super::PlaceOrder;
use crate::{
    store::Orders,
    testing::{AT, Fault, Shop, cause, commit, eur, id, input, job, orders, undo},
};

async fn done(orders: &Orders, answer: Answer<OrderPriced, Work>) -> OrderPriced {
    let Answer::Done(priced, work) = answer else { panic!("{answer:?}") };
    commit(orders, work).await;
    priced
}

#[tokio::test]
async fn an_order_is_priced_and_written_as_pending() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let priced = done(&orders, step.run(&job(1, input(&[("TEA", 3)]))).await).await;
    assert_eq!(priced.total, eur(2397));
    let order = orders.get(&id(1)).await.unwrap().unwrap().order;
    assert_eq!((order.last().status, order.first.at), (OrderStatus::Pending, AT));
    assert_eq!(order.placed.lines[0].name.as_deref(), Some("Product TEA"));
    assert_eq!(order.placed.total, Some(eur(2397)));
    assert_eq!(order.standing().version, 1);
    assert!(
        shop.traces()[0].as_deref().unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c")
    );
}

#[tokio::test]
async fn a_batch_asks_once_and_each_order_is_decided_alone() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let mut jobs: Vec<_> = (0..60).map(|n| job(n, input(&[("TEA", 1)]))).collect();
    jobs.push(job(60, input(&[("NO-SUCH", 1)])));
    // What may not even be asked for: its comma would be another SKU.
    jobs.push(job(61, input(&[("a,b", 1)])));
    jobs.push(job(62, input(&[("TEA", 0)])));
    let answers = step.run_all(&jobs).await;
    assert_eq!(shop.asked(), [["NO-SUCH", "TEA"]]);
    let codes: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Done(..) => "done",
            Answer::Refused(reason, _) => reason.code.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(codes[..60].iter().all(|code| *code == "done"), "{codes:?}");
    assert_eq!(codes[60..], [refusal::UNKNOWN_SKU, refusal::INVALID_ORDER, refusal::INVALID_ORDER]);
}

#[tokio::test]
async fn a_refused_order_is_there_to_be_seen() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let answer = step.run(&job(1, input(&[("NO-SUCH", 1)]))).await;
    let Answer::Refused(reason, work) = answer else { panic!("{answer:?}") };
    assert_eq!(reason.code, refusal::UNKNOWN_SKU);
    commit(&orders, work).await;
    let order = orders.get(&id(1)).await.unwrap().unwrap().order;
    let reason = order.last().reason.clone().unwrap();
    assert_eq!(order.last().status, OrderStatus::Cancelled);
    assert_eq!((reason.code.as_str(), reason.step.as_deref()), ("unknown_sku", Some("order")));
    assert!(reason.detail.unwrap().contains("NO-SUCH"));
    assert_eq!(order.placed.total, None);
}

#[tokio::test]
async fn a_product_service_that_is_away_refuses_nobody() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    for fault in [Fault::Down, Fault::Odd] {
        shop.fault(fault);
        let answers =
            step.run_all(&[job(1, input(&[("TEA", 1)])), job(2, input(&[("X", 1)]))]).await;
        assert!(answers.iter().all(|it| matches!(it, Answer::Again(..))), "{fault:?}: {answers:?}");
    }
    shop.fault(Fault::None);
    done(&orders, step.run(&job(1, input(&[("TEA", 1)]))).await).await;
}

#[tokio::test]
async fn a_saga_whose_id_is_no_order_id_is_refused() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let mut foreign = job(1, input(&[("TEA", 1)]));
    foreign.saga_id = "somebody-elses".to_owned();
    let answer = PlaceOrder::new(orders, shop.products()).run(&foreign).await;
    let Answer::Refused(reason, work) = answer else { panic!("{answer:?}") };
    assert_eq!((reason.code.as_str(), work), (refusal::INVALID_ORDER, Work::none()));
}

#[tokio::test]
async fn an_undo_cancels_with_the_sagas_cause_and_once() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let job = job(1, input(&[("TEA", 1)]));
    done(&orders, step.run(&job).await).await;
    for _ in 0..2 {
        let undo = undo(job.clone(), Some(cause("inventory", "out_of_stock")));
        let UndoAnswer::Undone(work) = step.undo(&undo).await else { panic!("not undone") };
        commit(&orders, work).await;
    }
    let order = orders.get(&id(1)).await.unwrap().unwrap().order;
    assert_eq!((order.last().status, order.last().at), (OrderStatus::Cancelled, AT + 1_000));
    let reason = order.last().reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), reason.step.as_deref()), ("out_of_stock", Some("inventory")));
    let statuses: Vec<_> = order.history().map(|entry| entry.status).collect();
    assert_eq!(statuses, [OrderStatus::Pending, OrderStatus::Cancelled]);
}

#[tokio::test]
async fn an_undo_of_nothing_leaves_nothing() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let step = PlaceOrder::new(orders.clone(), shop.products());
    let answer = step.undo(&undo(job(1, input(&[("TEA", 1)])), None)).await;
    assert_eq!(answer, UndoAnswer::Undone(Work::none()));
}

#[tokio::test]
async fn the_step_keeps_the_promises_of_a_saga() {
    let (orders, shop) = (orders().await, Shop::with_tea().await);
    let plan = Arc::new(Plan::new(saga_workflows::order()).unwrap());
    let world = orders.clone();
    let json = |lines: &[(&str, i64)]| serde_json::to_value(input(lines)).unwrap();
    let report = SagaKit::new(plan, "order", orders.barrier().clone())
        .step("order", PlaceOrder::new(orders.clone(), shop.products()))
        .ids(|number| id(u128::try_from(number).unwrap()).into_string())
        .input(move |_| json(&[("TEA", 2)]))
        .refused(move |_| json(&[("NO-SUCH", 1)]))
        .world(move || {
            let orders = world.clone();
            async move { live(&orders).await }
        })
        .check()
        .await
        .unwrap();
    assert!(report.scenarios.len() > 20, "{report:?}");
}

/// Orders that are not cancelled.
async fn live(orders: &Orders) -> Vec<OrderId> {
    let all = orders.page(None, 1_000).await.unwrap();
    all.into_iter()
        .filter(|found| found.order.last().status != OrderStatus::Cancelled)
        .map(|found| found.id)
        .collect()
}
