use std::borrow::Cow;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn transition() -> Transition {
    Transition {
        project: "default".into(),
        audience: "buyers".into(),
        audience_name: "Bu\"yers".into(),
        audience_version: 3,
        user_id: "ü1".into(),
        seq: 1,
        at_ms: 1_714_554_000_123,
        cause: Cow::Borrowed("event"),
        trigger: Some(Arc::new(Trigger {
            event: Some("buy".into()),
            id: None,
            time_ms: 0,
            properties: b"{\"a\":1}".as_slice().into(),
        })),
        entered_at_ms: 1_714_554_000_123,
        exit_at_ms: None,
        entered_at_is_bound: false,
        destination: None,
    }
}

#[test]
fn a_transition_is_written_as_python_does() {
    let transition = transition();
    let output = Output::new(&transition);
    let mut body = Vec::new();
    output.write_body(&mut body);
    // hashlib.blake2b("default\0buyers\01\0ü1".encode(), digest_size=16).hexdigest()
    let expected = concat!(
        r#"{"id":"255202ae9f1edecd911a11c9d4f08de5","event":"enter","project":"default","audience":"buyers","#,
        r#""audience_name":"Bu\"yers","audience_version":3,"user_id":"ü1","seq":1,"at":"2024-05-01T09:00:00.123Z","#,
        r#""cause":"event","trigger":{"event":"buy","id":null,"time":"1970-01-01T00:00:00.000Z"},"#,
        r#""entered_at":"2024-05-01T09:00:00.123Z","exit_at":null}"#
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
    let names: Vec<_> = output.headers().iter().map(|header| header.0).collect();
    let expected =
        ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type"];
    assert_eq!(names[..7], expected);
    assert_eq!(names[7], "trigger.properties");
}

#[test]
fn an_event_is_written_without_an_audience() {
    let transition = Transition { destination: Some("crm".into()), ..transition() };
    let output = Output::new(&transition);
    let mut body = Vec::new();
    output.write_body(&mut body);
    // hashlib.blake2b("default\0\0crm\01\0ü1".encode(), digest_size=16).hexdigest()
    let expected = concat!(
        r#"{"id":"798391ad482f4b81edcd49adfab4630c","event":"event","project":"default","audience":"","#,
        r#""audience_name":"Bu\"yers","audience_version":3,"user_id":"ü1","seq":1,"at":"2024-05-01T09:00:00.123Z","#,
        r#""cause":"event","trigger":{"event":"buy","id":null,"time":"1970-01-01T00:00:00.000Z"},"#,
        r#""entered_at":"2024-05-01T09:00:00.123Z","exit_at":null,"#,
        r#""destination":"crm","filter":"buyers","properties":{"a":1}}"#
    );
    assert_eq!(String::from_utf8_lossy(&body), expected);
    assert!(output.headers().iter().all(|header| header.0 != "trigger.properties"));
}

fn claim() -> Claim {
    Claim {
        project: "default".into(),
        namespace: "email".into(),
        value: "a\"@b.c".into(),
        user_id: "ü1".into(),
        time_ms: 1_714_554_000_123,
        unset: false,
    }
}

#[test]
fn a_claim_is_written_as_python_does() {
    let (mut key, mut body) = (Vec::new(), Vec::new());
    // agents.kafka.placement.partition_of('["default","email","a\"@b.c"]', 7)
    assert_eq!(claim().write_key(&mut key, 7), 5);
    claim().write_body(&mut body);
    assert_eq!(String::from_utf8_lossy(&key), r#"["default","email","a\"@b.c","ü1"]"#);
    assert_eq!(String::from_utf8_lossy(&body), r#"{"time":"2024-05-01T09:00:00.123Z","unset":false}"#);
}

#[test]
fn an_outbox_is_read_as_it_was_written() {
    let outbox = Outbox {
        step: 9,
        transitions: vec![transition(), Transition { trigger: None, ..transition() }],
        claims: vec![claim()],
    };
    let mut bytes = Vec::new();
    outbox.write(&mut bytes);
    assert_eq!(Outbox::read(&bytes), Ok(outbox));
}

#[test]
fn fields_that_a_newer_program_adds_are_skipped() {
    let mut bytes = vec![0x94, 9, 0x90, 0x90, 0x91, 0xc0];
    assert_eq!(Outbox::read(&bytes), Ok(Outbox { step: 9, transitions: Vec::new(), claims: Vec::new() }));
    bytes.pop();
    assert!(Outbox::read(&bytes).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(at in 0usize..80, byte in any::<u8>(), cut in 0usize..90) {
        let mut bytes = Vec::new();
        Outbox { step: 9, transitions: vec![transition()], claims: Vec::new() }.write(&mut bytes);
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate(cut);
        let _ = Outbox::read(&bytes);
    }
}
