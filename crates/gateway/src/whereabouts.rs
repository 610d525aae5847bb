//! Which deployment holds what a provider keeps for its clients under an id: a stored response that the next one
//! refers to as `previous_response_id`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Ids that are remembered; the oldest are forgotten first. A request with a forgotten one is tried on one deployment
/// after the other, since those that do not know it say so.
const CAPACITY: usize = 100_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    deployments: HashMap<Arc<str>, Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl Whereabouts {
    /// `id` was given out by `deployment`.
    pub(crate) fn remember(&self, id: &str, deployment: &Arc<str>) {
        let id: Arc<str> = id.into();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.deployments.insert(Arc::clone(&id), Arc::clone(deployment)).is_none() {
            known.order.push_back(id);
        }
        if known.order.len() > CAPACITY
            && let Some(oldest) = known.order.pop_front()
        {
            known.deployments.remove(&oldest);
        }
    }

    /// Who gave `id` out.
    #[must_use]
    pub(crate) fn of(&self, id: &str) -> Option<Arc<str>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).deployments.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_id_is_forgotten_first() {
        let whereabouts = Whereabouts::default();
        let (east, west): (Arc<str>, Arc<str>) = ("east".into(), "west".into());
        whereabouts.remember("first", &east);
        for id in 1..CAPACITY {
            whereabouts.remember(&id.to_string(), &west);
        }
        assert_eq!(whereabouts.of("first").as_deref(), Some("east"));
        whereabouts.remember("one more", &west);
        assert_eq!(whereabouts.of("first"), None);
        assert_eq!(whereabouts.of("1").as_deref(), Some("west"));
    }
}
