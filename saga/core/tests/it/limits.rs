//! What may stand in a record.

use proptest::prelude::*;
use saga_core::limits::{INTEGER_MAX, NESTING_MAX, TooMuch, check, is_id};
use saga_core::{Backoff, Reason, Record, digest};
use serde_json::{Value, json};

use crate::definitions;

#[test]
fn a_value_that_is_too_large_too_deep_or_inexact_is_refused() {
    let large = Value::String("x".repeat(100));
    assert_eq!(check(&large, 50), Err(TooMuch::Bytes { bytes: 102, limit: 50 }));
    let deep = (0..=NESTING_MAX).fold(json!(1), |inner, _| json!([inner]));
    assert_eq!(check(&deep, 10_000), Err(TooMuch::Nesting));
    assert!(check(&json!(INTEGER_MAX), 100).is_ok());
    assert!(matches!(check(&json!(INTEGER_MAX + 1), 100), Err(TooMuch::Integer(_))));
    assert!(matches!(check(&json!(u64::MAX), 100), Err(TooMuch::Integer(_))));
}

#[test]
fn a_later_version_is_named_whatever_its_shape() {
    let later = json!({"v": 2, "shape": "new"}).to_string();
    let error = Record::from_json(later.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "the record has version 2; this program reads version 1");
    for poison in ["", "{", "[]", "{\"v\":1}", "\u{0}"] {
        assert!(Record::from_json(poison.as_bytes()).is_err(), "{poison:?}");
    }
}

#[test]
fn digests_do_not_depend_on_the_order_of_fields() {
    let one: Value = serde_json::from_str(r#"{"a": 1, "b": [1.0, "é"]}"#).unwrap();
    let other: Value = serde_json::from_str(r#"{ "b":[1, "\u00e9"],"a":1 }"#).unwrap();
    assert_eq!(digest(&one), digest(&other));
    let known = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!(digest(&json!({})), known);
}

#[test]
fn only_plain_ids_start_a_saga() {
    let plan = definitions::order();
    for bad in ["", "a.b", "a b", "a*", ">", "ä", &"x".repeat(65)] {
        assert_eq!(Record::start(&plan, bad, json!({})).unwrap_err().code(), "invalid_id");
    }
    assert!(is_id("Ab_-9"));
}

proptest! {
    #[test]
    fn reasons_fit_their_limits(code in ".{0,200}", detail in ".{0,3000}") {
        let reason = Reason::new(&code, &detail);
        prop_assert!(reason.code.len() <= 64 && reason.detail.len() <= 1024);
        prop_assert!(code.starts_with(&reason.code) && detail.starts_with(&reason.detail));
    }

    #[test]
    fn pauses_grow_and_stay_bounded(first in 0_u64..10_000, max in 0_u64..1_000_000, n in 1_u32..200) {
        let backoff = Backoff { first_ms: first, max_ms: max };
        prop_assert!(backoff.pause_ms(n) <= backoff.pause_ms(n + 1));
        prop_assert!(backoff.pause_ms(n) <= max);
    }

    #[test]
    fn reading_a_record_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::from_json(&bytes).is_err());
    }
}
