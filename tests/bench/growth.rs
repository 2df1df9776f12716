//! Figure f: whether orders get slower when there have been many, what grows with them, and what it
//! costs that they leave the log.

use std::time::Duration;

use super::figure::{Failure, Figure};
use super::orders::{DURABILITY, closed};
use super::part::OwnShop;
use super::process::{Meter, Used, memory_mib, mib_in};
use super::report::{Report, progress};

/// Customers at the same time, while it is measured.
const IN_FLIGHT: usize = 16;
/// The same while the stores fill.
const FILLING: usize = 128;
/// Stretches of each of the shops that are compared.
const TURNS: usize = 8;
/// How long finished sagas stay in the log where they are to gather: longer than any run.
const GATHERING: Duration = Duration::from_hours(24);
/// The same where nothing is to gather there.
const SHORTLY: Duration = Duration::from_secs(5);
/// A shop whose orders leave the log soon gets so much less of them: its log is the same after any
/// number, and its databases' caches are full by then.
const FEWER: usize = 4;

/// A shop with `many` orders in its log, and one whose orders leave it, beside a new one. A fill
/// takes so long that the machine is not the same before it and after it: so all get the same load
/// in turns.
pub(crate) async fn figures(
    report: &mut Report,
    duration: Duration,
    many: usize,
) -> Result<(), Failure> {
    let full = OwnShop::start(GATHERING)?;
    let filled = fill(report, &full, "in the log", duration, many).await;
    let passing = OwnShop::start(SHORTLY)?;
    let what = format!("each taken out of the log {} s after its end", SHORTLY.as_secs());
    let passed = fill(report, &passing, &what, duration, many / FEWER).await;
    let mut shops = [
        Compared::of("in a new shop".to_owned(), OwnShop::start(GATHERING)?),
        Compared::of(format!("in a shop with {filled} orders in its log"), full),
        Compared::of(format!("in a shop with {passed} orders, {what}"), passing),
    ];
    for turn in 0..TURNS {
        // Nobody always comes after the same other one.
        for place in 0..shops.len() {
            let length = shops.len();
            let next = if turn % 2 == 0 { place } else { length - 1 - place };
            shops[next].turn(duration).await;
        }
        let rates = shops.each_ref().map(|shop| shop.last().round());
        progress(&format!("f: turn {} of {TURNS}: {rates:?} orders per second", turn + 1));
    }
    let [new, others @ ..] = &shops;
    new.row(report, "");
    for shop in others {
        shop.row(report, &shop.beside(new));
    }
    // Before the shops clear up, which takes minutes.
    report.write()
}

/// Places orders until there are that many, says what each fifth of them left in memory and how
/// long the slowest had to wait, and answers with how many there were.
async fn fill(
    report: &mut Report,
    shop: &OwnShop,
    what: &str,
    duration: Duration,
    many: usize,
) -> usize {
    let mut filled = 0;
    for fifth in 1..=5 {
        let (mut slowest, begun) = (Duration::ZERO, filled);
        while filled < many * fifth / 5 {
            let figure = closed(&shop.url, FILLING, duration).await;
            filled += figure.done;
            let (rate, longest) = (figure.per_second(), figure.quantile(1.0));
            slowest = slowest.max(longest);
            progress(&format!(
                "f: {filled} of {many} orders {what}, {rate:.0} per second, the slowest in {longest:.1?}"
            ));
        }
        let memory = Meter::of(shop.pid(), "in the shop").memory();
        let fact = format!("after {filled} orders, {what}");
        let note =
            format!("{memory}; the slowest of the last {} took {slowest:.1?}", filled - begun);
        report.fact("f", &fact, DURABILITY, &note);
    }
    filled
}

/// A shop, and what it did in its turns until now.
struct Compared {
    place: String,
    shop: OwnShop,
    figure: Figure,
    used: Used,
    rates: Vec<f64>,
}

impl Compared {
    fn of(place: String, shop: OwnShop) -> Self {
        Self { place, shop, figure: Figure::default(), used: Used::default(), rates: Vec::new() }
    }

    /// The load once more. It counts once it has gone on for longer than a saga stays in the log
    /// where it leaves soon: orders leave as fast as they come then, and caches are warm.
    async fn turn(&mut self, duration: Duration) {
        closed(&self.shop.url, IN_FLIGHT, SHORTLY + SHORTLY / 2).await;
        let meter = self.meter();
        let figure = closed(&self.shop.url, IN_FLIGHT, duration).await;
        self.used = self.used.and(meter.used());
        self.rates.push(figure.per_second());
        self.figure = std::mem::take(&mut self.figure).and(&figure);
    }

    /// Orders per second in the last turn.
    fn last(&self) -> f64 {
        self.rates.last().copied().unwrap_or_default()
    }

    fn meter(&self) -> Meter {
        Meter::of(self.shop.pid(), "in the shop")
    }

    /// How fast it is beside another one.
    fn beside(&self, other: &Self) -> String {
        let pairs = self.rates.iter().zip(&other.rates);
        let mut ratios: Vec<_> = pairs.map(|(mine, others)| mine / others).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = self.figure.per_second() / other.figure.per_second();
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        format!("{ratio:.2} of the new shop, {least:.2} to {most:.2} in single turns (goal: 0.9); ")
    }

    fn row(&self, report: &mut Report, ratio: &str) {
        let meter = self.meter();
        let (used, memory) = (meter.say(self.used, &self.figure, "order"), meter.memory());
        let simulator = memory_mib(self.shop.provider_pid());
        let disk = mib_in(self.shop.data());
        let what = format!("orders, closed loop of {IN_FLIGHT}, in turns, {}", self.place);
        let note = format!(
            "{ratio}{used}; {memory}, {simulator} MiB in the simulated provider; {disk} MiB on disk"
        );
        report.row("f", &what, &self.figure, DURABILITY, &note);
    }
}
