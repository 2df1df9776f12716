use poem_openapi::{registry::Registry, types::Type};
use serde_json::{Value, json};

use super::*;

fn good() -> Value {
    json!({
        "customer": { "name": "Ada Lovelace", "email": "ada@example.com" },
        "lines": [{ "sku": "TEA", "quantity": 1 }, { "sku": "MUG", "quantity": 10_000 }],
        "currency": "EUR",
        "payment": { "token": "pm_card_visa" }
    })
}

fn pointers(order: Value) -> Vec<(String, String)> {
    let input: OrderInput = serde_json::from_value(order).unwrap();
    input.violations().into_iter().map(|found| (found.pointer, found.code)).collect()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut order = good();
    *order.pointer_mut(pointer).unwrap() = value;
    order
}

#[test]
fn a_good_order_has_no_violations_and_survives_the_wire() {
    assert_eq!(pointers(good()), []);
    let input: OrderInput = serde_json::from_value(good()).unwrap();
    assert_eq!(serde_json::to_value(&input).unwrap(), good());
}

#[test]
fn every_bad_field_is_named_by_its_pointer() {
    for (pointer, value, code) in [
        ("/customer/name", json!(""), "invalid_name"),
        ("/customer/name", json!("x".repeat(201)), "invalid_name"),
        ("/customer/name", json!("Ada\r\nBcc: x"), "invalid_name"),
        ("/customer/email", json!("ada"), "invalid_email"),
        ("/lines", json!([]), "out_of_range"),
        ("/lines/1/sku", json!("a b"), "invalid_sku"),
        ("/lines/1/sku", json!("TEA"), "duplicate_sku"),
        ("/lines/0/quantity", json!(0), "out_of_range"),
        ("/lines/0/quantity", json!(-1), "out_of_range"),
        ("/lines/0/quantity", json!(10_001), "out_of_range"),
        ("/lines/0/quantity", json!(i64::MAX), "out_of_range"),
        ("/currency", json!("XYZ"), "unknown_currency"),
        ("/currency", json!("eur"), "unknown_currency"),
        ("/payment/token", json!("4242424242424242"), "invalid_token"),
    ] {
        let found = pointers(with(pointer, value.clone()));
        assert_eq!(found, [(pointer.to_owned(), code.to_owned())], "{value}");
    }
}

#[test]
fn an_oversized_order_is_told_once() {
    let lines: Vec<Value> =
        (0..10_000).map(|n| json!({"sku": format!("S{n}"), "quantity": 1})).collect();
    let found = pointers(with("/lines", json!(lines)));
    assert_eq!(found, [("/lines".to_owned(), "out_of_range".to_owned())]);
}

#[test]
fn unknown_fields_are_refused_at_every_level() {
    for pointer in ["", "/customer", "/lines/0", "/payment"] {
        let mut order = good();
        order.pointer_mut(pointer).unwrap()["price"] = json!(1);
        assert!(serde_json::from_value::<OrderInput>(order).is_err(), "{pointer}");
    }
}

#[test]
fn the_document_states_the_limits() {
    let mut registry = Registry::new();
    OrderInput::register(&mut registry);
    let schema = |name: &str| serde_json::to_value(&registry.schemas[name]).unwrap();
    let line = schema("OrderLine");
    let at = |pointer: &str| line.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/properties/sku/pattern"), limits::SKU_PATTERN);
    assert_eq!(at("/properties/sku/maxLength"), limits::MAX_SKU);
    assert_eq!(at("/properties/quantity/minimum").as_f64(), Some(1.0));
    assert_eq!(at("/properties/quantity/maximum").as_f64(), Some(10_000.0));
    let token = schema("PaymentMethod");
    assert_eq!(token["properties"]["token"]["pattern"], limits::TOKEN_PATTERN);
    let order = schema("OrderInput");
    assert_eq!(order["properties"]["lines"]["maxItems"], limits::MAX_LINES);
}

#[test]
fn every_demo_token_is_a_token() {
    for demo in crate::demo::TOKENS {
        assert!(crate::violation::is_payment_token(demo.token), "{}", demo.token);
    }
}
