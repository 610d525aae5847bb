//! Unknown keys are looked up in the database, and anybody can make them up: an address that presents many is kept
//! waiting. Keys that are known are not looked up, so their callers notice nothing of others at the same address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// Wrong keys that an address may present at once.
const BURST: f64 = 100.0;
/// And then this many per second.
const PER_SECOND: f64 = 5.0;
/// Addresses that are remembered.
const MAX_ADDRESSES: u64 = 10_000;

/// See the module.
#[derive(Debug)]
pub struct Guesses {
    addresses: Cache<IpAddr, Arc<Mutex<Tries>>>,
}

#[derive(Debug)]
struct Tries {
    left: f64,
    at: Instant,
}

impl Default for Guesses {
    fn default() -> Self {
        let idle = Duration::from_secs_f64(BURST / PER_SECOND);
        Self { addresses: Cache::builder().max_capacity(MAX_ADDRESSES).time_to_idle(idle).build() }
    }
}

impl Guesses {
    /// Whether one more unknown key from this address is looked up; else when.
    ///
    /// # Errors
    /// How long the address has to wait.
    pub fn may_try(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let Some(tries) = self.addresses.get(&address) else { return Ok(()) };
        let left = tries.lock().unwrap_or_else(PoisonError::into_inner).left_at(now);
        if left >= 1.0 { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / PER_SECOND)) }
    }

    /// The key was wrong.
    pub fn was_wrong(&self, address: IpAddr, now: Instant) {
        let tries = self.addresses.get_with(address, || Arc::new(Mutex::new(Tries { left: BURST, at: now })));
        let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.left = (tries.left_at(now) - 1.0).max(0.0);
        tries.at = now;
    }
}

impl Tries {
    fn left_at(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left + since * PER_SECOND).min(BURST)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn many_wrong_keys_from_one_address_wait() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [here, there] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        for _ in 0..100 {
            assert_eq!(guesses.may_try(here, now), Ok(()));
            guesses.was_wrong(here, now);
        }
        assert_eq!(guesses.may_try(here, now), Err(Duration::from_millis(200)));
        assert_eq!(guesses.may_try(there, now), Ok(()), "others do not wait");
        let later = now + Duration::from_millis(200);
        assert_eq!(guesses.may_try(here, later), Ok(()));
        guesses.was_wrong(here, later);
        assert!(guesses.may_try(here, later).is_err());
        assert_eq!(guesses.may_try(here, later + Duration::from_secs(60)), Ok(()));
    }
}
