//! Hosting services: bind, connect, open, start, serve, and the same backwards.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use jetsaga_nats::launcher;
use poem::{Endpoint, EndpointExt as _, Response};
use saga_engine::engine::DefinitionError;
use saga_engine::saga_core::Plan;
use saga_engine::{Engine, Topology};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::health::{self, Check};
use super::{Context, FailPoint, Health, HostOptions, Running, Service, StartError, telemetry};
use crate::http::{self, Bound, Limits, Paths, ServiceClient, ServiceUrls};
use crate::openapi;
use crate::store::{self, Store, StoreConfig};

/// SurrealDB parses and plans on the stack: its documentation asks for this much.
const STACK: usize = 10 * 1024 * 1024;

/// How long services may take to finish what is in hand. What is broken off then comes again.
const STOP: Duration = Duration::from_secs(20);

/// Why a program could not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// An address that others reach, and nobody said that this is wanted.
    #[error(
        "{0} can be reached by others, and nobody has to log in yet. Listen on 127.0.0.1, or say \
         --expose-without-authentication if that is really wanted"
    )]
    Exposed(std::net::IpAddr),
    /// The port is in use, or not ours.
    #[error("cannot listen on {address}: {why}. Choose another port with --port")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        why: String,
    },
    /// No NATS server.
    #[error(transparent)]
    Nats(#[from] launcher::Error),
    /// No connection to the NATS server.
    #[error(transparent)]
    Connect(#[from] jetsaga_nats::ConnectError),
    /// Streams or consumers could not be made.
    #[error("the streams on the NATS server could not be set up")]
    Topology(#[source] StartError),
    /// A definition is registered with another content.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A database could not be opened.
    #[error("the database of the {service} service could not be opened")]
    Store {
        /// The service.
        service: &'static str,
        /// Why.
        source: store::Error,
    },
    /// A service did not start.
    #[error("the {service} service did not start")]
    Start {
        /// The service.
        service: &'static str,
        /// Why.
        source: StartError,
    },
    /// The runtime could not be built.
    #[error("the program could not be set up")]
    Runtime(#[source] io::Error),
}

/// What a program consists of.
pub struct Program {
    /// The services, in the order in which they start.
    pub services: Vec<Arc<dyn Service>>,
    /// The saga definitions.
    pub plans: Vec<Arc<Plan>>,
}

/// Services that run.
pub struct Hosted {
    /// Where they are.
    pub urls: ServiceUrls,
    /// The URL of the NATS server.
    pub nats_url: String,
    names: Vec<&'static str>,
    stop: CancellationToken,
    servers: Vec<JoinHandle<io::Result<()>>>,
    running: Vec<Running>,
    stores: Vec<Store>,
    nats: launcher::Server,
}

impl Hosted {
    /// Whether a service runs in this process.
    pub fn hosts(&self, service: &str) -> bool {
        self.names.contains(&service)
    }

    /// Whether everything still runs; waits until something does not.
    pub async fn broken(&self) {
        self.nats.ended().await;
    }

    /// Ends it: no new requests, what is in hand is finished, databases closed, NATS stopped.
    pub async fn shutdown(self) {
        self.stop.cancel();
        for server in self.servers {
            match server.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "a listener ended badly"),
                Err(error) => tracing::warn!(%error, "a listener was broken off"),
            }
        }
        // Services at the same time: they wait for what is in hand, not for each other.
        let last = futures::future::join_all(self.running.into_iter().map(|running| async move {
            for last in running.on_stop {
                last.await;
            }
        }));
        if tokio::time::timeout(STOP, last).await.is_err() {
            let limit = STOP.as_secs();
            tracing::warn!(limit, "work in hand was broken off; it is done at the next start");
        }
        for store in self.stores {
            if let Err(error) = store.close().await {
                tracing::warn!(%error, "a database did not close cleanly");
            }
        }
        self.nats.stop().await;
    }
}

/// The saga engine over a NATS server that runs, for a tool that hosts nothing.
///
/// # Errors
/// When nobody answers at `url`.
pub async fn connect(url: &str) -> Result<Engine, HostError> {
    let client = jetsaga_nats::connect_as(url, "jetsaga-tool").await?;
    Ok(Engine::new(client))
}

/// Starts a program; `announce` is told in words what takes a while.
pub async fn host(
    program: Program,
    options: &HostOptions,
    announce: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Hosted, HostError> {
    if options.is_exposed_by_mistake() {
        return Err(HostError::Exposed(options.address));
    }
    let urls = ServiceUrls::default();
    options.service_urls.iter().for_each(|(name, url)| urls.set(name, url));
    let bound = bind_all(&program.services, options, &urls).await?;
    let nats = nats(options, announce).await?;
    let client = jetsaga_nats::connect_as(nats.url(), "jetsaga").await?;
    let faults = options.fail_point.clone().map(FailPoint::faults);
    let engine = Engine::with_faults(client, faults.unwrap_or_else(|| options.faults.clone()));
    prepare(&engine, &program, options).await?;
    let mut context = Context {
        name: "",
        engine: engine.clone(),
        store: None,
        directory: options.data_dir.clone(),
        client: ServiceClient::new(urls.clone()),
        urls: urls.clone(),
        stop: CancellationToken::new(),
        health: Health::default(),
    };
    watch_connection(&context);
    let nats_url = nats.url().to_owned();
    let mut hosted = Hosted {
        urls,
        nats_url,
        names: program.services.iter().map(|service| service.name()).collect(),
        stop: context.stop.clone(),
        servers: Vec::new(),
        running: Vec::new(),
        stores: Vec::new(),
        nats,
    };
    for (service, bound) in program.services.iter().zip(bound) {
        context.name = service.name();
        context.directory = options.data_dir.join(service.name());
        context.store = open(service.as_ref(), options, &context).await?;
        hosted.stores.extend(context.store.clone());
        let apart = options.apart.services.get(service.name()).cloned();
        let threads = apart.unwrap_or_else(Handle::current);
        let (starting, given) = (Arc::clone(service), context.clone());
        // The tasks that it starts stay where it was started.
        let starting = threads.spawn(async move { starting.start(given).await });
        let started = starting.await.unwrap_or_else(|error| Err(error.into()));
        let mut running =
            started.map_err(|source| HostError::Start { service: service.name(), source })?;
        let endpoint = routes(std::mem::take(&mut running.route), &running, &context);
        let stop = context.stop.clone();
        hosted.servers.push(threads.spawn(http::serve(bound, endpoint, stop)));
        hosted.running.push(running);
    }
    Ok(hosted)
}

async fn bind_all(
    services: &[Arc<dyn Service>],
    options: &HostOptions,
    urls: &ServiceUrls,
) -> Result<Vec<Bound>, HostError> {
    let mut all = Vec::new();
    for service in services {
        // The one that has a port of its own is the one for people; the others are found by URL.
        let wish = if services.len() == 1 { service.port().or(Some(0)) } else { service.port() };
        let address = match wish {
            Some(port) => options.socket(options.port.unwrap_or(port)),
            None => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let bound = http::bind(address)
            .await
            .map_err(|error| HostError::Bind { address, why: error.to_string() })?;
        urls.set(service.name(), &format!("http://{}", bound.address()));
        all.push(bound);
    }
    Ok(all)
}

async fn nats(
    options: &HostOptions,
    announce: impl Fn(&str) + Send + Sync + 'static,
) -> Result<launcher::Server, HostError> {
    let mut wanted = launcher::Options::new(options.data_dir.join("nats"));
    wanted.url.clone_from(&options.nats_url);
    wanted.port = options.nats_port;
    Ok(launcher::Launcher::new(wanted).announce(announce).start().await?)
}

/// Streams, consumers, buckets and definitions.
async fn prepare(
    engine: &Engine,
    program: &Program,
    options: &HostOptions,
) -> Result<(), HostError> {
    let plans: Vec<&Plan> = program.plans.iter().map(AsRef::as_ref).collect();
    let mirrors: Vec<(&str, &str)> = program
        .services
        .iter()
        .flat_map(|service| service.mirrors().iter().map(|saga| (*saga, service.name())))
        .collect();
    let topology =
        Topology::of(&plans, &mirrors, options.replicas).with_ack_wait_ms(options.ack_wait_ms);
    let topology = if options.view { topology.with_view() } else { topology };
    jetsaga_nats::topology::apply(engine.jetstream(), &topology)
        .await
        .map_err(|error| HostError::Topology(error.into()))?;
    for plan in &program.plans {
        engine.register(Arc::clone(plan)).await?;
    }
    Ok(())
}

async fn open(
    service: &dyn Service,
    options: &HostOptions,
    context: &Context,
) -> Result<Option<Store>, HostError> {
    let Some(schema) = service.schema() else { return Ok(None) };
    let name = service.name();
    let config = match options.store.as_str() {
        "embedded" => StoreConfig::embedded(&options.data_dir, name),
        "memory" => StoreConfig { database: name.to_owned(), ..StoreConfig::in_memory() },
        url => StoreConfig {
            url: url.to_owned(),
            database: name.to_owned(),
            credentials: credentials(),
            ..StoreConfig::in_memory()
        },
    };
    let config = StoreConfig { threads: options.apart.databases.clone(), ..config };
    let store = Store::open(&config, schema)
        .await
        .map_err(|source| HostError::Store { service: name, source })?;
    let checked = store.clone();
    context.health.add(&format!("{name}:database"), move || {
        let store = checked.clone();
        Box::pin(async move {
            store
                .check()
                .await
                .map_or_else(|error| Check::Fail(error.to_string()), |()| Check::Pass)
        })
    });
    Ok(Some(store))
}

/// User and password of a SurrealDB server; secrets come by the environment alone.
fn credentials() -> Option<(String, secrecy::SecretString)> {
    let user = std::env::var("JETSAGA_STORE_USER").ok()?;
    let password = std::env::var("JETSAGA_STORE_PASSWORD").ok()?;
    Some((user, password.into()))
}

fn watch_connection(context: &Context) {
    let engine = context.engine.clone();
    context.health.add("nats", move || {
        let engine = engine.clone();
        Box::pin(async move {
            engine
                .check()
                .await
                .map_or_else(|error| Check::Fail(error.to_string()), |()| Check::Pass)
        })
    });
}

/// A service's routes with what every service has.
fn routes(
    route: poem::Route,
    running: &Running,
    context: &Context,
) -> impl Endpoint<Output = Response> + 'static {
    let published = || openapi::publish(context.name, &running.specs);
    let document: Value = running.document.clone().unwrap_or_else(published);
    let mut paths = Paths::of(&[&document]).of_service(context.name);
    let common = ["/health/live", "/health/ready", "/health/startup", "/metrics"];
    for path in running.paths.iter().chain(&common).chain(&["/openapi.json", "/openapi.yaml"]) {
        paths = paths.and(path);
    }
    let metrics = telemetry::metrics();
    let scrape = poem::endpoint::make_sync(move |_| {
        Response::builder().content_type("text/plain; version=0.0.4").body(metrics.render())
    });
    let route = route
        .nest("/health", health::routes(context.health.clone()))
        .at("/metrics", poem::get(scrape))
        .at("/openapi.json", poem::get(openapi::json_endpoint(&document)))
        .at("/openapi.yaml", poem::get(openapi::yaml_endpoint(&document)));
    http::endpoint(route, paths, Limits::default()).boxed()
}

/// Builds the runtime, runs a program until it is told to stop, and says how it went.
///
/// `greet` is called once everything runs.
pub fn run(
    program: impl FnOnce() -> Result<Program, StartError>,
    options: &HostOptions,
    greet: impl FnOnce(&Hosted),
) -> ExitCode {
    telemetry::log(options.log);
    // The recorder must be there before the first thing is counted.
    telemetry::metrics();
    match start(program, options, greet) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a program that cannot start says so to whoever started it"
)]
fn complain(error: &HostError) {
    eprintln!("jetsaga: {}", http::chain(error));
}

#[expect(clippy::print_stderr, reason = "whoever waits for the first start sees what it does")]
fn say(text: &str) {
    eprintln!("jetsaga: {text}");
}

fn start(
    program: impl FnOnce() -> Result<Program, StartError>,
    options: &HostOptions,
    greet: impl FnOnce(&Hosted),
) -> Result<(), HostError> {
    let source = |source| HostError::Start { service: "first", source };
    let program = program().map_err(source)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK)
        .build()
        .map_err(HostError::Runtime)?;
    let result = runtime.block_on(async {
        let hosted = Box::pin(host(program, options, say)).await?;
        greet(&hosted);
        tokio::select! {
            () = asked_to_stop() => {}
            () = hosted.broken() => say("the NATS server ended; stopping"),
        }
        tokio::select! {
            () = Box::pin(hosted.shutdown()) => {}
            () = asked_to_stop() => say("asked again: stopping at once"),
        }
        Ok(())
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// Waits for SIGTERM or Ctrl-C.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => {
            if let Err(error) = result {
                tracing::warn!(%error, "Ctrl-C cannot be watched");
            }
        }
    }
}
