use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_plain_is_passed_on_as_it_came() {
    for text in [
        r#"{"b":1,"a":[true,false,null,"ä b","e"]}"#,
        "{}",
        "[]",
        "null",
        "123456789012345",
        r#""e""#,
        r#"{"b":1,"b":2}"#,
    ] {
        let json = read(text);
        assert_eq!(json.plain_text(), Some(text));
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
        assert_eq!(*json, serde_json::from_str::<Value>(text).unwrap(), "{text}");
    }
}

#[test]
fn what_is_not_plain_is_looked_into_and_written_anew() {
    for (text, written) in [
        (r#"{ "a": 1 }"#, r#"{"a":1}"#),
        ("[1,\n2]", "[1,2]"),
        (r#""\u00e9""#, r#""é""#),
        (r#""a\/b""#, r#""a/b""#),
        ("-0", "-0.0"),
        ("1.50", "1.5"),
        ("1e2", "100.0"),
        ("1E2", "100.0"),
        ("1234567890123456", "1234567890123456"),
    ] {
        let json = read(text);
        assert_eq!(json.plain_text(), None, "{text}");
        assert_eq!(serde_json::to_string(&json).unwrap(), written);
    }
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(read(&deep(32)).plain_text(), Some(deep(32).as_str()));
    assert_eq!(read(&deep(33)).plain_text(), None);
}

#[test]
fn what_is_no_value_is_refused_when_it_is_read() {
    for text in ["1e999", r#""\ud800""#, "{", "01", "nul", &"[".repeat(200)] {
        assert!(serde_json::from_str::<Json>(text).is_err(), "{text}");
    }
}

#[test]
fn the_order_of_fields_makes_no_difference() {
    assert_eq!(read(r#"{"a":1,"b":2}"#), read(r#"{"b":2,"a":1}"#));
    assert_eq!(read(r#"{"a":1}"#), Json::from(json!({ "a": 1 })));
    assert_ne!(read(r#"{"a":1}"#), read(r#"{"a":2}"#));
    assert_eq!(read(r#"{"a":1}"#), json!({ "a": 1 }));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn it_is_the_same_value_whichever_way_it_came(value in values()) {
        let text = value.to_string();
        let json = read(&text);
        prop_assert_eq!(&*json, &value);
        prop_assert_eq!(serde_json::to_string(&json).unwrap(), text);
        prop_assert_eq!(json, Json::from(value));
    }
}
