//! Figure f: whether orders get slower when there have been many, and what grows with them.

use std::time::Duration;

use jetsaga_tests::harness::Setup;

use super::figure::{Failure, Figure};
use super::orders::{DURABILITY, closed};
use super::part::OwnShop;
use super::process::{Meter, Used, memory_mib, mib_in};
use super::report::{Report, progress};

/// Customers at the same time, while it is measured.
const IN_FLIGHT: usize = 16;
/// The same while the stores fill.
const FILLING: usize = 128;
/// Stretches of each of the two shops that are compared.
const TURNS: u32 = 4;
/// How long finished sagas stay in the log where nothing is to gather there.
const SHORTLY: Duration = Duration::from_secs(5);

/// A full shop beside a new one; then memory, where orders leave the log soon after they ended.
pub(crate) async fn figures(
    report: &mut Report,
    duration: Duration,
    many: usize,
) -> Result<(), Failure> {
    kept(report, duration, many).await?;
    taken_out(report, duration, many / 10).await
}

/// With all orders in the log. A fill takes so long that the machine is not the same before it and
/// after it: so the full shop and a new one get the same load in turns.
async fn kept(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let full = OwnShop::start(Setup::default().keep)?;
    let filled = fill(&full, duration, many).await;
    let mut shops = [
        Compared::of("the new shop", OwnShop::start(Setup::default().keep)?),
        Compared::of("the full shop", full),
    ];
    for it in &shops {
        // Caches get warm, and what was left to do from before is done.
        progress(&format!("f: {} warms up", it.name));
        closed(&it.shop.url, IN_FLIGHT, duration).await;
    }
    let mut ratios = Vec::new();
    for turn in 1..=TURNS {
        let [new, full] = &mut shops;
        let rates = [new.turn(duration).await, full.turn(duration).await];
        progress(&format!(
            "f: turn {turn} of {TURNS}: {:.0} and {:.0} per second",
            rates[0], rates[1]
        ));
        ratios.push(rates[1] / rates[0]);
    }
    ratios.sort_by(f64::total_cmp);
    let [new, full] = shops;
    let load = format!("orders, closed loop of {IN_FLIGHT}");
    report.row("f", &format!("{load}, in a new shop"), &new.figure, DURABILITY, &new.note());
    let ratio = full.figure.per_second() / new.figure.per_second();
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let (simulator, disk) = (memory_mib(full.shop.provider_pid()), mib_in(full.shop.data()));
    let note = format!(
        "{ratio:.2} of the new shop, {least:.2} to {most:.2} in single turns (goal: 0.9); {}, \
         {simulator} MiB in the simulated provider; {disk} MiB on disk",
        full.note()
    );
    let what = format!("the same, in turns with it, in a shop with {filled} orders in its log");
    report.row("f", &what, &full.figure, DURABILITY, &note);
    Ok(())
}

/// A shop, and what it did in its turns until now.
struct Compared {
    name: &'static str,
    shop: OwnShop,
    figure: Figure,
    used: Used,
}

impl Compared {
    fn of(name: &'static str, shop: OwnShop) -> Self {
        Self { name, shop, figure: Figure::default(), used: Used::default() }
    }

    /// The load once more; answers with what it did per second.
    async fn turn(&mut self, duration: Duration) -> f64 {
        let meter = self.meter();
        let figure = closed(&self.shop.url, IN_FLIGHT, duration).await;
        self.used = self.used.and(meter.used());
        self.figure = std::mem::take(&mut self.figure).and(&figure);
        figure.per_second()
    }

    fn meter(&self) -> Meter {
        Meter::of(self.shop.pid(), "in the shop")
    }

    fn note(&self) -> String {
        let meter = self.meter();
        format!("{}; {}", meter.say(self.used, &self.figure, "order"), meter.memory())
    }
}

/// Memory after each fifth of `many` orders that leave the log.
async fn taken_out(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let shop = OwnShop::start(SHORTLY)?;
    let mut filled = 0;
    for _ in 0..5 {
        filled += fill(&shop, duration, many / 5).await;
        let what = format!(
            "after {filled} orders, each taken out of the log {} s after its end",
            SHORTLY.as_secs()
        );
        let memory = Meter::of(shop.pid(), "in the shop").memory();
        report.fact("f", &what, DURABILITY, &memory);
    }
    Ok(())
}

/// Places orders until there are that many more, and says how many there were.
async fn fill(shop: &OwnShop, duration: Duration, many: usize) -> usize {
    let mut filled = 0;
    while filled < many {
        let figure = closed(&shop.url, FILLING, duration).await;
        filled += figure.done;
        progress(&format!("f: {filled} of {many} orders, {:.0} per second", figure.per_second()));
    }
    filled
}
