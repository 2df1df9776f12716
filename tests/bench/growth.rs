//! Figure f: whether orders get slower when there have been many, and what grows with them.

use std::time::Duration;

use jetsaga_tests::harness::{Setup, Shop};

use super::figure::Failure;
use super::orders::{DURABILITY, closed, shop_with};
use super::process::{Meter, memory_mib, mib_in};
use super::provider::Provider;
use super::report::Report;

/// Customers at the same time, while it is measured and while the stores fill.
const IN_FLIGHT: usize = 16;
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

/// With all orders in the log.
async fn kept(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let provider = Provider::start()?;
    let setup = Setup { provider: Some(provider.url.clone()), ..Setup::default() };
    let shop = Box::pin(shop_with(setup)).await?;
    // Caches and connections are there when it counts.
    closed(&shop, IN_FLIGHT, duration / 4).await;
    // Longer than other figures: two of them are compared, and the machine is not always the same.
    let long = duration * 3;
    let meter = Meter::start();
    let before = closed(&shop, IN_FLIGHT, long).await;
    let what = format!("orders, closed loop of {IN_FLIGHT}, on empty stores");
    let note = format!("{}; {}", meter.per(&before, "order"), meter.memory());
    report.row("f", &what, &before, DURABILITY, &note);
    let filled = fill(&shop, duration, many).await;
    let meter = Meter::start();
    let after = closed(&shop, IN_FLIGHT, long).await;
    let what = format!("the same after {filled} orders, all still in the log");
    let ratio = after.per_second / before.per_second;
    let (used, memory) = (meter.per(&after, "order"), meter.memory());
    let (simulator, disk) = (memory_mib(provider.pid()), mib_in(shop.data()));
    let note = format!(
        "{ratio:.2} of before (goal: 0.9); {used}; {memory}, {simulator} MiB in the simulated \
         provider; {disk} MiB on disk"
    );
    report.row("f", &what, &after, DURABILITY, &note);
    shop.stop().await;
    Ok(())
}

/// Memory after each fifth of `many` orders that leave the log.
async fn taken_out(report: &mut Report, duration: Duration, many: usize) -> Result<(), Failure> {
    let provider = Provider::start()?;
    let setup = Setup { provider: Some(provider.url.clone()), keep: SHORTLY, ..Setup::default() };
    let shop = Box::pin(shop_with(setup)).await?;
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

/// Places orders until there are that many more, and says how many there were.
async fn fill(shop: &Shop, duration: Duration, many: usize) -> usize {
    let mut filled = 0;
    while filled < many {
        filled += closed(shop, FILLING, duration).await.done;
    }
    filled
}
