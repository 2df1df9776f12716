//! Random schedules of the real code: participants and coordinators as they are, over a log, a
//! database and a clock in memory, in an order that a seed says.
//!
//! Whoever touches the world outside (the log, a database, a provider, an acknowledgement) waits at
//! a gate. When nobody can do anything more, the schedule throws its dice: it lets one of them go
//! on, well or badly, delivers a message, lets time pass, kills a process, and so on. After the
//! storm nothing goes wrong any more, and then everything that is promised must hold.
//!
//! Everything runs on one thread whose clock stands still until everybody waits. So a seed says
//! everything, and the same seed gives the same schedule.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::schedules::cases::{CASES, Case, Flaw};
use crate::schedules::dice::Dice;
use crate::schedules::ledger::Promise;
use crate::schedules::stage::Stage;
use crate::schedules::world::World;

mod cases;
mod dice;
mod handlers;
mod ledger;
mod play;
mod post;
mod promises;
mod stage;
mod store;
mod weather;
mod wire;
mod world;

/// One schedule to play.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    seed: u64,
    case: &'static Case,
    flaw: Flaw,
    is_traced: bool,
}

/// What came of it.
#[derive(Debug)]
struct Played {
    broken: Option<(Promise, String)>,
    trace: Vec<String>,
    /// Appended events.
    events: usize,
}

impl Schedule {
    /// The schedule of a seed: one of the cases, and nothing built wrongly.
    fn of(seed: u64) -> Self {
        let case = &CASES[Dice::new(seed).index(CASES.len())];
        Self { seed, case, flaw: Flaw::None, is_traced: false }
    }

    fn traced(self) -> Self {
        Self { is_traced: true, ..self }
    }

    /// Plays it to its end, or until something is broken.
    fn play(self) -> Played {
        let client = nowhere();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        runtime.expect("a runtime without input and output").block_on(async {
            let Self { seed, case, flaw, is_traced } = self;
            let plan = Arc::clone(&case.plan);
            let stage = Arc::new(Stage::new(plan, flaw, Dice::new(!seed), is_traced));
            let mut world = World::new(Arc::clone(&stage), case, client);
            Box::pin(world.play()).await;
            let mut held = stage.state();
            let (broken, trace) = (held.broken.take(), held.trace.take().unwrap_or_default());
            Played { broken, trace, events: held.stored.len() }
        })
    }
}

/// A connection to no server: an engine has one, and nothing that is played here uses it.
fn nowhere() -> async_nats::Client {
    static CLIENT: OnceLock<async_nats::Client> = OnceLock::new();
    let connect = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let options = async_nats::ConnectOptions::new().retry_on_initial_connect();
        let client = runtime.block_on(options.connect("127.0.0.1:9"));
        client.expect("it is not connected yet")
    };
    CLIENT.get_or_init(connect).clone()
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[cfg(test)]
mod tests;
