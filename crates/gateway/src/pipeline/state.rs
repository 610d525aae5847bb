//! State that only one account of a provider has: stored responses, uploaded files, reasoning that only its maker can
//! read. A request that refers to it goes where it is.

use std::sync::Arc;

use dialects::Dialect;
use dialects::conversation::{Media, Part, Request as Conversation, Seal, SealKind, Source};
use memchr::memmem;
use routing::Request;
use tollway::ask::Ask;

use super::Running;
use crate::exchange::RouteStep;
use crate::snapshot::{Group, Served, Snapshot};
use crate::whereabouts::{Account, Mark};

/// How a request is bound to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Bond {
    /// Others do not have it and say so.
    Kept,
    /// Others cannot read it. OpenAI: "The encrypted content … could not be verified" for another organization's.
    Encrypted,
    /// Others may take it: Anthropic's signatures hold on all its platforms
    /// (platform.claude.com/docs/en/build-with-claude/extended-thinking), Gemini's page says nothing of it.
    Signed,
}

/// Binds the request to the account that has what it refers to. Where nobody in the group is of that account any more it
/// goes to any, with a note: they will say if they do not know it.
pub(super) fn pin(
    running: &mut Running,
    snapshot: &Snapshot,
    request: &mut Request,
    ask: &Ask<'_>,
    body: &[u8],
) {
    let Some(group) = snapshot.group(&request.model).filter(|group| has_several_accounts(group)) else {
        return;
    };
    let references = references(ask, body);
    let files = references.iter().filter(|(_, bond, is_file)| *is_file && *bond == Bond::Kept);
    running.exchange.files = files.map(|(mark, ..)| *mark).collect();
    let mut found: Option<(Bond, Vec<Arc<str>>)> = None;
    for (mark, bond, _) in references {
        let account = running.gateway.whereabouts().of(mark);
        let holders: Vec<Arc<str>> = match account {
            Some(account) => {
                of_account(&group, account).map(|served| Arc::clone(&served.deployment.id)).collect()
            }
            None => Vec::new(),
        };
        if !holders.is_empty() {
            // What is kept binds most; of what is sealed, the last says where the conversation is.
            if found.as_ref().is_none_or(|(before, _)| bond <= *before) {
                found = Some((bond, holders));
            }
            continue;
        }
        running.exchange.seeks_state |= bond != Bond::Signed;
        if account.is_some() && bond != Bond::Signed {
            let after = running.exchange.started.elapsed();
            let what = if bond == Bond::Kept { "a stored response or file" } else { "encrypted reasoning" };
            let note =
                format!("{what} is of an account that this group does not have any more; any is asked");
            running.exchange.route.push(RouteStep::Noted { after, note });
        }
    }
    match found {
        Some((Bond::Kept | Bond::Encrypted, holders)) => request.pinned = holders,
        Some((Bond::Signed, holders)) => request.preferred = holders.into_iter().next(),
        None => {}
    }
}

/// Keeps in mind who has what this answer, or the request that it succeeded with, will be referred to by.
pub(super) fn remember(running: &Running, seals: &[u64]) {
    let exchange = &running.exchange;
    let is_choice =
        |step: &RouteStep| matches!(step, RouteStep::Considered { candidates, .. } if candidates.len() > 1);
    let Some(attempt) = exchange.attempts.last().filter(|_| exchange.route.iter().any(is_choice)) else {
        return;
    };
    let (whereabouts, account) = (running.gateway.whereabouts(), attempt.served.account);
    let is_responses = [exchange.operation.dialect(), attempt.dialect] == [Dialect::OpenaiResponses; 2];
    if let Some(id) = exchange.answer.id.as_deref().filter(|_| is_responses) {
        whereabouts.remember(Mark::of_response(id), account);
    }
    let seals = seals.iter().map(|mark| Mark::of_seal(*mark));
    seals.chain(exchange.files.iter().copied()).for_each(|mark| whereabouts.remember(mark, account));
}

fn has_several_accounts(group: &Group) -> bool {
    let mut accounts = group.members.iter().map(|served| served.account);
    accounts.next().is_some_and(|first| accounts.any(|other| other != first))
}

fn of_account(group: &Group, account: Account) -> impl Iterator<Item = &Arc<Served>> {
    group.members.iter().filter(move |served| served.account == account)
}

/// What a request refers to, in its order, and whether it is a file.
fn references(ask: &Ask<'_>, body: &[u8]) -> Vec<(Mark, Bond, bool)> {
    let previous = ask.document.text("previous_response_id").ok().flatten();
    let previous = previous.map(|id| (Mark::of_response(&id), Bond::Kept, false));
    let mut references: Vec<(Mark, Bond, bool)> = previous.into_iter().collect();
    // Most requests refer to nothing and need not be read for it. One that cannot be read is refused elsewhere.
    if may_refer(body)
        && let Ok(request) = ask.request()
    {
        parts(request).for_each(|part| references.extend(reference(part)));
    }
    references
}

/// Whether one of the words stands there with which any dialect, or a wrapped seal, refers to an account's state.
fn may_refer(body: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] =
        [b"\"file_id\"", b"encrypted_", b"redacted_thinking", b"ignature\"", b"_signature", b"tollway-seal-"];
    WORDS.iter().any(|word| memmem::find(body, word).is_some())
}

fn parts(request: &Conversation) -> impl Iterator<Item = &Part> {
    let parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.flat_map(|part| {
        let within = match part {
            Part::ToolResult(result) => result.parts.as_slice(),
            _ => &[],
        };
        std::iter::once(part).chain(within)
    })
}

fn reference(part: &Part) -> Option<(Mark, Bond, bool)> {
    if let Part::Media(Media { source: Source::FileId(id), .. }) = part {
        return Some((Mark::of_file(id), Bond::Kept, true));
    }
    let seal = part.seal()?;
    let bond = match seal.kind {
        SealKind::Encrypted => Bond::Encrypted,
        SealKind::Signature | SealKind::Redacted => Bond::Signed,
    };
    Some((Mark::of_seal(Seal::mark(&seal.value)), bond, false))
}
