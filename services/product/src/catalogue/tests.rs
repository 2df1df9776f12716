use super::*;

#[test]
fn skus_are_read_once_each_and_in_order() {
    assert_eq!(skus("b,a,,b"), Ok(vec!["a", "b"]));
    assert_eq!(skus(""), Ok(vec![]));
    assert_eq!(skus("a b"), Err(BadSkus::Malformed));
    let many: Vec<String> = (0..=MAX_SKUS_PER_CALL).map(|n| format!("s{n}")).collect();
    assert_eq!(skus(&many.join(",")), Err(BadSkus::TooMany));
    assert_eq!(skus(&many[1..].join(",")).unwrap().len(), MAX_SKUS_PER_CALL);
}

#[test]
fn the_demo_has_good_skus_and_one_that_is_not_sold() {
    let demo = demo();
    assert!(demo.iter().all(|product| is_sku(product.sku) && product.cents > 0));
    assert_eq!(demo.iter().filter(|product| !product.active).count(), 1);
}
