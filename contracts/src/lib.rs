//! What the services of the shop say to each other: step inputs and outputs, HTTP resources,
//! money, ids. Types and checks only: no subjects (those are `saga-core`'s), no I/O.
//!
//! ```
//! use jetsaga_contracts::order_saga::OrderInput;
//!
//! let input: OrderInput = serde_json::from_value(serde_json::json!({
//!     "customer": { "name": "Ada Lovelace", "email": "ada@example.com" },
//!     "lines": [{ "sku": "TEA-EARL-100", "quantity": 0 }],
//!     "currency": "EUR",
//!     "payment": { "token": "pm_card_visa" }
//! }))?;
//! let found = input.violations();
//! assert_eq!(found[0].pointer, "/lines/0/quantity");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Every type derives both `serde` (for saga records, stores and service-to-service calls) and
//! `poem-openapi` (for the published document). The bounds in the OpenAPI attributes are the
//! constants of [`limits`]; a test compares the two. Optional fields are left out when empty,
//! never written as `null`.

mod wire;

pub mod demo;
pub mod http;
pub mod ids;
pub mod limits;
pub mod money;
pub mod order_saga;
pub mod time;
pub mod violation;
