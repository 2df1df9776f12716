//! The few requests to JetStream that the topology needs.

use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use async_nats::jetstream::context::RequestErrorKind;
use serde::Serialize;
use serde_json::{Value, json};

use super::Error;
use super::change::{Kind, Task};

/// How long an answer is waited for: a cluster without a leader does not give one.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before asking again.
const PAUSE: Duration = Duration::from_millis(250);
/// Not there: a stream, a consumer.
const NOT_FOUND: u64 = 404;
/// Nobody can answer now: no leader, still starting.
const UNAVAILABLE: u64 = 503;
/// Somebody else made the same stream or consumer meanwhile, with other settings; or removed it.
const CHANGED_MEANWHILE: [u64; 4] = [10013, 10058, 10105, 10148];

/// JetStream's API.
pub(super) struct Api<'a> {
    context: &'a Context,
}

/// An answer of the API that is an error.
struct Refusal {
    status: u64,
    code: u64,
    text: String,
}

impl<'a> Api<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self { context }
    }

    /// A stream's configuration.
    pub(super) async fn stream(&self, name: &str) -> Result<Option<Value>, Error> {
        self.config(&format!("stream {name}"), &format!("STREAM.INFO.{name}")).await
    }

    /// A consumer's configuration.
    pub(super) async fn consumer(&self, stream: &str, name: &str) -> Result<Option<Value>, Error> {
        let subject = format!("CONSUMER.INFO.{stream}.{name}");
        self.config(&format!("consumer {stream} {name}"), &subject).await
    }

    async fn config(&self, what: &str, subject: &str) -> Result<Option<Value>, Error> {
        match self.ask(what, subject, &json!({})).await? {
            Ok(mut info) => Ok(Some(info["config"].take())),
            Err(refusal) if refusal.status == NOT_FOUND => Ok(None),
            Err(refusal) => Err(refusal.of(what)),
        }
    }

    /// Makes a change; `false` when somebody else was there first and it must be looked at again.
    pub(super) async fn perform(&self, task: &Task) -> Result<bool, Error> {
        match self.ask(&task.change.what, &task.subject, &task.request).await? {
            Ok(_) => Ok(true),
            Err(refusal) if CHANGED_MEANWHILE.contains(&refusal.code) => Ok(false),
            // Created meanwhile and removed again, or the stream is not known everywhere yet.
            Err(refusal) if refusal.status == NOT_FOUND && task.change.kind != Kind::Create => {
                Ok(false)
            }
            Err(refusal) => Err(refusal.of(&task.change.what)),
        }
    }

    /// Asks until there is an answer, or patience is at its end.
    async fn ask(
        &self,
        what: &str,
        subject: &str,
        request: &impl Serialize,
    ) -> Result<Result<Value, Refusal>, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let why = match self.context.request::<_, _, Value>(subject.to_owned(), request).await {
                Ok(answer) => match refusal(&answer) {
                    None => return Ok(Ok(answer)),
                    Some(refusal) if refusal.status != UNAVAILABLE => return Ok(Err(refusal)),
                    Some(refusal) => refusal.text,
                },
                Err(error) if is_passing(error.kind()) => error.to_string(),
                Err(error) => {
                    let (what, why) = (what.to_owned(), error.to_string());
                    return Err(Error::Unavailable { what, why });
                }
            };
            if Instant::now() > deadline {
                return Err(Error::Unavailable { what: what.to_owned(), why });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Refusal {
    fn of(self, what: &str) -> Error {
        Error::Refused { what: what.to_owned(), why: self.text, code: self.code }
    }
}

fn refusal(answer: &Value) -> Option<Refusal> {
    let error = answer.get("error")?;
    Some(Refusal {
        status: error["code"].as_u64().unwrap_or_default(),
        code: error["err_code"].as_u64().unwrap_or_default(),
        text: error["description"].as_str().unwrap_or("no reason").to_owned(),
    })
}

fn is_passing(kind: RequestErrorKind) -> bool {
    matches!(kind, RequestErrorKind::NoResponders | RequestErrorKind::TimedOut)
}
