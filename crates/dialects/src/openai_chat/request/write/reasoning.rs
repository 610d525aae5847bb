//! How much the model thinks.

use crate::conversation::{Effort, Request, Thinking};
use crate::exchange::Target;
use crate::loss::{Change, Losses};
use crate::openai_chat::wire;
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn write(
    request: &Request,
    own: bool,
    target: &Target<'_>,
    body: &mut wire::Request,
    losses: &mut Losses,
) {
    let wanted = &request.reasoning;
    let takes_thinking = own
        || target.has(&Quirk::Accepts("thinking".to_owned()))
        || target.has(&Quirk::Named(NamedQuirk::ReasoningIsSwitch));
    body.reasoning_effort = wanted.effort.as_ref().map(|effort| effort.name().to_owned());
    if let Some(thinking) = &wanted.thinking {
        if takes_thinking {
            let (kind, budget_tokens) = match thinking {
                Thinking::Disabled => ("disabled", None),
                Thinking::Adaptive => ("adaptive", None),
                Thinking::Budget(budget) => ("enabled", Some(*budget)),
            };
            body.thinking = Some(wire::Thinking { kind: kind.to_owned(), budget_tokens });
        } else if body.reasoning_effort.is_none() {
            body.reasoning_effort = effort_for(thinking, target).map(|effort| effort.name().to_owned());
            let may_think = target.facts.supports_reasoning != Some(false);
            if *thinking == Thinking::Disabled && may_think && body.reasoning_effort.is_none() {
                losses.note("thinking", Change::Dropped, "the model is not known to take the effort `none`");
            }
        }
    }
    if wanted.encrypted && !own {
        losses.note("reasoning", Change::Dropped, "OpenAI Chat Completions returns no encrypted reasoning");
    }
}

/// The effort that stands for `thinking`; `None` leaves it to the model.
fn effort_for(thinking: &Thinking, target: &Target<'_>) -> Option<Effort> {
    match thinking {
        Thinking::Adaptive => None,
        Thinking::Disabled => {
            (target.facts.supports_none_reasoning_effort == Some(true)).then_some(Effort::None)
        }
        Thinking::Budget(budget) => Some(Effort::from_budget(*budget)),
    }
}
