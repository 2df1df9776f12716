use super::*;

#[test]
fn skus_are_short_plain_words() {
    for good in ["A", "TEA-EARL-100", "a.b_c-9", &"x".repeat(64)] {
        assert!(is_sku(good), "{good}");
    }
    for bad in ["", "-a", ".a", "a b", "a,b", "ä", "a\n", &"x".repeat(65)] {
        assert!(!is_sku(bad), "{bad}");
    }
}

#[test]
fn tokens_are_never_card_numbers() {
    for good in ["pm_card_visa", "pm_1", "pm_fault_down_for_3s"] {
        assert!(is_payment_token(good), "{good}");
    }
    for bad in ["", "pm_", "4242424242424242", "pm_Card", "pm_card visa", "xpm_a"] {
        assert!(!is_payment_token(bad), "{bad}");
    }
}

#[test]
fn addresses_cannot_break_a_header() {
    for good in ["a@b.de", "ada.lovelace+tea@mail.example.com", "o'neil@x-y.org"] {
        assert!(is_email(good), "{good}");
    }
    for bad in [
        "",
        "a",
        "a@b",
        "@b.de",
        "a@",
        ".a@b.de",
        "a..b@c.de",
        "a@b..de",
        "a@-b.de",
        "a b@c.de",
        "a@b.de\r\nBcc: x@y.z",
        "a@b@c.de",
        "\"a\"@b.de",
    ] {
        assert!(!is_email(bad), "{bad}");
    }
}

#[test]
fn a_line_is_visible_and_bounded() {
    assert!(is_line("Ada", 3));
    assert!(is_line("žižek", 5));
    for bad in ["", " Ada", "A\u{0}", "A\nB", "Adam"] {
        assert!(!is_line(bad, 3), "{bad:?}");
    }
}
