//! Bounds that both sides of a call rely on, each with its reason.

/// Most lines of one order: keeps the saga's input and outputs well under a message's size.
pub const MAX_LINES: usize = 100;
/// Least quantity of one line.
pub const MIN_QUANTITY: i64 = 1;
/// Largest quantity of one line: what a warehouse could ship at once, and far from any overflow.
pub const MAX_QUANTITY: i64 = 10_000;
/// Longest customer's name, in characters.
pub const MAX_CUSTOMER_NAME: usize = 200;
/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the brackets).
pub const MAX_EMAIL: usize = 254;
/// Longest SKU, in characters.
pub const MAX_SKU: usize = 64;
/// Longest product's name, in characters; a hundred of them fit the output of the `order` step.
pub const MAX_PRODUCT_NAME: usize = 120;
/// Longest payment token, in characters.
pub const MAX_TOKEN: usize = 64;
/// Most SKUs in one call of `GET /v1/products?sku=a,b,c`: one call prices a whole order.
pub const MAX_SKUS_PER_CALL: usize = MAX_LINES;
/// Items of a page when the caller names no limit.
pub const DEFAULT_PAGE: usize = 20;
/// Most items of a page.
pub const MAX_PAGE: usize = 100;
/// Longest reason that a person gives with an adjustment or an operator's action, in characters.
pub const MAX_REASON: usize = 500;
/// Largest amount of money in minor units: 2^53 - 1, what every JSON reader keeps exactly.
pub const MAX_AMOUNT: i64 = 9_007_199_254_740_991;
/// Largest stock of one SKU, for the same reason.
pub const MAX_STOCK: i64 = 1_000_000_000;

/// What a SKU looks like.
pub const SKU_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";
/// What a payment token looks like. Never a card number: digits alone do not match.
pub const TOKEN_PATTERN: &str = "^pm_[a-z0-9_]{1,61}$";
