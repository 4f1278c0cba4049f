use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::time::instants::MAX_MS;
use crate::value::Value;
use crate::value::msgpack::Writer;
use crate::value::number::Number;

fn of(json: &str) -> Option<Record<'_>> {
    read(json.as_bytes(), 7, 10_000)
}

#[test]
fn an_event_is_read() {
    let record =
        of(r#"{"user_id":12,"event":"buy","id":3,"time":1.5,"properties":{"a":[{"b":1}],"a b":"c"},"x":{}}"#)
            .unwrap();
    assert_eq!((&*record.user_id, &*record.project, record.id.as_deref()), ("12", "default", Some("3")));
    assert_eq!((record.time_ms, record.has_time, record.has_attributes), (1500, true, false));
    let Says::Event { name, properties } = &record.says else { panic!("it is an event") };
    assert_eq!((&**name, properties.len()), ("buy", 2));
    assert!(matches!(properties.get("a b"), Some(Value::Str(Cow::Borrowed("c")))));
}

#[test]
fn a_record_without_a_time_has_that_of_its_record() {
    let record = of(r#"{"user_id":"u","event":"e","time":null,"properties":[],"identities":null}"#).unwrap();
    assert_eq!((record.time_ms, record.has_time), (7, false));
}

#[test]
fn a_profile_update_is_read() {
    let record = of(
        r#"{"type":"profile","user_id":"u","project":"p_1","set":{"a":null},"set_once":{"b":[]},"unset":["c"],
            "add":{"d":1,"e":1.0},"append":{"f":[1,"g"]},"unset_all":true,"identities":{"email":5}}"#,
    )
    .unwrap();
    let Says::Update(update) = &record.says else { panic!("it is a profile update") };
    assert!(record.has_attributes && update.unset_all);
    assert_eq!((update.set.len(), update.set_once.len(), &*update.unset), (1, 1, &[Cow::Borrowed("c")][..]));
    assert!(matches!(
        (update.add.get("d"), update.add.get("e")),
        (Some(Number::Int(1)), Some(Number::Float(1.0)))
    ));
    assert_eq!(update.append.get("f").map(Vec::len), Some(2));
    assert_eq!(record.identities.get("email").map(|each| &**each), Some("5"));
}

#[test]
fn what_is_bad_or_unusual_is_left_to_python() {
    let long = "é".repeat(513);
    let long_name = format!(r#"{{"user_id":"u","event":"{long}"}}"#);
    let long_user = format!(r#"{{"user_id":"{long}","event":"e"}}"#);
    let long_attribute = format!(r#"{{"user_id":"u","type":"profile","set":{{"{long}":1}}}}"#);
    for json in [
        "",
        "[]",
        "5",
        "null",
        "{}",
        r#"[{"user_id":"u","event":"e"}]"#,
        r#"{"user_id":"","event":"e"}"#,
        r#"{"user_id":"u"}"#,
        r#"{"user_id":"u","event":""}"#,
        r#"{"user_id":"u\u0000","event":"e"}"#,
        r#"{"user_id":1.0,"event":"e"}"#,
        r#"{"user_id":"u","event":"e","project":"a b"}"#,
        r#"{"user_id":"u","event":"e","project":null}"#,
        r#"{"user_id":"u","event":"e","time":"soon"}"#,
        r#"{"user_id":"u","event":"e","time":true}"#,
        r#"{"user_id":"u","event":"e","type":"delete"}"#,
        r#"{"user_id":"u","event":"e","properties":[1]}"#,
        r#"{"user_id":"u","event":"e","set":{"a":1}}"#,
        r#"{"user_id":"u","type":"profile"}"#,
        r#"{"user_id":"u","type":"profile","set":{"":1}}"#,
        r#"{"user_id":"u","type":"profile","add":{"a":true}}"#,
        r#"{"user_id":"u","event":"e"} x"#,
        &long_name,
        &long_user,
        &long_attribute,
    ] {
        assert!(of(json).is_none(), "{json}");
    }
    let plain = br#"{"user_id":"u","event":"e"}"#;
    assert!(read(plain, 0, plain.len()).is_some() && read(plain, 0, plain.len() - 1).is_none());
    assert!(read(plain, MAX_MS + 1, 100).is_none());
    let exact = format!(r#"{{"user_id":"{0}","event":"{0}"}}"#, "é".repeat(512));
    assert!(of(&exact).is_some());
}

/// What Python gives, with a whole number beyond 64 bits and 1,000 levels in what the type doesn't use.
fn replaced(kind: &str, properties: &[u8], set: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer(&mut bytes);
    writer.array_header(14);
    ["u", "default", kind].iter().for_each(|text| writer.str(text));
    writer.nil();
    writer.str("e");
    writer.nil();
    bytes.extend_from_slice(properties);
    bytes.push(0xc0);
    bytes.extend_from_slice(set);
    bytes.extend_from_slice(&[0xc0, 0xc0, 0x80, 0xc0, 0xc2]);
    bytes
}

#[test]
fn what_python_has_not_checked_is_not_read() {
    let unchecked =
        [&[0x82, 0xa1, b'a', 0xcf, 255, 0, 0, 0, 0, 0, 0, 0, 0xa1, b'b'][..], &[0x91; 1000], &[0xc0]]
            .concat();
    let event = read_replaced(&replaced("track", &[0x81, 0xa1, b'p', 1], &unchecked), 5).unwrap();
    assert!(event.has_attributes);
    assert!(matches!(&event.says, Says::Event { properties, .. } if properties.len() == 1));
    let update = read_replaced(&replaced("profile", &unchecked, &[0x81, 0xa1, b's', 1]), 5).unwrap();
    assert!(matches!(&update.says, Says::Update(update) if update.set.len() == 1));
    assert!(read_replaced(&replaced("track", &unchecked, &[0x80]), 5).is_err());
    assert!(!read_replaced(&replaced("track", &[0xc0], &[0x80]), 5).unwrap().has_attributes);
}

proptest! {
    #[test]
    fn no_bytes_panic(value in proptest::collection::vec(any::<u8>(), 0..80)) {
        read(&value, 0, 1000);
    }

    #[test]
    fn a_record_with_changed_bytes_never_panics(at in 0usize..70, byte in any::<u8>()) {
        let mut value = br#"{"user_id":"u\u00e9","event":"e","properties":{"a":[1.5e3]},"time":"2024-01-01"}"#.to_vec();
        value[at] = byte;
        read(&value, 0, 1000);
    }
}
