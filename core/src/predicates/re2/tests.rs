//! Expressions that two readers of them understand differently.

use super::*;

#[test]
fn what_regex_would_read_otherwise_is_written_as_re2_reads_it() {
    for (pattern, text, found) in [
        (r"\<a", "<a", true), // in `regex` the start of a word
        ("[a&&b]", "&", true),
        ("x{,2}", "x{,2}", true),
        (r"^\d$", "٣", false),
        ("(?i)k", "\u{212a}", true),
        ("a$", "a\n", false),
    ] {
        assert_eq!(Pattern::compile(pattern).is_ok_and(|each| each.is_found_in(text)), found, "{pattern}");
    }
}

#[test]
fn what_is_not_surely_the_same_is_refused() {
    for pattern in [r"\pL", "(?i)é", r"\B", r"\C", r"\Qa\E", r"\012", "^*", "(?i)[a-é]", "(?=a)"] {
        assert!(Pattern::compile(pattern).is_err(), "{pattern}");
    }
    assert!(Pattern::compile(&"(".repeat(1_000_000)).is_err());
}
