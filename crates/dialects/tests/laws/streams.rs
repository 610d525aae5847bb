//! Reading event streams: however they are cut, the same events in the promised order.

use dialects::conversation::Event;
use proptest::prelude::*;

use crate::{any_dialect, fuzz, generate, golden, order, pieces, write_stream};

#[test]
fn golden_streams_keep_the_order() {
    for input in golden::inputs("streams") {
        let events = fuzz::read_stream(input.dialect, [input.text.as_bytes()]);
        assert_eq!(order::mistake(&events, true), None, "{}", input.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn cuts_do_not_matter(
        which in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        crlf in any::<bool>(),
    ) {
        let inputs = golden::inputs("streams");
        let input = which.get(&inputs);
        let text = if crlf { input.text.replace('\n', "\r\n") } else { input.text.clone() };
        let whole = fuzz::read_stream(input.dialect, [text.as_bytes()]);
        prop_assert_eq!(fuzz::read_stream(input.dialect, pieces(text.as_bytes(), &cuts)), whole);
    }

    #[test]
    fn cuts_do_not_matter_in_what_is_written(
        (response, dialect) in any_dialect().prop_flat_map(|from| (generate::response(from), any_dialect())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = write_stream(dialect, &generate::stream(response));
        let whole = fuzz::read_stream(dialect, [stream.as_slice()]);
        prop_assert_eq!(order::mistake(&whole, true), None);
        prop_assert_eq!(fuzz::read_stream(dialect, pieces(&stream, &cuts)), whole);
    }

    #[test]
    fn a_stream_that_breaks_off_never_ends_well(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
        let inputs = golden::inputs("streams");
        let input = which.get(&inputs);
        let events: Vec<&str> = input.text.split_inclusive("\n\n").collect();
        // Without its last events: those that end it, for dialects that have such ones, and the one before.
        let kept = at.index(events.len().saturating_sub(2).max(1));
        let beginning = fuzz::read_stream(input.dialect, [events[..kept].concat().as_bytes()]);
        prop_assert_eq!(order::mistake(&beginning, false), None);
        prop_assert!(!matches!(beginning.last(), Some(Event::End)), "{}: {:?}", input.name, beginning);
    }
}
