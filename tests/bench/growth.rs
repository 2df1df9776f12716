//! Figure f: whether orders get slower when there have been many.

use std::time::Duration;

use super::figure::Failure;
use super::orders::{DURABILITY, closed, shop};
use super::process::{Meter, mib_in};
use super::report::Report;

/// Customers at the same time, while it is measured and while the stores fill.
const IN_FLIGHT: usize = 16;
const FILLING: usize = 128;

/// The same load on empty stores and after `many` orders.
pub(crate) async fn figures(
    report: &mut Report,
    duration: Duration,
    many: usize,
) -> Result<(), Failure> {
    let shop = Box::pin(shop()).await?;
    // Caches and connections are there when it counts.
    closed(&shop, IN_FLIGHT, duration / 4).await;
    let meter = Meter::start();
    let before = closed(&shop, IN_FLIGHT, duration).await;
    let what = format!("orders, closed loop of {IN_FLIGHT}, on empty stores");
    report.row("f", &what, &before, DURABILITY, &meter.memory());
    let mut filled = 0;
    while filled < many {
        filled += closed(&shop, FILLING, duration).await.done;
    }
    let after = closed(&shop, IN_FLIGHT, duration).await;
    let what = format!("the same after {filled} orders");
    let ratio = after.per_second / before.per_second;
    let (memory, disk) = (meter.memory(), mib_in(shop.data()));
    let note = format!("{ratio:.2} of before (goal: 0.9); {memory}; {disk} MiB on disk");
    report.row("f", &what, &after, DURABILITY, &note);
    shop.stop().await;
    Ok(())
}
