//! The provider's port over real HTTP: what each answer of the simulator, and of broken servers,
//! means to the payment service.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed; its helpers are part of it"
)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use jetsaga_contracts::{
    demo,
    money::{Currency, Money},
};
use payment::{
    provider::{
        Charge, ClientSettings, Fate, HttpProvider, Provider, ProviderError, Receipt, Refund,
    },
    simulator::{Fault, Mode, Simulator, SimulatorSettings, Summary},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

const KEY: &str = "order.ord_1.payment";

struct World {
    simulator: Simulator,
    provider: HttpProvider,
}

impl World {
    async fn new() -> Self {
        Self::with(SimulatorSettings::default()).await
    }

    async fn with(settings: SimulatorSettings) -> Self {
        let settings = SimulatorSettings { slow_for: Duration::from_millis(100), ..settings };
        let simulator = Simulator::start(settings).await.unwrap();
        let provider = client(&simulator.url());
        Self { simulator, provider }
    }

    async fn charge(&self, token: &str) -> Result<Receipt, ProviderError> {
        self.provider.charge(&charge(token), KEY).await
    }

    async fn refund(&self, receipt: &Receipt) -> Result<String, ProviderError> {
        let refund = Refund { provider_ref: receipt.provider_ref.clone(), amount: receipt.amount };
        self.provider.refund(&refund, &format!("{KEY}.undo")).await
    }

    async fn charged(&self) -> Receipt {
        match self.provider.status(KEY).await.unwrap() {
            Fate::Charged(receipt) => receipt,
            other => panic!("not charged: {other:?}"),
        }
    }

    fn summary(&self) -> Summary {
        self.simulator.teller().summary()
    }

    fn balance(&self) -> i64 {
        self.summary().balance.values().sum()
    }
}

fn client(url: &str) -> HttpProvider {
    HttpProvider::new(ClientSettings {
        url: url.to_owned(),
        api_key: "sk_test_simulator".into(),
        call_timeout: Duration::from_secs(1),
    })
    .unwrap()
}

fn eur(amount: i64) -> Money {
    Money::new(amount, Currency::EUR).unwrap()
}

fn charge(token: &str) -> Charge {
    Charge { amount: eur(1999), token: token.into(), order: "ord_1".to_owned() }
}

#[tokio::test]
async fn a_charge_happens_once_however_often_it_is_asked_for() {
    let world = World::new().await;
    let first = world.charge(demo::VISA).await.unwrap();
    assert_eq!(world.charge(demo::VISA).await.unwrap(), first);
    assert_eq!(world.charged().await, first);
    assert_eq!((world.summary().charged, world.balance()), (1, 1999));

    let other = Charge { amount: eur(1), ..charge(demo::VISA) };
    let reused = world.provider.charge(&other, KEY).await.unwrap_err();
    assert!(
        matches!(&reused, ProviderError::Invalid { code, .. } if code == "key_reused"),
        "{reused}"
    );
}

#[tokio::test]
async fn every_declining_token_declines_with_its_code_and_again() {
    let world = World::new().await;
    for (n, known) in demo::TOKENS.iter().enumerate() {
        let Some(code) = known.decline else { continue };
        let key = format!("key-{n}");
        for _ in 0..2 {
            let declined = world.provider.charge(&charge(known.token), &key).await;
            assert_eq!(declined, Err(ProviderError::Declined { code: code.to_owned() }));
        }
        assert_eq!(world.provider.status(&key).await, Ok(Fate::Declined(code.to_owned())));
    }
    assert_eq!((world.summary().declined, world.summary().charged), (7, 0));
}

#[tokio::test]
async fn a_refund_happens_once_and_only_for_all_of_it() {
    let world = World::new().await;
    let receipt = world.charge(demo::VISA).await.unwrap();
    let part = Receipt { amount: eur(1), ..receipt.clone() };
    assert!(matches!(world.refund(&part).await, Err(ProviderError::Invalid { .. })));
    let first = world.refund(&receipt).await.unwrap();
    assert_eq!(world.refund(&receipt).await.unwrap(), first);
    assert_eq!(world.provider.status(KEY).await, Ok(Fate::Refunded(receipt.clone())));
    // Another key cannot give it back a second time.
    let refund = Refund { provider_ref: receipt.provider_ref, amount: receipt.amount };
    let second = world.provider.refund(&refund, "another").await.unwrap_err();
    assert!(matches!(&second, ProviderError::Invalid { code, .. } if code == "not_refundable"));
    assert_eq!((world.summary().refunded, world.balance()), (1, 0));
}

#[tokio::test]
async fn a_cancelled_key_is_never_charged() {
    let world = World::new().await;
    assert_eq!(world.provider.status(KEY).await, Ok(Fate::NotSeen));
    assert_eq!(world.provider.cancel(KEY).await, Ok(Fate::Cancelled));
    assert_eq!(world.provider.cancel(KEY).await, Ok(Fate::Cancelled));
    let late = world.charge(demo::VISA).await.unwrap_err();
    assert!(matches!(&late, ProviderError::Invalid { code, .. } if code == "charge_canceled"));
    assert_eq!((world.summary().late, world.balance()), (1, 0));
}

#[tokio::test]
async fn cancelling_what_was_charged_tells_so_and_changes_nothing() {
    let world = World::new().await;
    let receipt = world.charge(demo::VISA).await.unwrap();
    assert_eq!(world.provider.cancel(KEY).await, Ok(Fate::Charged(receipt)));
    assert_eq!((world.summary().cancelled, world.balance()), (0, 1999));
}

#[tokio::test]
async fn lost_and_broken_answers_are_unknown_and_then_found_out() {
    for token in [demo::TIMEOUT_BUT_CHARGED, demo::CHARGED_THEN_500] {
        let world = World::new().await;
        let lost = world.charge(token).await.unwrap_err();
        assert!(matches!(lost, ProviderError::Unknown { .. }), "{token}: {lost}");
        let receipt = world.charged().await;
        // The same key again: the first answer, no second charge.
        assert_eq!(world.charge(token).await.unwrap(), receipt);
        assert_eq!((world.summary().charged, world.balance()), (1, 1999), "{token}");
    }
}

#[tokio::test]
async fn a_late_charge_is_made_unless_its_key_was_cancelled() {
    for cancelled in [false, true] {
        let world = World::new().await;
        let lost = world.charge(demo::LATE_ARRIVAL).await.unwrap_err();
        assert!(matches!(lost, ProviderError::Unknown { .. }), "{lost}");
        assert_eq!(world.provider.status(KEY).await, Ok(Fate::NotSeen));
        if cancelled {
            assert_eq!(world.provider.cancel(KEY).await, Ok(Fate::Cancelled));
        }
        assert_eq!(world.simulator.teller().let_arrive().unwrap(), 1);
        let expected = if cancelled { (0, 1, 0) } else { (1, 0, 1999) };
        let Summary { charged, late, .. } = world.summary();
        assert_eq!((charged, late, world.balance()), expected);
    }
}

#[tokio::test]
async fn a_late_charge_arrives_on_its_own() {
    let late_after = Duration::from_millis(1200);
    let world = World::with(SimulatorSettings { late_after, ..Default::default() }).await;
    world.charge(demo::LATE_ARRIVAL).await.unwrap_err();
    wait_until_charged(&world).await;
    assert_eq!(world.balance(), 1999);
}

#[tokio::test]
async fn a_slow_charge_is_a_charge() {
    let world = World::new().await;
    world.charge(demo::SLOW).await.unwrap();
    assert_eq!(world.balance(), 1999);
}

#[tokio::test]
async fn a_refund_that_fails_twice_is_transient_and_then_works() {
    let world = World::new().await;
    let receipt = world.charge(demo::REFUND_FAILS_TWICE).await.unwrap();
    for _ in 0..2 {
        let failed = world.refund(&receipt).await.unwrap_err();
        assert!(matches!(failed, ProviderError::Transient { .. }), "{failed}");
    }
    world.refund(&receipt).await.unwrap();
    assert_eq!(world.balance(), 0);
}

#[tokio::test]
async fn a_refund_that_never_works_is_final_until_it_is_repaired() {
    let world = World::new().await;
    let receipt = world.charge(demo::REFUND_NEVER_WORKS).await.unwrap();
    let refused = world.refund(&receipt).await.unwrap_err();
    assert!(matches!(&refused, ProviderError::Invalid { code, .. } if code == "refund_refused"));
    let repaired = admin(&world, reqwest::Method::PUT, "/admin/faults/refund_never_works")
        .json(&serde_json::json!({ "mode": "off" }))
        .send()
        .await
        .unwrap();
    assert_eq!(repaired.status(), 200);
    world.refund(&receipt).await.unwrap();
    assert_eq!(world.balance(), 0);
}

#[tokio::test]
async fn a_provider_that_is_down_is_transient_and_comes_back() {
    let world = World::new().await;
    let down = world.charge("pm_fault_down_for_1s").await;
    assert!(matches!(down, Err(ProviderError::Transient { .. })), "{down:?}");
    wait_until_up(&world, "pm_fault_down_for_1s").await;
    assert_eq!(world.balance(), 1999);

    world.simulator.teller().switch(Fault::Down, Mode::Always).unwrap();
    let all = [
        world.provider.status(KEY).await.unwrap_err(),
        world.provider.cancel("other").await.unwrap_err(),
        world.charge(demo::VISA).await.unwrap_err(),
    ];
    for down in all {
        assert!(matches!(down, ProviderError::Transient { .. }), "{down}");
    }
}

#[tokio::test]
async fn a_fault_can_be_switched_for_every_charge() {
    let world = World::new().await;
    world.simulator.teller().switch(Fault::Declined, Mode::Always).unwrap();
    let declined = ProviderError::Declined { code: "generic_decline".to_owned() };
    assert_eq!(world.charge(demo::VISA).await, Err(declined));
    world.simulator.teller().switch(Fault::Declined, Mode::Off).unwrap();
    assert!(world.provider.charge(&charge(demo::DECLINED), "off").await.is_ok());
}

#[tokio::test]
async fn an_unknown_token_is_invalid_and_a_wrong_key_is_no_fault_of_the_order() {
    let world = World::new().await;
    let unknown = world.charge("pm_card_nobody_knows").await.unwrap_err();
    assert!(
        matches!(&unknown, ProviderError::Invalid { code, .. } if code == "unknown_payment_method")
    );
    let settings = ClientSettings {
        url: world.simulator.url(),
        api_key: "sk_live_oops".into(),
        call_timeout: Duration::from_secs(1),
    };
    let foreign = HttpProvider::new(settings).unwrap().status(KEY).await.unwrap_err();
    assert!(matches!(foreign, ProviderError::Transient { .. }), "{foreign}");
}

#[tokio::test]
async fn a_provider_does_not_forget_when_it_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("provider/journal.jsonl");
    let start = |journal: &Path| SimulatorSettings {
        journal: Some(journal.to_owned()),
        ..SimulatorSettings::default()
    };
    let world = World::with(start(&journal)).await;
    let receipt = world.charge(demo::VISA).await.unwrap();
    world.provider.cancel("cancelled").await.unwrap();
    world.simulator.teller().switch(Fault::Slow, Mode::Off).unwrap();
    let before = world.summary();
    world.simulator.stop().await.unwrap();
    // What a crash in the middle of a line leaves behind was never answered.
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, format!("{text}{{\"entry\":\"charge\",\"ke")).unwrap();

    let world = World::with(start(&journal)).await;
    assert_eq!(world.summary(), before);
    assert_eq!(world.charged().await, receipt);
    assert_eq!(world.simulator.teller().mode(Fault::Slow), Mode::Off);
    world.refund(&receipt).await.unwrap();
    world.simulator.stop().await.unwrap();
    let world = World::with(start(&journal)).await;
    assert_eq!((world.summary().refunded, world.balance()), (1, 0));
    world.simulator.stop().await.unwrap();

    std::fs::write(&journal, "not a journal\n").unwrap();
    let damaged = Simulator::start(start(&journal)).await.unwrap_err();
    assert!(damaged.to_string().contains("line 1"), "{damaged}");
}

#[tokio::test]
async fn nobody_there_means_that_nothing_happened() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let gone = client(&url).charge(&charge(demo::VISA), KEY).await.unwrap_err();
    assert!(matches!(gone, ProviderError::Transient { .. }), "{gone}");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_unknown() {
    let charged = |amount| {
        format!(
            "{{\"id\":\"ch_1\",\"status\":\"succeeded\",\"amount\":{amount},\"currency\":\"EUR\"}}"
        )
    };
    for (status, body) in [
        ("200 OK", String::new()),
        ("200 OK", "not JSON".to_owned()),
        ("200 OK", "{\"status\":\"succeeded\"}".to_owned()),
        ("200 OK", charged(1)),
        ("200 OK", "x".repeat(100_000)),
        ("302 Found", String::new()),
        ("404 Not Found", "<html>".to_owned()),
        ("500 Internal Server Error", String::new()),
        ("502 Bad Gateway", "<html>".to_owned()),
    ] {
        let url = answering(status, &body).await;
        let lost = client(&url).charge(&charge(demo::VISA), KEY).await.unwrap_err();
        assert!(matches!(lost, ProviderError::Unknown { .. }), "{status} {body:.40}: {lost}");
    }
    let url = answering("200 OK", &charged(1999)).await;
    assert!(client(&url).charge(&charge(demo::VISA), KEY).await.is_ok());
    let url = answering("503 Service Unavailable\r\nRetry-After: 7", "").await;
    let busy = client(&url).charge(&charge(demo::VISA), KEY).await.unwrap_err();
    let after = Some(Duration::from_secs(7));
    assert!(matches!(&busy, ProviderError::Transient { after: it, .. } if *it == after), "{busy}");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let settings = ClientSettings {
        url: "http://127.0.0.1:1".to_owned(),
        api_key: "sk_test_hidden".into(),
        call_timeout: Duration::from_secs(1),
    };
    let shown = format!("{settings:?} {:?}", charge("pm_card_hidden"));
    assert!(!shown.contains("hidden"), "{shown}");
}

fn admin(world: &World, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
    reqwest::Client::new().request(method, format!("{}{path}", world.simulator.url()))
}

/// A server that gives one answer to everybody.
async fn answering(status: &str, body: &str) -> String {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap_or_default();
            if read > 0 {
                stream.write_all(answer.as_bytes()).await.unwrap_or_default();
            }
        }
    });
    url
}

async fn wait_until_charged(world: &World) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = world.provider.status(KEY).await;
        if matches!(seen, Ok(Fate::Charged(_))) {
            return;
        }
        assert!(Instant::now() < deadline, "it never arrived; last seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn wait_until_up(world: &World, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = world.charge(token).await;
        if seen.is_ok() {
            return;
        }
        assert!(Instant::now() < deadline, "it stays down; last seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
