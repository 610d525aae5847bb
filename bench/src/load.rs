//! Sending a shot many times: as fast as answers come, or at a fixed rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::shot::{Gun, Shape, Shot};

/// When a load ends; whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// So many requests in all.
    pub requests: u64,
    /// So long.
    pub time: Duration,
}

/// What came of a load.
#[derive(Debug)]
pub struct Tally {
    /// Answers of the expected shape.
    pub good: u64,
    /// All others: another status, length or number of events, or no answer.
    pub bad: u64,
    /// What was wrong with the last bad one.
    pub complaint: Option<String>,
    /// Events of streams, in good answers.
    pub events: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Nanoseconds to the end of an answer, good ones only.
    pub whole: Histogram<u64>,
    /// Nanoseconds to the first bytes of an answer's body.
    pub first: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        // 1 µs to 100 s in three digits.
        let histogram = || Histogram::new_with_bounds(1_000, 100_000_000_000, 3).expect("constant bounds");
        let (whole, first) = (histogram(), histogram());
        Self { good: 0, bad: 0, complaint: None, events: 0, took: Duration::ZERO, whole, first }
    }

    fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.bad += other.bad;
        self.events += other.events;
        self.complaint = other.complaint.clone().or(self.complaint.take());
        self.whole.add(&other.whole).expect("the same bounds");
        self.first.add(&other.first).expect("the same bounds");
    }

    /// Good answers in a second.
    pub fn rate(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

/// Keeps `connections` requests under way until the bound is reached. Latencies count from the sending.
pub async fn closed(shot: &Arc<Shot>, expected: Shape, connections: u32, bound: Bound) -> Tally {
    let guns = aim(shot, connections).await;
    let taken = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let deadline = started + bound.time;
    let next = move || {
        let taken = Arc::clone(&taken);
        async move {
            let under_way = taken.fetch_add(1, Relaxed) < bound.requests && Instant::now() < deadline;
            under_way.then(Instant::now)
        }
    };
    run(guns, expected, started, deadline, next).await
}

/// Sends `rate` requests a second on a schedule that does not wait for answers. Latencies count from the
/// scheduled time, so that a server which stalls is charged for every request that it kept waiting.
///
/// At most `connections` requests are under way; with enough of them the schedule is kept.
pub async fn open(shot: &Arc<Shot>, expected: Shape, connections: u32, rate: f64, bound: Bound) -> Tally {
    let total = ((rate * bound.time.as_secs_f64()).ceil() as u64).min(bound.requests);
    let guns = aim(shot, connections).await;
    let started = Instant::now();
    let due = move |ticket: u64| started + Duration::from_secs_f64(ticket as f64 / rate);
    let tickets = Arc::new(Semaphore::new(0));
    let source = Arc::clone(&tickets);
    // A thread of its own: tokio's timers are a millisecond coarse.
    let clock = std::thread::spawn(move || {
        for ticket in 0..total {
            std::thread::sleep(due(ticket).saturating_duration_since(Instant::now()));
            source.add_permits(1);
        }
        // Lets every worker see that there are no more.
        source.add_permits(connections as usize);
    });
    let taken = Arc::new(AtomicU64::new(0));
    let next = move || {
        let (tickets, taken) = (Arc::clone(&tickets), Arc::clone(&taken));
        async move {
            tickets.acquire().await.ok()?.forget();
            let ticket = taken.fetch_add(1, Relaxed);
            (ticket < total).then(|| due(ticket))
        }
    };
    let tally = run(guns, expected, started, started + bound.time, next).await;
    clock.join().expect("the clock only sleeps and counts");
    tally
}

/// How long answers may take that are under way when the bound is reached.
const GRACE: Duration = Duration::from_secs(10);

async fn aim(shot: &Arc<Shot>, connections: u32) -> Vec<Gun> {
    let mut guns: Vec<_> = (0..connections).map(|_| Gun::new(shot)).collect();
    for gun in &mut guns {
        // If nobody listens, firing says so for every request.
        let _ = gun.aim().await;
    }
    guns
}

async fn run<F>(
    guns: Vec<Gun>,
    expected: Shape,
    started: Instant,
    deadline: Instant,
    next: impl Fn() -> F + Clone + Send + 'static,
) -> Tally
where
    F: Future<Output = Option<Instant>> + Send,
{
    let mut workers = JoinSet::new();
    for mut gun in guns {
        let next = next.clone();
        let give_up = tokio::time::Instant::from_std(deadline + GRACE);
        workers.spawn(async move {
            let mut tally = Tally::new();
            while let Some(due) = next().await {
                match tokio::time::timeout_at(give_up, gun.fire(&mut |_| {})).await {
                    Ok(Ok(answer)) if expected.is_like(answer.shape) => {
                        tally.good += 1;
                        tally.events += answer.shape.events as u64;
                        let whole = due.elapsed();
                        tally.whole.saturating_record(nanoseconds(whole));
                        tally.first.saturating_record(nanoseconds(whole - (answer.whole - answer.first)));
                        continue;
                    }
                    Ok(Ok(answer)) => {
                        tally.complaint = Some(format!("expected {expected:?}, got {:?}", answer.shape));
                    }
                    Ok(Err(error)) => tally.complaint = Some(error.to_string()),
                    Err(_) => {
                        tally.complaint = Some(format!("no answer {} s after the end", GRACE.as_secs()));
                    }
                }
                tally.bad += 1;
            }
            tally
        });
    }
    let mut tally = Tally::new();
    while let Some(worker) = workers.join_next().await {
        tally.add(&worker.expect("workers do not panic"));
    }
    tally.took = started.elapsed();
    tally
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
