#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| encompute_fuzz::run(&encompute_decoders::SESSIONS, bytes));
