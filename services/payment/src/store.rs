//! The queries of the payment service, and nothing but queries.

use std::collections::HashMap;

use jetsaga_contracts::{
    http::payment::{Account, LedgerEntry, LedgerKind, Payment, PaymentStatus},
    ids::{OrderId, PaymentId},
    money::{Currency, Money},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use service_kit::{Store, Work, store::Error};

use crate::ledger::Ledger;

/// The tables, as migrations.
pub const SCHEMA: &str = include_str!("../schema.surql");

/// Rows of a ledger at most: one charge and one refund, two sides each.
const LEDGER_ROWS: usize = 4;

const CREATE: &str = "INSERT INTO payment $all RETURN NONE";
const ENTER: &str = "INSERT INTO ledger array::flatten($all.entries) RETURN NONE";
const REFUNDED: &str = "
    LET $refunded = (UPDATE type::record('payment', $m.order)
        SET status = 'refunded', updated_at = $m.at
        WHERE status = 'charged' RETURN VALUE status);
    IF array::len($refunded) == 0 { THROW 'raced' };
";
const ONE: &str = "
    SELECT * FROM $rows.map(|$row| type::record('ledger', $row));
    SELECT * FROM type::record('payment', $order);
";

const SOME: &str = "
    SELECT * FROM $rows.map(|$row| type::record('ledger', $row));
    SELECT *, record::id(id) AS order FROM $orders.map(|$order| type::record('payment', $order));
";
const SUMS: &str = "SELECT currency, math::sum(amount) AS amount FROM ledger GROUP BY currency";

/// A payment as it is kept, without its ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPayment {
    /// Its id.
    pub payment_id: PaymentId,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// What they are minor units of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// The provider's reference of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ref: Option<String>,
    /// The provider's decline code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
    /// When it was first written.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredEntry {
    id: String,
    account: Account,
    kind: LedgerKind,
    amount: i64,
    currency: Currency,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct NewPayment<'a> {
    id: &'a str,
    #[serde(flatten)]
    payment: &'a StoredPayment,
}

#[derive(Debug, Deserialize)]
struct OfOrder {
    order: OrderId,
    #[serde(flatten)]
    payment: StoredPayment,
}

/// The payment service's database.
#[derive(Debug, Clone)]
pub struct Payments(Store);

impl Payments {
    /// Queries over a store that has the tables of [`SCHEMA`].
    pub fn new(store: Store) -> Self {
        Self(store)
    }

    /// The payment of an order, with its ledger.
    pub async fn of(&self, order: &OrderId) -> Result<Option<Payment>, Error> {
        let rows: Vec<_> = (0..LEDGER_ROWS).map(|n| row_id(order.as_str(), n)).collect();
        let found = self.0.query(ONE, json!({ "order": order, "rows": rows })).await?;
        let mut found = found.into_iter();
        let ledger: Vec<StoredEntry> = read(found.next())?;
        let payment: Vec<StoredPayment> = read(found.next())?;
        Ok(payment.into_iter().next().map(|payment| view(order, payment, ledger)))
    }

    /// The payments of these orders, with their ledgers; those that do not exist are left out.
    pub async fn some(&self, orders: &[OrderId]) -> Result<HashMap<OrderId, Payment>, Error> {
        let rows = orders.iter().flat_map(|it| (0..LEDGER_ROWS).map(|n| row_id(it.as_str(), n)));
        let rows: Vec<String> = rows.collect();
        let found = self.0.query(SOME, json!({ "orders": orders, "rows": rows })).await?;
        let mut found = found.into_iter();
        let entries: Vec<StoredEntry> = read(found.next())?;
        let payments: Vec<OfOrder> = read(found.next())?;
        let mut ledgers: HashMap<String, Vec<StoredEntry>> = HashMap::new();
        for entry in entries {
            let order = entry.id.rsplit_once('.').map_or("", |(order, _)| order).to_owned();
            ledgers.entry(order).or_default().push(entry);
        }
        let with_ledger = |OfOrder { order, payment }: OfOrder| {
            let ledger = ledgers.remove(order.as_str()).unwrap_or_default();
            let payment = view(&order, payment, ledger);
            (order, payment)
        };
        Ok(payments.into_iter().map(with_ledger).collect())
    }

    /// What all entries of all ledgers sum to, by currency, in minor units.
    pub async fn sums(&self) -> Result<Vec<Money>, Error> {
        self.0.rows(SUMS, json!({})).await
    }
}

/// Writes a payment that is not there yet, and everything in its ledger.
pub fn create(order: &str, payment: &StoredPayment, ledger: &Ledger) -> Work {
    let row = NewPayment { id: order, payment };
    // Types of this crate have string keys and no floats: they always are JSON.
    let work = Work::one(CREATE, serde_json::to_value(row).unwrap_or_default());
    if ledger.entries().is_empty() { work } else { work.and(ENTER, entries(order, ledger, 0)) }
}

/// Writes that a charge was given back; its ledger holds the charge and then the refund.
pub fn refunded(order: &str, ledger: &Ledger, at: Timestamp) -> Work {
    const CHARGE_ROWS: usize = 2;
    Work::one(REFUNDED, json!({ "order": order, "at": at }))
        .and(ENTER, entries(order, ledger, CHARGE_ROWS))
}

/// The entries from position `from` on, as rows.
fn entries(order: &str, ledger: &Ledger, from: usize) -> Value {
    let row = |(n, entry): (usize, &LedgerEntry)| {
        json!({
            "id": row_id(order, n),
            "account": entry.account,
            "kind": entry.kind,
            "amount": entry.amount.amount,
            "currency": entry.amount.currency,
            "at": entry.at,
        })
    };
    let rows: Vec<Value> = ledger.entries().iter().enumerate().skip(from).map(row).collect();
    json!({ "entries": rows })
}

fn row_id(order: &str, position: usize) -> String {
    format!("{order}.{position}")
}

fn read<T: serde::de::DeserializeOwned>(rows: Option<Value>) -> Result<Vec<T>, Error> {
    let rows = match rows {
        None | Some(Value::Null) => Value::Array(Vec::new()),
        Some(row @ Value::Object(_)) => Value::Array(vec![row]),
        Some(rows) => rows,
    };
    serde_json::from_value(rows).map_err(|error| Error::Shape(error.to_string()))
}

fn view(order: &OrderId, payment: StoredPayment, mut ledger: Vec<StoredEntry>) -> Payment {
    ledger.sort_by(|one, other| one.id.cmp(&other.id));
    let entry = |row: StoredEntry| LedgerEntry {
        account: row.account,
        kind: row.kind,
        amount: Money { amount: row.amount, currency: row.currency },
        at: row.at,
    };
    let amount = payment.amount.zip(payment.currency);
    Payment {
        id: payment.payment_id,
        order: order.clone(),
        status: payment.status,
        amount: amount.map(|(amount, currency)| Money { amount, currency }),
        provider_ref: payment.provider_ref,
        decline_code: payment.decline_code,
        ledger: ledger.into_iter().map(entry).collect(),
        created_at: payment.created_at,
        updated_at: payment.updated_at,
    }
}
