//! Unknown keys are looked up in the database, and anybody can make them up: an address that presents many is kept
//! waiting. Keys that are known are not looked up, so their callers notice nothing of others at the same address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// Addresses that are remembered.
const MAX_ADDRESSES: u64 = 10_000;
/// An address that presented no wrong key for so long is forgotten.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// How many wrong keys an address may present.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuessLimits {
    /// `tollway.wrong_keys_burst`: at once; 0: any number.
    pub burst: u32,
    /// `tollway.wrong_keys_per_s`: and then so many per second.
    pub per_second: f64,
}

impl Default for GuessLimits {
    fn default() -> Self {
        Self { burst: 100, per_second: 5.0 }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Guesses {
    addresses: Cache<IpAddr, Arc<Mutex<Tries>>>,
}

#[derive(Debug)]
struct Tries {
    /// Wrong keys that are not made up for by time yet.
    wrong: f64,
    at: Instant,
}

impl Default for Guesses {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(MAX_ADDRESSES).time_to_idle(REMEMBERED_FOR);
        Self { addresses: cache.build() }
    }
}

impl Guesses {
    /// Whether one more unknown key from this address is looked up; else when.
    ///
    /// # Errors
    /// How long the address has to wait.
    pub fn may_try(&self, address: IpAddr, limits: GuessLimits, now: Instant) -> Result<(), Duration> {
        if limits.burst == 0 {
            return Ok(());
        }
        let Some(tries) = self.addresses.get(&source(address)) else { return Ok(()) };
        let wrong = tries.lock().unwrap_or_else(PoisonError::into_inner).wrong_at(limits, now);
        let too_many = wrong + 1.0 - f64::from(limits.burst);
        if too_many <= 0.0 {
            return Ok(());
        }
        let wait = Duration::try_from_secs_f64(too_many / limits.per_second);
        // Without any per second an address is forgiven when it is forgotten.
        Err(wait.unwrap_or(REMEMBERED_FOR).min(REMEMBERED_FOR))
    }

    /// The key was wrong.
    pub fn was_wrong(&self, address: IpAddr, limits: GuessLimits, now: Instant) {
        let new = || Arc::new(Mutex::new(Tries { wrong: 0.0, at: now }));
        let tries = self.addresses.get_with(source(address), new);
        let mut tries = tries.lock().unwrap_or_else(PoisonError::into_inner);
        tries.wrong = (tries.wrong_at(limits, now) + 1.0).min(f64::from(limits.burst));
        tries.at = now;
    }
}

impl Tries {
    fn wrong_at(&self, limits: GuessLimits, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.wrong - since * limits.per_second).max(0.0)
    }
}

/// Whoever has one IPv6 address has a network of them (RFC 6177): the first 64 bits are one source.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        canonical @ IpAddr::V4(_) => canonical,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LIMITS: GuessLimits = GuessLimits { burst: 100, per_second: 5.0 };

    #[test]
    fn many_wrong_keys_from_one_address_wait() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [here, there] = [1, 2].map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        for _ in 0..100 {
            assert_eq!(guesses.may_try(here, LIMITS, now), Ok(()));
            guesses.was_wrong(here, LIMITS, now);
        }
        assert_eq!(guesses.may_try(here, LIMITS, now), Err(Duration::from_millis(200)));
        assert_eq!(guesses.may_try(there, LIMITS, now), Ok(()), "others do not wait");
        let later = now + Duration::from_millis(200);
        assert_eq!(guesses.may_try(here, LIMITS, later), Ok(()));
        guesses.was_wrong(here, LIMITS, later);
        assert!(guesses.may_try(here, LIMITS, later).is_err());
        assert_eq!(guesses.may_try(here, LIMITS, later + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let limits = GuessLimits { burst: 1, per_second: 1.0 };
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        guesses.was_wrong(address("2001:db8:0:1::7"), limits, now);
        assert!(guesses.may_try(address("2001:db8:0:1:ffff::8"), limits, now).is_err());
        assert_eq!(guesses.may_try(address("2001:db8:0:2::7"), limits, now), Ok(()));
        guesses.was_wrong(address("::ffff:10.0.0.1"), limits, now);
        assert!(guesses.may_try(address("10.0.0.1"), limits, now).is_err());
        assert_eq!(guesses.may_try(address("10.0.0.2"), limits, now), Ok(()));
    }

    #[test]
    fn limits_can_be_off_or_strict() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let off = GuessLimits { burst: 0, per_second: 0.0 };
        for _ in 0..1000 {
            guesses.was_wrong(here, LIMITS, now);
            assert_eq!(guesses.may_try(here, off, now), Ok(()));
        }
        let strict = GuessLimits { burst: 3, per_second: 0.0 };
        assert_eq!(guesses.may_try(here, strict, now), Err(REMEMBERED_FOR));
    }
}
