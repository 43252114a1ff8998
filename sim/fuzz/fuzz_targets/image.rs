#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| dryburn_sim::hostile::image(input));
