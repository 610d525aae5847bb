#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollway_fuzz::response(dialects::Dialect::AnthropicMessages, bytes));
