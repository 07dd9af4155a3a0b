//! Path templates: whatever parses prints as what parses to the same, and matches its own paths without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::route::template::PathTemplate;

fuzz_target!(|text: &str| {
    if let Ok(template) = PathTemplate::parse(text) {
        let printed = template.to_string();
        let again = PathTemplate::parse(&printed).expect("a template's own text parses");
        assert_eq!(again.to_string(), printed);
    }
});
