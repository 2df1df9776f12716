use super::*;

fn line(sku: &str, quantity: i64) -> AllocatedLine {
    AllocatedLine { sku: sku.to_owned(), quantity }
}

fn shelf() -> Shelf {
    let level = |on_hand, allocated| Level { on_hand, allocated };
    Shelf::new([("tea".to_owned(), level(5, 2)), ("cup".to_owned(), level(1, 0))])
}

#[test]
fn all_lines_or_none() {
    let mut shelf = shelf();
    let refused = shelf.take(&[line("cup", 1), line("tea", 4)]).unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.detail.as_str()),
        ("out_of_stock", "tea: 4 wanted, 3 available")
    );
    assert!(shelf.take(&[line("cup", 1), line("tea", 3)]).is_ok(), "nothing was taken before");
    assert!(shelf.take(&[line("tea", 1)]).is_err());
}

#[test]
fn lines_of_one_sku_count_together() {
    assert!(shelf().take(&[line("tea", 2), line("tea", 2)]).is_err());
    assert!(shelf().take(&[line("tea", 2), line("tea", 1)]).is_ok());
    assert!(shelf().take(&[line("tea", i64::MAX), line("tea", i64::MAX)]).is_err());
}

#[test]
fn what_nobody_has_is_out_of_stock() {
    let refused = shelf().take(&[line("ghost", 1)]).unwrap_err();
    assert_eq!(refused.detail, "ghost: 1 wanted, 0 available");
    assert!(shelf().take(&[line("tea", 0)]).is_err());
    assert!(shelf().take(&[line("tea", -1)]).is_err());
}
