//! The coordinator as a service: it promises that what is due happens, that operators' wishes are
//! granted or refused with their reason, and that finished sagas leave the stream in time.
//!
//! All of that is [`saga_engine::coordinator`]; this crate gives it options, health and a place
//! among the other services, alone in its process or beside them. [`mod@audit`] is a command beside
//! it: it compares everything that services keep with the log.

use std::sync::Arc;

use async_trait::async_trait;
use saga_engine::coordinator::{Coordinator, Options};
use saga_engine::saga_core::Plan;
use service_kit::host::{Check, Context, Running, Service, StartError};

pub mod audit;
pub mod config;

pub use config::CoordinatorOptions;

/// The coordinator of these sagas.
pub fn service(plans: Vec<Arc<Plan>>, options: Options) -> CoordinatorService {
    CoordinatorService { plans, options }
}

/// See [`service`].
#[derive(Debug)]
pub struct CoordinatorService {
    plans: Vec<Arc<Plan>>,
    options: Options,
}

#[async_trait]
impl Service for CoordinatorService {
    fn name(&self) -> &'static str {
        "coordinator"
    }

    async fn start(&self, context: Context) -> Result<Running, StartError> {
        let mut coordinator = Coordinator::new(context.engine.clone()).options(self.options);
        for plan in &self.plans {
            coordinator = coordinator.saga(Arc::clone(plan));
        }
        let handle = Arc::new(coordinator.start().await?);
        let watched = Arc::clone(&handle);
        context.health.add("coordinator", move || {
            let health = watched.health();
            let check = if !health.is_caught_up {
                Check::Fail("the streams are not read up to their end: no time-out runs".to_owned())
            } else if health.alarms > 0 {
                let alarms = health.alarms;
                Check::Warn(format!("{alarms} alarms: nats request saga_coordinator.alarms '{{}}'"))
            } else {
                Check::Pass
            };
            Box::pin(async move { check })
        });
        let stop = Box::pin(async move { handle.shutdown().await });
        Ok(Running { on_stop: vec![stop], ..Running::default() })
    }
}
