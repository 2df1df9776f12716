use super::*;
use crate::{stock::Level, store::Found};

fn line(sku: &str, quantity: i64) -> AllocatedLine {
    AllocatedLine { sku: sku.to_owned(), quantity }
}

fn stock(sku: &str, on_hand: i64, allocated: i64) -> Found {
    Found { sku: sku.to_owned(), level: Level { on_hand, allocated }, updated: 0 }
}

#[test]
fn an_order_holds_what_the_log_says_or_nothing() {
    let (asked, other) = ([line("tea", 2)], [line("tea", 3)]);
    let held = Expected::Held(Allocated { lines: asked.to_vec() });
    for (expected, found, is_right) in [
        (&held, Some(&asked[..]), true),
        (&held, Some(&other[..]), false),
        (&held, None, false),
        (&Expected::Nothing, None, true),
        (&Expected::Nothing, Some(&asked[..]), false),
        (&Expected::Open, None, true),
        (&Expected::Open, Some(&asked[..]), true),
        (&Expected::Open, Some(&other[..]), false),
    ] {
        let said = allocation(expected, &asked, found);
        assert_eq!(said.is_empty(), is_right, "{expected:?} {found:?}: {said:?}");
    }
}

#[test]
fn what_is_set_aside_is_what_orders_hold() {
    let held = vec![vec![line("tea", 2), line("cup", 1)], vec![line("tea", 3)]];
    let right = Sums { stock: vec![stock("tea", 9, 5), stock("cup", 1, 1)], held: held.clone() };
    assert_eq!(sums(&right), Vec::<String>::new());
    let wrong = Sums { stock: vec![stock("tea", 4, 6)], held };
    let expected = [
        "tea: 6 set aside, and orders hold 5",
        "tea: 6 set aside, and only 4 on hand",
        "cup: orders hold 1, no stock",
    ];
    assert_eq!(sums(&wrong), expected);
}
