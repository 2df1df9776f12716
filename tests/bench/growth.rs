//! Figure f: whether orders get slower when there have been many, and what grows with them.

use std::time::Duration;

use jetsaga_tests::harness::{Setup, Shop};

use super::figure::{Failure, Figure};
use super::orders::{DURABILITY, closed, shop_with};
use super::process::{Meter, memory_mib, mib_in};
use super::provider::Provider;
use super::report::Report;

/// Customers at the same time, while it is measured and while the stores fill.
const IN_FLIGHT: usize = 16;
const LOAD: &str = "orders, closed loop of 16";
const FILLING: usize = 128;
/// How long finished sagas stay in the log where nothing is to gather there.
const SHORTLY: Duration = Duration::from_secs(5);

/// The same load on empty stores and after `many` orders; then memory, where orders leave the log
/// soon after they ended.
pub(crate) async fn figures(
    report: &mut Report,
    duration: Duration,
    many: usize,
) -> Result<(), Failure> {
    Box::pin(kept(report, duration, many)).await?;
    Box::pin(taken_out(report, duration, many / 10)).await
}

/// With all orders in the log. Then a new shop: a fill takes so long that the machine may not be
/// the same before it and after it.
async fn kept(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let (provider, shop) = Box::pin(shop_keeping(Setup::default().keep)).await?;
    let (meter, before) = steady(&shop, duration).await;
    let note = format!("{}; {}", meter.per(&before, "order"), meter.memory());
    report.row("f", &format!("{LOAD}, on empty stores"), &before, DURABILITY, &note);

    let filled = fill(&shop, duration, many).await;
    let (meter, after) = steady(&shop, duration).await;
    let ratio = after.per_second / before.per_second;
    let (used, memory) = (meter.per(&after, "order"), meter.memory());
    let (simulator, disk) = (memory_mib(provider.pid()), mib_in(shop.data()));
    let note = format!(
        "{ratio:.2} of before; {used}; {memory}, {simulator} MiB in the simulated provider; {disk} \
         MiB on disk"
    );
    let what = format!("the same after {filled} orders, all still in the log");
    report.row("f", &what, &after, DURABILITY, &note);
    shop.stop().await;

    let (_provider, shop) = Box::pin(shop_keeping(Setup::default().keep)).await?;
    let (meter, anew) = steady(&shop, duration).await;
    let ratio = after.per_second / anew.per_second;
    let note = format!(
        "with {filled} orders it was {ratio:.2} of this (goal: 0.9); {}",
        meter.per(&anew, "order")
    );
    report.row("f", "a new shop right after that one", &anew, DURABILITY, &note);
    shop.stop().await;
    Ok(())
}

/// Memory after each fifth of `many` orders that leave the log.
async fn taken_out(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let (_provider, shop) = Box::pin(shop_keeping(SHORTLY)).await?;
    let meter = Meter::start();
    let mut filled = 0;
    for _ in 0..5 {
        filled += fill(&shop, duration, many / 5).await;
        let what = format!(
            "after {filled} orders, each taken out of the log {} s after its end",
            SHORTLY.as_secs()
        );
        report.fact("f", &what, DURABILITY, &meter.memory());
    }
    shop.stop().await;
    Ok(())
}

/// A shop whose finished sagas stay in the log so long, with a payment provider of its own.
async fn shop_keeping(keep: Duration) -> Result<(Provider, Shop), Failure> {
    let provider = Provider::start()?;
    let setup = Setup { provider: Some(provider.url.clone()), keep, ..Setup::default() };
    Ok((provider, Box::pin(shop_with(setup)).await?))
}

/// The load that is compared: longer than in other figures, once caches are warm and what was left
/// to do from before is done.
async fn steady(shop: &Shop, duration: Duration) -> (Meter, Figure) {
    closed(shop, IN_FLIGHT, duration / 2).await;
    let meter = Meter::start();
    (meter, closed(shop, IN_FLIGHT, duration * 3).await)
}

/// Places orders until there are that many more, and says how many there were.
async fn fill(shop: &Shop, duration: Duration, many: usize) -> usize {
    let mut filled = 0;
    while filled < many {
        filled += closed(shop, FILLING, duration).await.done;
    }
    filled
}
