use super::*;
use crate::{
    order::Entry,
    testing::{AT, eur, input},
};

fn order(placed: Placed, status: OrderStatus) -> StoredOrder {
    let entry = Entry { status, reason: None, by: "order".to_owned(), at: AT, event: None };
    StoredOrder::new(placed, entry)
}

#[test]
fn an_order_is_what_was_priced() {
    let asked = input(&[("TEA", 2)]);
    let priced = OrderPriced { lines: Vec::new(), total: eur(500) };
    let expected = Expected::Held(priced.clone());
    let right = order(Placed::priced(&asked, &priced), OrderStatus::Pending);
    assert_eq!(placed(&expected, &asked, Some(&right)), Vec::<String>::new());
    assert_eq!(placed(&expected, &asked, None).len(), 1);
    let dearer = OrderPriced { total: eur(501), ..priced };
    let wrong = order(Placed::priced(&asked, &dearer), OrderStatus::Pending);
    assert_eq!(placed(&expected, &asked, Some(&wrong)).len(), 1);
    for nothing_said in [Expected::Nothing, Expected::Open] {
        assert_eq!(placed(&nothing_said, &asked, Some(&wrong)), Vec::<String>::new());
    }
}

#[test]
fn an_order_stands_where_its_saga_ended() {
    let of = |status| order(Placed::asked(&input(&[("TEA", 2)])), status);
    for (ended, status, is_right) in [
        (Status::Completed, OrderStatus::Confirmed, true),
        (Status::Completed, OrderStatus::Pending, false),
        (Status::Completed, OrderStatus::Cancelled, false),
        (Status::RolledBack, OrderStatus::Cancelled, true),
        (Status::RolledBack, OrderStatus::NeedsAttention, false),
        (Status::RolledBack, OrderStatus::Confirmed, false),
        (Status::Stuck, OrderStatus::Pending, true),
    ] {
        let said = standing(ended, Some(&of(status)));
        assert_eq!(said.is_empty(), is_right, "{ended} {status:?}: {said:?}");
    }
    assert_eq!(standing(Status::Completed, None).len(), 1);
}
