use super::*;

#[test]
fn the_same_caller_and_key_name_the_same_order() {
    let first = OrderId::derived("anonymous", "k-1");
    assert_eq!(first, OrderId::derived("anonymous", "k-1"));
    assert_ne!(first, OrderId::derived("anonymous", "k-2"));
    assert_ne!(first, OrderId::derived("ada", "k-1"));
    assert_ne!(OrderId::derived("ab", "c"), OrderId::derived("a", "bc"));
    // Pinned: another value would let a repeat, sent after an upgrade, place a second order.
    assert_eq!(first.as_str(), "ord_ctlmgjd05tn52tnqd1a1m867o0");
}

#[test]
fn every_id_fits_a_subject_token_and_reads_back() {
    for id in [OrderId::random().into_string(), OrderId::derived("a b", "c.d>*").into_string()] {
        assert_eq!(id.len(), 30);
        assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{id}");
        assert_eq!(id.parse::<OrderId>().unwrap().as_str(), id);
        assert!(id.parse::<PaymentId>().is_err());
    }
}

#[test]
fn foreign_ids_are_refused() {
    for bad in ["", "ord_", "ord_*", "ord_0", &format!("ord_{}", "w".repeat(26)), "pay_1"] {
        assert!(bad.parse::<OrderId>().is_err(), "{bad}");
    }
    let upper = OrderId::random().to_string().to_uppercase();
    assert!(upper.parse::<OrderId>().is_err());
}

#[test]
fn later_ids_sort_after_earlier_ones() {
    let at = |seconds| Uuid::new_v7(uuid::Timestamp::from_unix_time(seconds, 0, 0, 0));
    let ids = [1_700_000_000, 1_700_000_001, 1_900_000_000].map(|s| PaymentId::from_uuid(at(s)));
    assert!(ids.is_sorted(), "{ids:?}");
    assert_ne!(PaymentId::fresh(), PaymentId::fresh());
    assert!(NotificationId::fresh().as_str().starts_with("ntf_"));
}

#[test]
fn the_published_example_is_an_id() {
    use poem_openapi::{registry::MetaSchemaRef, types::Type};

    let MetaSchemaRef::Inline(schema) = OrderId::schema_ref() else { panic!("not inline") };
    let example = schema.example.as_ref().and_then(serde_json::Value::as_str).unwrap();
    assert_eq!(example.parse::<OrderId>().unwrap().as_str(), example);
}
