//! Where a request goes when its group has failed.

use std::sync::Arc;

use dialects::ErrorClass;

use crate::plan::{FallbackKind, Plan};
use crate::request::Overrides;
use crate::settings::Target;

/// The targets that are still ahead: a stack of lists, the fallbacks of the last group on top.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    targets: Arc<[Target]>,
    next: usize,
    depth: u32,
}

impl Ahead {
    /// Adds the targets of a group that was left; `depth` fallbacks led to it.
    pub(crate) fn push(&mut self, targets: Arc<[Target]>, depth: u32) {
        self.lists.push(List { targets, next: 0, depth: depth + 1 });
    }

    /// The next target, and how many fallbacks lead to it.
    pub(crate) fn pop(&mut self) -> Option<(Target, u32)> {
        while let Some(list) = self.lists.last_mut() {
            if let Some(target) = list.targets.get(list.next) {
                list.next += 1;
                return Some((target.clone(), list.depth));
            }
            self.lists.pop();
        }
        None
    }
}

/// The list for a failure of this class in a group. A request's own list wins. Failures that have lists of their own go
/// to these alone, if any group has one.
pub(crate) fn targets(
    plan: &Plan,
    overrides: &Overrides,
    name: &str,
    class: ErrorClass,
) -> Option<Arc<[Target]>> {
    let (kind, own) = match class {
        ErrorClass::ContextWindowExceeded => {
            (FallbackKind::ContextWindow, &overrides.context_window_fallbacks)
        }
        ErrorClass::ContentPolicy => (FallbackKind::ContentPolicy, &overrides.content_policy_fallbacks),
        ErrorClass::BadRequest
        | ErrorClass::UnsupportedParameter
        | ErrorClass::Authentication
        | ErrorClass::PaymentRequired
        | ErrorClass::PermissionDenied
        | ErrorClass::NotFound
        | ErrorClass::Timeout
        | ErrorClass::Conflict
        | ErrorClass::PayloadTooLarge
        | ErrorClass::Unprocessable
        | ErrorClass::RateLimited
        | ErrorClass::Internal
        | ErrorClass::BadGateway
        | ErrorClass::Unavailable
        | ErrorClass::Overloaded
        | ErrorClass::Connection => (FallbackKind::General, &overrides.fallbacks),
    };
    if let Some(own) = own.as_ref().or(overrides.fallbacks.as_ref()) {
        return Some(own.clone().into());
    }
    plan.fallbacks(kind, name).ok().flatten().cloned()
}
