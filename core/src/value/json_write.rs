//! JSON as `msgspec.json` writes it: no spaces, names in their order, the shortest decimals of floats.

use std::io::Write;

use super::json_text::next_special;
use super::{Map, Value};

pub fn write_json(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(is) => out.extend_from_slice(if *is { b"true" } else { b"false" }),
        Value::Int(number) => write_int(out, *number),
        Value::Float(number) => write_float(out, *number),
        Value::Str(text) => write_str(out, text),
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_json(out, item);
            }
            out.push(b']');
        }
        Value::Map(map) => write_object(out, map),
    }
}

pub fn write_object(out: &mut Vec<u8>, map: &Map<'_>) {
    out.push(b'{');
    for (at, (name, value)) in map.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_str(out, name);
        out.push(b':');
        write_json(out, value);
    }
    out.push(b'}');
}

pub fn write_int(out: &mut Vec<u8>, number: i64) {
    // Writing to memory has no errors.
    write!(out, "{number}").unwrap_or_default();
}

/// The shortest decimals, of two equally near ones the even one, as Ryu has them; with an exponent below 10^-5
/// and from 10^16 on. What is not finite is null.
pub fn write_float(out: &mut Vec<u8>, number: f64) {
    let mut buffer = zmij::Buffer::new();
    let text = if number.is_finite() { buffer.format_finite(number) } else { "null" };
    // The standard library's own decimals are others of two equally near ones.
    match text.split_once("e+") {
        Some((decimals, exponent)) => {
            out.extend_from_slice(decimals.as_bytes());
            out.push(b'e');
            out.extend_from_slice(exponent.as_bytes());
        }
        None => out.extend_from_slice(text.as_bytes()),
    }
}

pub fn write_str(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    let mut from = 0;
    loop {
        let at = next_special(bytes, from);
        out.extend_from_slice(&bytes[from..at]);
        let Some(&byte) = bytes.get(at) else { break };
        write_escape(out, byte);
        from = at + 1;
    }
    out.push(b'"');
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let digit = b"0123456789abcdef"[usize::from(byte & 0xf)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), digit]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::json_read::read_json;

    fn float(number: f64) -> String {
        let mut out = Vec::new();
        write_float(&mut out, number);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn floats_are_written_as_msgspec_does() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (0.0001, "0.0001"),
            (1e-5, "0.00001"),
            (1e-6, "1e-6"),
            (1.5e-7, "1.5e-7"),
            (12_345_678_901_234_567.0, "1.2345678901234568e16"),
            (2f64.powi(49) + 0.25, "562949953421312.2"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(float(number), text);
        }
    }

    proptest! {
        #[test]
        fn a_text_that_is_written_is_read(text in any::<String>()) {
            let mut out = Vec::new();
            write_str(&mut out, &text);
            prop_assert!(matches!(read_json(&out), Ok(Value::Str(read)) if read == text));
        }

        #[test]
        fn a_float_that_is_written_is_read(number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert!(matches!(read_json(float(number).as_bytes()), Ok(Value::Float(read)) if read.to_bits() == number.to_bits()));
        }
    }
}
