use super::*;

fn money(amount: i64, code: &str) -> Money {
    Money::new(amount, code.parse().unwrap()).unwrap()
}

#[test]
fn only_priced_currencies_are_known() {
    for good in ["EUR", "JPY", "KWD", "USD"] {
        assert_eq!(good.parse::<Currency>().unwrap().code(), good);
    }
    for bad in ["", "eur", "EURO", "XYZ", "XAU", "XXX", "ABC", "978"] {
        assert_eq!(bad.parse::<Currency>(), Err(MoneyError::UnknownCurrency), "{bad}");
    }
    let exponent = |code: &str| code.parse::<Currency>().unwrap().exponent();
    assert_eq!((exponent("EUR"), exponent("JPY"), exponent("KWD")), (2, 0, 3));
}

#[test]
fn arithmetic_never_wraps_and_never_mixes() {
    assert_eq!(money(1999, "EUR").checked_mul(3), Ok(money(5997, "EUR")));
    assert_eq!(money(MAX_AMOUNT, "EUR").checked_add(money(1, "EUR")), Err(MoneyError::Overflow));
    assert_eq!(money(MAX_AMOUNT, "EUR").checked_mul(2), Err(MoneyError::Overflow));
    assert_eq!(money(MAX_AMOUNT, "EUR").checked_mul(i64::MAX), Err(MoneyError::Overflow));
    let mixed = money(1, "EUR").checked_add(money(1, "USD"));
    assert_eq!(mixed.unwrap_err().to_string(), "amounts in EUR and USD cannot be added");
    assert_eq!(Money::sum(Currency::EUR, []), Ok(Money::zero(Currency::EUR)));
    assert_eq!(Money::new(i64::MIN, Currency::EUR), Err(MoneyError::Overflow));
}

#[test]
fn it_reads_as_people_write_it() {
    assert_eq!(money(1999, "EUR").to_string(), "19.99 EUR");
    assert_eq!(money(-5, "EUR").to_string(), "-0.05 EUR");
    assert_eq!(money(500, "JPY").to_string(), "500 JPY");
    assert_eq!(money(1, "KWD").to_string(), "0.001 KWD");
}

#[test]
fn on_the_wire_it_is_an_integer_and_a_code() {
    let wire = serde_json::to_value(money(1999, "EUR")).unwrap();
    assert_eq!(wire, serde_json::json!({"amount": 1999, "currency": "EUR"}));
    for bad in [
        serde_json::json!({"amount": 19.99, "currency": "EUR"}),
        serde_json::json!({"amount": 1, "currency": "XYZ"}),
        serde_json::json!({"amount": 1, "currency": "EUR", "more": 1}),
        serde_json::json!({"amount": "1", "currency": "EUR"}),
    ] {
        assert!(serde_json::from_value::<Money>(bad.clone()).is_err(), "{bad}");
    }
}
