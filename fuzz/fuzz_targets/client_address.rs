#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    api::untrusted::client_address(data);
});
