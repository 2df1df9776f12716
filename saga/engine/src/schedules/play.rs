//! How a schedule goes: a storm in which anything may happen, then a calm in which everything must
//! come to its end.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::ledger::Promise;
use super::milliseconds;
use super::world::World;

/// More of these than any schedule needs to come to its end.
const STEPS_MAX: u32 = 20_000;
/// When nothing happened but that time passed so often, the storm has blown itself out.
const IDLE_MAX: u32 = 4;
/// Rounds of help by persons, clients and time that are enough for every saga.
const ROUNDS_MAX: u32 = 60;

/// What a schedule may do next.
#[derive(Debug, Clone, Copy)]
enum Next {
    Release,
    Deliver,
    Feed,
    Arrive,
    Pass,
    Leap,
    Crash,
    Wish,
}

/// Whether everybody has come to rest.
#[derive(PartialEq, Eq)]
enum Rest {
    Yes,
    /// Something is broken, or nothing comes to rest.
    Never,
}

impl World {
    /// Plays the whole schedule; what is broken is noted on the way.
    pub(super) async fn play(&mut self) {
        let steps = self.stage.state().dice.within(20, 300);
        let mut idle = 0;
        for step in 0..steps {
            if self.settle().await {
                return;
            }
            idle = if self.step().await { 0 } else { idle + 1 };
            if idle > IDLE_MAX {
                break;
            }
            if step % 8 == 0 {
                let found = self.rows_agree(false);
                self.stage.state().check(found);
            }
        }
        self.calm().await;
    }

    /// Lets everybody go on until everybody waits; `true`: something is broken.
    async fn settle(&self) -> bool {
        // The clock moves only when nobody can do anything: so this ends when all of them wait.
        tokio::time::sleep(milliseconds(1)).await;
        let mut state = self.stage.state();
        state.tidy();
        state.broken.is_some()
    }

    /// Does one thing; `false`: there is nothing left but to let time pass.
    async fn step(&mut self) -> bool {
        let behind = self.behind();
        let now_ms = self.stage.now_ms();
        let (next, letters) = {
            let mut state = self.stage.state();
            let weather = state.weather.clone();
            let doubled = state.dice.chance(weather.doubled);
            let letters = state.post.ready(now_ms, doubled);
            let waiting = u64::try_from(state.waiting.len()).unwrap_or(0);
            let adrift = u64::try_from(state.adrift.len()).unwrap_or(0);
            let next = state.dice.weighed(&[
                (Next::Release, 150 * waiting.min(4)),
                (Next::Deliver, if letters.is_empty() { 0 } else { 250 }),
                (Next::Feed, if behind.is_empty() { 0 } else { 150 }),
                (Next::Arrive, 50 * adrift.min(2)),
                (Next::Pass, weather.time + 1),
                (Next::Leap, weather.leap / 10),
                (Next::Crash, weather.crash),
                (Next::Wish, weather.wish),
            ]);
            (next, letters)
        };
        match next {
            Next::Release => {
                let mut state = self.stage.state();
                let index = state.waiting.len();
                let index = state.dice.index(index);
                state.release(index);
            }
            Next::Deliver => {
                let index = {
                    let mut state = self.stage.state();
                    let shuffled = state.weather.shuffled;
                    let any = state.dice.chance(shuffled);
                    if any { state.dice.index(letters.len()) } else { 0 }
                };
                self.deliver(letters[index]);
            }
            Next::Feed => {
                let index = self.stage.state().dice.index(behind.len());
                self.feed(behind[index]).await;
            }
            Next::Arrive => self.arrive_any().await,
            Next::Pass => self.pass(1, 250).await,
            Next::Leap => self.pass(1_000, 70_000).await,
            Next::Crash => self.crash(),
            Next::Wish => self.wish_anything(),
        }
        !matches!(next, Next::Pass | Next::Leap)
    }

    async fn arrive_any(&mut self) {
        let index = {
            let mut state = self.stage.state();
            let length = state.adrift.len();
            state.dice.index(length)
        };
        self.arrive(index).await;
    }

    async fn pass(&self, least: u64, most: u64) {
        let pause = self.stage.state().dice.within(least, most);
        let is_at_once = self.stage.state().dice.chance(800);
        self.stage.state().say(|| format!("{pause} ms pass"));
        if is_at_once {
            // As if everything had stood still for so long.
            tokio::time::advance(milliseconds(pause)).await;
        } else {
            tokio::time::sleep(milliseconds(pause)).await;
        }
    }

    /// Nothing goes wrong any more: services alone do what they can, then others help, and in the
    /// end everything that is promised must hold.
    async fn calm(&mut self) {
        while !self.clerks.is_empty() {
            self.close_clerk(0);
        }
        {
            let mut state = self.stage.state();
            state.is_calm = true;
            state.say(|| "the storm is over, and services are alone".to_owned());
        }
        // What is on its way arrives, or never does.
        while !self.stage.state().adrift.is_empty() {
            if self.stage.state().dice.chance(500) {
                self.arrive_any().await;
            } else {
                self.stage.state().adrift.pop();
            }
        }
        if self.rest().await == Rest::Never {
            return;
        }
        let found = self.turns_are_kept();
        self.stage.state().check(found);
        self.stage.state().say(|| "others help".to_owned());
        self.open_clerk();
        for _ in 0..ROUNDS_MAX {
            if self.rest().await == Rest::Never {
                return;
            }
            let open = self.open_sagas();
            if open.is_empty() {
                let found = self.at_the_end().await;
                self.stage.state().check(found);
                return;
            }
            for id in open {
                self.help(&id);
            }
            self.pass(250, 8_000).await;
        }
        let open = self.open_sagas().join(", ");
        let found = Err((Promise::Ends, format!("these do not end: {open}")));
        self.stage.state().check(found);
    }

    /// Until nobody has anything to do.
    async fn rest(&mut self) -> Rest {
        for _ in 0..STEPS_MAX {
            if self.settle().await {
                return Rest::Never;
            }
            let now_ms = self.stage.now_ms();
            let letters = self.stage.state().post.ready(now_ms, false);
            let waiting = self.stage.state().waiting.len();
            let behind = self.behind();
            let next_ms = self.stage.state().post.next_ms();
            if waiting > 0 {
                let mut state = self.stage.state();
                let index = state.dice.index(waiting);
                state.release(index);
            } else if !letters.is_empty() {
                let index = self.stage.state().dice.index(letters.len());
                self.deliver(letters[index]);
            } else if !behind.is_empty() {
                self.feed(behind[0]).await;
            } else if let Some(next_ms) = next_ms {
                let pause = u64::try_from(next_ms - now_ms).unwrap_or(1).max(1);
                tokio::time::sleep(milliseconds(pause)).await;
            } else if !self.is_idle() {
                // Somebody waits for time alone: a pause between attempts, a call that may be made.
                tokio::time::sleep(milliseconds(100)).await;
            } else {
                return Rest::Yes;
            }
        }
        let found = Err((Promise::Ends, "nothing comes to rest".to_owned()));
        Arc::clone(&self.stage).state().check(found);
        Rest::Never
    }

    fn is_idle(&self) -> bool {
        self.stage.state().post.is_empty() && self.starts.iter().all(JoinHandle::is_finished)
    }
}
