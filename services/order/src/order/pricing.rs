//! What an order costs, from the products as they are now. Pure.

use std::collections::BTreeMap;

use jetsaga_contracts::{
    http::product::Product,
    money::{Currency, Money, MoneyError},
    order_saga::{OrderInput, OrderPriced, PricedLine, refusal},
};

/// Why an order cannot be priced: a business no, as data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpriceable {
    /// The order itself breaks a rule (who starts sagas past the gateway can send anything).
    #[error("{pointer}: {detail}")]
    Invalid {
        /// JSON pointer to the field.
        pointer: String,
        /// What is expected there. Never repeats what was sent.
        detail: String,
    },
    /// No product has this SKU.
    #[error("no product has the SKU {0}")]
    UnknownSku(String),
    /// The product is no longer sold.
    #[error("{0} is no longer sold")]
    Inactive(String),
    /// The product is not priced in the order's currency.
    #[error("{sku} is priced in {priced}, the order is in {ordered}")]
    Currency {
        /// The product.
        sku: String,
        /// Its currency.
        priced: Currency,
        /// The order's.
        ordered: Currency,
    },
    /// A line or the total is larger than any amount that can be charged.
    #[error("the total is larger than any amount that can be charged")]
    Overflow,
    /// The total is below one minor unit.
    #[error("the total is below the smallest amount that can be charged")]
    TooSmall,
}

impl Unpriceable {
    /// The code for programs: one of [`refusal::ALL`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => refusal::INVALID_ORDER,
            Self::UnknownSku(_) => refusal::UNKNOWN_SKU,
            Self::Inactive(_) => refusal::INACTIVE_SKU,
            Self::Currency { .. } => refusal::CURRENCY_MISMATCH,
            Self::Overflow => refusal::AMOUNT_OVERFLOW,
            Self::TooSmall => refusal::AMOUNT_TOO_SMALL,
        }
    }
}

/// What `input` breaks of the rules that can be checked without asking anybody.
///
/// # Errors
/// [`Unpriceable::Invalid`], for the first broken rule.
pub fn check(input: &OrderInput) -> Result<Currency, Unpriceable> {
    if let Some(first) = input.violations().into_iter().next() {
        return Err(Unpriceable::Invalid { pointer: first.pointer, detail: first.detail });
    }
    input.currency.parse().map_err(|error: MoneyError| Unpriceable::Invalid {
        pointer: "/currency".to_owned(),
        detail: error.to_string(),
    })
}

/// Prices `input` from the `products` of its SKUs.
///
/// # Errors
/// The first thing that stands in the way, lines in their order.
pub fn price(
    input: &OrderInput,
    products: &BTreeMap<String, Product>,
) -> Result<OrderPriced, Unpriceable> {
    let currency = check(input)?;
    let lines = input
        .lines
        .iter()
        .map(|line| {
            let unknown = || Unpriceable::UnknownSku(line.sku.clone());
            price_line(line.quantity, currency, products.get(&line.sku).ok_or_else(unknown)?)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let total = Money::sum(currency, lines.iter().map(|line| line.total)).map_err(too_large)?;
    if total.amount < 1 {
        return Err(Unpriceable::TooSmall);
    }
    Ok(OrderPriced { lines, total })
}

fn price_line(
    quantity: i64,
    ordered: Currency,
    product: &Product,
) -> Result<PricedLine, Unpriceable> {
    let sku = product.sku.clone();
    if !product.active {
        return Err(Unpriceable::Inactive(sku));
    }
    if product.price.currency != ordered {
        return Err(Unpriceable::Currency { sku, priced: product.price.currency, ordered });
    }
    let total = product.price.checked_mul(quantity).map_err(too_large)?;
    let name = product.name.clone();
    Ok(PricedLine { sku, name, quantity, unit_price: product.price, total })
}

/// The currencies are equal by now: only the size can be wrong.
fn too_large(_: MoneyError) -> Unpriceable {
    Unpriceable::Overflow
}
