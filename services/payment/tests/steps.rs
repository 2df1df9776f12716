//! The step `payment` against a provider that fails, over HTTP and a database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use jetsaga_contracts::{
    demo,
    http::payment::{Account, Payment, PaymentStatus},
    ids::OrderId,
    money::{Currency, Money},
    order_saga::{Charged, OrderInput, OrderPriced, refusal, step},
};
use payment::{
    ledger::Ledger,
    provider::{ClientSettings, HttpProvider, Provider as _, Watched},
    simulator::{Fault, Mode, Simulator, SimulatorSettings},
    steps::ChargeCustomer,
    store::{Payments, SCHEMA},
};
use saga_core::{
    Plan, Reason,
    barrier::{Key, Row},
};
use saga_engine::{
    Answer, Barrier as _, Change, Job, Resolution, Step as _, Undo, UndoAnswer, Valve,
    testing::SagaKit,
};
use serde_json::{Value, json};
use service_kit::{Store, Work};
use tokio_util::sync::CancellationToken;

const CALL_TIMEOUT: Duration = Duration::from_millis(400);

struct World {
    simulator: Simulator,
    step: ChargeCustomer,
    store: Store,
    order: OrderId,
}

impl World {
    async fn new() -> Self {
        let settings =
            SimulatorSettings { slow_for: Duration::from_millis(50), ..Default::default() };
        let simulator = Simulator::start(settings).await.unwrap();
        let store = Store::in_memory(SCHEMA).await.unwrap();
        let payments = Payments::new(store.clone());
        let step = ChargeCustomer::new(Arc::new(provider(&simulator)), payments, CALL_TIMEOUT);
        Self { simulator, step, store, order: OrderId::random() }
    }

    fn job(&self, token: &str) -> Job<OrderInput> {
        let id = self.order.as_str();
        Job {
            saga_type: "order".to_owned(),
            saga_id: id.to_owned(),
            step: step::PAYMENT.to_owned(),
            effect_id: self.key().effect_id(),
            attempt: 1,
            left: Duration::from_secs(30),
            at_ms: 0,
            input: serde_json::from_value(input(token)).unwrap(),
            outputs: BTreeMap::from([(step::ORDER.to_owned(), priced().into())]),
            traceparent: None,
        }
    }

    fn undo(&self, token: &str, output: Option<Charged>) -> Undo<OrderInput, Charged> {
        let undo_id = self.key().undo_id();
        Undo { job: self.job(token), undo_id, output, cause: None }
    }

    fn key(&self) -> Key {
        Key::new("order", self.order.as_str(), step::PAYMENT)
    }

    /// Commits work as the engine does: with the barrier's row.
    async fn commit(&self, work: Work) {
        let seen = self.store.read(&[self.key()]).await.unwrap().remove(0);
        let row = Row::done(&format!("after {seen:?}"), json!({}));
        let change = Change { key: self.key(), seen, row, work };
        self.store.commit(vec![change]).await.remove(0).unwrap();
    }

    async fn payment(&self) -> Option<Payment> {
        Payments::new(self.store.clone()).of(&self.order).await.unwrap()
    }

    /// Asserts where the payment stands, and that ledger and provider agree on it.
    async fn assert_stands(&self, status: PaymentStatus, held: i64) {
        let payment = self.payment().await.unwrap();
        assert_eq!(payment.status, status);
        let ledger = Ledger::of(payment.ledger);
        assert!(ledger.is_balanced(), "{ledger:?}");
        let ours = ledger.balance(Account::Provider, Currency::EUR).unwrap();
        assert_eq!((ours.amount, self.balance()), (held, held), "ours, the provider's");
    }

    fn balance(&self) -> i64 {
        self.simulator.teller().summary().balance.values().sum()
    }

    async fn charged(&self, token: &str) -> Charged {
        match self.step.run(&self.job(token)).await {
            Answer::Done(output, work) => {
                self.commit(work).await;
                output
            }
            other => panic!("not charged: {other:?}"),
        }
    }

    async fn undone(&self, undo: &Undo<OrderInput, Charged>) {
        match self.step.undo(undo).await {
            UndoAnswer::Undone(work) => self.commit(work).await,
            other => panic!("not undone: {other:?}"),
        }
    }
}

fn provider(simulator: &Simulator) -> HttpProvider {
    HttpProvider::new(ClientSettings {
        url: simulator.url(),
        api_key: "sk_test_simulator".into(),
        call_timeout: CALL_TIMEOUT,
    })
    .unwrap()
}

fn input(token: &str) -> Value {
    json!({
        "customer": { "name": "Ada Lovelace", "email": "ada@example.com" },
        "lines": [{ "sku": "TEA", "quantity": 1 }],
        "currency": "EUR",
        "payment": { "token": token }
    })
}

fn priced() -> Value {
    let total = Money { amount: 1999, currency: Currency::EUR };
    serde_json::to_value(OrderPriced { lines: Vec::new(), total }).unwrap()
}

#[tokio::test]
async fn a_charge_is_written_with_its_ledger_and_given_back_with_it() {
    let world = World::new().await;
    let output = world.charged(demo::VISA).await;
    world.assert_stands(PaymentStatus::Charged, 1999).await;
    let payment = world.payment().await.unwrap();
    assert_eq!(payment.provider_ref.as_deref(), Some(output.provider_ref.as_str()));
    world.undone(&world.undo(demo::VISA, Some(output))).await;
    world.assert_stands(PaymentStatus::Refunded, 0).await;
    let payment = world.payment().await.unwrap();
    let amounts: Vec<i64> = payment.ledger.iter().map(|entry| entry.amount.amount).collect();
    assert_eq!(amounts, [1999, -1999, -1999, 1999]);
}

#[tokio::test]
async fn a_declined_card_refuses_with_the_banks_code_and_charges_nothing() {
    let world = World::new().await;
    let answer = world.step.run(&world.job(demo::INSUFFICIENT_FUNDS)).await;
    let Answer::Refused(reason, work) = answer else { panic!("{answer:?}") };
    assert_eq!(reason, Reason::new(refusal::CARD_DECLINED, "insufficient_funds"));
    world.commit(work).await;
    world.assert_stands(PaymentStatus::Declined, 0).await;
    let payment = world.payment().await.unwrap();
    assert_eq!(payment.decline_code.as_deref(), Some("insufficient_funds"));
}

#[tokio::test]
async fn what_each_answer_of_the_provider_means() {
    for (token, expected) in [
        (demo::VISA, "done"),
        (demo::SLOW, "done"),
        (demo::DECLINED, "refused card_declined"),
        ("pm_card_nobody_knows", "refused payment_invalid"),
        ("pm_fault_down_for_60s", "again"),
        (demo::TIMEOUT_BUT_CHARGED, "unknown"),
        (demo::CHARGED_THEN_500, "unknown"),
        (demo::LATE_ARRIVAL, "unknown"),
    ] {
        let world = World::new().await;
        let found = match world.step.run(&world.job(token)).await {
            Answer::Done(..) => "done".to_owned(),
            Answer::Refused(reason, _) => format!("refused {}", reason.code),
            Answer::Again(..) => "again".to_owned(),
            Answer::Unknown(_) => "unknown".to_owned(),
        };
        assert_eq!(found, expected, "{token}");
    }
}

#[tokio::test]
async fn a_lost_charge_is_found_by_asking_and_never_charged_again() {
    for token in [demo::TIMEOUT_BUT_CHARGED, demo::CHARGED_THEN_500] {
        let world = World::new().await;
        let lost = world.step.run(&world.job(token)).await;
        assert!(matches!(lost, Answer::Unknown(_)), "{lost:?}");
        let found = world.step.resolve(&world.job(token)).await;
        let Resolution::Done(output, work) = found else { panic!("{found:?}") };
        assert_eq!(output.amount.amount, 1999);
        world.commit(work).await;
        world.assert_stands(PaymentStatus::Charged, 1999).await;
        assert_eq!(world.simulator.teller().summary().charged, 1);
    }
}

#[tokio::test]
async fn what_a_resolve_finds() {
    let world = World::new().await;
    let job = |token| world.job(token);
    let never = world.step.resolve(&job(demo::VISA)).await;
    assert_eq!(never, Resolution::NotHappened);

    let world = World::new().await;
    world.step.run(&world.job(demo::DECLINED)).await;
    let found = world.step.resolve(&world.job(demo::DECLINED)).await;
    assert!(matches!(&found, Resolution::Refused(no, _) if no.code == refusal::CARD_DECLINED));

    let world = World::new().await;
    world.undone(&world.undo(demo::VISA, None)).await;
    let found = world.step.resolve(&world.job(demo::VISA)).await;
    assert!(matches!(&found, Resolution::Refused(no, _) if no.code == refusal::PAYMENT_INVALID));

    let world = World::new().await;
    world.charged(demo::VISA).await;
    world.simulator.teller().switch(Fault::Down, Mode::Always).unwrap();
    let found = world.step.resolve(&world.job(demo::VISA)).await;
    assert!(matches!(found, Resolution::Unknown(_)), "{found:?}");
}

#[tokio::test]
async fn an_undo_that_knows_nothing_leaves_nothing_whatever_had_happened() {
    for (token, status) in [
        (None, PaymentStatus::Cancelled),
        (Some(demo::DECLINED), PaymentStatus::Declined),
        (Some(demo::TIMEOUT_BUT_CHARGED), PaymentStatus::Refunded),
        (Some(demo::CHARGED_THEN_500), PaymentStatus::Refunded),
        (Some(demo::LATE_ARRIVAL), PaymentStatus::Cancelled),
    ] {
        let world = World::new().await;
        if let Some(token) = token {
            world.step.run(&world.job(token)).await;
        }
        let token = token.unwrap_or(demo::VISA);
        world.undone(&world.undo(token, None)).await;
        // What was still on its way arrives now, and so does a call that was paused.
        world.simulator.teller().let_arrive().unwrap();
        let late = world.step.run(&world.job(token)).await;
        assert!(!matches!(late, Answer::Done(..)) || status == PaymentStatus::Refunded, "{late:?}");
        world.assert_stands(status, 0).await;
    }
}

#[tokio::test]
async fn an_undo_that_died_before_it_was_written_is_repeated_without_harm() {
    for output_is_known in [true, false] {
        let world = World::new().await;
        let output = world.charged(demo::VISA).await;
        let undo = world.undo(demo::VISA, output_is_known.then_some(output));
        for _ in 0..2 {
            let answer = world.step.undo(&undo).await;
            assert!(matches!(answer, UndoAnswer::Undone(_)), "{answer:?}");
            assert_eq!(world.balance(), 0);
        }
        assert_eq!(world.simulator.teller().summary().refunded, 1);
    }
}

#[tokio::test]
async fn a_refund_that_fails_comes_again_and_one_that_is_refused_is_given_up() {
    let world = World::new().await;
    let output = world.charged(demo::REFUND_FAILS_TWICE).await;
    let undo = world.undo(demo::REFUND_FAILS_TWICE, Some(output));
    for _ in 0..2 {
        let answer = world.step.undo(&undo).await;
        assert!(matches!(answer, UndoAnswer::Again(..)), "{answer:?}");
    }
    world.undone(&undo).await;
    world.assert_stands(PaymentStatus::Refunded, 0).await;

    let world = World::new().await;
    let output = world.charged(demo::REFUND_NEVER_WORKS).await;
    let undo = world.undo(demo::REFUND_NEVER_WORKS, Some(output));
    let answer = world.step.undo(&undo).await;
    let UndoAnswer::GiveUp(reason) = answer else { panic!("{answer:?}") };
    assert_eq!(reason.code, refusal::REFUND_REFUSED);
    world.assert_stands(PaymentStatus::Charged, 1999).await;
    world.simulator.teller().switch(Fault::RefundNeverWorks, Mode::Off).unwrap();
    world.undone(&undo).await;
    world.assert_stands(PaymentStatus::Refunded, 0).await;
}

#[tokio::test]
async fn a_step_without_a_total_is_refused_before_anybody_is_asked() {
    let world = World::new().await;
    let job = Job { outputs: BTreeMap::new(), ..world.job(demo::VISA) };
    let answer = world.step.run(&job).await;
    assert!(matches!(&answer, Answer::Refused(no, _) if no.code == refusal::PAYMENT_INVALID));
    assert_eq!(world.balance(), 0);
}

#[tokio::test]
async fn while_the_provider_is_down_no_new_charge_is_taken_up() {
    let world = World::new().await;
    let (valve, stop) = (Valve::default(), CancellationToken::new());
    let watched = Watched::new(Arc::new(provider(&world.simulator)), valve.clone(), stop.clone());
    world.simulator.teller().switch(Fault::Down, Mode::Always).unwrap();
    let mut calls = 0;
    while valve.is_open() {
        assert!(watched.status("any").await.is_err());
        calls += 1;
        assert!(calls < 100, "the valve stays open");
    }
    assert!(calls > 3, "one unlucky charge is no reason");
    world.simulator.teller().switch(Fault::Down, Mode::Token).unwrap();
    wait_until_open(&valve).await;
    stop.cancel();
}

async fn wait_until_open(valve: &Valve) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !valve.is_open() {
        assert!(Instant::now() < deadline, "the valve stays closed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_step_keeps_every_promise_of_the_saga_kit() {
    for token in [demo::VISA, demo::CHARGED_THEN_500, demo::REFUND_FAILS_TWICE] {
        let world = World::new().await;
        let plan = Arc::new(Plan::new(saga_workflows::order()).unwrap());
        let (store, simulator) = (world.store.clone(), Arc::new(world.simulator));
        let seen = Arc::clone(&simulator);
        let report = SagaKit::new(plan, "payment", world.store)
            .step(step::PAYMENT, world.step)
            .ids(|_| OrderId::random().into_string())
            .input(move |_| input(token))
            .refused(|_| input(demo::DECLINED))
            .output(step::ORDER, priced())
            .world(move || {
                let (store, seen) = (store.clone(), Arc::clone(&seen));
                async move { (seen.teller().summary().balance, ledger(&store).await) }
            })
            .check()
            .await
            .unwrap_or_else(|broken| panic!("{token}: {broken}"));
        assert!(report.scenarios.len() > 10, "{report:?}");
        let summary = simulator.teller().summary();
        assert!(summary.charged > 0 && summary.refunded > 0, "{summary:?}");
    }
}

/// What each account holds in all ledgers together.
async fn ledger(store: &Store) -> BTreeMap<String, i64> {
    let rows: Vec<Value> =
        store.rows("SELECT account, amount FROM ledger", json!({})).await.unwrap();
    let mut sums = BTreeMap::new();
    for row in rows {
        let account = row["account"].as_str().unwrap().to_owned();
        *sums.entry(account).or_default() += row["amount"].as_i64().unwrap();
    }
    sums
}
