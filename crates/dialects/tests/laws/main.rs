//! Laws that hold for every dialect, over generated conversations and over the golden files.
//!
//! What a single dialect promises beyond them is tested beside its module.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that is surprised fails"
)]

mod answers;
/// The same functions as in the fuzz targets.
#[path = "../../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "public for the fuzz targets")]
mod fuzz;
mod gather;
mod generate;
mod golden;
mod noise;
mod order;
mod relays;
mod requests;
mod streams;

use std::sync::Arc;

use dialects::Dialect;
use dialects::conversation::Event;
use dialects::exchange::AnswerContext;
use proptest::prelude::*;

/// The dialects that can say the common core: the legacy text protocol has no roles, tools or media.
fn any_dialect() -> impl Strategy<Value = Dialect> {
    let conversations = Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::OpenaiCompletions);
    prop::sample::select(conversations.collect::<Vec<_>>())
}

fn context() -> Arc<AnswerContext> {
    Arc::new(AnswerContext {
        model: "alias".to_owned(),
        seed: "5eed".to_owned(),
        created: 1_760_000_000,
        include_usage: true,
        request: None,
    })
}

/// What a client of `to` gets of these events.
fn write_stream(to: Dialect, events: &[Event]) -> Vec<u8> {
    let mut writer = to.codec().stream_writer(context());
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    out
}

/// `bytes` in the pieces that `cuts` make of it.
fn pieces<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
