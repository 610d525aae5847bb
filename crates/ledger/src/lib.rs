//! Keys, teams, budgets, limits and spend.

pub mod counters;
pub mod rules;
