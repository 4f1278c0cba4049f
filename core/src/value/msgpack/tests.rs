use proptest::prelude::*;

use super::*;
use crate::row::Stored;

fn written(stored: &Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_stored(&mut Writer(&mut bytes), stored);
    bytes
}

fn stored() -> impl Strategy<Value = Stored> {
    let leaf = prop_oneof![
        Just(Stored::Nil),
        any::<bool>().prop_map(Stored::Bool),
        any::<i64>().prop_map(Stored::Int),
        (-70_000i64..70_000).prop_map(Stored::Int),
        ((1u64 << 63)..).prop_map(Stored::UInt),
        any::<i32>().prop_map(|number| Stored::Float(f64::from(number) / 7.0)),
        ".{0,40}".prop_map(|text| Stored::Str(text.into())),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Stored::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..20).prop_map(Stored::List),
            proptest::collection::vec((inner.clone(), inner), 0..20).prop_map(Stored::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(value in stored()) {
        let bytes = written(&value);
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(read_stored(&mut reader).unwrap(), value);
        prop_assert!(reader.end().is_ok());
        prop_assert_eq!(Reader::new(&bytes).skip().unwrap(), &bytes[..]);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_stored(&mut Reader::new(&bytes));
        let _ = read_value(&mut Reader::new(&bytes));
        let _ = Reader::new(&bytes).skip();
    }

    #[test]
    fn a_value_that_is_cut_is_an_error(value in stored(), cut in 0.0..1.0f64) {
        let bytes = written(&value);
        let part = &bytes[..(bytes.len() as f64 * cut) as usize];
        prop_assert_eq!(read_stored(&mut Reader::new(part)), Err(MsgpackError::Truncated));
        prop_assert_eq!(Reader::new(part).skip(), Err(MsgpackError::Truncated));
    }
}

#[test]
fn numbers_and_lengths_have_their_smallest_form() {
    let of = |number| written(&Stored::Int(number));
    assert_eq!(of(127), [0x7f]);
    assert_eq!(of(-32), [0xe0]);
    assert_eq!(of(128), [0xcc, 0x80]);
    assert_eq!(of(-33), [0xd0, 0xdf]);
    assert_eq!(of(256), [0xcd, 1, 0]);
    assert_eq!(of(-129), [0xd1, 0xff, 0x7f]);
    assert_eq!(of(1 << 16), [0xce, 0, 1, 0, 0]);
    assert_eq!(of(1 << 32), [0xcf, 0, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(written(&Stored::Str("x".repeat(300).into()))[..3], [0xda, 1, 44]);
    assert_eq!(written(&Stored::List(vec![Stored::Nil; 16]))[..3], [0xdc, 0, 16]);
}

#[test]
fn levels_are_bounded_except_where_they_are_skipped() {
    let mut bytes = vec![0x91; 100_000];
    bytes.push(0xc0);
    assert_eq!(read_stored(&mut Reader::new(&bytes)), Err(MsgpackError::TooDeep));
    assert_eq!(Reader::new(&bytes).skip().unwrap().len(), 100_001);
}

#[test]
fn a_header_that_claims_more_than_is_there_is_an_error() {
    assert_eq!(
        read_stored(&mut Reader::new(&[0xdd, 255, 255, 255, 255, 0xc0])),
        Err(MsgpackError::Truncated)
    );
    assert_eq!(
        read_stored(&mut Reader::new(&[0xdf, 255, 255, 255, 255, 0xc0])),
        Err(MsgpackError::Truncated)
    );
}

#[test]
fn a_value_has_no_bytes_and_no_number_beyond_64_bits() {
    assert!(read_value(&mut Reader::new(&[0xc4, 1, 0])).is_err());
    assert!(read_value(&mut Reader::new(&[0xcf, 255, 0, 0, 0, 0, 0, 0, 0])).is_err());
    assert!(read_value(&mut Reader::new(&[0x81, 1, 1])).is_err());
}
