//! Answers wishes on the NATS service protocol.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::service::endpoint::Endpoint;
use async_nats::service::{self, Request, Service, ServiceExt as _};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::desk::No;
use super::office::Office;
use crate::log::Trace;
use crate::log::jetstream::trace;
use crate::wishes::{
    Alarms, Cancel, ERROR_HEADER, Get, History, List, Nudge, Pause, Resume, SERVICE, Settle,
    Signal, Skip, Start, Wish, subject,
};

/// Wishes that are answered at once, per endpoint.
const AT_ONCE: usize = 64;
/// How long a stopping coordinator waits for requests that are on their way.
const LAST: Duration = Duration::from_millis(200);

/// Starts answering. Ends when the service is stopped.
pub(super) async fn serve(office: &Arc<Office>) -> Result<Service, async_nats::Error> {
    let statistics = Arc::downgrade(office);
    let data = move |_endpoint: String, _stats: service::endpoint::Stats| {
        statistics.upgrade().map_or(Value::Null, |office| office.statistics())
    };
    let metadata = HashMap::from([("types".to_owned(), office.types().join(","))]);
    let service = office
        .engine
        .client()
        .service_builder()
        .description("time, wishes, retention and alarms of sagas")
        .metadata(metadata)
        .queue_group(SERVICE)
        .stats_handler(data)
        .start(SERVICE, env!("CARGO_PKG_VERSION"))
        .await?;
    let desk = Desk { office, service: &service };
    desk.open(|office, wish: Start, trace| {
        Box::pin(async move { office.start(&wish, trace).await })
    })
    .await?;
    desk.open(|office, wish: Get, _| Box::pin(async move { office.get(&wish).await })).await?;
    desk.open(|office, wish: List, _| Box::pin(async move { office.list(&wish) })).await?;
    desk.open(|office, wish: History, _| Box::pin(async move { office.history(&wish).await }))
        .await?;
    desk.open(|office, wish: Cancel, _| Box::pin(async move { office.cancel(&wish).await }))
        .await?;
    desk.open(|office, wish: Nudge, _| Box::pin(async move { office.nudge(&wish).await })).await?;
    desk.open(|office, wish: Skip, _| Box::pin(async move { office.skip(&wish).await })).await?;
    desk.open(|office, wish: Settle, _| Box::pin(async move { office.settle(&wish).await }))
        .await?;
    desk.open(|office, wish: Signal, _| Box::pin(async move { office.signal(&wish).await }))
        .await?;
    desk.open(|office, wish: Pause, _| Box::pin(async move { office.hold(&wish).await })).await?;
    desk.open(|office, wish: Resume, _| Box::pin(async move { office.let_go(&wish).await }))
        .await?;
    desk.open(|office, wish: Alarms, _| Box::pin(async move { Ok(office.alarms_now(&wish)) }))
        .await?;
    Ok(service)
}

struct Desk<'a> {
    office: &'a Arc<Office>,
    service: &'a Service,
}

/// Grants a wish; the trace context is the request's.
type Answering<W> =
    fn(Arc<Office>, W, Trace) -> BoxFuture<'static, Result<<W as Wish>::Answer, No>>;

impl Desk<'_> {
    async fn open<W: Wish>(&self, answering: Answering<W>) -> Result<(), async_nats::Error> {
        let builder = self.service.endpoint_builder().name(W::NAME).queue_group(SERVICE);
        let mut requests = builder.add(subject(W::NAME)).await?;
        let office = Arc::clone(self.office);
        // It ends with the service: what was asked by then is still answered.
        self.office.in_hand.spawn(async move {
            let room = Arc::new(Semaphore::new(AT_ONCE));
            while let Some(request) = next(&office, &mut requests).await {
                let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
                let (office, hand) = (Arc::clone(&office), office.in_hand.clone());
                hand.spawn(async move {
                    answer(office, request, answering).await;
                    drop(permit);
                });
            }
        });
        Ok(())
    }
}

/// The next request; after the stop only what has come already.
async fn next(office: &Office, requests: &mut Endpoint) -> Option<Request> {
    tokio::select! {
        biased;
        request = requests.next() => request,
        () = office.stop.cancelled() => {
            // Without a connection the server never says that this was the last one.
            tokio::time::timeout(LAST, requests.next()).await.ok().flatten()
        }
    }
}

async fn answer<W: Wish>(office: Arc<Office>, request: Request, answering: Answering<W>) {
    let outcome = match serde_json::from_slice::<W>(&request.message.payload) {
        Ok(wish) => {
            let trace = request.message.headers.as_ref().map(trace).unwrap_or_default();
            answering(office, wish, trace).await
        }
        Err(error) => Err(No::Malformed(format!("not a wish of this kind: {error}"))),
    };
    let json = outcome.and_then(|answer| {
        serde_json::to_vec(&answer).map_err(|error| No::Unavailable(error.to_string()))
    });
    let sent = match json {
        Ok(json) => request.respond(Ok(json.into())).await,
        Err(no) => {
            tracing::debug!(wish = W::NAME, code = no.code(), "not granted: {no}");
            let mut headers = HeaderMap::new();
            headers.insert(ERROR_HEADER, no.code());
            // A header is one line.
            let status = no.to_string().replace(['\r', '\n'], " ");
            let error = service::error::Error { status, code: no.status() };
            request.respond_with_headers(Err(error), headers).await
        }
    };
    if let Err(error) = sent {
        tracing::warn!(wish = W::NAME, %error, "an answer could not be sent");
    }
}

impl Office {
    /// What `nats micro stats` shows as data.
    pub(super) fn statistics(&self) -> Value {
        let streams: Vec<Value> = self
            .tracks
            .iter()
            .map(|track| {
                let book = track.book();
                let (open, stuck) = book.count();
                json!({
                    "stream": track.stream,
                    "sequence": book.last_seen,
                    "caught_up": book.is_caught_up,
                    "replayed": book.replayed,
                    "open": open,
                    "stuck": stuck,
                    "ended_in_memory": book.count_ended(),
                    "next_due_ms": book.next_due(),
                })
            })
            .collect();
        let (alarms, total) = self.alarms.list(None, 20);
        json!({
            "now_ms": self.clock.now_ms(),
            "streams": streams,
            "alarms": alarms,
            "alarms_total": total,
        })
    }
}
