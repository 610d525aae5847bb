//! Chance as an argument: nothing in this crate makes random numbers.

/// A source of uniformly distributed 64-bit numbers: `&mut || fastrand::u64(..)`.
pub type Rng<'a> = &'a mut dyn FnMut() -> u64;

/// A number of `0.0..1.0`.
pub(crate) fn fraction(rng: Rng<'_>) -> f64 {
    // The upper 53 bits: as many as an f64 holds exactly.
    let bits = (rng() >> 11) as f64;
    bits / (1_u64 << 53) as f64
}

/// Spreads a key over all 64 bits, the same in every process: canaries and stickiness must agree between instances.
pub(crate) fn hash(key: &str, salt: &str) -> u64 {
    // FNV-1a, then the finalizer of SplitMix64: FNV alone leaves the upper bits of short keys alike.
    let bytes = key.bytes().chain([0xff]).chain(salt.bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_stay_below_one() {
        assert!(fraction(&mut || u64::MAX) < 1.0);
        assert!(fraction(&mut || 0).abs() < f64::EPSILON);
    }

    #[test]
    fn hashes_of_like_keys_are_spread_evenly() {
        let low = (0..10_000).filter(|n| hash(&format!("user-{n}"), "canary") < u64::MAX / 10).count();
        assert!((900..1100).contains(&low), "{low} of 10,000 in the lowest tenth");
    }
}
