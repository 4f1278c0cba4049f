//! JSON that is read and written again.

use proptest::prelude::*;

use super::json_read::read_json;
use super::json_write::write_json;

fn again(json: &str) -> Option<String> {
    let mut out = Vec::new();
    write_json(&mut out, &read_json(json.as_bytes()).ok()?);
    String::from_utf8(out).ok()
}

#[test]
fn json_is_read_and_written_again() {
    for (json, written) in [
        (
            " {\"a\" : [1, 1.0, -0, -0.0, 1e3, true, false, null, \"\"] } ",
            r#"{"a":[1,1.0,0,-0.0,1000.0,true,false,null,""]}"#,
        ),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#""\ud83d\ude00\u0000\n\/\"""#, "\"😀\\u0000\\n/\\\"\""),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854776e18"),
        ("1e-5000000000", "0.0"),
        ("[]", "[]"),
        ("{}", "{}"),
    ] {
        assert_eq!(again(json).as_deref(), Some(written), "{json}");
    }
}

#[test]
fn what_python_refuses_is_not_read() {
    for json in [
        "",
        " ",
        "01",
        "-",
        "1.",
        ".5",
        "+1",
        "1e",
        "1e400",
        "NaN",
        "Infinity",
        "nul",
        "tru",
        "\"",
        "\"\\",
        "\"\\q\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud83dx\"",
        "\"\\ud83d\\u0041\"",
        "\"a\tb\"",
        "\"\0\"",
        "[1,]",
        "{\"a\":1,}",
        "{,}",
        "[,1]",
        "{1:2}",
        "{\"a\"}",
        "[1 2]",
        "1 2",
        "[",
        "{",
        "{\"a\":",
        "\u{feff}1",
        "\u{b}1",
    ] {
        assert_eq!(again(json), None, "{json}");
    }
    assert!(read_json(b"\"\xff\"").is_err());
    assert!(read_json(b"\"\xed\xa0\x80\"").is_err());
}

#[test]
fn levels_are_bounded() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(again(&nested(32)).is_some());
    assert!(again(&nested(33)).is_none());
    assert!(again(&"[".repeat(1_000_000)).is_none());
    assert!(again(&"{\"a\":".repeat(1_000_000)).is_none());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = read_json(&bytes);
    }

    #[test]
    fn no_text_like_json_panics(text in "[\\[\\]{}\",:0-9eE.+\\-\\\\ubnrtfalsn é\n]{0,40}") {
        if let Some(written) = again(&text) {
            prop_assert_eq!(again(&written), Some(written));
        }
    }

    #[test]
    fn whole_numbers_stay(number in any::<i64>()) {
        prop_assert_eq!(again(&number.to_string()), Some(number.to_string()));
    }
}
