use std::borrow::Cow;
use std::fmt;

use crate::usd::{Factor, Usd};

/// What part of the cost a line is, as LiteLLM's cost headers group them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineKind {
    Input,
    CacheRead,
    CacheWrite,
    Output,
    Reasoning,
    /// Web searches, sandboxes and other tools that the provider ran.
    Tool,
    /// A price per request.
    Request,
    /// What the provider says the call cost.
    Stated,
    /// Discount or margin.
    Adjustment,
}

/// How much of something: `count` divided by `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    pub count: u64,
    /// 1, or how many of the counted things make one unit: 1000 milliseconds a second.
    pub per: u32,
}

/// One position of a bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostLine {
    pub kind: LineKind,
    /// What was used, in plain words: `cached input tokens`.
    pub what: Cow<'static, str>,
    pub quantity: Quantity,
    pub unit_price: Usd,
    /// Uplift or other factor on the price, with its reason.
    pub factor: Option<(Factor, Cow<'static, str>)>,
    /// The price map's field that the price was taken from; empty where there is none.
    pub price_key: Cow<'static, str>,
    /// `quantity` × `unit_price` × `factor`.
    pub amount: Usd,
}

impl CostLine {
    pub(super) fn new(
        kind: LineKind,
        what: impl Into<Cow<'static, str>>,
        quantity: Quantity,
        (price_key, unit_price): (Cow<'static, str>, Usd),
    ) -> Self {
        let amount = unit_price.times(quantity.count).divided_by(quantity.per);
        Self { kind, what: what.into(), quantity, unit_price, factor: None, price_key, amount }
    }

    pub(super) fn with_factor(mut self, factor: Option<(Factor, Cow<'static, str>)>) -> Self {
        if let Some((number, _)) = factor {
            self.amount = self.amount.scaled(number);
        }
        self.factor = factor;
        self
    }

    pub(super) fn stated(amount: Usd) -> Self {
        Self::single(LineKind::Stated, "cost as the provider states it".into(), amount)
    }

    pub(super) fn adjustment(what: String, amount: Usd) -> Self {
        Self::single(LineKind::Adjustment, what.into(), amount)
    }

    fn single(kind: LineKind, what: Cow<'static, str>, amount: Usd) -> Self {
        let quantity = Quantity { count: 1, per: 1 };
        Self { kind, what, quantity, unit_price: amount, factor: None, price_key: "".into(), amount }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = u64::from(self.per.max(1));
        let whole = (self.count / per).to_string();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        let thousandths = u128::from(self.count % per) * 1000 / u128::from(per);
        match format!("{thousandths:03}").trim_end_matches('0') {
            "" => Ok(()),
            fraction => write!(f, ".{fraction}"),
        }
    }
}

impl fmt::Display for CostLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, what, quantity, unit_price, factor, amount, .. } = self;
        if matches!(kind, LineKind::Stated | LineKind::Adjustment) {
            return write!(f, "{what}: ${amount}");
        }
        write!(f, "{quantity} {what} × ${unit_price}")?;
        if let Some((factor, reason)) = factor {
            write!(f, " × {factor} ({reason})")?;
        }
        write!(f, " = ${amount}")
    }
}
