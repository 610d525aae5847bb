//! How long a deployment takes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Moment;
use crate::settings::StrategyArgs;

/// How fast old latencies give way to new ones.
const DECAY: Duration = Duration::from_secs(10);

/// How fast a latency sinks while nothing new is heard.
const FORGIVENESS: Duration = Duration::from_secs(60);

/// The most latencies remembered for latency-based routing.
const MAX_SAMPLES: usize = 100;

/// Moving average that follows a rise at once and a fall slowly, so that a deployment that stalls is noticed with its
/// first slow answer. After Finagle's `PeakEwma`.
#[derive(Debug, Default)]
pub(crate) struct PeakEwma {
    /// Bits of an `f64`, in milliseconds.
    value: AtomicU64,
    /// Milliseconds of the last sample's moment; 0: none yet.
    at: AtomicU64,
}

impl PeakEwma {
    /// One writer at a time (the deployment's books are locked); readers may see the value of one sample with the moment
    /// of the next, which are alike.
    pub(crate) fn add(&self, latency: Duration, now: Moment) {
        let latency = latency.as_secs_f64() * 1000.0;
        let current = self.millis(now);
        let next = if latency >= current { latency } else { blend(current, latency, self.weight(now)) };
        self.value.store(next.to_bits(), Ordering::Relaxed);
        self.at.store(now.millis().max(1), Ordering::Relaxed);
    }

    /// The average in milliseconds; it sinks while nothing is heard, so that a once slow deployment is tried again. 0
    /// if nothing was ever heard.
    pub(crate) fn millis(&self, now: Moment) -> f64 {
        f64::from_bits(self.value.load(Ordering::Relaxed)) * self.idle_weight(now)
    }

    /// The average as a length of time; `None` if nothing was ever heard.
    pub(crate) fn get(&self, now: Moment) -> Option<Duration> {
        let heard = self.at.load(Ordering::Relaxed) != 0;
        heard.then(|| Duration::try_from_secs_f64(self.millis(now) / 1000.0).unwrap_or_default())
    }

    /// How much of the old average stays beside a new sample.
    fn weight(&self, now: Moment) -> f64 {
        let idle = now.since(Moment::of_millis(self.at.load(Ordering::Relaxed)));
        // Samples in the same instant must count for something too.
        (-idle.as_secs_f64() / DECAY.as_secs_f64()).exp().min(0.95)
    }

    /// How much is left after a silence.
    fn idle_weight(&self, now: Moment) -> f64 {
        let idle = now.since(Moment::of_millis(self.at.load(Ordering::Relaxed)));
        (-idle.as_secs_f64() / FORGIVENESS.as_secs_f64()).exp()
    }
}

fn blend(old: f64, new: f64, weight: f64) -> f64 {
    old * weight + new * (1.0 - weight)
}

/// The last latencies of latency-based routing.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    seconds: VecDeque<f64>,
    /// Worked out when a sample comes, for every choice reads it.
    mean: f64,
    last: Moment,
}

impl Samples {
    pub(crate) fn add(&mut self, seconds: f64, args: &StrategyArgs, now: Moment) {
        if now.since(self.last) > args.ttl {
            self.seconds.clear();
        }
        let room = args.max_latency_list_size.clamp(1, MAX_SAMPLES);
        while self.seconds.len() >= room {
            self.seconds.pop_front();
        }
        self.seconds.push_back(seconds);
        self.mean = self.seconds.iter().sum::<f64>() / self.seconds.len() as f64;
        self.last = now;
    }

    /// 0 for an unused deployment, so that it is tried first; LiteLLM's rule.
    pub(crate) fn mean(&self, args: &StrategyArgs, now: Moment) -> f64 {
        if now.since(self.last) > args.ttl { 0.0 } else { self.mean }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    #[test]
    fn rises_at_once_and_falls_slowly() {
        let ewma = PeakEwma::default();
        assert_eq!(ewma.get(at(1)), None);
        ewma.add(Duration::from_millis(100), at(1));
        ewma.add(Duration::from_secs(5), at(2));
        assert!(ewma.millis(at(2)) > 4999.0);
        ewma.add(Duration::from_millis(100), at(3));
        assert!(ewma.millis(at(3)) > 4000.0);
        for second in 4..60 {
            ewma.add(Duration::from_millis(100), at(second));
        }
        assert!(ewma.millis(at(60)) < 200.0);
    }

    #[test]
    fn silence_is_forgiven() {
        let ewma = PeakEwma::default();
        ewma.add(Duration::from_secs(60), at(1));
        assert!(ewma.millis(at(601)) < 10.0);
    }

    #[test]
    fn the_last_samples_count_until_their_time_is_up() {
        let args = StrategyArgs { max_latency_list_size: 2, ..StrategyArgs::default() };
        let mut samples = Samples::default();
        for seconds in [9.0, 1.0, 3.0] {
            samples.add(seconds, &args, at(1));
        }
        assert!((samples.mean(&args, at(2)) - 2.0).abs() < 1e-9);
        assert!(samples.mean(&args, at(4000)).abs() < 1e-9);
    }
}
