//! Which deployment answers?

use std::sync::Arc;

use crate::exchange::{Candidate, Exchange, Verdict};
use crate::refusal::Refusal;
use crate::snapshot::{Served, Snapshot};

/// Finds the model's group and draws one of its deployments by weight.
pub(super) fn route(
    snapshot: &Snapshot,
    model: &str,
    exchange: &mut Exchange,
) -> Result<Arc<Served>, Refusal> {
    let Some(group) = snapshot.group(model) else {
        return Err(Refusal::unknown_model(model, snapshot.nearest(model)));
    };
    exchange.group = Some(Arc::clone(&group.name));
    let chosen = draw(&group.members).ok_or_else(|| Refusal::unknown_model(model, None))?;
    exchange.candidates = group
        .members
        .iter()
        .map(|served| Candidate {
            deployment: Arc::clone(&served.deployment.id),
            verdict: if Arc::ptr_eq(served, chosen) { Verdict::Chosen } else { Verdict::NotDrawn },
        })
        .collect();
    Ok(Arc::clone(chosen))
}

/// LiteLLM's simple-shuffle: a random draw, weighted where the operator gave weights.
fn draw(members: &[Arc<Served>]) -> Option<&Arc<Served>> {
    if let [only] = members {
        return Some(only);
    }
    let total: u64 = members.iter().map(|served| served.weight).sum();
    if total == 0 {
        return members.get(fastrand::usize(..members.len().max(1)));
    }
    let mut ticket = fastrand::u64(..total);
    members.iter().find(|served| {
        let hit = ticket < served.weight;
        ticket = ticket.saturating_sub(served.weight);
        hit
    })
}
