//! A whole shop for a test: every service in this process, on free ports, with an account of its
//! own on the test broker.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test that cannot go on has failed: its harness panics for it"
)]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jetsaga_nats::testing::Account;
use jetsaga_shop::ShopOptions;
use saga_core::Plan;
use saga_engine::Engine;
use saga_engine::testing::Faults;
use saga_engine::topology;
use serde_json::{Value, json};
use service_kit::host::telemetry::LogForm;
use service_kit::host::{self, Apart, HostOptions, Hosted};
use tempfile::TempDir;

pub mod agrees;
pub mod binary;
pub mod client;
pub mod split;

pub use agrees::Ending;
pub use client::{Answer, Front};

/// Longest wait for anything that is awaited.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How a shop is to be.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Every time of the order saga is divided by this.
    pub hurry: u64,
    /// Longest time for one call to the payment provider, in milliseconds.
    pub call_timeout_ms: u64,
    /// A mail relay instead of files.
    pub relay: Option<u16>,
    /// `memory` or `embedded`.
    pub store: &'static str,
    /// Only these services; all of them when empty.
    pub only: Vec<&'static str>,
    /// Asked at every fail-point of every step.
    pub faults: Faults,
    /// Whether the server keeps the view bucket.
    pub view: bool,
    /// Most orders that the gateway accepts before they are carried out.
    pub orders_in_work: usize,
    /// Parts that get threads of their own.
    pub apart: Apart,
    /// A payment provider instead of the shop's own simulator.
    pub provider: Option<String>,
    /// How long finished sagas stay in the log.
    pub keep: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let (store, only) = ("memory", Vec::new());
        let faults = Faults::default();
        Self {
            hurry: 1,
            call_timeout_ms: 1_000,
            relay: None,
            store,
            only,
            faults,
            view: false,
            orders_in_work: gateway::config::GatewayOptions::default().gateway_orders_in_work_max,
            apart: Apart::default(),
            provider: None,
            keep: Duration::from_hours(1),
        }
    }
}

/// A shop that runs in this process. What a test says to it is in [`Front`].
pub struct Shop {
    hosted: Hosted,
    setup: Setup,
    front: Front,
    account: Option<Account>,
    directory: TempDir,
}

impl std::ops::Deref for Shop {
    type Target = Front;

    fn deref(&self) -> &Front {
        &self.front
    }
}

/// Runs a test; what it starts runs on threads with the stacks that the database wants.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_stack_size(16 * 1024 * 1024)
        .build()
        .expect("a runtime can be built");
    // A test is as large as all that it awaits: not on the stack.
    runtime.block_on(Box::pin(test));
}

/// Waits until `probe` says `Ok`, and shows what it said last if it never does.
pub async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) => assert!(Instant::now() < end, "never {what}; last seen: {last}"),
        }
        // Between two looks at the condition, whose patience is bounded above.
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

impl Shop {
    /// A shop as it comes.
    pub async fn start() -> Self {
        Box::pin(Self::with(Setup::default())).await
    }

    /// A shop with a setup of its own.
    pub async fn with(setup: Setup) -> Self {
        let account = jetsaga_nats::testing::broker().await.account();
        let directory = tempfile::tempdir().expect("a directory can be made");
        Box::pin(Self::on(setup, Some(account), directory)).await
    }

    /// A shop on the data of another that is gone, with the NATS server that lies there too.
    pub async fn over(directory: TempDir) -> Self {
        Box::pin(Self::over_with(directory, Setup::default())).await
    }

    /// The same with a setup of its own.
    pub async fn over_with(directory: TempDir, setup: Setup) -> Self {
        Box::pin(Self::on(Setup { store: "embedded", ..setup }, None, directory)).await
    }

    async fn on(setup: Setup, account: Option<Account>, directory: TempDir) -> Self {
        let options = options(&setup, account.as_ref(), &directory);
        let hosted = host(&setup, &options).await;
        let front = Front::new(hosted.urls.clone(), &hosted.nats_url).await;
        Self { hosted, setup, front, account, directory }
    }

    /// Stops the shop, lets `meanwhile` do something to its log, and starts it again on the same
    /// data.
    pub async fn restart(self, meanwhile: impl AsyncFnOnce(&Engine)) -> Self {
        let Self { hosted, setup, account, directory, front } = self;
        Box::pin(hosted.shutdown()).await;
        meanwhile(front.engine()).await;
        Box::pin(Self::on(setup, account, directory)).await
    }

    /// Another process's worth of services on the same account: a second coordinator, say.
    pub async fn another(&self, only: &[&'static str]) -> Hosted {
        let setup = Setup { only: only.to_vec(), ..self.setup.clone() };
        let options = options(&setup, self.account.as_ref(), &self.directory);
        let hosted = host(&setup, &options).await;
        for (name, url) in hosted.urls.all() {
            // The shop finds it from now on.
            self.hosted.urls.set(&name, &url);
        }
        hosted
    }

    /// The directory of everything that it keeps.
    pub fn data(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The URL of its NATS server, with what is needed to log in.
    pub fn nats_url(&self) -> String {
        self.hosted.nats_url.clone()
    }

    /// Ends the shop.
    pub async fn stop(self) {
        self.hosted.shutdown().await;
    }
}

fn options(setup: &Setup, account: Option<&Account>, directory: &TempDir) -> ShopOptions {
    let host = HostOptions {
        data_dir: directory.path().to_owned(),
        nats_url: account.map(|account| account.url().to_owned()),
        nats_port: None,
        replicas: 1,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: Some(0),
        expose_without_authentication: false,
        service_urls: Vec::new(),
        store: setup.store.to_owned(),
        log: LogForm::Text,
        view: setup.view,
        ack_wait_ms: topology::ACK_WAIT_MS,
        fail_point: None,
        faults: setup.faults.clone(),
        apart: setup.apart.clone(),
    };
    ShopOptions {
        only: setup.only.iter().map(|&name| name.to_owned()).collect(),
        host,
        coordinator: saga_coordinator::CoordinatorOptions {
            keep_history: setup.keep,
            keep_ending: setup.keep,
            keep_everything: false,
        },
        gateway: gateway::config::GatewayOptions {
            gateway_orders_in_work_max: setup.orders_in_work,
        },
        order: order::config::OrderOptions::default(),
        payment: payment::PaymentOptions {
            payment_provider_url: setup.provider.clone(),
            payment_provider_key: setup.provider.as_ref().map(|_| "sk_test_shop".into()),
            payment_simulator_port: Some(0),
            payment_call_timeout_ms: setup.call_timeout_ms,
        },
        product: product::config::ProductOptions::default(),
        inventory: inventory::config::InventoryOptions::default(),
        notification: notification::config::NotificationOptions {
            notification_smtp_host: setup.relay.map(|_| "127.0.0.1".to_owned()),
            notification_smtp_port: setup.relay.unwrap_or(25),
            ..notification::config::NotificationOptions::default()
        },
    }
}

async fn host(setup: &Setup, options: &ShopOptions) -> Hosted {
    let plans: Vec<Arc<Plan>> = saga_workflows::all()
        .into_iter()
        .map(|definition| saga_workflows::hurried(definition, setup.hurry))
        .map(|definition| Arc::new(Plan::new(definition).expect("the definition is valid")))
        .collect();
    let program = jetsaga_shop::program_of(options, plans).expect("the options are right");
    host::host(program, &options.host, |_| {}).await.expect("the shop starts")
}

/// An order's body.
pub fn order(token: &str, lines: &[(&str, i64)]) -> Value {
    let line = |(sku, quantity): &(&str, i64)| json!({ "sku": sku, "quantity": quantity });
    json!({
        "customer": { "name": "Ada Lovelace", "email": "ada@example.com" },
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "currency": "EUR",
        "payment": { "token": token },
    })
}
