use super::*;
use crate::error::{ErrorClass, ErrorReply};

fn read(chunks: &[&[u8]]) -> Result<Vec<Event>, crate::BadReply> {
    let mut reader = CODEC.stream_reader("5eed");
    let mut events = Vec::new();
    for chunk in chunks {
        reader.push(chunk, &mut events)?;
    }
    reader.finish(&mut events)?;
    Ok(events)
}

fn write(response: &Response) -> Vec<u8> {
    let mut writer = CODEC.stream_writer(context(None));
    let mut out = Vec::new();
    for event in events_of(response) {
        writer.write(&event, &mut out);
    }
    out
}

/// Answers are compared but for what an answer has and a stream has not.
fn comparable(mut response: Response) -> Response {
    response.extra = Extra::new();
    response.service_tier = None;
    response.dialect = Dialect::OpenaiResponses;
    if let Some(usage) = &mut response.usage {
        usage.original = None;
    }
    response
}

#[test]
fn a_stream_is_the_answer_that_it_ends_with() {
    for (name, text) in golden("streams") {
        let streamed = collect(&read(&[text.as_bytes()]).unwrap());
        let answer = CODEC.read_response(golden_file("answers", &name).as_bytes(), "5eed").unwrap();
        assert_eq!(comparable(streamed), comparable(answer), "{name}");
    }
}

#[test]
fn the_last_event_alone_is_enough() {
    for (name, text) in golden("streams") {
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        let streamed = collect(&read(&[last.as_bytes()]).unwrap());
        let answer = CODEC.read_response(golden_file("answers", &name).as_bytes(), "5eed").unwrap();
        assert_eq!(comparable(streamed), comparable(answer), "{name}");
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    let text = golden_file("streams", "text");
    let cut = &text.as_bytes()[..text.find("event: response.completed").unwrap()];
    assert_eq!(read(&[cut]).unwrap_err().message, "the stream ended before `response.completed`");
}

#[test]
fn errors_in_a_stream_are_events() {
    let error = |text: &str| match read(&[text.as_bytes()]).unwrap().pop() {
        Some(Event::Error(error)) => error,
        other => panic!("{other:?}"),
    };
    let told = error(
        "event: error\ndata: {\"type\":\"error\",\"sequence_number\":3,\"code\":\"server_error\",\"message\":\"Oops.\",\"param\":null}\n\n",
    );
    assert_eq!((told.class, told.status, told.message.as_str()), (ErrorClass::Internal, 500, "Oops."));
    let told = error(
        "data: {\"type\":\"response.failed\",\"response\":{\"id\":\"resp_1\",\"status\":\"failed\",\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"Slow down.\"}}}\n\n",
    );
    assert_eq!(
        (told.class, told.status, told.message.as_str()),
        (ErrorClass::RateLimited, 429, "Slow down.")
    );
}

#[test]
fn every_documented_event_is_written_in_order() {
    let thinking = Reasoning { text: "Hm.".to_owned(), ..Reasoning::default() };
    let mut response = Response::new(Dialect::AnthropicMessages);
    response.choices.push(Choice {
        index: 0,
        parts: vec![
            Part::Reasoning(thinking),
            Part::text("No"),
            Part::ToolCall(ToolCall::function("call_1", "f", "{}")),
        ],
        stop: StopReason::ToolCalls,
        logprobs: None,
        extra: Extra::new(),
    });
    let written = write(&response);
    let events = frames(&written);
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&name.as_str().into(), &number.into()));
    }
    assert!(written.ends_with(b"data: [DONE]\n\n"));
}

#[test]
fn an_error_ends_the_stream_with_what_was_said_so_far() {
    let mut writer = CODEC.stream_writer(context(None));
    let mut out = Vec::new();
    let start = PartStart::Text;
    writer.write(&Event::Start { id: None, model: None, created: None, extra: Extra::new() }, &mut out);
    writer.write(&Event::PartStart { choice: 0, part: 0, start }, &mut out);
    writer.write(&Event::Delta { choice: 0, part: 0, delta: Delta::Text("The".to_owned()) }, &mut out);
    let error = ErrorReply {
        status: 429,
        message: "Slow down.".to_owned(),
        kind: "throttling_error",
        param: None,
        code: None,
    };
    writer.write_error(&error, &mut out);
    writer.write(&Event::End, &mut out);
    let events = frames(&out);
    let (name, last) = events.last().unwrap();
    assert_eq!(name, "response.failed");
    assert_eq!(last["response"]["status"], "failed");
    assert_eq!(last["response"]["error"]["code"], "rate_limit_exceeded");
    assert_eq!(last["response"]["error"]["message"], "Slow down.");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "The");
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");
}

proptest! {
    #[test]
    fn a_stream_ends_with_the_answer_that_is_written_unstreamed(response in any_response()) {
        let unstreamed = json(&CODEC.write_response(&response, &context(None)));
        let events = frames(&write(&response));
        let (_, last) = events.last().unwrap();
        prop_assert_eq!(&last["response"], &unstreamed);
    }

    #[test]
    fn what_is_streamed_is_read_as_what_is_written_unstreamed(response in any_response()) {
        let written = CODEC.write_response(&response, &context(None));
        let unstreamed = CODEC.read_response(&written, "5eed").unwrap();
        let streamed = collect(&read(&[&write(&response)]).unwrap());
        prop_assert_eq!(comparable(streamed), comparable(unstreamed));
    }

    #[test]
    fn deltas_add_up_to_the_answer(response in any_response()) {
        let events = frames(&write(&response));
        let mut texts = std::collections::BTreeMap::<String, String>::new();
        for (name, data) in &events {
            let key = format!("{} {} {}", data["item_id"], data["content_index"], data["summary_index"]);
            let done = ["text", "refusal", "arguments", "input"].iter().find_map(|field| data[*field].as_str());
            if name.ends_with(".delta") {
                texts.entry(key).or_default().push_str(data["delta"].as_str().unwrap());
            } else if name.ends_with(".done") && data["part"].is_null() && data["item"].is_null() {
                prop_assert_eq!(texts.get(&key).map_or("", String::as_str), done.unwrap());
            }
        }
    }

    #[test]
    fn cuts_do_not_matter(
        index in any::<prop::sample::Index>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let files = golden("streams");
        let bytes = files[index.index(files.len())].1.as_bytes();
        prop_assert_eq!(read(&pieces(bytes, &cuts)).unwrap(), read(&[bytes]).unwrap());
    }

    #[test]
    fn no_bytes_panic(index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let files = golden("streams");
        let mut bytes = files[index.index(files.len())].1.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&[&bytes]);
    }
}
