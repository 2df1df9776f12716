//! Services in one process: found by URL, watched, stopped, and there again after a new start.
#![expect(
    clippy::unwrap_used,
    reason = "what is unwrapped outside of a test function fails it too"
)]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser as _;
use poem::web::Data;
use poem::{EndpointExt as _, Route, get, handler};
use serde_json::{Value, json};
use service_kit::host::{HostError, HostOptions, Program, host};
use service_kit::http::{ServiceUrls, client::Call};
use service_kit::{Context, Running, Service, StartError, Store};

/// Counts how often it is asked, in its database.
struct Counter(Arc<AtomicBool>);

#[handler]
async fn count(Data(store): Data<&Store>) -> poem::Result<poem::web::Json<Value>> {
    let text = "UPSERT visits:all SET number += 1 RETURN VALUE number";
    let rows = store.query(text, json!({})).await.map_err(service_kit::Problem::from)?;
    Ok(poem::web::Json(rows[0][0].clone()))
}

#[async_trait]
impl Service for Counter {
    fn name(&self) -> &'static str {
        "counter"
    }

    fn schema(&self) -> Option<&'static str> {
        Some("DEFINE TABLE visits SCHEMAFULL; DEFINE FIELD number ON visits TYPE int DEFAULT 0;")
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let stopped = Arc::clone(&self.0);
        Ok(Running {
            route: Route::new().at("/v1/count", get(count).data(context.store()?)),
            paths: vec!["/v1/count"],
            on_stop: vec![Box::pin(async move { stopped.store(true, Ordering::SeqCst) })],
            ..Running::default()
        })
    }
}

/// Asks the counter, by REST.
struct Asker;

#[handler]
async fn ask(Data(context): Data<&Context>) -> poem::Result<poem::web::Json<Value>> {
    let call = Call::get("counter", "/v1/count", Duration::from_secs(5));
    let number = context.client.call_json(&call).await.map_err(service_kit::Problem::from)?;
    Ok(poem::web::Json(json!({ "number": number })))
}

#[async_trait]
impl Service for Asker {
    fn name(&self) -> &'static str {
        "asker"
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let route = Route::new().at("/v1/ask", get(ask).data(context));
        Ok(Running { route, paths: vec!["/v1/ask"], ..Running::default() })
    }
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    host: HostOptions,
}

fn options(data_dir: &Path) -> HostOptions {
    let mut options = Cli::parse_from(["test"]).host;
    data_dir.clone_into(&mut options.data_dir);
    options.nats_url = None;
    options
}

fn program(stopped: &Arc<AtomicBool>) -> Program {
    // The one that asks starts first: URLs are known before any service starts.
    let services: Vec<Arc<dyn Service>> = vec![Arc::new(Asker), Arc::new(Counter(stopped.clone()))];
    Program { services, plans: Vec::new() }
}

/// Runs a test on threads with the stacks that the database wants.
fn run<F: Future<Output = ()> + Send + 'static>(test: F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_stack_size(16 * 1024 * 1024)
        .build()
        .unwrap();
    if let Err(error) = runtime.block_on(async { tokio::spawn(test).await }) {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn text(urls: &ServiceUrls, service: &str, path: &str) -> (u16, String) {
    let url = format!("{}{path}", urls.get(service).unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(url).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn asked(urls: &ServiceUrls) -> Value {
    let (status, body) = text(urls, "asker", "/v1/ask").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["number"].clone()
}

#[test]
fn services_of_one_process_call_each_other_and_keep_what_they_had() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let options = options(directory.path());
        let stopped = Arc::default();
        let hosted = Box::pin(host(program(&stopped), &options, |_| {})).await.unwrap();
        assert_eq!((asked(&hosted.urls).await, asked(&hosted.urls).await), (json!(1), json!(2)));
        let (status, health) = text(&hosted.urls, "asker", "/health/ready").await;
        assert_eq!(status, 200, "{health}");
        assert!(health.contains("counter:database") && health.contains("nats"), "{health}");
        let (status, problem) = text(&hosted.urls, "asker", "/nowhere").await;
        assert!(status == 404 && problem.contains("\"not_found\""), "{problem}");
        let (_, document) = text(&hosted.urls, "asker", "/openapi.json").await;
        assert!(document.contains("\"3.1.0\""), "{document}");
        let (_, metrics) = text(&hosted.urls, "asker", "/metrics").await;
        let counted = metrics.lines().any(|line| {
            line.starts_with("http_requests_total")
                && line.contains("service=\"counter\"")
                && line.contains("route=\"/v1/count\"")
        });
        assert!(counted, "{metrics}");
        hosted.shutdown().await;
        assert!(stopped.load(Ordering::SeqCst));

        let hosted = Box::pin(host(program(&stopped), &options, |_| {})).await.unwrap();
        assert_eq!(asked(&hosted.urls).await, json!(3));
        hosted.shutdown().await;
    });
}

#[test]
fn what_keeps_a_program_from_starting_is_said() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut open = options(directory.path());
        open.address = "0.0.0.0".parse().unwrap();
        let result = Box::pin(host(program(&Arc::default()), &open, |_| {})).await;
        let Err(error @ HostError::Exposed(_)) = result else { panic!("it must not listen") };
        assert!(error.to_string().contains("--expose-without-authentication"), "{error}");

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut busy = options(directory.path());
        busy.port = Some(taken.local_addr().unwrap().port());
        let alone = Program { services: vec![Arc::new(Asker)], plans: Vec::new() };
        let result = Box::pin(host(alone, &busy, |_| {})).await;
        let Err(error @ HostError::Bind { .. }) = result else { panic!("the port is taken") };
        assert!(error.to_string().contains("--port"), "{error}");

        let mut odd = options(directory.path());
        odd.store = "surealkv".to_owned();
        let result = Box::pin(host(program(&Arc::default()), &odd, |_| {})).await;
        let Err(HostError::Store { service, source }) = result else { panic!("no such store") };
        assert_eq!(service, "counter");
        assert!(source.to_string().contains("--store"), "{source}");
    });
}
