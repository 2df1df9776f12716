//! Loads, and what is measured under them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hdrhistogram::Histogram;

/// What made a run impossible.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How one piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// It was turned away, to be tried later.
    Shed,
}

/// What a figure says.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    /// How long each work that was done took, in microseconds.
    times: Histogram<u64>,
    elapsed: Duration,
    /// How many were done.
    pub(crate) done: usize,
    /// How many were turned away.
    pub(crate) shed: usize,
    /// How many ended otherwise.
    pub(crate) failed: usize,
}

impl Default for Figure {
    /// Of nothing yet.
    fn default() -> Self {
        // Ten minutes are more than anything here may take.
        let times = Histogram::new_with_max(600_000_000, 3);
        let times = times.expect("three significant digits are possible");
        Self { times, elapsed: Duration::ZERO, done: 0, shed: 0, failed: 0 }
    }
}

impl Figure {
    fn of(times: &[Duration], shed: usize, failed: usize, elapsed: Duration) -> Self {
        let mut figure = Self { elapsed, done: times.len(), shed, failed, ..Self::default() };
        for time in times {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            figure.times.saturating_record(micros.max(1));
        }
        figure
    }

    /// Works done per second.
    pub(crate) fn per_second(&self) -> f64 {
        number(self.done) / self.elapsed.as_secs_f64()
    }

    /// Such a share of the works took no longer.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.times.value_at_quantile(share))
    }

    /// The figure of two stretches of the same load.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.times += &other.times;
        self.elapsed += other.elapsed;
        self.done += other.done;
        self.shed += other.shed;
        self.failed += other.failed;
        self
    }
}

/// A count as a number that can be divided; counts here stay far below what it cannot hold.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Keeps `in_flight` works going for a while and counts those that end.
pub(crate) async fn closed_loop<F>(
    in_flight: usize,
    duration: Duration,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Figure
where
    F: Future<Output = Result<Outcome, Failure>> + Send,
{
    let (begun, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let work = Arc::new(work);
    let workers = (0..in_flight).map(|_| {
        let (work, next) = (Arc::clone(&work), Arc::clone(&next));
        // A task each: they are customers of their own.
        tokio::spawn(async move {
            let (mut times, mut shed, mut failed) = (Vec::new(), 0, 0);
            while begun.elapsed() < duration {
                let from = Instant::now();
                match work(next.fetch_add(1, Ordering::Relaxed)).await {
                    Ok(Outcome::Done) => times.push(from.elapsed()),
                    Ok(Outcome::Shed) => shed += 1,
                    Err(_) => failed += 1,
                }
            }
            (times, shed, failed)
        })
    });
    let ended: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
    let elapsed = begun.elapsed();
    let times: Vec<Duration> = ended.iter().flat_map(|(times, ..)| times.clone()).collect();
    let (shed, failed) = (ended.iter().map(|it| it.1).sum(), ended.iter().map(|it| it.2).sum());
    Figure::of(&times, shed, failed, elapsed)
}

/// Starts `per_second` works each second, whether earlier ones have ended or not. Each is timed
/// from the moment at which it was due: one that had to wait for a place has waited.
pub(crate) async fn open_loop<F>(
    per_second: u32,
    duration: Duration,
    work: impl Fn(usize) -> F,
) -> Figure
where
    F: Future<Output = Result<Outcome, Failure>> + Send + 'static,
{
    let begun = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    let mut next = 0_u32;
    while begun.elapsed() < duration {
        // Several are due at once where the timer is coarser than the rate.
        let due = begun + Duration::from_secs(1) * next / per_second;
        tokio::time::sleep_until(due).await;
        let one = work(usize::try_from(next).unwrap_or(usize::MAX));
        tasks.push(tokio::spawn(async move { (one.await, due.elapsed()) }));
        next += 1;
    }
    let elapsed = begun.elapsed();
    let (mut times, mut shed, mut failed) = (Vec::new(), 0, 0);
    for (outcome, time) in join_all(tasks).await.into_iter().flatten() {
        match outcome {
            Ok(Outcome::Done) => times.push(time),
            Ok(Outcome::Shed) => shed += 1,
            Err(_) => failed += 1,
        }
    }
    Figure::of(&times, shed, failed, elapsed)
}
