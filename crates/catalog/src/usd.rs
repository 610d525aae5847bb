//! Money: exact decimals, no floating point from a price's digits to a sum's digits.
//!
//! [`Usd`] is a fixed-point number of 30 decimal places in an `i128`. The finest price known (5.0000000000000004e-08,
//! a float's trace in the public price map) has 24 decimal places, so that price × count, and halves and tenths of
//! it, are exact. What is stored and summed is [`NanoUsd`], rounded once per call.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Sub};

use crate::decimal::Decimal;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

const PLACES: i32 = 30;
const ONE: i128 = 10_i128.pow(30);
/// 10^21: how many of our units a nano-dollar has.
const PER_NANO: i128 = 10_i128.pow(21);

/// An exact amount of US dollars, or a price per unit. Holds up to 170 million dollars; sums and products beyond
/// stop there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i128);

/// A text is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAmount {
    /// Not a JSON number.
    NotANumber,
    /// More than 170 million.
    TooLarge,
    /// More than 30 decimal places.
    TooFine,
}

impl fmt::Display for BadAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "not a number",
            Self::TooLarge => "more than 170 million dollars",
            Self::TooFine => "more than 30 decimal places",
        })
    }
}

impl std::error::Error for BadAmount {}

impl Usd {
    pub const ZERO: Self = Self(0);

    /// Reads the digits of a JSON number, also with an exponent: `3.0001999999999996e-07`.
    ///
    /// # Errors
    /// When the text is not a number or cannot be held exactly.
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
                (mantissa, exponent.parse::<i32>().map_err(|_| BadAmount::NotANumber)?)
            }
            None => (digits, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(BadAmount::NotANumber);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Ok(Self::ZERO);
        }
        let trailing = all.len() - all.trim_end_matches('0').len();
        let count = |length: usize| i32::try_from(length).map_err(|_| BadAmount::TooFine);
        // Our units per last significant digit, as a power of ten.
        let power = PLACES
            .checked_add(exponent)
            .and_then(|power| power.checked_sub(count(fraction.len()).ok()?))
            .and_then(|power| power.checked_add(count(trailing).ok()?))
            .ok_or(BadAmount::NotANumber)?;
        let power = u32::try_from(power).map_err(|_| BadAmount::TooFine)?;
        let units = significant.parse::<i128>().map_err(|_| BadAmount::TooLarge)?;
        let scale = 10_i128.checked_pow(power).ok_or(BadAmount::TooLarge)?;
        let units = units.checked_mul(scale).ok_or(BadAmount::TooLarge)?;
        Ok(Self(if negative { -units } else { units }))
    }

    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This price for `count` units.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(i128::from(count)))
    }

    /// An equal part. Exact where the quotient has at most 30 decimal places, else rounded half to even.
    #[must_use]
    pub fn divided_by(self, parts: u32) -> Self {
        Self(divide_half_even(self.0, i128::from(parts.max(1))))
    }

    /// Scaled by a factor.
    #[must_use]
    pub fn scaled(self, factor: Factor) -> Self {
        // In two parts, since the product of both numbers of units does not fit.
        let (whole, rest) = (self.0 / Factor::ONE_UNITS, self.0 % Factor::ONE_UNITS);
        let units = i128::from(factor.0);
        let rest = divide_half_even(rest.saturating_mul(units), Factor::ONE_UNITS);
        Self(whole.saturating_mul(units).saturating_add(rest))
    }

    /// Rounds to whole nano-dollars, half to even.
    #[must_use]
    pub fn to_nano(self) -> NanoUsd {
        let nano = divide_half_even(self.0, PER_NANO);
        let bound = if nano < 0 { i64::MIN } else { i64::MAX };
        NanoUsd(i64::try_from(nano).unwrap_or(bound))
    }
}

/// `parts` must be positive.
fn divide_half_even(units: i128, parts: i128) -> i128 {
    let (quotient, rest) = (units.div_euclid(parts), units.rem_euclid(parts));
    match (rest.saturating_mul(2)).cmp(&parts) {
        std::cmp::Ordering::Less => quotient,
        std::cmp::Ordering::Equal => quotient + (quotient & 1),
        std::cmp::Ordering::Greater => quotient + 1,
    }
}

impl Add for Usd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Usd {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    /// Plain digits without exponent: `0.0000003`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(self.0, ONE, 30).fmt(f)
    }
}

/// Amounts show themselves with as many decimals as they need, and at least one.
fn decimal(units: i128, one: i128, places: usize) -> Decimal {
    let (magnitude, one) = (units.unsigned_abs(), one.unsigned_abs());
    let whole = u64::try_from(magnitude / one).unwrap_or(u64::MAX);
    let text = Decimal::fixed(whole, magnitude % one, places).trimmed();
    if units < 0 { text.negative() } else { text }
}

/// A factor on an amount, of at most nine decimal places: an uplift, a discount, a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor(i64);

impl Factor {
    const ONE_UNITS: i128 = 1_000_000_000;

    /// Reads a number such as `1.1`.
    ///
    /// # Errors
    /// When the text is not a number, is beyond nine thousand million, or has more than nine decimal places.
    pub fn parse(text: &str) -> Result<Self, BadAmount> {
        let Usd(units) = Usd::parse(text)?;
        if units % PER_NANO != 0 {
            return Err(BadAmount::TooFine);
        }
        i64::try_from(units / PER_NANO).map(Self).map_err(|_| BadAmount::TooLarge)
    }

    /// Both factors, one after the other; rounded half to even to nine decimal places.
    #[must_use]
    pub fn combined(self, other: Self) -> Self {
        let product = divide_half_even(i128::from(self.0) * i128::from(other.0), Self::ONE_UNITS);
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(i128::from(self.0), Self::ONE_UNITS, 9).fmt(f)
    }
}

/// Whole nano-dollars (1e-9 USD): what is stored, summed and compared.
///
/// As JSON it is a number of dollars, as LiteLLM shows costs: `0.0000925`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub i64);

impl NanoUsd {
    pub const ZERO: Self = Self(0);
    /// A dollar.
    const ONE: u64 = 1_000_000_000;

    #[must_use]
    pub fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Dollars in plain digits: `0.0000925`.
    #[must_use]
    pub fn to_decimal(self) -> Decimal {
        let units = self.0.unsigned_abs();
        let text = Decimal::fixed(units / Self::ONE, u128::from(units % Self::ONE), 9).trimmed();
        if self.0 < 0 { text.negative() } else { text }
    }

    /// Dollars as a float: for metrics and charts, never to calculate with.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a chart shows no more digits")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl From<NanoUsd> for Usd {
    fn from(nano: NanoUsd) -> Self {
        Self(i128::from(nano.0).saturating_mul(PER_NANO))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for NanoUsd {
    /// Dollars in plain digits: `0.0000925`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_decimal().fmt(f)
    }
}

impl Serialize for NanoUsd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The digits themselves: a float would not hold all of them.
        RawValue::from_string(self.to_string()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
