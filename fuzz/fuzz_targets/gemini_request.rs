#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tollway_fuzz::request(dialects::Dialect::Gemini, bytes));
